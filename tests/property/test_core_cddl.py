"""docs/entry.cddl and the code say the same: what is written matches, and what does not match is refused."""

import re
from pathlib import Path

import cbor2
import pycddl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import strategies as made
from tests.cddl import Grammar
from vitaledger import cbor, content, entry, events, statement
from vitaledger.errors import MalformedError
from vitaledger.raw import decode_raw

SOURCE = (Path(__file__).parents[2] / "docs" / "entry.cddl").read_text()
GRAMMAR = Grammar(SOURCE)
SETTINGS = settings(max_examples=150)

# rule -> (bytes of it, the reader)
RECORDS = {
    "leaf": (made.sealed_entries().map(lambda pair: pair[0]), entry.parse_leaf),
    "body": (made.sealed_entries().map(lambda pair: pair[1]), entry.parse_body),
    "clock": (made.CLOCKS.map(entry.CLOCK.encode), lambda data: entry.CLOCK.decode(data, "clock")),
    "values": (made.VALUES.map(content.VALUES.encode), lambda data: content.VALUES.decode(data, "values")),
    "waves": (made.WAVES.map(content.WAVES.encode), lambda data: content.WAVES.decode(data, "waves")),
    "raw": (made.RAWS, decode_raw),
    "event": (made.EVENTS.map(events.encode), events.decode),
    "device-event": (made.DEVICE_EVENTS.map(events.encode), events.decode),
    "gateway-event": (made.GATEWAY_EVENTS.map(events.encode), events.decode),
    "statement": (made.STATEMENTS.map(statement.encode), statement.decode),
    **{
        name: (value.map(codec.encode), lambda data, codec=codec, name=name: codec.decode(data, name))
        for name, (codec, value) in made.MESSAGES.items()
    },
}
for _of, _events in made.EVENTS_BY_TYPE.items():
    _rule = "carried-event" if _of is events.Carried else re.sub(r"(?<!^)(?=[A-Z])", "-", _of.__name__).lower()
    RECORDS[_rule] = (_events.map(events.encode), events.decode)
# rules of the grammar in which events.decode knows other records as well
PARTS_OF_EVENT = {rule for rule in RECORDS if rule.endswith("-event") or rule in GRAMMAR.rules} - {
    "leaf", "body", "clock", "values", "waves", "raw", "event", "statement", *made.MESSAGES,
}  # fmt: skip
# What stands as "also:" in the grammar, in the words of the readers.
ALSO = re.compile(
    'ascending types|bytes, at most|expected "gateway"|expected each once|never run back|do not fit times|stored rows'
    "|overlaps, is empty or leaves|repeats the mark|do not cover exactly|last arrival before|lowest terms|narrower"
    "|no whole number|its table speaks|are not of one tile|entries end at|not deflated bytes|deflated bytes do not end"
    "|bytes, at most 65536|that ends at .* and begins at"
)
ODD = st.sampled_from(
    [0, 1, -1, 2, 3, 4, 5, 8, 9, 18, 19, -18, -19, 99, 100, 600, 2**32 - 1, 2**32, 2**63 - 1, 2**63, -(2**63),
     -(2**63) - 1, None, "", "a", "gateway", "\n", "a\x7f", "\x9b", "\u2028", "\u202e", "é" * 64, "é" * 65, "x" * 256,
     "x" * 257, "x" * 513, b"", bytes(15), bytes(16), bytes(17), bytes(31), bytes(32), bytes(33), bytes(1025), [], [[]],
     [0], [0, 1], [1, 2, 3], [None], True, 1.0, {}, cbor2.CBORTag(64, b"\x01"), cbor2.CBORTag(65, b"\x01"),
     cbor2.CBORTag(72, b"\xff"), cbor2.CBORTag(64, 1)]
)  # fmt: skip


def paths(item, path=()):
    """Where every item inside stands."""
    yield path
    if isinstance(item, list):
        for n, child in enumerate(item):
            yield from paths(child, (*path, n))


@st.composite
def bent(draw, strategy):
    """A decoded record in which one item was replaced, removed, repeated, or joined by another."""
    item = [cbor2.loads(draw(strategy))]
    path = draw(st.sampled_from(list(paths(item))[1:]))
    *way, at = path
    parent = item
    for n in way:
        parent = parent[n]
    match draw(st.sampled_from(["replace", "replace", "replace", "remove", "repeat", "insert"])):
        case "replace":
            parent[at] = draw(ODD)
        case "remove" if way:
            del parent[at]
        case "repeat" if way:
            parent[at:at] = [parent[at]] * draw(st.sampled_from([1, 1, 40, 70, 130]))
        case "insert" if way:
            parent.insert(at, draw(ODD))
    return item[0]


def test_the_grammar_is_read_by_others():
    for rule in GRAMMAR.rules:
        pycddl.Schema(f"start = {rule}\n{SOURCE}")


NUMBERS = (0, 1, 2, 3, 4, 5, 8, 9, 99, 100, 255, 256, 599, 600, 2**32 - 1, 2**32, 2**63 - 1, 2**63, -1)
SIZES = tuple(map(bytes, (0, 1, 15, 16, 17, 31, 32, 33, 16_384, 16_385, 49_152, 49_153)))


@pytest.mark.parametrize(
    ("rules", "items"),
    [
        (("uint63", "uint32", "flag", "kind", "part-type", "use", "gap-reason", "absence", "status-code"), NUMBERS),
        (("hash", "id128", "content", "note"), SIZES),
    ],
)
def test_others_judge_its_scalars_alike(rules, items):
    for rule in rules:
        schema = pycddl.Schema(f"start = {rule}\n{SOURCE}")
        for item in items:
            try:
                schema.validate_cbor(cbor2.dumps(item))
                theirs = True
            except pycddl.ValidationError:
                theirs = False
            assert (GRAMMAR.wrong(rule, item) is None) == theirs, (rule, item)


@pytest.mark.parametrize("rule", RECORDS)
def test_what_is_written_matches(rule):
    @settings(max_examples=60)
    @given(RECORDS[rule][0])
    def check(data):
        assert GRAMMAR.wrong(rule, cbor2.loads(data)) is None

    check()


@pytest.mark.parametrize("rule", [rule for rule in RECORDS if rule not in PARTS_OF_EVENT])
def test_what_does_not_match_is_refused_and_the_rest_for_a_stated_reason_only(rule):
    data, decode = RECORDS[rule]

    @SETTINGS
    @given(bent(data))
    def check(item):
        wrong, refused = GRAMMAR.wrong(rule, item), None
        try:
            decode(cbor2.dumps(item))
        except MalformedError as error:
            refused = str(error)
        assert refused or wrong is None, f"the reader lets through what the grammar refuses: {wrong}"
        assert wrong or refused is None or ALSO.search(refused), f"the grammar lets through: {refused}"

    check()


@pytest.mark.parametrize("tag", sorted(set(range(64)) - set(events._SHAPES)))
def test_reserved_and_unknown_events_are_refused_by_both(tag):
    for fields in ([], ["", 1], ["a", "b"], ["a", 0, 0, 0, 0]):
        assert GRAMMAR.wrong("event", [tag, *fields])
        with pytest.raises(MalformedError, match=f"unknown event {tag}"):
            events.decode(cbor.encode([tag, *fields]))


def test_every_event_has_its_rule():
    ours = {f"[{tag}," for tag in events._SHAPES}
    assert ours <= set(re.findall(r"^[a-z-]+ *= (\[\d+,)", SOURCE, re.MULTILINE))
