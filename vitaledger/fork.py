"""Evidence of a fork: two heads of one log, both signed by its key, that cannot both be true.

A file of JSON, one object on one line:

    {"vitaledger-fork": 1, "vkey": …, "heads": [smaller, larger], "root": …, "consistency": […]}

    vkey          the key of the log; its name is the origin
    heads         the two checkpoints, signed notes, verbatim
    root          of different sizes: the root, in base64, that the larger head's log has at the smaller size; else null
    consistency   the proof (RFC 9162) that leads from that root to the larger head

Of one size, two roots contradict each other by themselves. Of different sizes, the proof shows what the larger head
commits to at the smaller size, and that is not what the smaller head says. Nothing but this file is needed, and the
two notes can be checked with any tool for signed notes.

>>> from vitaledger.checkpoint import Checkpoint, sign_checkpoint
>>> from vitaledger.keys import Ed25519Signer
>>> key = Ed25519Signer("h.example/gateway/g1", bytes(32))
>>> one, other = (sign_checkpoint(Checkpoint(key.name, 1, bytes([n]) * 32), key) for n in (1, 2))
>>> verify(build(str(key.vkey), one, other)).sizes
(1, 1)
>>> verify(build(str(key.vkey), one, one))
Traceback (most recent call last):
vitaledger.errors.VerificationError: h.example/gateway/g1: both heads are of size 1 and say the same: no fork
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vitaledger import merkle
from vitaledger.checkpoint import Checkpoint, open_checkpoint, parse_unverified
from vitaledger.errors import MalformedError, VerificationError
from vitaledger.keys import parse_vkey, verifier_of
from vitaledger.text import base64_decode, base64_encode

FORMAT = 1
MAX_FILE = 256 * 1024
_KEYS = ("vitaledger-fork", "vkey", "heads", "root", "consistency")


@dataclass(frozen=True, slots=True)
class Fork:
    """A fork that was verified: whose log, and the two heads, the smaller first."""

    vkey: str
    smaller: Checkpoint
    larger: Checkpoint

    @property
    def origin(self) -> str:
        """The log's origin."""
        return self.smaller.origin

    @property
    def sizes(self) -> tuple[int, int]:
        """How many entries either head covers."""
        return self.smaller.size, self.larger.size


def build(vkey: str, one: bytes, other: bytes, root: bytes | None = None, consistency: Sequence[bytes] = ()) -> bytes:
    """The file's bytes; `root` and `consistency` where the sizes differ and they are known."""
    heads = sorted((one, other), key=lambda data: parse_unverified(data)[0].size)
    return _dump(
        {
            "vitaledger-fork": FORMAT,
            "vkey": vkey,
            "heads": [data.decode() for data in heads],
            "root": None if root is None else base64_encode(root),
            "consistency": [base64_encode(each) for each in consistency],
        }
    )


def _dump(found: dict[str, Any]) -> bytes:
    return (json.dumps(found, ensure_ascii=False) + "\n").encode()


def verify(data: bytes, vkey: str | None = None) -> Fork:
    """Check that the file proves a fork; `vkey` pins the log's key, else the file's own is taken and named.

    Raises:
        MalformedError: not such a file.
        VerificationError: a signature or the proof does not hold, or the heads do not contradict each other.
    """
    key, notes, root, proof = _parse(data)
    if vkey is not None and key != vkey:
        raise VerificationError(f"fork: expected heads signed by {vkey}, the file speaks of {key}")
    verifier = verifier_of(parse_vkey(key))
    smaller, larger = (open_checkpoint(each.encode(), [verifier]).checkpoint for each in notes)
    origin = smaller.origin
    if smaller.size > larger.size:
        raise MalformedError("fork: expected the smaller head first")
    if smaller.size == larger.size:
        if smaller.root == larger.root:
            raise VerificationError(f"{origin}: both heads are of size {smaller.size} and say the same: no fork")
        return Fork(key, smaller, larger)
    if root is None:
        raise VerificationError(
            f"{origin}: heads of sizes {smaller.size} and {larger.size}, and nothing shows what the larger one says of "
            "the smaller size: this alone proves no fork"
        )
    merkle.verify_consistency(smaller.size, root, larger.size, larger.root, proof)
    if root == smaller.root:
        raise VerificationError(f"{origin}: the head of size {larger.size} continues that of {smaller.size}: no fork")
    return Fork(key, smaller, larger)


def _parse(data: bytes) -> tuple[str, list[str], bytes | None, list[bytes]]:
    if len(data) > MAX_FILE:
        raise MalformedError(f"fork: expected at most {MAX_FILE} bytes, found {len(data)}")
    try:
        found: Any = json.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"fork: not JSON: {error}") from None
    if not isinstance(found, dict) or tuple(found) != _KEYS or found["vitaledger-fork"] is not FORMAT:
        raise MalformedError(f"fork: expected an object of format {FORMAT} with {', '.join(_KEYS)}")
    vkey, heads, root, proof = (found[key] for key in _KEYS[1:])
    if not _texts([vkey]) or not _texts(heads) or len(heads) != 2 or not _texts([root or ""]) or not _texts(proof):
        raise MalformedError("fork: expected a vkey, two heads, a root or null, and a list of hashes")
    if _dump(found) != data:  # spaces, or a key twice
        raise MalformedError("fork: expected JSON as `build` writes it")
    return (
        vkey,
        heads,
        None if root is None else base64_decode(root, "fork root"),
        [base64_decode(each, "fork consistency") for each in proof],
    )


def _texts(items: object) -> bool:
    return isinstance(items, list) and all(isinstance(each, str) for each in items)
