"""The files of evidence, and how they are written: names, manifest, entries with their proofs, statements with theirs.

`build` puts together what is to be proven; `vitaledger.evidence.complete` proves it and adds the table and the texts.

>>> claim = Claim("h.example/gateway/g1", "nonin:port:bed-1", 2, 4, "2026-01-02T09:00:00.000Z", "", "vitaledger 0.1.0")
>>> print(encode_manifest(claim).decode())
{
 "vitaledger-evidence": 2,
 "rendering": 1,
 "origin": "h.example/gateway/g1",
 "chain": "nonin:port:bed-1",
 "first": 2,
 "last": 4,
 "elsewhere": [],
 "exported": "2026-01-02T09:00:00.000Z",
 "by": "",
 "with": "vitaledger 0.1.0"
}
<BLANKLINE>
>>> parse_manifest(encode_manifest(claim)) == claim
True
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vitaledger import __version__, proof, statement
from vitaledger.csvform import RENDERING
from vitaledger.entry import MAX_CHAIN, Part, encode_body, parse_body
from vitaledger.errors import MalformedError, MisuseError
from vitaledger.shape import Shape, array, text, uint
from vitaledger.text import base64_encode

FORMAT = 2
MANIFEST = "manifest.json"
TABLE = "readings.csv"
README = "README.txt"
POLICY = "policy.txt"
CERTIFICATION = "certification.txt"
RENDERED = (TABLE, README, POLICY, CERTIFICATION)  # written again by whoever checks, and compared
ANCHOR = "ledger/anchor"
AFTER = "ledger/after"
ENROLMENT = "ledger/enrolment"
_CLAIMS: dict[str, Shape[Any]] = {
    "vitaledger-evidence": uint(),
    "rendering": uint(),
    "origin": text(1, 255),
    "chain": text(1, MAX_CHAIN),
    "first": uint(),
    "last": uint(),
    "elsewhere": array(text(3, 256 + MAX_CHAIN), 0, 256),
    "exported": text(0, 256),
    "by": text(0, 256),
    "with": text(0, 256),
}


@dataclass(frozen=True, slots=True)
class Shown:
    """An entry of the gateway's log, with the inclusion proof under the anchored checkpoint."""

    index: int
    leaf: bytes
    body: bytes
    hashes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Proven:
    """A statement of the ledger, with its index and inclusion proof under the ledger's checkpoint."""

    statement: bytes
    index: int
    hashes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class After:
    """The ledger head that the gateway had quoted: its last statement, its root, and the root's consistency proof."""

    last: Proven
    root: bytes
    consistency: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Claim:
    """What an evidence file says that it shows: entries first to last of one micro-chain of one log.

    The rest is the exporter's word: when it was exported (ISO 8601), by whom, with which program and version, and
    which other micro-chains, each "<origin> <chain>", the ledger knows of the same device.
    """

    origin: str
    chain: str
    first: int
    last: int
    exported: str
    by: str
    program: str
    elsewhere: tuple[str, ...] = ()


def withhold(body: bytes, types: Sequence[int]) -> bytes:
    """The body without the parts of these types; leaf, micro-chain and proofs stay as they are."""
    parts = parse_body(body)
    kept: list[Part] = [part for part in parts if part.type not in types]
    return body if len(kept) == len(parts) else encode_body(kept)


def build(
    claim: Claim,
    shown: Sequence[Shown],
    anchor: Proven,
    enrolment: Proven,
    checkpoint: bytes,
    after: After | None = None,
    predecessors: Sequence[Proven] = (),
) -> dict[str, bytes]:
    """The files that prove; `checkpoint` is the ledger's note, `shown` holds heads entries as well.

    Where `enrolment` is a succession, `predecessors` lead from it back to an enrolment.

    Raises:
        MisuseError: the anchor statement is not one.
    """
    anchored = statement.decode(anchor.statement)
    if not isinstance(anchored, statement.Anchor):
        raise MisuseError(f"evidence: expected an anchor statement, found {type(anchored).__name__}")
    files = {MANIFEST: encode_manifest(claim)}
    shared = proof.Shared()
    for entry in shown:
        stem = stem_of(entry.index)
        files[f"{stem}.leaf"] = entry.leaf
        files[f"{stem}.body"] = entry.body
        path = proof.TlogProof(entry.index, entry.hashes, anchored.checkpoint)
        files[f"{stem}.tlog-proof"] = proof.encode(path, shared)
    files |= _proven_files(ANCHOR, anchor, checkpoint)
    for stem, proven in zip(lineage_stems(len(predecessors)), (enrolment, *predecessors), strict=True):
        files |= _proven_files(stem, proven, checkpoint)
    if after is not None:
        files |= _proven_files(AFTER, after.last, checkpoint)
        lines = [f"{base64_encode(each)}\n" for each in (after.root, *after.consistency)]
        files[f"{AFTER}.consistency"] = "".join(lines).encode()
    return files


def stem_of(index: int) -> str:
    """How the names of an entry's files begin."""
    return f"entries/{index:012d}"


def lineage_stems(predecessors: int) -> list[str]:
    """How the names of the statements that tell the log's key begin, the log's own first."""
    return [ENROLMENT, *(f"ledger/predecessor-{n + 1}" for n in range(predecessors))]


def encode_manifest(claim: Claim) -> bytes:
    """The manifest's bytes."""
    manifest = {
        "vitaledger-evidence": FORMAT,
        "rendering": RENDERING,
        "origin": claim.origin,
        "chain": claim.chain,
        "first": claim.first,
        "last": claim.last,
        "elsewhere": list(claim.elsewhere),
        "exported": claim.exported,
        "by": claim.by,
        "with": claim.program,
    }
    return (json.dumps(manifest, ensure_ascii=False, indent=1) + "\n").encode()


def parse_manifest(data: bytes) -> Claim:
    """A claim from the manifest's bytes; MalformedError unless they are what `encode_manifest` writes for it."""
    found = _json(data)
    for key, known in (("vitaledger-evidence", FORMAT), ("rendering", RENDERING)):
        number = found.get(key) if isinstance(found, dict) else None
        if type(number) is int and number != known:  # said before the keys, which may differ in another format
            raise MalformedError(
                f"{MANIFEST}: {key} {number}; version {__version__} of this program knows {known}"
                + (": export it again" if number < known else "")
            )
    if not isinstance(found, dict) or set(found) != set(_CLAIMS):
        raise MalformedError(f"{MANIFEST}: expected the keys {', '.join(_CLAIMS)}")
    for key, shape in _CLAIMS.items():
        shape.parse(found[key], f"{MANIFEST}: {key}")
    if found["first"] > found["last"]:
        raise MalformedError(f"{MANIFEST}: entries {found['first']} to {found['last']} are no run")
    elsewhere = tuple(found["elsewhere"])
    if list(elsewhere) != sorted(set(elsewhere)):
        raise MalformedError(f"{MANIFEST}: elsewhere: expected each once, in order")
    claim = Claim(
        found["origin"],
        found["chain"],
        found["first"],
        found["last"],
        found["exported"],
        found["by"],
        found["with"],
        elsewhere,
    )
    if encode_manifest(claim) != data:  # a key twice, say, of which each reader might believe another
        raise MalformedError(f"{MANIFEST}: expected each key once, in order, spaced as `build` writes it")
    return claim


def _json(data: bytes) -> Any:  # noqa: ANN401  looked at key by key
    try:
        return json.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"{MANIFEST}: not JSON: {error}") from None


def _proven_files(stem: str, proven: Proven, checkpoint: bytes) -> dict[str, bytes]:
    return {
        f"{stem}.statement": proven.statement,
        f"{stem}.tlog-proof": proof.encode(proof.TlogProof(proven.index, proven.hashes, checkpoint)),
    }
