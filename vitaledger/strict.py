"""Reading CBOR where it stands: each function takes bytes and a place, and answers a value and the place behind it.

Only the one spelling that `vitaledger.cbor` writes is taken; of anything else they raise, mostly `Doubt`, and the long
way says what is wrong. Bytes that end too early give an IndexError, a struct.error, or a place behind the end, which
is for the caller to notice: `at == len(data)` once, after everything.

>>> data = bytes.fromhex("83185e1901f41a000f4240")
>>> numbers_at(data, 0, 9, INTS)
((94, 500, 1000000), 11)
>>> numbers_at(bytes.fromhex("811801"), 0, 9, INTS)     # 1, but not in its shortest form
Traceback (most recent call last):
vitaledger.compiled.Doubt
"""

from collections.abc import Mapping
from dataclasses import dataclass
from struct import Struct
from typing import Any

import cbor2

from vitaledger import cbor
from vitaledger.compiled import Doubt

_U16, four_at, _U64 = (Struct(f">{width}").unpack_from for width in "HIQ")
_LONGEST = 64  # items of a run that are read at once
_TWO_BYTES = bytes(range(24, 256))  # what is used for no smaller number
# width of a longer integer, what unpacks so many of them, the least that it is used for
_WIDTHS = [
    (width, tuple(Struct(">" + f"x{code}" * count).unpack_from for count in range(_LONGEST + 1)), least)
    for width, code, least in ((2, "B", 24), (3, "H", 1 << 8), (5, "I", 1 << 16))
]
_LONG = {major | 0x18 + n: (bytes((major | 0x18 + n,)), *each) for major in (0, 0x20) for n, each in enumerate(_WIDTHS)}


@dataclass(frozen=True, slots=True)
class Short:
    """What items of one byte mean; and these bytes."""

    means: Mapping[int, Any]
    bytes: bytes


_ONE_BYTE = {**{n: n for n in range(24)}, **{0x20 + n: -1 - n for n in range(24)}}
INTS = Short(_ONE_BYTE, bytes(_ONE_BYTE))
INTS_OR_NULL = Short({**_ONE_BYTE, 0xF6: None}, bytes([*_ONE_BYTE, 0xF6]))


def number_at(data: bytes, at: int, major: int = 0) -> tuple[int, int]:
    """A head of this major type: the number that stands in it."""
    lead = data[at] - (major << 5)
    if 0 <= lead < 24:
        return lead, at + 1
    if lead == 24 and (number := data[at + 1]) >= 24:
        return number, at + 2
    if lead == 25 and (number := _U16(data, at + 1)[0]) >= 1 << 8:
        return number, at + 3
    if lead == 26 and (number := four_at(data, at + 1)[0]) >= 1 << 16:
        return number, at + 5
    if lead == 27 and 1 << 32 <= (number := _U64(data, at + 1)[0]) <= cbor.INT_MAX:
        return number, at + 9
    raise Doubt


def integer_at(data: bytes, at: int) -> tuple[int, int]:
    """An integer in ±2⁶³."""
    if data[at] < 0x20:
        return number_at(data, at)
    number, at = number_at(data, at, 1)
    return -1 - number, at


def text_end(data: bytes, at: int) -> int:
    """The place behind a text; the text itself is not looked at."""
    length, begin = number_at(data, at, 3)
    return begin + length


def numbers_at(data: bytes, at: int, most: int, short: Short) -> tuple[tuple[Any, ...], int]:
    """An array of at most `most` integers, read by runs; `short`: `INTS`, or `INTS_OR_NULL`.

    Neighbours of one width are read together, because a signal's mostly are of one: every second, third or fifth byte
    is the first of an item, and between them stand the numbers. Neither is a step of Python's.
    """
    count = data[at] - 0x80
    if 0 <= count < 24:
        at += 1
    else:
        count, at = number_at(data, at, 4)
    if count > most:
        raise Doubt
    if count < 4:
        return _few_at(data, at, count, short)
    if data[at] == 0x18:  # often all of them are
        end = at + 2 * count
        numbers = data[at + 1 : end : 2]
        if data[at:end:2] == b"\x18" * count and not numbers.lstrip(_TWO_BYTES):
            return tuple(numbers), end
    return _runs_at(data, at, count, short)


def _few_at(data: bytes, at: int, count: int, short: Short) -> tuple[tuple[Any, ...], int]:
    found = []
    for _ in range(count):
        lead = data[at]
        if lead in short.means:
            number, at = short.means[lead], at + 1
        else:
            number, at = integer_at(data, at)
        found.append(number)
    return tuple(found), at


def _runs_at(data: bytes, at: int, count: int, short: Short) -> tuple[tuple[Any, ...], int]:
    found: list[Any] = []
    left, means = count, short.means
    while left:
        lead, run = data[at], 1
        if lead in means:
            found.append(means[lead])
            at += 1
            if left > 1 and data[at] in means:
                leads = data[at : at + min(left - 1, _LONGEST)]
                run += len(leads) - len(leads.lstrip(short.bytes))
                found += [means[byte] for byte in leads[: run - 1]]
                at += run - 1
        elif lead in _LONG:
            same, width, unpack, least = _LONG[lead]
            leads = data[at : at + width * min(left, _LONGEST) : width]
            run = len(leads) - len(leads.lstrip(same))
            numbers = unpack[run](data, at)
            if min(numbers) < least:
                raise Doubt
            found += numbers if lead < 0x20 else [-1 - number for number in numbers]
            at += width * run
        else:
            number, at = integer_at(data, at)
            found.append(number)
        left -= run
    return tuple(found), at


def samples_at(data: bytes, at: int) -> tuple[tuple[int, ...], int]:
    """A typed array, as `cbor.unpack_samples` reads it; MalformedError where it is none."""
    if data[at] != 0xD8:
        raise Doubt
    tag = data[at + 1]
    length, at = number_at(data, at + 2, 2)
    return cbor.unpack_samples(cbor2.CBORTag(tag, data[at : at + length])), at + length
