"""Records read and written by one function each, made once, as `dataclasses` makes an `__init__`.

Reading a field through its shape costs a call and a loop's turn, and an entry has sixty fields. So a shape can say in
source what its happy path is (`Inline`), and a record's fields stand in one generated function. For

    record(Head, text(1, 96), uint())

the functions that read and write are, in short

    def read(data, at):
        if data[at] != 0x82: raise Doubt
        at += 1
        end = text_end(data, at); a0 = known[data[at:end]]; at = end
        a1 = data[at]
        if a1 < 24: at += 1
        else: a1, at = number_at(data, at)
        return Head(a0, a1), at

    def pack(value):
        a0 = value.chain; a1 = value.next_seq
        if type(a0) is str and 1 <= len(a0) <= 96 and a0.isprintable() and type(a1) is int and 0 <= a1 <= 2**63 - 1:
            return b"\\x82" + known[a0] + pack_int(a1)
        raise Doubt

`read` takes nothing but the one spelling of a right value (`vitaledger.strict`). What it doubts goes through the
shape's `parse`, which is the rule and says what is wrong. So errors have one source, and tests/property holds them
against each other.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from vitaledger.errors import MisuseError

T = TypeVar("T")

Read = Callable[[bytes, int], tuple[Any, int]]
Dump = Callable[[Any], Any]
Pack = Callable[[Any], bytes]


class Doubt(Exception):  # noqa: N818  not an error yet: the long way decides
    """A writer is not sure that a value is right."""


def indented(lines: str) -> str:
    """The same lines, a step further in."""
    return "\n".join(f"    {line}" for line in lines.split("\n"))


@dataclass(frozen=True, slots=True)
class Inline:
    """A shape's happy path as source.

    `{x}` is what the value is called, and each name of `names`, the objects that the source speaks of. `read` are lines
    that make it of `data` from `at` on and move `at` behind it; `item` is what `dump` makes of it; `packed` its bytes
    where `fit` holds, which is never true of a value that `parse` would not have made.
    """

    read: str
    item: str = "{x}"
    names: Mapping[str, object] = field(default_factory=dict)
    fit: str = ""
    packed: str = ""

    def or_null(self) -> "Inline":
        """The same, where null is allowed."""
        read = f"if data[at] == 0xF6:\n    {{x}} = None; at += 1\nelse:\n{indented(self.read)}"
        item = "{x}" if self.item == "{x}" else f"(None if {{x}} is None else {self.item})"
        fit = self.fit and f"({{x}} is None or {self.fit})"
        return Inline(read, item, self.names, fit, f"(b'\\xf6' if {{x}} is None else {self.packed})")


def called(read: Read, dump: Dump, pack: Pack, *, empty: bool = False) -> Inline:
    """The source for a shape that has none of its own: a call. `empty`: an array, which is often an empty one."""
    reads, item, packed = "{x}, at = {read}(data, at)", "{dump}({x})", "{pack}({x})"
    if empty:
        reads = f"if data[at] == 0x80:\n    {{x}} = (); at += 1\nelse:\n    {reads}"
        item, packed = f"({item} if {{x}} else [])", f"({packed} if {{x}} else b'\\x80')"
    return Inline(reads, item, {"read": read, "dump": dump, "pack": pack}, packed=packed)


def inline_record(
    of: type[Any],
    plan: Sequence[tuple[str, Inline]],
    head: bytes,
    check: Callable[[Any], str | None] | None,
    tag: int | None,
) -> Inline:
    """How a record is read, field by field, after `head`; it is written by calls."""
    dump, pack = compile_dump(plan, tag), compile_pack(plan, head, check)
    names: dict[str, object] = {"of": of, "check": check, "Doubt": Doubt, "dump": dump, "pack": pack}
    lines = _read_fields([inline for _, inline in plan], head, names)
    if (twin := _twin(of)) is not None:
        names["twin"] = twin
        fields = "".join(f"; {{x}}.{name} = {{x}}_{n}" for n, (name, _) in enumerate(plan))
        lines.append(f"{{x}} = {{twin}}(){fields}; {{x}}.__class__ = {{of}}")
    else:
        lines.append(f"{{x}} = {{of}}({', '.join(f'{{x}}_{n}' for n in range(len(plan)))})")
    if check is not None:
        lines.append("if {check}({x}) is not None:\n    raise {Doubt}")
    return Inline("\n".join(lines), "{dump}({x})", names, packed="{pack}({x})")


def inline_tuple(inlined: Sequence[Inline], head: bytes, dump: Dump, pack: Pack) -> Inline:
    """How a tuple of so many fields is read."""
    names: dict[str, object] = {"Doubt": Doubt, "dump": dump, "pack": pack}
    lines = _read_fields(inlined, head, names)
    lines.append(f"{{x}} = ({', '.join(f'{{x}}_{n}' for n in range(len(inlined)))})")
    return Inline("\n".join(lines), "{dump}({x})", names, packed="{pack}({x})")


def _read_fields(inlined: Sequence[Inline], head: bytes, names: dict[str, object]) -> list[str]:
    """The lines that read fields behind `head` into {x}_0, {x}_1, …; `names` gets what they speak of."""
    names["head"] = head
    begins = f"data[at] != {head[0]}" if len(head) == 1 else f"data[at : at + {len(head)}] != {{head}}"
    lines = [f"if {begins}:\n    raise {{Doubt}}\nat += {len(head)}"]
    for n, inline in enumerate(inlined):
        own = {key: f"{key}_{n}" for key in inline.names}
        names |= {own[key]: known for key, known in inline.names.items()}
        lines.append(inline.read.format(x=f"{{x}}_{n}", **{key: f"{{{name}}}" for key, name in own.items()}))
    return lines


def compile_read(inline: Inline) -> Read:
    """The function that reads a value that stands in bytes; whatever is not plainly right raises."""
    scope: dict[str, Any] = {}
    lines = indented(_fill(scope, 0, "value", inline).read)
    read: Read = _define(f"def read(data, at):\n{lines}\n    return value, at\n", "read", scope)
    return read


def compile_read_array(inline: Inline, least: int, most: int, number_at: Callable[..., tuple[int, int]]) -> Read:
    """The same for an array of `least` to `most` of them."""
    scope: dict[str, Any] = {"number_at": number_at, "Doubt": Doubt}
    lines = indented(indented(_fill(scope, 0, "value", inline).read))
    source = (
        "def read(data, at):\n    count = data[at] - 0x80\n    if 0 <= count < 24:\n        at += 1\n"
        "    else:\n        count, at = number_at(data, at, 4)\n"
        f"    if not {least} <= count <= {most}:\n        raise Doubt\n"
        f"    if count == 1:\n{lines}\n        return (value,), at\n    values = []\n"
        f"    for _ in range(count):\n{lines}\n        values.append(value)\n    return tuple(values), at\n"
    )
    read: Read = _define(source, "read", scope)
    return read


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
    names = {key: f"{key}_{n}" for key in inline.names}
    scope.update((names[key], known) for key, known in inline.names.items())
    read, item, fit, packed = (
        source.format(x=x, **names) for source in (inline.read, inline.item, inline.fit, inline.packed)
    )
    return Inline(read, item, fit=fit, packed=packed)


def _define(source: str, name: str, scope: dict[str, Any]) -> Any:  # noqa: ANN401  a function of the source's making
    exec(source, scope)  # noqa: S102  made of shapes that this package states, never of data
    return scope[name]
