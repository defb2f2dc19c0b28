"""The raw part: the bytes that went over a device's line, as they came and when.

    raw part = [coding, chunks, data]       coding 0: plain, 1: deflated (RFC 1951, no header)
    chunks   = [* [direction, µs after the entry's clock, length]]

>>> chunks = [Chunk(Direction.SENT, 0, b"\\x7d"), Chunk(Direction.RECEIVED, 150, b"\\x01\\x81\\xe4")]
>>> decode_raw(encode_raw(chunks)) == tuple(chunks)
True
"""

from collections.abc import Sequence
from dataclasses import dataclass

from vitaledger.compiled import compile_make
from vitaledger.errors import MalformedError
from vitaledger.marks import Direction
from vitaledger.numeric import numbers
from vitaledger.shape import Shape, array, blob, record, tupled, uint
from vitaledger.squeeze import deflate as squeeze
from vitaledger.squeeze import inflate

MAX_RAW = 64 * 1024


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes that went over the line together: direction, µs after the entry's clock, the bytes."""

    direction: Direction
    at_us: int
    data: bytes


_make_chunk = compile_make(Chunk)
_DIRECTIONS = {int(each): each for each in Direction}


@dataclass(frozen=True, slots=True)
class _RawRecord:
    coding: int
    chunks: tuple[tuple[int, ...], ...]
    data: bytes


_ROWS = array(tupled(numbers(most=3), uint(), uint(), uint()))
_RAW: Shape[_RawRecord] = record(_RawRecord, uint(0, 1), _ROWS, blob(0, MAX_RAW))


def encode_raw(chunks: Sequence[Chunk], *, deflate: bool = True) -> bytes:
    """Write the raw bytes of a line; deflated where that is shorter."""
    data = b"".join(chunk.data for chunk in chunks)
    coding = 0
    if deflate:
        squeezed = squeeze(data)
        if len(squeezed) < len(data):
            coding, data = 1, squeezed
    table = tuple((int(chunk.direction), chunk.at_us, len(chunk.data)) for chunk in chunks)
    return _RAW.encode(_RawRecord(coding, table, data))


def decode_raw(content: bytes) -> tuple[Chunk, ...]:
    """Read a raw part.

    Raises:
        MalformedError: not a raw part, or its bytes are not what its table says.
    """
    raw = _RAW.decode(content, "raw part")
    for n, row in enumerate(raw.chunks):
        if len(row) != 3 or row[0] not in {0, 1} or row[1] < 0 or row[2] < 1:
            raise MalformedError(f"raw part.chunks[{n}]: expected [direction 0 or 1, µs, length], found {list(row)}")
    total = sum(row[2] for row in raw.chunks)
    if total > MAX_RAW:
        raise MalformedError(f"raw part: {total} bytes, at most {MAX_RAW} are allowed")
    data = raw.data if raw.coding == 0 else inflate(raw.data, total, "raw part")
    if len(data) != total:
        raise MalformedError(f"raw part: its table speaks of {total} bytes, found {len(data)}")
    chunks, at = [], 0
    for direction, at_us, length in raw.chunks:
        chunks.append(_make_chunk(_DIRECTIONS[direction], at_us, data[at : at + length]))
        at += length
    return tuple(chunks)
