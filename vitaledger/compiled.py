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

The tests may refuse what is right, never take what is wrong: what they refuse goes to `strict`, which is the rule and
says what is wrong. So errors have one source, and tests/property holds the two against each other.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vitaledger.errors import MalformedError

Parse = Callable[[Any, str], Any]
Dump = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Inline:
    """A shape's happy path as source.

    `{x}` is what the item or the value is called, `{at}` the field's name as a literal, and each name of `names`, the
    objects that the source speaks of. `test` is true only where `parse` would take the item; where it says nothing,
    `value` has to check.
    """

    test: str = ""
    value: str = "{x}"
    item: str = "{x}"
    names: Mapping[str, object] = field(default_factory=dict)

    def or_null(self) -> "Inline":
        """The same, where null is allowed."""
        value, item = (x if x == "{x}" else f"(None if {{x}} is None else {x})" for x in (self.value, self.item))
        return Inline(self.test and f"({{x}} is None or {self.test})", value, item, self.names)


def called(parse: Parse, dump: Dump, *, empty: bool = False) -> Inline:
    """The source for a shape that has none of its own: a call. `empty`: an array, which is often an empty one."""
    value, item = "{parse}({x}, {at})", "{dump}({x})"
    if empty:
        value, item = f"(() if not {{x}} and type({{x}}) is list else {value})", f"({item} if {{x}} else [])"
    return Inline(value=value, item=item, names={"parse": parse, "dump": dump})


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
        sets = "; ".join(f"value.{name} = {inline.value}" for (name, _), inline in zip(plan, filled, strict=True))
        made = f"value = twin(); {sets}; value.__class__ = of"
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
    return Inline(inline.test.format(**known), inline.value.format(**known), inline.item.format(**known))


def _define(source: str, name: str, scope: dict[str, Any]) -> Any:  # noqa: ANN401  a function of the source's making
    exec(source, scope)  # noqa: S102  made of shapes that this package states, never of data
    return scope[name]
