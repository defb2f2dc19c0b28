"""The generated readers and writers of records against the rule that they shorten: same values, bytes and refusals."""

from dataclasses import fields, is_dataclass, replace

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import strategies as made
from vitaledger import cbor, content, entry, events, raw, statement
from vitaledger.errors import MalformedError, MisuseError
from vitaledger.marks import Absence, Category, Check, Provenance, Quality, Use
from vitaledger.numeric import numbers as numbers_of
from vitaledger.opened import open_entry, seal_entry

FEW = settings(max_examples=15, deadline=None)


def by_the_rule(codec):
    """What `decode` is without its short way."""

    def decode(data, what):
        item = cbor.loads(data, what)
        value = codec.parse(item, what)
        cbor.check_shortest(item, data, what)
        return value

    return decode


_LEAVES = made.sealed_entries().map(lambda pair: pair[0])
_BODIES = made.sealed_entries().map(lambda pair: pair[1])
PAIRS = {
    "leaf": (_LEAVES, entry._ENTRY),
    "body": (_BODIES, entry._BODY),
    "values": (made.VALUES.map(content.VALUES.encode), content.VALUES),
    "waves": (made.WAVES.map(content.WAVES.encode), content.WAVES),
    "raw": (made.RAWS, raw._RAW),
    "event": (made.EVENTS.map(events.encode), events._EVENT),
    "statement": (made.STATEMENTS.map(statement.encode), statement._STATEMENT),
    **{name: (value.map(codec.encode), codec) for name, (codec, value) in made.MESSAGES.items()},
}
# every place of an item takes each of these: types, bounds and their neighbours
ODD = [
    None, True, False, 1.0, [], [0], [None], [[]], [0, 1, 1], *range(-20, 20, 3), -1, 0, 1, 255, 256, -18, 18, 19,
    2**32 - 1, 2**32, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64,
    *("x" * n for n in (0, 1, 32, 33, 64, 65, 96, 97, 256, 257, 512, 513)), "\x7f", "\u2028", "\xa0",
    *(bytes(n) for n in (0, 1, 15, 16, 17, 31, 32, 33)),
]  # fmt: skip


def told(decode, data):
    try:
        return repr(decode(data, "it"))
    except MalformedError as error:
        return f"refused: {error}"


def places(item, path=()):
    if isinstance(item, list):
        yield from (found for n, child in enumerate(item) for found in places(child, (*path, n)))
    yield path


def replaced(item, path, odd):
    if not path:
        return odd
    return [replaced(child, path[1:], odd) if n == path[0] else child for n, child in enumerate(item)]


def test_every_message_has_its_pair():
    assert set(made.MESSAGES) <= set(PAIRS)


@pytest.mark.parametrize("name", PAIRS)
def test_the_generated_reader_says_what_the_rule_says(name):
    data, compiled = PAIRS[name]
    rule = by_the_rule(compiled)

    @FEW
    @given(data)
    def check(data):
        item = cbor.loads(data, "it")
        assert told(compiled.decode, data) == told(rule, data)
        longer = cbor2.dumps(item, indefinite_containers=True)
        assert told(compiled.decode, longer) == told(rule, longer)
        for path in places(item):
            for odd in ODD:
                changed = cbor2.dumps(replaced(item, path, odd))
                assert told(compiled.decode, changed) == told(rule, changed), (path, odd)

    check()


# every byte becomes each of these: heads of every kind and width, indefinite lengths, tags, floats, null, break
BYTES = bytes.fromhex("00 17 18 19 1a 1b 1f 20 38 3b 40 58 5f 60 78 7f 80 81 98 9f a0 c2 d8 f4 f6 f9 fb ff")


@pytest.mark.parametrize("name", PAIRS)
def test_bytes_that_nobody_wrote_are_read_as_the_rule_reads_them(name):
    data, compiled = PAIRS[name]
    rule = by_the_rule(compiled)

    @settings(max_examples=4, deadline=None)
    @given(data)
    def check(data):
        for at, byte in enumerate(data[:200]):
            for other in {*BYTES, byte ^ 1, byte ^ 0x20, (byte + 1) % 256}:
                changed = data[:at] + bytes((other,)) + data[at + 1 :]
                assert told(compiled.decode, changed) == told(rule, changed), (at, other)
            assert told(compiled.decode, data[:at]) == told(rule, data[:at])
        assert told(compiled.decode, data + b"\0") == told(rule, data + b"\0")

    check()


def spelled(number, extra):
    """An integer or null with a longer head: 0 the shortest, then 1, 2, 4 and 8 bytes, and a big number."""
    if number is None or extra == 0:
        return cbor2.dumps(number)
    major, left = (0x20, -1 - number) if number < 0 else (0, number)
    if extra == 5:
        return bytes((0xC3 if major else 0xC2,)) + cbor2.dumps(left.to_bytes((left.bit_length() + 7) // 8))
    width = 1 << extra - 1
    return bytes((major | 0x17 + extra,)) + left.to_bytes(width) if left < 1 << 8 * width else cbor2.dumps(number)


EDGES = [0, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**63 - 1]
NUMBERS = st.sampled_from([*EDGES, *(-1 - edge for edge in EDGES), None]) | st.integers(-(2**63), 2**63 - 1)


@given(
    st.lists(NUMBERS | st.integers(60, 100), max_size=200)
    | st.integers(-300, 300).flatmap(lambda n: st.lists(st.integers(n, n + 300), min_size=60, max_size=140)),
    st.booleans(),
    st.data(),
)
def test_arrays_of_numbers_are_read_as_the_rule_reads_them(numbers, nulls, choose):
    """Runs of one width, changes of width, and one item spelled in another way."""
    shape = numbers_of(nulls=nulls, most=150)
    heads = [0] * len(numbers)
    if numbers and choose.draw(st.booleans()):
        heads[choose.draw(st.integers(0, len(numbers) - 1))] = choose.draw(st.integers(1, 5))
    data = cbor.pack_head(4, len(numbers)) + b"".join(map(spelled, numbers, heads))
    assert told(shape.decode, data) == told(by_the_rule(shape), data)
    if len(numbers) <= 150 and (nulls or None not in numbers) and not any(heads):
        assert shape.read(data, 0) == (tuple(numbers), len(data))


def fields_of(value, path=()):
    """Every place inside a value made of records and tuples."""
    if is_dataclass(value):
        for field in fields(value):
            yield from fields_of(getattr(value, field.name), (*path, field.name))
    elif isinstance(value, tuple):
        for n, child in enumerate(value):
            yield from fields_of(child, (*path, n))
    yield path


def with_odd(value, path, odd):
    if not path:
        return odd
    if isinstance(value, tuple):
        return tuple(with_odd(child, path[1:], odd) if n == path[0] else child for n, child in enumerate(value))
    return replace(value, **{path[0]: with_odd(getattr(value, path[0]), path[1:], odd)})


@pytest.mark.parametrize("name", PAIRS)
def test_the_generated_writer_writes_what_the_rule_reads(name):
    """Right values at once and as the rule writes them; of wrong ones nothing that would not be read."""
    data, compiled = PAIRS[name]
    rule = by_the_rule(compiled)

    @given(data, st.data())
    def check(data, choose):
        value = compiled.decode(data, "it")
        assert compiled.encode(value) == data
        path = choose.draw(st.sampled_from(list(fields_of(value))))
        odd = choose.draw(st.sampled_from([*ODD, (), (None,), ((),), (0, 1), 97.0, Absence.SENSOR_OFF, Quality(3)]))
        try:
            written = compiled.encode(with_odd(value, path, odd))
        except (MisuseError, TypeError, AttributeError, ValueError, LookupError):
            return
        rule(written, "it")

    check()


def test_plain_readings_are_read_and_written_the_short_way():
    spo2 = content.Series("spo2", 150456, 262688, Category.MEASURED, 0, 0, (97, None), ((1, 1, Absence.INVALID),), ())
    marks = Provenance.DEVICE_LIVE, Use.DEMO, Check.CHECKSUM
    values = content.Values("nonin", "1", *marks, content.Context(1, None, 3), ((0, 333_333),), (spo2,), None)
    data = cbor.dumps(content.VALUES.dump(values))
    assert content.VALUES.pack(values) == data
    assert content.VALUES.read(data, 0) == (values, len(data))


@given(st.data())
def test_what_cannot_be_opened_is_not_sealed(choose):
    """`seal_entry` checks items, not bytes. Any kind with any contents on any micro-chain: it opens, or is refused."""
    kind = choose.draw(st.sampled_from(list(entry.Kind)))
    chain = choose.draw(st.one_of(made.DEVICE_CHAINS, st.sampled_from(["gateway", "no chain", ""])))
    says = {
        "values": choose.draw(st.one_of(st.none(), made.VALUES)),
        "waves": choose.draw(st.one_of(st.just(()), made.WAVES)),
        "event": choose.draw(st.one_of(st.none(), made.EVENTS)),
    }
    seq = choose.draw(st.integers(-1, 2))
    prev = choose.draw(st.sampled_from([bytes(32), bytes(31)]))
    try:
        leaf, body = seal_entry(kind, chain, seq, prev, choose.draw(made.CLOCKS), bytes, **says)
    except MisuseError:
        return
    opened = open_entry(leaf, body)
    assert (opened.values, opened.waves or (), opened.event) == (says["values"], says["waves"], says["event"])
    assert (opened.entry.kind, opened.entry.chain, opened.entry.seq, opened.entry.prev) == (kind, chain, seq, prev)
