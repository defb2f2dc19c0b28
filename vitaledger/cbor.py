"""The subset of CBOR that Vitaledger writes, and the strict reader of it.

Deterministic CBOR (RFC 8949 §4.2.1) of arrays, integers in ±2⁶³, byte strings, text, null and the typed arrays of
RFC 8746 (little-endian, 8 to 32 bits). No maps, floats, booleans, dates, bignums, references or indefinite lengths.

>>> encode([1, "spo2", None, b"\\x01"]).hex()
'84016473706f32f64101'
>>> decode(bytes.fromhex("84016473706f32f64101"))
[1, 'spo2', None, b'\\x01']
>>> decode(b"\\x18\\x01")                      # 1, but not in its shortest form
Traceback (most recent call last):
vitaledger.errors.MalformedError: CBOR item: not in its shortest form at byte 0: found 18, expected 01
>>> unpack_samples(pack_samples([1, 2, 300]))
(1, 2, 300)

A general library decodes, which is fast; decoding and encoding again is not a strict check by itself, because such a
library lets sets, regular expressions or floats through unchanged. So the type of every item is checked as well.
"""

import sys
from array import array
from collections.abc import Sequence
from struct import Struct

import cbor2

from vitaledger.errors import MalformedError, MisuseError

Item = int | str | bytes | None | list["Item"] | cbor2.CBORTag

INT_MIN, INT_MAX = -(2**63), 2**63 - 1
MAX_DEPTH = 12
# RFC 8746 tags, narrowest first: the writer takes the first that holds every sample
_TYPED = {64: "B", 72: "b", 69: "H", 77: "h", 70: "I", 78: "i"}
_RANGES = {
    tag: (0, 2 ** (8 * array(code).itemsize) - 1)
    if code.isupper()
    else (-(2 ** (8 * array(code).itemsize - 1)), 2 ** (8 * array(code).itemsize - 1) - 1)
    for tag, code in _TYPED.items()
}
# cbor2 5.9 lets through what its readers of dates, decimals and sets raise; cbor2 6 wraps it
_LIBRARY_ERRORS = (
    cbor2.CBORError, ValueError, TypeError, ArithmeticError, LookupError, AttributeError, RuntimeError, MemoryError,
)  # fmt: skip
_SWAP = sys.byteorder == "big"
_PLAIN = {str, bytes, type(None)}
_NUMBERS = {int, type(None)}


def encode(item: Item) -> bytes:
    """Encode deterministically.

    Raises:
        MisuseError: the item holds a type that is not of the subset.
    """
    try:
        _check(item, "item", 0)
    except MalformedError as error:
        raise MisuseError(f"cannot encode: {error}") from None
    try:
        return cbor2.dumps(item)
    except UnicodeEncodeError as error:  # half a surrogate pair
        raise MisuseError(f"cannot encode: {error}") from None


def decode(data: bytes, what: str = "CBOR item") -> Item:
    """Decode one item that is the whole of `data`.

    Raises:
        MalformedError: not CBOR, not of the subset, not in its shortest form, or bytes left over; names `what`.
    """
    item = loads(data, what)
    _check(item, what, 0)
    check_shortest(item, data, what)
    return item


def loads(data: bytes, what: str) -> Item:
    """Decode leniently: for callers that check the type of every item themselves, and then `check_shortest`.

    Raises:
        MalformedError: not CBOR.
    """
    try:
        item: Item = cbor2.loads(data)
    except _LIBRARY_ERRORS as error:
        told = ascii(str(error)[:120])[1:-1]  # it may quote the bytes
        raise MalformedError(f"{what}: not CBOR: {told}") from None
    return item


def dumps(item: Item) -> bytes:
    """Encode an item whose types were checked already."""
    return cbor2.dumps(item)


def check_shortest(item: Item, data: bytes, what: str) -> None:
    """Check that `data` is how `item` is written, to the last byte; the types must have been checked before.

    Raises:
        MalformedError: another spelling, or bytes left over.
    """
    again = cbor2.dumps(item)
    if again == data:
        return
    at = next((i for i, (a, b) in enumerate(zip(data, again, strict=False)) if a != b), min(len(data), len(again)))
    if at == len(again):
        raise MalformedError(f"{what}: {len(data) - at} bytes left over after the item's end at byte {at}")
    found, expected = data[at : at + 1].hex(), again[at : at + 1].hex()
    raise MalformedError(f"{what}: not in its shortest form at byte {at}: found {found}, expected {expected}")


def _check(item: Item, where: str, depth: int) -> None:
    if isinstance(item, list):
        if depth == MAX_DEPTH:  # also ends a list that a shared reference made part of itself
            raise MalformedError(f"{where}: nested deeper than {MAX_DEPTH}")
        kinds = set(map(type, item))
        if kinds <= _NUMBERS:  # the long arrays: checked at once
            found = [n for n in item if isinstance(n, int)] or [0]
            _check_range(min(found), where)
            _check_range(max(found), where)
        elif not kinds <= _PLAIN:
            for n, child in enumerate(item):
                _check(child, f"{where}[{n}]", depth + 1)
    elif type(item) is int:
        _check_range(item, where)
    elif isinstance(item, cbor2.CBORTag):
        unpack_samples(item, where)
    elif type(item) not in _PLAIN:
        raise MalformedError(f"{where}: {type(item).__name__} is not of the subset")


def _check_range(number: int, where: str) -> None:
    if number < INT_MIN or number > INT_MAX:
        raise MalformedError(f"{where}: integer outside ±2⁶³")


def pack_head(major: int, number: int) -> bytes:
    """The first bytes of an item of a major type (0 to 5): `number` is its value or its length, below 2⁶⁴."""
    if number < 24:
        return bytes((major << 5 | number,))
    for extra, width in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if number < 1 << 8 * width:
            return bytes((major << 5 | extra,)) + number.to_bytes(width)
    raise MisuseError(f"{number} does not fit a CBOR head")


_HEAD_2, _HEAD_4, _HEAD_8 = (Struct(f">B{width}").pack for width in "HIQ")
SMALL = tuple(pack_head(0, n) for n in range(256))


def pack_int(number: int) -> bytes:
    """An integer's bytes; LookupError or struct.error far outside ±2⁶³."""
    if number < 0:
        first, number = 0x20, -1 - number
    elif number < 256:
        return SMALL[number]
    else:
        first = 0
    if number < 1 << 16:
        return pack_head(first >> 5, number) if number < 256 else _HEAD_2(first | 25, number)
    return _HEAD_4(first | 26, number) if number < 1 << 32 else _HEAD_8(first | 27, number)


def pack_samples(samples: Sequence[int]) -> cbor2.CBORTag:
    """Make the narrowest typed array that holds the samples (8 to 32 bits, unsigned where none is negative).

    Raises:
        MisuseError: a sample needs more than 32 bits.
    """
    low, high = (min(samples), max(samples)) if samples else (0, 0)
    for tag, (least, most) in _RANGES.items():
        if least <= low and high <= most:
            packed = array(_TYPED[tag], samples)
            if _SWAP:
                packed.byteswap()
            return cbor2.CBORTag(tag, packed.tobytes())
    raise MisuseError(f"samples from {low} to {high} do not fit 32 bits")


def unpack_samples(item: Item, where: str = "samples") -> tuple[int, ...]:
    """Read a typed array; strict: one that a narrower type holds is refused.

    Raises:
        MalformedError: not a typed array of the subset, or not the narrowest.
    """
    if type(item) is not cbor2.CBORTag or item.tag not in _TYPED or type(item.value) is not bytes:
        raise MalformedError(f"{where}: not a typed array of 8, 16 or 32 bits, little-endian")
    unpacked = array(_TYPED[item.tag])
    if len(item.value) % unpacked.itemsize:
        raise MalformedError(
            f"{where}: {len(item.value)} bytes are no whole number of {unpacked.itemsize}-byte samples"
        )
    unpacked.frombytes(item.value)
    if _SWAP:
        unpacked.byteswap()
    samples = tuple(unpacked)
    if pack_samples(samples).tag != item.tag:
        raise MalformedError(f"{where}: typed array with tag {item.tag} where a narrower one holds every sample")
    return samples
