"""Make `tlog.json` again: `python tests/vectors/generate.py` prints it. See README.md for what it holds.

Only `naive.py`, the standard library and pyca/cryptography are used, so that the vectors do not come from the code
that they test. Everything in them follows from the constants below.
"""

import base64
import hashlib
import json
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

sys.path.insert(0, str(Path(__file__).parent))
import naive

ORIGIN, WITNESS = "example.com/ledger", "witness.example/w1"
LOG_SEED, WITNESS_SEED = b"\x01" * 32, b"\x02" * 32
TIME = 1_750_000_000
SIZES = (1, 2, 3, 7, 8)
LEAVES = [naive.leaf_hash(b"entry %d" % i) for i in range(13)]


def b64(data):
    return base64.b64encode(data).decode()


def flipped(data):
    return bytes([data[0] ^ 1]) + data[1:]


def inclusion_cases():
    for size in SIZES:
        tree = LEAVES[:size]
        for index in range(size):
            proof, root = naive.path(index, tree), naive.root(tree)
            good = {"leaf": b64(LEAVES[index]), "index": index, "size": size, "root": b64(root)}
            good["proof"] = [b64(each) for each in proof]
            yield {"what": "good", "ok": True, **good}
            yield {"what": "another root", "ok": False, **good, "root": b64(flipped(root))}
            yield {"what": "index beyond the tree", "ok": False, **good, "index": index + size}
            yield {"what": "one hash too many", "ok": False, **good, "proof": [*good["proof"], good["root"]]}
            if proof:
                yield {"what": "one hash too few", "ok": False, **good, "proof": good["proof"][:-1]}


def consistency_cases():
    for size in SIZES:
        tree = LEAVES[:size]
        for end in range(1, size + 1):
            for start in range(end):
                if not naive.is_subtree(start, end):
                    continue
                part, root = naive.root(tree[start:end]), naive.root(tree)
                good = {"start": start, "end": end, "size": size, "part": b64(part), "root": b64(root)}
                good["proof"] = [b64(each) for each in naive.consistency(start, end, tree)]
                yield {"what": "good", "ok": True, **good}
                yield {"what": "another subtree root", "ok": False, **good, "part": b64(flipped(part))}
                yield {"what": "another root", "ok": False, **good, "root": b64(flipped(root))}
                yield {"what": "one hash too many", "ok": False, **good, "proof": [*good["proof"], good["root"]]}


def key(name, kind, seed):
    private = Ed25519PrivateKey.from_private_bytes(seed)
    public = bytes([kind]) + private.public_key().public_bytes_raw()
    key_id = hashlib.sha256(name.encode() + b"\n" + public).digest()[:4]
    return private, key_id, f"{name}+{key_id.hex()}+{b64(public)}"


def files():
    log, log_id, log_vkey = key(ORIGIN, 1, LOG_SEED)
    witness, witness_id, witness_vkey = key(WITNESS, 4, WITNESS_SEED)
    size, index, old = 13, 6, 5
    text = f"{ORIGIN}\n{size}\n{b64(naive.root(LEAVES))}\n"
    signed = f"{text}\n— {ORIGIN} {b64(log_id + log.sign(text.encode()))}\n"
    cosigned = witness.sign(f"cosignature/v1\ntime {TIME}\n{text}".encode())
    line = f"— {WITNESS} {b64(witness_id + TIME.to_bytes(8, 'big') + cosigned)}\n"
    path = "".join(f"{b64(each)}\n" for each in naive.path(index, LEAVES))
    consistency = "".join(f"{b64(each)}\n" for each in naive.consistency(0, old, LEAVES))
    return {
        "log": log_vkey,
        "witness": witness_vkey,
        "checkpoint": signed,
        "cosignature": line,
        "time": TIME,
        "policy": f"log {log_vkey}\nwitness w1 {witness_vkey}\nquorum w1\n",
        "proof": f"c2sp.org/tlog-proof@v1\nindex {index}\n{path}\n{signed}{line}",
        "proof leaf": b64(LEAVES[index]),
        "request": f"old {old}\n{consistency}\n{signed}",
        "request old": old,
        "request old root": b64(naive.root(LEAVES[:old])),
    }


def generate():
    """The text of tlog.json, one case a line."""
    parts = []
    for name, cases in (("inclusion", inclusion_cases()), ("consistency", consistency_cases())):
        lines = ",\n".join(json.dumps(case) for case in cases)
        parts.append(f'"{name}": [\n{lines}\n]')
    entries = ",\n".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in files().items())
    parts.append(f'"files": {{\n{entries}\n}}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    sys.stdout.write(generate())
