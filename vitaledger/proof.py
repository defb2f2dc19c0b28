"""Proof files (`.tlog-proof`): that an entry is in a log, for whoever has the log's keys (C2SP tlog-proof v1).

    c2sp.org/tlog-proof@v1
    extra <base64>                 optional, authenticated by nothing
    index <decimal>
    <inclusion proof: base64 hashes, the leaf's sibling first>
    <empty line>
    <checkpoint, a signed note, verbatim>

    >>> from vitaledger.checkpoint import Checkpoint, sign_checkpoint
    >>> from vitaledger.keys import Ed25519Signer, verifier_of
    >>> leaves = [merkle.leaf_hash(b"first"), merkle.leaf_hash(b"second")]
    >>> log_key = Ed25519Signer("example.com/log", bytes(32))
    >>> signed = sign_checkpoint(Checkpoint("example.com/log", 2, merkle.root(leaves)), log_key)
    >>> proof = TlogProof(1, (leaves[0],), signed)
    >>> print("\\n".join(encode(proof).decode().split("\\n")[:5]))
    c2sp.org/tlog-proof@v1
    index 1
    oa8DAjHKL9IOzzDFKUuvj2kyHQm7FqxTiFzNF6OFKA0=
    <BLANKLINE>
    example.com/log
    >>> verify(parse(encode(proof)), leaves[1], [verifier_of(log_key.vkey)]).checkpoint.size
    2

The proof file holds neither the entry nor its hash: the verifier computes the leaf hash from the entry that it has.
"""

import re
from base64 import b64decode
from collections.abc import Iterable
from dataclasses import dataclass

from vitaledger import merkle
from vitaledger.checkpoint import SignedCheckpoint, open_checkpoint, parse_unverified
from vitaledger.errors import MalformedError, MisuseError
from vitaledger.keys import Verifier
from vitaledger.policy import Policy
from vitaledger.text import MAX_NUMBER, base64_decode, base64_encode, parse_decimal

HEADER = "c2sp.org/tlog-proof@v1"
MAX_HASHES = 63
MAX_PROOF_FILE = 256 * 1024
_WRONG_HASHES = f"proof: expected at most {MAX_HASHES} hashes of {merkle.HASH_SIZE} bytes"
_EXTRA = re.compile(r"[A-Za-z0-9+/]*={0,2}", re.ASCII)


@dataclass(frozen=True, slots=True)
class TlogProof:
    """An entry's index, the siblings from its leaf to the root, and the checkpoint note. Nothing is verified yet."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes | None = None


class Shared:
    """What proof files of one tree have in common: thousands of them share most hashes, and the checkpoint.

    Each is read or written once while this is handed on from proof to proof.
    """

    __slots__ = ("_checkpoint", "_hashes", "_lines")

    def __init__(self) -> None:
        self._checkpoint: bytes | None = None
        self._hashes: dict[str, bytes] = {}
        self._lines: dict[bytes, str] = {}

    def hash(self, line: str) -> bytes:
        """The hash of a line; MalformedError where it is none."""
        found = self._hashes.get(line)
        if found is None:
            found = base64_decode(line, "proof hash")
            if len(found) != merkle.HASH_SIZE:
                raise MalformedError(_WRONG_HASHES)
            self._hashes[line] = found
        return found

    def line(self, found: bytes) -> str:
        """The line of a hash; MisuseError where it is none."""
        line = self._lines.get(found)
        if line is None:
            if len(found) != merkle.HASH_SIZE:
                raise MisuseError("proof: expected hashes of 32 bytes")
            line = self._lines[found] = base64_encode(found)
        return line

    def check(self, checkpoint: bytes) -> None:
        """Check that a note is a checkpoint, believed by no one yet; MalformedError where it is not."""
        if checkpoint != self._checkpoint:
            parse_unverified(checkpoint)
            self._checkpoint = checkpoint


def encode(proof: TlogProof, shared: Shared | None = None) -> bytes:
    """The proof file's bytes; MisuseError, or MalformedError where the note is not a checkpoint."""
    shared = shared or Shared()
    if not 0 <= proof.index <= MAX_NUMBER or len(proof.hashes) > MAX_HASHES:
        raise MisuseError(f"proof: expected an index below 2^63 and at most {MAX_HASHES} hashes")
    shared.check(proof.checkpoint)
    extra = [] if proof.extra is None else [f"extra {base64_encode(proof.extra)}"]
    lines = [HEADER, *extra, f"index {proof.index}", *map(shared.line, proof.hashes), ""]
    data = "".join(f"{line}\n" for line in lines).encode() + proof.checkpoint
    if len(data) > MAX_PROOF_FILE:
        raise MisuseError(f"proof: expected at most {MAX_PROOF_FILE} bytes, got {len(data)}")
    return data


def parse(data: bytes, shared: Shared | None = None) -> TlogProof:
    """A proof from a file's bytes, or MalformedError. `encode` gives the same bytes back, the extra line apart."""
    shared = shared or Shared()
    if len(data) > MAX_PROOF_FILE:
        raise MalformedError(f"proof: expected at most {MAX_PROOF_FILE} bytes, found {len(data)}")
    head, divider, checkpoint = data.partition(b"\n\n")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise MalformedError("proof: expected ASCII before the checkpoint") from error
    if not divider or lines.pop(0) != HEADER:
        raise MalformedError(f"proof: expected {HEADER!r}, lines, an empty line and a checkpoint")
    extra = _parse_extra(lines.pop(0)[6:]) if lines and lines[0].startswith("extra ") else None
    if not lines or not lines[0].startswith("index "):
        raise MalformedError("proof: expected a line 'index <decimal>'")
    index = parse_decimal(lines.pop(0)[6:], "proof index")
    hashes = tuple(map(shared.hash, lines))
    if len(hashes) > MAX_HASHES:
        raise MalformedError(_WRONG_HASHES)
    shared.check(checkpoint)
    return TlogProof(index, hashes, checkpoint, extra)


def verify(proof: TlogProof, leaf_hash: bytes, trust: Policy | Iterable[Verifier]) -> SignedCheckpoint:
    """Check that the entry with this leaf hash is in the log; the checkpoint that says so.

    trust: a policy, or the keys of logs (and of cosigners) that are believed. Raises VerificationError.
    """
    if isinstance(trust, Policy):
        signed = trust.verify_checkpoint(proof.checkpoint)
    else:
        signed = open_checkpoint(proof.checkpoint, trust)
    head = signed.checkpoint
    merkle.verify_inclusion(leaf_hash, proof.index, head.size, proof.hashes, head.root)
    return signed


def _parse_extra(text: str) -> bytes:
    """Base64 with or without padding: others write it, and nothing depends on it."""
    bare = text.rstrip("=")
    if not _EXTRA.fullmatch(text) or len(bare) % 4 == 1:
        raise MalformedError(f"proof: expected 'extra <base64>', found {text[:60]!r}")
    return b64decode(bare + "=" * (-len(bare) % 4))
