"""Every record of the core: round trips, and bytes of which each has one spelling; whatever else comes is refused."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import strategies as made
from vitaledger import content, entry, events, shape, statement
from vitaledger import raw as raw_part
from vitaledger.entry import Kind, entry_hash
from vitaledger.errors import MalformedError, VitaledgerError
from vitaledger.opened import open_entry
from vitaledger.raw import MAX_RAW, decode_raw, encode_raw
from vitaledger.rows import rows

FEW, MANY = settings(max_examples=60), settings(max_examples=150)


def values_bytes(values):
    return content.VALUES.encode(values)


# name -> (bytes of it, decode to a value, encode again)
CODECS = {
    "leaf": (made.sealed_entries().map(lambda pair: pair[0]), entry.parse_leaf, entry._ENTRY.encode),
    "body": (made.sealed_entries().map(lambda pair: pair[1]), entry.parse_body, entry.encode_body),
    "values": (
        made.VALUES.map(values_bytes),
        lambda data: content.VALUES.decode(data, "values"),
        content.VALUES.encode,
    ),
    "waves": (
        made.WAVES.map(content.WAVES.encode),
        lambda data: content.WAVES.decode(data, "waves"),
        content.WAVES.encode,
    ),
    "raw": (made.RAWS, lambda data: raw_part._RAW.decode(data, "raw"), raw_part._RAW.encode),
    "event": (made.EVENTS.map(events.encode), events.decode, events.encode),
    "statement": (made.STATEMENTS.map(statement.encode), statement.decode, statement.encode),
    **{
        name: (value.map(codec.encode), lambda data, codec=codec, name=name: codec.decode(data, name), codec.encode)
        for name, (codec, value) in made.MESSAGES.items()
    },
}
PARSERS = {**{name: decode for name, (_, decode, _) in CODECS.items()}, "raw part": decode_raw}


@pytest.mark.parametrize("name", CODECS)
def test_what_is_written_is_read_and_written_again(name):
    data, decode, encode = CODECS[name]

    @FEW
    @given(data)
    def check(data):
        assert encode(decode(data)) == data

    check()


@pytest.mark.parametrize("name", CODECS)
def test_changed_bytes_are_refused_or_are_another_record(name):
    data, decode, encode = CODECS[name]

    @MANY
    @given(made.mutated(data))
    def check(data):
        try:
            value = decode(data)
        except MalformedError:
            return
        assert encode(value) == data

    check()


@pytest.mark.parametrize("name", PARSERS)
def test_any_bytes_at_all(name):
    @MANY
    @given(st.binary(max_size=60))
    def check(data):
        with contextlib.suppress(MalformedError):
            PARSERS[name](data)

    check()


@pytest.mark.parametrize("of", made.EVENTS_BY_TYPE, ids=lambda of: of.__name__)
def test_every_event_round_trips(of):
    @settings(max_examples=40)
    @given(made.EVENTS_BY_TYPE[of])
    def check(event):
        found = events.decode(events.encode(event))
        assert found == event
        assert type(found) is of

    check()


@MANY
@given(made.VALUES)
def test_values_round_trip(values):
    assert content.VALUES.decode(content.VALUES.encode(values), "values") == values
    found = list(content.readings(values))
    assert len(found) == sum(len(series.values) for series in values.series)
    assert all((row.value is None) == (row.absence is not None) for row in found)


@MANY
@given(made.CHUNKS, st.booleans())
def test_raw_bytes_round_trip(chunks, deflate):
    assert decode_raw(encode_raw(chunks, deflate=deflate)) == chunks


@MANY
@given(made.mutated(made.RAWS))
def test_changed_raw_parts_never_hold_more_than_they_say(data):
    try:
        chunks = decode_raw(data)
    except MalformedError:
        return
    assert sum(len(chunk.data) for chunk in chunks) <= MAX_RAW


@MANY
@given(st.lists(st.none() | st.sampled_from(list(content.Absence)), max_size=20))
def test_runs_and_spread_are_inverse(marks):
    assert content.spread(content.runs(marks), len(marks)) == marks


@MANY
@given(made.sealed_entries())
def test_sealed_entries_open_and_show(pair):
    leaf, body = pair
    opened = open_entry(leaf, body)
    assert not opened.withheld
    shown = list(rows(opened))
    assert (opened.event is None) == (opened.entry.kind is Kind.READINGS)
    samples = len(opened.waves or ())
    assert len(shown) == opened.reading_count + samples + (opened.event is not None)
    assert opened.last_us >= 0


@MANY
@given(made.sealed_entries(), st.data())
def test_every_byte_of_leaf_and_body_is_held(pair, data):
    leaf, body = pair
    at, bit = data.draw(st.integers(0, len(leaf) + len(body) - 1)), 1 << data.draw(st.integers(0, 7))
    both = bytearray(leaf + body)
    both[at] ^= bit
    changed = bytes(both[: len(leaf)]), bytes(both[len(leaf) :])
    if changed[0] != leaf:
        assert entry_hash(changed[0]) != entry_hash(leaf)
    else:
        with pytest.raises(VitaledgerError):
            open_entry(*changed)


@MANY
@given(made.sealed_entries(), st.data())
def test_parts_can_be_left_out_and_nothing_else(pair, data):
    leaf, body = pair
    parts = entry.parse_body(body)
    kept = [part for part in parts if data.draw(st.booleans())]
    opened = open_entry(leaf, entry.encode_body(kept))
    assert opened.withheld == tuple(part.type for part in parts if part not in kept)


@MANY
@given(made.STATEMENTS)
def test_statements_round_trip(said):
    assert statement.decode(statement.encode(said)) == said


@pytest.mark.parametrize("name", made.MESSAGES)
def test_messages_round_trip(name):
    codec, value = made.MESSAGES[name]

    @FEW
    @given(value)
    def check(message):
        assert codec.decode(codec.encode(message), name) == message

    check()


@MANY
@given(st.text(max_size=10))
def test_text_that_can_be_written_can_be_read(words):
    codec = shape.text(0, 10)
    try:
        data = codec.encode(words)
    except VitaledgerError:
        assert any(not char.isprintable() for char in words)
    else:
        assert codec.decode(data, "text") == words
