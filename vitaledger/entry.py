"""The entry: what a leaf of a gateway's log says, and the body that travels beside it.

    leaf  = [1, kind, chain, seq, prev, clock, parts]
    parts = [* [type, SHA-256(salt ‖ content)]]          ascending by type, each type once
    body  = [* [type, salt, content]]                    the same order; a withheld part is left out
    clock = [wall ms, boot id, ms since boot, error bound in ms or null]

both in the CBOR of `vitaledger.cbor`; docs/entry.cddl has the grammar. The leaf commits to salted contents, so that a
part can be withheld or erased without touching leaf, micro-chain or proof, and a bare hash cannot be guessed.
`prev` is the leaf hash (RFC 6962) of entry seq − 1 of the same micro-chain; at 0 it is SHA-256(origin LF chain).

>>> clock = Clock(1_700_000_000_000, bytes(16), 5_000, None)
>>> leaf, body = seal(Kind.DEVICE_EVENT, "nonin:port:bed-1", 0, genesis("h.example/gateway/g1", "nonin:port:bed-1"),
...                   clock, [(PartType.EVENT, b"\\x80")], salts=[bytes(16)])
>>> entry = parse_leaf(leaf)
>>> entry.chain, entry.seq, len(leaf), len(body)
('nonin:port:bed-1', 0, 123, 22)
>>> verify_body(entry, parse_body(body))            # what was withheld: nothing
()
>>> verify_body(entry, [Part(PartType.EVENT, bytes(16), b"\\x81\\x01")])
Traceback (most recent call last):
vitaledger.errors.VerificationError: nonin:port:bed-1 entry 0: part event: commitment expected 3ae0…, found 4583…
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from hashlib import sha256

from vitaledger import shape
from vitaledger.compiled import Doubt, compile_make
from vitaledger.errors import MalformedError, MisuseError, VerificationError
from vitaledger.merkle import leaf_hash
from vitaledger.shape import (
    HASH,
    NOT_SURE,
    Shape,
    array,
    blob,
    fields_packer,
    integer,
    null_or,
    pack_items,
    packed_array,
    record,
    text,
    uint,
)

VERSION = 1
SALT_SIZE = 16
MAX_LEAF = 1024
MAX_BODY = 56 * 1024
MAX_CONTENT = 48 * 1024  # the format's bound; a gateway closes an entry long before (16 KiB a part)
MAX_CHAIN = 96
_MAX_PARTS = 8
GATEWAY_CHAIN = "gateway"
_CHAINS_REMEMBERED = 256  # names that were looked at lately: a log repeats a few
_UNRESERVED = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/")
_ESCAPED = r"(?:[A-Za-z0-9._~/-]|%[0-9A-F]{2})+"
_CHAIN = re.compile(rf"gateway|[a-z0-9-]+:(?:sn|port):{_ESCAPED}(?:@{_ESCAPED})?")


class Kind(IntEnum):
    """What an entry is about."""

    READINGS = 1
    DEVICE_EVENT = 2
    GATEWAY_EVENT = 3
    ASSOCIATION = 4  # reserved
    CARRIED = 5  # carried over, verbatim, from a predecessor log


class PartType(IntEnum):
    """What a part of an entry holds."""

    VALUES = 1
    WAVES = 2
    RAW = 3
    EVENT = 4


@dataclass(frozen=True, slots=True)
class Clock:
    """Both clocks of the gateway, read together: wall ms since 1970 UTC, boot id (16 bytes), ms since boot.

    `bound_ms` is the error bound of the wall clock, None where it was not synchronised.
    """

    wall_ms: int
    boot_id: bytes
    boot_ms: int
    bound_ms: int | None


@dataclass(frozen=True, slots=True)
class Commitment:
    """SHA-256(salt ‖ content) of one part."""

    type: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a body: 16 bytes of salt, and the content."""

    type: int
    salt: bytes
    content: bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """A leaf, decoded."""

    kind: Kind
    chain: str
    seq: int
    prev: bytes
    clock: Clock
    parts: tuple[Commitment, ...]


def _ascending(parts: Sequence[Commitment] | Sequence[Part]) -> str | None:
    types = [part.type for part in parts]
    return None if types == sorted(set(types)) else f"parts of types {types}: expected ascending types, each once"


@lru_cache(_CHAINS_REMEMBERED)
def check_chain(chain: str) -> str | None:
    """Answer what is wrong with a micro-chain's name, or None."""
    if len(chain) > MAX_CHAIN or not _CHAIN.fullmatch(chain):
        return f'chain {chain!r}: expected "gateway", "<driver>:sn:<serial>" or "<driver>:port:<name>"'
    return None


def _wrong_entry(entry: Entry) -> str | None:
    return check_chain(entry.chain) or (_ascending(entry.parts) if len(entry.parts) > 1 else None)


CLOCK: Shape[Clock] = record(Clock, integer(), blob(16, 16), uint(), null_or(uint()))
_PART_TYPE = uint(1, 255)  # a part of an unknown type is committed to like any other
_ENTRY_FIELDS = (shape.enum(Kind), text(1, MAX_CHAIN), uint(), HASH, CLOCK)  # and the parts
_COMMITMENT_FIELDS = (_PART_TYPE, HASH)
_PART_FIELDS = (_PART_TYPE, blob(SALT_SIZE, SALT_SIZE), blob(0, MAX_CONTENT))
_COMMITMENTS: Shape[tuple[Commitment, ...]] = array(record(Commitment, *_COMMITMENT_FIELDS), 0, _MAX_PARTS)
_ENTRY: Shape[Entry] = record(Entry, *_ENTRY_FIELDS, _COMMITMENTS, tag=VERSION, check=_wrong_entry)
_BODY: Shape[tuple[Part, ...]] = array(record(Part, *_PART_FIELDS), 0, _MAX_PARTS)
_pack_leaf = fields_packer(*_ENTRY_FIELDS, packed_array(0, _MAX_PARTS), tag=VERSION)
_pack_commitment = fields_packer(*_COMMITMENT_FIELDS)
_pack_part = fields_packer(*_PART_FIELDS)
make_clock = compile_make(Clock)


def chain_name(driver: str, by: str, name: str, at_port: str | None = None) -> str:
    """Name a device's micro-chain: `by` is "sn" or "port"; characters outside A–Z a–z 0–9 - . _ ~ / become %HH.

    Raises:
        MisuseError: the name would be longer than 96 bytes or is empty.
    """
    chain = f"{driver}:{by}:{_escape(name)}" + (f"@{_escape(at_port)}" if at_port is not None else "")
    if wrong := check_chain(chain):
        raise MisuseError(wrong)
    return chain


def _escape(name: str) -> str:
    return "".join(
        c if c in _UNRESERVED else "".join(f"%{byte:02X}" for byte in c.encode("utf-8", "backslashreplace"))
        for c in name
    )


def genesis(origin: str, chain: str) -> bytes:
    """What entry 0 of a micro-chain holds as `prev`: 32 bytes that bind the chain to its log."""
    return sha256(f"{origin}\n{chain}".encode()).digest()


def commit(salt: bytes, content: bytes) -> bytes:
    """The commitment to one part: 32 bytes."""
    return sha256(salt + content).digest()


def seal(
    kind: Kind,
    chain: str,
    seq: int,
    prev: bytes,
    clock: Clock,
    contents: Sequence[tuple[int, bytes]],
    salts: Sequence[bytes],
) -> tuple[bytes, bytes]:
    """Make the leaf and the body of an entry. `salts` are 16 random bytes for each content.

    Raises:
        MisuseError: a field is out of its bounds.
    """
    commitments: list[bytes] = []
    parts: list[bytes] = []
    last = 0
    try:
        for (part, content), salt in zip(contents, salts, strict=True):
            commitments.append(_pack_commitment(part, sha256(salt + content).digest()))
            parts.append(_pack_part(part, salt, content))
            if part <= last:
                raise Doubt
            last = part
        if check_chain(chain):
            raise Doubt
        leaf, body = _pack_leaf(kind, chain, seq, prev, clock, commitments), pack_items(parts)
    except NOT_SURE:  # the long way takes it, or says what is wrong
        pairs = zip(contents, salts, strict=True)
        found = tuple(Part(int(part), salt, content) for (part, content), salt in pairs)
        committed = tuple(Commitment(part.type, commit(part.salt, part.content)) for part in found)
        leaf = _ENTRY.encode(Entry(kind, chain, seq, prev, clock, committed), "leaf")
        body = _BODY.encode(found, "body")
    if len(leaf) > MAX_LEAF or len(body) > MAX_BODY:
        raise MisuseError(
            f"{chain} entry {seq}: leaf of {len(leaf)} bytes (at most {MAX_LEAF}), "
            f"body of {len(body)} bytes (at most {MAX_BODY})"
        )
    return leaf, body


def parse_leaf(leaf: bytes) -> Entry:
    """Decode a leaf strictly.

    Raises:
        MalformedError: not a leaf of this version; says which field.
    """
    if len(leaf) > MAX_LEAF:
        raise MalformedError(f"leaf: {len(leaf)} bytes, at most {MAX_LEAF} are allowed")
    return _ENTRY.decode(leaf, "leaf")


def parse_body(body: bytes) -> tuple[Part, ...]:
    """Decode a body strictly; parts may be missing from it.

    Raises:
        MalformedError: not a body.
    """
    parts = _BODY.decode(body, "body")
    if len(parts) > 1 and (wrong := _ascending(parts)):
        raise MalformedError(f"body: {wrong}")
    return parts


def encode_body(parts: Sequence[Part]) -> bytes:
    """Write a body, for instance one from which parts were withheld.

    Raises:
        MisuseError: the parts do not ascend by type, or one is out of its bounds.
    """
    if wrong := _ascending(parts):
        raise MisuseError(f"body: {wrong}")
    return _BODY.encode(tuple(parts))


def verify_body(entry: Entry, parts: Sequence[Part]) -> tuple[int, ...]:
    """Hold each part against its commitment; answer the types that were withheld.

    Raises:
        VerificationError: a part is not what the leaf commits to, or the leaf commits to no part of that type.
    """
    if len(parts) == len(entry.parts) == 1:  # as most are
        [part], [committed] = parts, entry.parts
        if part.type == committed.type and sha256(part.salt + part.content).digest() == committed.digest:
            return ()
    expected = {commitment.type: commitment.digest for commitment in entry.parts}
    for part in parts:
        digest = expected.pop(part.type, None)
        found = commit(part.salt, part.content)
        if found != digest:
            where = f"{entry.chain} entry {entry.seq}: part {part_name(part.type)}"
            if digest is None:
                raise VerificationError(f"{where}: the leaf commits to no such part")
            raise VerificationError(f"{where}: commitment expected {digest.hex()[:4]}…, found {found.hex()[:4]}…")
    return tuple(expected)


def part_name(part: int) -> str:
    """The word for a part's type."""
    return PartType(part).name.lower() if part in {member.value for member in PartType} else f"of unknown type {part}"


def entry_hash(leaf: bytes) -> bytes:
    """The RFC 6962 leaf hash of an entry: what the tree holds and the next entry of its micro-chain quotes."""
    return leaf_hash(leaf)
