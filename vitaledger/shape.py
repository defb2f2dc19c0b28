"""Shapes: how a record is written as a CBOR array, stated once and used for writing and for strict reading.

A `Shape` turns a value into a CBOR item and back. Records are frozen dataclasses whose fields stand in the array in
order. What a shape reads it writes as the same item, so that with `vitaledger.cbor` what parses re-encodes to the same
bytes.

>>> from dataclasses import dataclass
>>> @dataclass(frozen=True)
... class Head:
...     chain: str
...     next_seq: int
>>> head = record(Head, text(1, 96), uint())
>>> head.dump(Head("gateway", 7))
['gateway', 7]
>>> head.parse(["gateway", -1], "head")
Traceback (most recent call last):
vitaledger.errors.MalformedError: head.next_seq: expected an integer from 0 to 9223372036854775807, found -1
"""

import re
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from enum import IntEnum, IntFlag
from functools import lru_cache
from typing import Any, Generic, TypeVar, cast

from vitaledger import cbor, inlines
from vitaledger.cbor import INT_MAX, INT_MIN, Item
from vitaledger.compiled import (
    Doubt,
    Inline,
    Pack,
    Read,
    called,
    compile_pack_fields,
    compile_read,
    compile_read_array,
    inline_record,
    inline_tuple,
)
from vitaledger.errors import MalformedError, MisuseError, VitaledgerError
from vitaledger.strict import number_at

# what could forge a line on the terminal of whoever reads it: controls, line separators, changes of direction
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
T = TypeVar("T")
E = TypeVar("E", bound=IntEnum)
F = TypeVar("F", bound=IntFlag)
_HEADS = tuple(cbor.pack_head(4, count) for count in range(24))  # of short arrays
# what a writer raises that is not sure: `Doubt`, or whatever a value of another type brings about
NOT_SURE = (Doubt, VitaledgerError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError, struct.error)


@dataclass(frozen=True, slots=True)
class Shape(Generic[T]):
    """`parse(item, where)` raises MalformedError that begins with `where`; `dump` is its inverse.

    A path like "entry.parts[1].type" is put together on an error's way up: there are many items and few errors.
    `inline` is what a record writes into its own functions in place of a call. `pack` answers the bytes of a value at
    once, or raises where it is not sure that `parse` would have made it; `read` reads it where it stands in bytes, or
    raises where it is not sure that `parse` would take it or that it is in its shortest form.
    """

    parse: Callable[[Item, str], T]
    dump: Callable[[T], Item]
    inline: Inline | None = None
    pack: Pack | None = None
    read: Read | None = None

    def decode(self, data: bytes, what: str) -> T:
        """Parse a whole byte string.

        Raises:
            MalformedError: the bytes are not of this shape; the message begins with `what`.
        """
        try:
            if self.read is not None:
                found: tuple[T, int] = self.read(data, 0)
                if found[1] == len(data):
                    return found[0]
        except NOT_SURE:
            pass  # the long way takes it, or says what is wrong
        item = cbor.loads(data, what)
        value = self.parse(item, what)  # checks the type of every item
        cbor.check_shortest(item, data, what)
        return value

    def encode(self, value: T, what: str | None = None) -> bytes:
        """Write a value as bytes that `decode` takes.

        Raises:
            MisuseError: the value is not of this shape, so that a reader would refuse it; names `what`, or its class.
        """
        try:
            if self.pack is not None:
                return self.pack(value)
        except NOT_SURE:
            pass  # the long way takes it, or says what is wrong
        return self.write(self.dump(value), what or type(value).__name__)

    def write(self, item: Item, what: str) -> bytes:
        """Write an item as bytes that `decode` takes.

        The item is parsed before it is written, not the bytes after: `parse` takes nothing but the exact types that
        come back from their bytes as they were, and what is written here is what `check_shortest` compares with.

        Raises:
            MisuseError: the item is not of this shape, so that a reader would refuse it; names `what`.
        """
        try:
            self.parse(item, what)
        except MalformedError as error:
            raise MisuseError(str(error)) from None
        return cbor.dumps(item)


def _found(item: object) -> str:
    if isinstance(item, bytes):
        return f"{len(item)} bytes"
    if item is None or type(item) is str or (type(item) is int and INT_MIN <= item <= INT_MAX):
        shown = repr(item)
        return shown if len(shown) <= 60 else f"{type(item).__name__} {shown[:40]}…"
    if type(item) is int:
        return "one outside ±2⁶³"
    return type(item).__name__  # anything that a general library makes: its repr may be huge, or fail


def uint(least: int = 0, most: int = INT_MAX) -> Shape[int]:
    """An integer in [least, most]."""

    def parse(item: Item, where: str) -> int:
        if type(item) is not int or not least <= item <= most:
            raise MalformedError(f"{where}: expected an integer from {least} to {most}, found {_found(item)}")
        return item

    return Shape(parse, lambda value: value, inlines.number(least, most))


def code() -> Shape[int]:
    """An unsigned integer of 32 bits out of a nomenclature: few, and written again and again."""
    plain = uint(0, 2**32 - 1)
    return Shape(plain.parse, plain.dump, inlines.code())


def integer() -> Shape[int]:
    """Any integer in ±2⁶³."""
    return uint(INT_MIN, INT_MAX)


def text(least: int = 0, most: int = 1024) -> Shape[str]:
    """Text of `least` to `most` characters without control characters."""

    def parse(item: Item, where: str) -> str:
        if type(item) is not str or not least <= len(item) <= most:
            raise MalformedError(f"{where}: expected text of {least} to {most} characters, found {_found(item)}")
        if _CONTROL.search(item):
            raise MalformedError(f"{where}: control character in text {_found(item)}")
        return item

    return Shape(parse, lambda value: value, inlines.text(least, most))


def blob(least: int, most: int) -> Shape[bytes]:
    """A byte string of `least` to `most` bytes."""

    def parse(item: Item, where: str) -> bytes:
        if type(item) is not bytes or not least <= len(item) <= most:
            raise MalformedError(f"{where}: expected {least} to {most} bytes, found {_found(item)}")
        return item

    return Shape(parse, lambda value: value, inlines.blob(least, most))


HASH: Shape[bytes] = blob(32, 32)


def null_or(shape: Shape[T]) -> Shape[T | None]:
    """`shape`, or null."""

    def parse(item: Item, where: str) -> T | None:
        return None if item is None else shape.parse(item, where)

    return Shape(parse, lambda value: None if value is None else shape.dump(value), _inline(shape).or_null())


def enum(of: type[E]) -> Shape[E]:
    """A member of an enumeration, by its number."""
    members = {member.value: member for member in of}

    def parse(item: Item, where: str) -> E:
        if type(item) is int and item in members:
            return members[item]
        raise MalformedError(f"{where}: expected a {of.__name__} number, found {_found(item)}")

    return Shape(parse, int, inlines.enum(of, members))


def flags(of: type[F]) -> Shape[F]:
    """Bits; unknown ones are kept."""
    number, known = uint(), lru_cache(256)(of)

    def read(data: bytes, at: int) -> tuple[F, int]:
        bits, at = number_at(data, at)
        return known(bits), at

    return Shape(lambda item, where: of(number.parse(item, where)), int, read=read)


def array(of: Shape[T], least: int = 0, most: int = 65_536) -> Shape[tuple[T, ...]]:
    """An array of `least` to `most` items of one shape."""

    def parse(item: Item, where: str) -> tuple[T, ...]:
        if type(item) is not list or not least <= len(item) <= most:
            found = f"{len(item)} items" if type(item) is list else _found(item)
            raise MalformedError(f"{where}: expected an array of {least} to {most} items, found {found}")
        values: list[T] = []
        try:
            for child in item:
                values.append(of.parse(child, ""))  # noqa: PERF401  how far it came names the item
        except MalformedError as error:
            raise MalformedError(f"{where}[{len(values)}]{error}") from None
        return tuple(values)

    def dump(values: tuple[T, ...]) -> Item:
        return [of.dump(value) for value in values]

    each = _packer(of)

    def pack(values: tuple[T, ...]) -> bytes:
        if type(values) is not tuple or not least <= (count := len(values)) <= most:
            raise Doubt
        return b"\x81" + each(values[0]) if count == 1 else pack_items([each(value) for value in values])

    read = compile_read_array(_inline(of), least, most, number_at)
    return Shape(parse, dump, called(read, dump, pack, empty=least == 0), pack, read)


def tupled(of: Shape[T], *shapes: Shape[Any]) -> Shape[T]:
    """The same shape, of tuples; those whose items are of these shapes are read at once."""
    if of.pack is None:
        raise MisuseError("a row needs a shape that packs")
    inline = inline_tuple([_inline(shape) for shape in shapes], _record_head(len(shapes), None), of.dump, of.pack)
    return replace(of, inline=inline, read=compile_read(inline))


def record(
    of: type[T], *shapes: Shape[Any], tag: int | None = None, check: Callable[[T], str | None] | None = None
) -> Shape[T]:
    """A dataclass as an array of its fields in order, after `tag` where there is one.

    `check` looks at the whole record and answers what is wrong with it, or None.
    """
    names = [field.name for field in fields(of)]  # type: ignore[arg-type]
    if len(names) != len(shapes):
        raise MisuseError(f"{of.__name__} has {len(names)} fields, {len(shapes)} shapes were given")
    plan = list(zip(names, shapes, strict=True))
    skip = 0 if tag is None else 1

    def parse(item: Item, where: str) -> T:
        if type(item) is not list or len(item) != len(plan) + skip:
            found = f"{len(item)} items" if type(item) is list else _found(item)
            raise MalformedError(f"{where}: expected an array of {len(plan) + skip} items, found {found}")
        if tag is not None and (type(item[0]) is not int or item[0] != tag):
            raise MalformedError(f"{where}: expected the number {tag} first, found {_found(item[0])}")
        parts: list[Any] = []
        try:
            for (name, shape), child in zip(plan, item[skip:], strict=True):
                parts.append(shape.parse(child, name))
        except MalformedError as error:
            raise MalformedError(f"{where}.{error}") from None
        value = of(*parts)
        if check is not None and (wrong := check(value)):
            raise MalformedError(f"{where}: {wrong}")
        return value

    inlined = [(name, _inline(shape)) for name, shape in plan]
    inline = inline_record(of, inlined, _record_head(len(plan), tag), check, tag)
    dump, pack = (cast("Callable[[Any], Any]", inline.names[name]) for name in ("dump", "pack"))
    return Shape(parse, dump, inline, pack, compile_read(inline))


def _record_head(count: int, tag: int | None) -> bytes:
    return cbor.pack_head(4, count) if tag is None else cbor.pack_head(4, count + 1) + cbor.pack_int(tag)


def fields_packer(*shapes: Shape[Any] | Inline, tag: int | None = None) -> Callable[..., bytes]:
    """What `pack` is for a `record` of these shapes, from its fields one by one; any `check` is the caller's."""
    inlined = [each if isinstance(each, Inline) else _inline(each) for each in shapes]
    return compile_pack_fields(inlined, _record_head(len(shapes), tag))


def packed_array(least: int, most: int) -> Inline:
    """For `fields_packer`: an array, given as a list of each item's bytes."""
    fit = f"{least} <= len({{x}}) <= {most}"
    return Inline(
        "raise {Doubt}", names={"Doubt": Doubt, "pack_items": pack_items}, fit=fit, packed="{pack_items}({x})"
    )


def pack_items(items: Sequence[bytes]) -> bytes:
    """An array's bytes from those of each item."""
    count = len(items)
    return (_HEADS[count] if count < len(_HEADS) else cbor.pack_head(4, count)) + b"".join(items)


def _inline(shape: Shape[Any]) -> Inline:
    return shape.inline or called(_reader(shape), shape.dump, _packer(shape))


def _packer(shape: Shape[Any]) -> Pack:
    return shape.pack or (lambda value: shape.write(shape.dump(value), ""))


def _reader(shape: Shape[Any]) -> Read:
    return shape.read or _unread


def _unread(_data: bytes, _at: int) -> tuple[Any, int]:
    """Read a shape that does not say how: the long way takes whatever holds one."""
    raise Doubt


def union(records: Mapping[int, tuple[type[Any], Shape[Any]]], what: str) -> Shape[Any]:
    """One of several tagged records, told apart by the number that stands first."""
    tags = {of: tag for tag, (of, _) in records.items()}
    number = uint()

    def parse(item: Item, where: str) -> object:
        if type(item) is not list or not item:
            raise MalformedError(f"{where}: expected an array that begins with the number of a {what}")
        tag = number.parse(item[0], f"{where}: number of a {what}")
        if tag not in records:
            raise MalformedError(f"{where}: unknown {what} {tag}; a newer version may know it")
        return records[tag][1].parse(item, where)

    def dump(value: object) -> Item:
        if type(value) not in tags:
            raise MisuseError(f"{type(value).__name__} is not a {what}")
        return records[tags[type(value)]][1].dump(value)

    packers = {of: _packer(shape) for of, shape in records.values()}
    readers = {tag: _reader(shape) for tag, (_, shape) in records.items()}

    def read(data: bytes, at: int) -> tuple[Any, int]:
        tag, _ = number_at(data, at + 1)  # behind the head of a short array
        return readers[tag](data, at)

    return Shape(parse, dump, pack=lambda value: packers[type(value)](value), read=read)
