"""Records read and written by one function each, made once, as `dataclasses` makes an `__init__`.

Reading a field through its shape costs a call and a loop's turn, and an entry has sixty fields. So a shape can say in
source what its happy path is (`Inline`), and a record's fields stand in one generated function. For

    record(Head, text(1, 96), uint())

the function that reads is, in short

    def parse(item, where):
        if type(item) is list and len(item) == 2:
            a0, a1 = item
            if type(a0) is str and 1 <= len(a0) <= 96 and a0.isprintable() and type(a1) is int and 0 <= a1 <= 2**63 - 1:
                return Head(a0, a1)
        return strict(item, where)

and the one that writes puts the bytes of the fields together, after the same tests, without an item in between.

The tests may refuse what is right, never take what is wrong: what they refuse goes to `strict`, which is the rule and
says what is wrong (a writer raises `Doubt`, and the value goes the long way). So errors have one source, and
tests/property holds the two against each other.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from vitaledger.errors import MalformedError, MisuseError

T = TypeVar("T")

Parse = Callable[[Any, str], Any]
Dump = Callable[[Any], Any]
Pack = Callable[[Any], bytes]


class Doubt(Exception):  # noqa: N818  not an error yet: the long way decides
    """A writer is not sure that a value is right."""


@dataclass(frozen=True, slots=True)
class Inline:
    """A shape's happy path as source.

    `{x}` is what the item or the value is called, `{at}` the field's name as a literal, and each name of `names`, the
    objects that the source speaks of. `test` is true only where `parse` would take the item; where it says nothing,
    `value` has to check. `fit` and `packed` are the same for a value and its bytes.
    """

    test: str = ""
    value: str = "{x}"
    item: str = "{x}"
    names: Mapping[str, object] = field(default_factory=dict)
    fit: str = ""
    packed: str = ""

    def or_null(self) -> "Inline":
        """The same, where null is allowed."""
        value, item = (x if x == "{x}" else f"(None if {{x}} is None else {x})" for x in (self.value, self.item))
        test, fit = (test and f"({{x}} is None or {test})" for test in (self.test, self.fit))
        return Inline(test, value, item, self.names, fit, f"(b'\\xf6' if {{x}} is None else {self.packed})")


def called(parse: Parse, dump: Dump, pack: Pack, *, empty: bool = False) -> Inline:
    """The source for a shape that has none of its own: a call. `empty`: an array, which is often an empty one."""
    value, item, packed = "{parse}({x}, {at})", "{dump}({x})", "{pack}({x})"
    if empty:
        value, item = f"(() if not {{x}} and type({{x}}) is list else {value})", f"({item} if {{x}} else [])"
        packed = f"({packed} if {{x}} else b'\\x80')"
    return Inline(value=value, item=item, names={"parse": parse, "dump": dump, "pack": pack}, packed=packed)


def compile_parse(
    of: type[Any],
    plan: Sequence[tuple[str, Inline]],
    tag: int | None,
    check: Callable[[Any], str | None] | None,
    strict: Parse,
) -> Parse:
    """The function that reads a record."""
    scope: dict[str, Any] = {"strict": strict, "of": of, "check": check, "MalformedError": MalformedError}
    filled = [_fill(scope, n, f"a{n}", name, inline) for n, (name, inline) in enumerate(plan)]
    arguments = [f"a{n}" for n in range(len(plan))]
    tests = [inline.test for inline in filled if inline.test]
    made = f"value = of({', '.join(inline.value for inline in filled)})"
    if (twin := _twin(of)) is not None:
        scope["twin"] = twin
        made = _filled_twin([(name, inline.value) for (name, _), inline in zip(plan, filled, strict=True)])
    if tag is not None:
        arguments.insert(0, "tag")
        tests.insert(0, f"type(tag) is int and tag == {tag}")
    source = f"""
def parse(item, where):
    if type(item) is list and len(item) == {len(arguments)}:
        {", ".join(arguments)}, = item
        if {" and ".join(tests) or "True"}:
            try:
                {made}
            except MalformedError as error:
                raise MalformedError(f"{{where}}.{{error}}") from None
"""
    if check is not None:
        source += """
            if wrong := check(value):
                raise MalformedError(f"{where}: {wrong}")
"""
    parse: Parse = _define(source + "            return value\n    return strict(item, where)\n", "parse", scope)
    return parse


def compile_dump(plan: Sequence[tuple[str, Inline]], tag: int | None) -> Dump:
    """The function that writes a record; it checks nothing."""
    scope: dict[str, Any] = {}
    filled = [_fill(scope, n, f"value.{name}", name, inline) for n, (name, inline) in enumerate(plan)]
    items = ([] if tag is None else [str(tag)]) + [inline.item for inline in filled]
    dump: Dump = _define(f"def dump(value):\n    return [{', '.join(items)}]\n", "dump", scope)
    return dump


def compile_pack(plan: Sequence[tuple[str, Inline]], head: bytes, check: Callable[[Any], str | None] | None) -> Pack:
    """The function that writes a record's bytes, `head` first; whatever is not plainly right raises."""
    scope: dict[str, Any] = {"check": check}
    fields = "".join(f"    a{n} = value.{name}\n" for n, (name, _) in enumerate(plan))
    given = "        if check(value) is None:\n            return data\n" if check else "        return data\n"
    return _define(f"def pack(value):\n{fields}{_packing(scope, plan, head)}{given}    raise Doubt\n", "pack", scope)  # type: ignore[no-any-return]


def compile_pack_fields(inlined: Sequence[Inline], head: bytes) -> Callable[..., bytes]:
    """The same for a record's fields, given one by one: there is no record to make that nobody looks at."""
    scope: dict[str, Any] = {}
    arguments = ", ".join(f"a{n}" for n in range(len(inlined)))
    packing = _packing(scope, [(f"field {n}", inline) for n, inline in enumerate(inlined)], head)
    source = f"def pack({arguments}):\n{packing}        return data\n    raise Doubt\n"
    return _define(source, "pack", scope)  # type: ignore[no-any-return]


def _packing(scope: dict[str, Any], plan: Sequence[tuple[str, Inline]], head: bytes) -> str:
    scope.update(Doubt=Doubt, join=b"".join)
    filled = [_fill(scope, n, f"a{n}", name, inline) for n, (name, inline) in enumerate(plan)]
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
    source = f"def make({', '.join(names)}):\n    {_filled_twin([(name, name) for name in names])}\n    return value\n"
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


def _fill(scope: dict[str, Any], n: int, x: str, name: str, inline: Inline) -> Inline:
    names = {key: f"{key}{n}" for key in inline.names}
    scope.update((names[key], known) for key, known in inline.names.items())
    known = {"x": x, "at": repr(name), **names}
    test, value, item, fit, packed = (
        source.format(**known) for source in (inline.test, inline.value, inline.item, inline.fit, inline.packed)
    )
    return Inline(test, value, item, fit=fit, packed=packed)


def _define(source: str, name: str, scope: dict[str, Any]) -> Any:  # noqa: ANN401  a function of the source's making
    exec(source, scope)  # noqa: S102  made of shapes that this package states, never of data
    return scope[name]
