"""Shapes of many numbers, which are read and written together: arrays of integers, wave samples; and fractions.

>>> numbers(nulls=True).encode((97, None, 1000)).hex()
'831861f61903e8'
>>> fraction().decode(bytes.fromhex("82182d02"), "rate")
Fraction(45, 2)
>>> fraction().decode(bytes.fromhex("82182d03"), "rate")
Traceback (most recent call last):
vitaledger.errors.MalformedError: rate: expected a fraction [numerator, denominator] in lowest terms, not zero
"""

from array import array as numbers_of
from collections.abc import Iterable
from fractions import Fraction
from math import gcd
from typing import Any

from vitaledger import cbor
from vitaledger.cbor import INT_MAX, INT_MIN, Item, pack_int
from vitaledger.compiled import Doubt, Inline, compile_read
from vitaledger.errors import MalformedError
from vitaledger.shape import Shape
from vitaledger.strict import INTS, INTS_OR_NULL, integer_at, number_at, numbers_at, samples_at

_HEADS = tuple(cbor.pack_head(4, count) for count in range(24))  # of short arrays
_READINGS: dict[int | None, bytes] = {None: b"\xf6", **{n: cbor.pack_int(n) for n in range(-256, 1024)}}


def numbers(*, nulls: bool = False, most: int = 65_536) -> Shape[Any]:
    """An array of integers (and nulls where allowed), checked as a whole because there are many."""
    allowed = {int, type(None)} if nulls else {int}

    def parse(item: Item, where: str) -> tuple[int | None, ...]:
        if type(item) is not list or len(item) > most or not (kinds := set(map(type, item))) <= allowed:
            raise MalformedError(f"{where}: expected at most {most} integers{' or nulls' if nulls else ''}")
        found: Any = item if type(None) not in kinds else [n for n in item if n is not None]
        if found and (min(found) < INT_MIN or max(found) > INT_MAX):
            raise MalformedError(f"{where}: integer outside ±2⁶³")
        return tuple(item)  # type: ignore[arg-type]

    def pack(values: tuple[int | None, ...]) -> bytes:
        if type(values) is not tuple or (count := len(values)) > most:
            raise Doubt
        if not nulls:
            return cbor.dumps(_listed(values))
        if count < len(_HEADS):
            try:
                return _HEADS[count] + b"".join(map(_READINGS.__getitem__, values))
            except KeyError:
                pass
        if not set(map(type, values)) <= allowed:
            raise Doubt
        _listed([n for n in values if n is not None])
        return cbor.dumps([*values])

    names = {"numbers_at": numbers_at, "short": INTS_OR_NULL if nulls else INTS, "pack": pack}
    inline = Inline(f"{{x}}, at = {{numbers_at}}(data, at, {most}, {{short}})", "[*{x}]", names, packed="{pack}({x})")
    return Shape(parse, list, inline, pack, compile_read(inline))


def _listed(values: Iterable[Any]) -> list[Item]:
    """The same numbers as plain ones; raises for what is none, or outside ±2⁶³."""
    return numbers_of("q", values).tolist()


def samples() -> Shape[tuple[int, ...]]:
    """An RFC 8746 typed array, the narrowest that holds every sample."""
    return Shape(
        cbor.unpack_samples,
        cbor.pack_samples,
        pack=lambda values: cbor.dumps(cbor.pack_samples(values)),
        read=samples_at,
    )


def fraction() -> Shape[Fraction]:
    """A fraction in lowest terms, not zero: [numerator, denominator]."""
    pair: Shape[tuple[int, ...]] = numbers(most=2)

    def parse(item: Item, where: str) -> Fraction:
        found = pair.parse(item, where)
        if len(found) != 2 or found[1] < 1 or found[0] == 0 or gcd(*found) != 1:
            raise MalformedError(f"{where}: expected a fraction [numerator, denominator] in lowest terms, not zero")
        return Fraction(found[0], found[1])

    def pack(value: Fraction) -> bytes:
        if type(value) is not Fraction or not value:
            raise Doubt
        above, below = value.as_integer_ratio()
        if not INT_MIN <= above <= INT_MAX or below > INT_MAX:
            raise Doubt
        return b"\x82" + pack_int(above) + pack_int(below)

    def read(data: bytes, at: int) -> tuple[Fraction, int]:
        if data[at] != 0x82:
            raise Doubt
        above, at = integer_at(data, at + 1)
        below, at = number_at(data, at)
        value = Fraction(above, below)
        if not value or value.as_integer_ratio() != (above, below):
            raise Doubt
        return value, at

    return Shape(
        parse,
        lambda value: [value.numerator, value.denominator],
        pack=pack,
        read=read,
    )
