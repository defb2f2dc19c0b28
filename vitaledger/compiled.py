"""Records read and written by one function each, made once, as `dataclasses` makes an `__init__`.

Reading a field through its shape costs a call and a loop's turn, and an entry has sixty fields. So a shape can say in
source what its happy path is (`Inline`), and a record's fields stand in one generated function. For

    record(Head, text(1, 96), uint())

the functions that read and write are, in short

    def build(item):
        a0, a1 = item
        return Head(a0, a1)

    def pack(value):
        a0 = value.chain; a1 = value.next_seq
        if type(a0) is str and 1 <= len(a0) <= 96 and a0.isprintable() and type(a1) is int and 0 <= a1 <= 2**63 - 1:
            return b"\\x82" + known[a0] + pack_int(a1)
        raise Doubt

`build` checks nothing. What it made of some bytes is right where `pack`, which checks everything, gives the same bytes:
one pass for the rules and for the shortest form. What `pack` doubts goes through the shape's `parse`, which is the rule
and says what is wrong. So errors have one source, and tests/property holds the two against each other.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from vitaledger.errors import MisuseError

T = TypeVar("T")

Build = Callable[[Any], Any]
Dump = Callable[[Any], Any]
Pack = Callable[[Any], bytes]


class Doubt(Exception):  # noqa: N818  not an error yet: the long way decides
    """A writer is not sure that a value is right."""


@dataclass(frozen=True, slots=True)
class Inline:
    """A shape's happy path as source.

    `{x}` is what the item or the value is called, and each name of `names`, the objects that the source speaks of.
    `value` makes the value of an item without looking whether it is one, `item` is its inverse; `packed` the value's
    bytes where `fit` holds, which is never true of a value that `parse` would not have made.
    """

    value: str = "{x}"
    item: str = "{x}"
    names: Mapping[str, object] = field(default_factory=dict)
    fit: str = ""
    packed: str = ""

    def or_null(self) -> "Inline":
        """The same, where null is allowed."""
        value, item = (x if x == "{x}" else f"(None if {{x}} is None else {x})" for x in (self.value, self.item))
        fit = self.fit and f"({{x}} is None or {self.fit})"
        return Inline(value, item, self.names, fit, f"(b'\\xf6' if {{x}} is None else {self.packed})")


def called(build: Build, dump: Dump, pack: Pack, *, empty: bool = False) -> Inline:
    """The source for a shape that has none of its own: a call. `empty`: an array, which is often an empty one."""
    value, item, packed = "{build}({x})", "{dump}({x})", "{pack}({x})"
    if empty:
        value, item = f"({value} if {{x}} else ())", f"({item} if {{x}} else [])"
        packed = f"({packed} if {{x}} else b'\\x80')"
    return Inline(value, item, {"build": build, "dump": dump, "pack": pack}, packed=packed)


def compile_build(of: type[Any], plan: Sequence[tuple[str, Inline]], tag: int | None) -> Build:
    """The function that makes a record of an item; of one that is not of its shape it makes anything, or raises."""
    scope: dict[str, Any] = {"of": of}
    filled = [(name, _fill(scope, n, f"a{n}", inline).value) for n, (name, inline) in enumerate(plan)]
    made = f"value = of({', '.join(value for _, value in filled)})"
    if (twin := _twin(of)) is not None:
        scope["twin"] = twin
        made = _filled_twin(filled)
    arguments = ([] if tag is None else ["tag"]) + [f"a{n}" for n in range(len(plan))]
    source = f"def build(item):\n    {', '.join(arguments)}, = item\n    {made}\n    return value\n"
    build: Build = _define(source, "build", scope)
    return build


def compile_dump(plan: Sequence[tuple[str, Inline]], tag: int | None) -> Dump:
    """The function that writes a record; it checks nothing."""
    scope: dict[str, Any] = {}
    filled = [_fill(scope, n, f"value.{name}", inline) for n, (name, inline) in enumerate(plan)]
    items = ([] if tag is None else [str(tag)]) + [inline.item for inline in filled]
    dump: Dump = _define(f"def dump(value):\n    return [{', '.join(items)}]\n", "dump", scope)
    return dump


def compile_pack(plan: Sequence[tuple[str, Inline]], head: bytes, check: Callable[[Any], str | None] | None) -> Pack:
    """The function that writes a record's bytes, `head` first; whatever is not plainly right raises."""
    scope: dict[str, Any] = {"check": check}
    fields = "".join(f"    a{n} = value.{name}\n" for n, (name, _) in enumerate(plan))
    packing = _packing(scope, [inline for _, inline in plan], head)
    given = "        if check(value) is None:\n            return data\n" if check else "        return data\n"
    pack: Pack = _define(f"def pack(value):\n{fields}{packing}{given}    raise Doubt\n", "pack", scope)
    return pack


def compile_pack_fields(inlined: Sequence[Inline], head: bytes) -> Callable[..., bytes]:
    """The same for a record's fields, given one by one: there is no record to make that nobody looks at."""
    scope: dict[str, Any] = {}
    arguments = ", ".join(f"a{n}" for n in range(len(inlined)))
    packing = _packing(scope, inlined, head)
    source = f"def pack({arguments}):\n{packing}        return data\n    raise Doubt\n"
    pack: Callable[..., bytes] = _define(source, "pack", scope)
    return pack


def _packing(scope: dict[str, Any], inlined: Sequence[Inline], head: bytes) -> str:
    scope.update(Doubt=Doubt, join=b"".join)
    filled = [_fill(scope, n, f"a{n}", inline) for n, inline in enumerate(inlined)]
    tests = [inline.fit for inline in filled if inline.fit]
    packed = ", ".join(inline.packed for inline in filled)
    return f"    if {' and '.join(tests) or 'True'}:\n        data = join(({head!r}, {packed}))\n"


def compile_make(of: type[T]) -> Callable[..., T]:
    """A frozen record's fields, in order, to the record: what `of(…)` does, in a third of the time.

    For records of which many are made; without defaults and keywords.
    """
    twin = _twin(of)
    if twin is None:
        raise MisuseError(f"{of.__name__} is no plain frozen dataclass with slots")
    names = [field.name for field in fields(of)]  # type: ignore[arg-type]
    filled = _filled_twin([(name, f"a_{name}") for name in names])  # a field may be called `value`
    source = f"def make({', '.join(f'a_{name}' for name in names)}):\n    {filled}\n    return value\n"
    make: Callable[..., T] = _define(source, "make", {"twin": twin, "of": of})
    return make


def _filled_twin(values: Sequence[tuple[str, str]]) -> str:
    return f"value = twin(); {'; '.join(f'value.{name} = {value}' for name, value in values)}; value.__class__ = of"


def _twin(of: type[Any]) -> type[Any] | None:
    """A class of the same layout that lets its fields be set: what is made in it becomes an `of` in one step.

    A frozen dataclass sets each field through `object.__setattr__`, which costs five times as much.
    """
    if "__slots__" not in vars(of) or of.__bases__ != (object,) or hasattr(of, "__post_init__"):
        return None
    return type(f"_{of.__name__}", (), {"__slots__": of.__slots__})


def _fill(scope: dict[str, Any], n: int, x: str, inline: Inline) -> Inline:
    names = {key: f"{key}{n}" for key in inline.names}
    scope.update((names[key], known) for key, known in inline.names.items())
    value, item, fit, packed = (
        source.format(x=x, **names) for source in (inline.value, inline.item, inline.fit, inline.packed)
    )
    return Inline(value, item, fit=fit, packed=packed)


def _define(source: str, name: str, scope: dict[str, Any]) -> Any:  # noqa: ANN401  a function of the source's making
    exec(source, scope)  # noqa: S102  made of shapes that this package states, never of data
    return scope[name]
