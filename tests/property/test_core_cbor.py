"""The strict reader of CBOR: no bytes whatever make it raise anything but MalformedError, and it takes one spelling."""

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import strategies as made
from vitaledger import cbor, content, entry, events, messages, statement
from vitaledger.errors import MalformedError
from vitaledger.raw import decode_raw

MANY = settings(max_examples=200)
SAMPLES = made.SAMPLES.map(cbor.pack_samples)
SCALARS = st.one_of(made.INTS, st.text(st.characters(exclude_categories=["Cs"])), st.binary(), st.none(), SAMPLES)
ITEMS = st.recursive(SCALARS, lambda items: st.lists(items, max_size=4), max_leaves=12)
DECODERS = (
    cbor.decode,
    decode_raw,
    entry.parse_leaf,
    entry.parse_body,
    events.decode,
    statement.decode,
    lambda data: content.VALUES.decode(data, "values"),
    lambda data: content.WAVES.decode(data, "waves"),
    *(lambda data, codec=codec: codec.decode(data, "message") for codec, _ in made.MESSAGES.values()),
)


def head(major, number, width):
    """An initial byte and its argument, of whatever width."""
    return bytes([major << 5 | {1: 24, 2: 25, 4: 26, 8: 27}[width]]) + (number % 256**width).to_bytes(width)


WIDTHS = st.sampled_from([1, 2, 4, 8])
NUMBERS = st.one_of(st.integers(0, 40), st.integers(0, 2**64 - 1))
TAGS = st.sampled_from([0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 64, 65, 72, 78, 100, 256, 258, 260, 55799])


@st.composite
def wild(draw, depth=0):
    """Well-formed CBOR of every kind, in every spelling, and some that is cut short."""
    if depth > 5 or draw(st.booleans()):
        return draw(
            st.one_of(
                st.builds(head, st.sampled_from([0, 1, 2, 3]), NUMBERS, WIDTHS),
                st.binary(max_size=5).map(lambda data: bytes([0x40 + len(data)]) + data),
                st.binary(max_size=5).map(lambda data: bytes([0x60 + len(data)]) + data),
                st.sampled_from([b"\xf4", b"\xf6", b"\xf7", b"\xf9\x7e\x00", b"\xfb\x7f\xf0" + bytes(6), b"\xff"]),
                st.integers(0, 2000).map(lambda n: b"\xc2" + head(2, n, 2) + b"\x01" * n),
                st.integers(0, 255).map(lambda n: bytes([n])),
            )
        )
    inner = st.lists(wild(depth + 1), max_size=3)
    match draw(st.sampled_from(["array", "map", "tag", "open", "tagged tag"])):
        case "array":
            found = draw(inner)
            return bytes([0x80 + len(found)]) + b"".join(found)
        case "map":
            found = draw(inner)
            return bytes([0xA0 + len(found) // 2]) + b"".join(found)
        case "open":
            return draw(st.sampled_from([b"\x5f", b"\x7f", b"\x9f", b"\xbf"])) + b"".join(draw(inner)) + b"\xff"
        case _:
            return head(6, draw(TAGS), draw(st.sampled_from([1, 2]))) + draw(wild(depth + 1))


@MANY
@given(ITEMS)
def test_items_round_trip(item):
    data = cbor.encode(item)
    assert cbor.decode(data) == item
    assert cbor2.dumps(item, canonical=True) == data


@MANY
@given(made.SAMPLES)
def test_samples_round_trip(samples):
    assert cbor.unpack_samples(cbor.decode(cbor.encode(cbor.pack_samples(samples)))) == samples


def attempt(decode, data):
    """(what was read, "") or (None, why not)."""
    try:
        return decode(data), ""
    except MalformedError as error:
        return None, str(error)


@settings(max_examples=800)
@given(st.one_of(wild(), st.binary(max_size=40), made.mutated(ITEMS.map(cbor.encode))))
def test_nothing_but_malformed_error(data):
    for decode in DECODERS:
        found, why = attempt(decode, data)
        assert len(why) < 1000
        if decode is cbor.decode and not why:
            assert cbor.encode(found) == data


@MANY
@given(made.mutated(made.MESSAGES["up-entries"][1].map(messages.ENTRIES.encode)))
def test_the_general_reader_takes_what_a_record_takes(data):
    try:
        messages.ENTRIES.decode(data, "up/entries")
    except MalformedError:
        return
    cbor.decode(data)


@pytest.mark.parametrize("codec", [content.VALUES, content.WAVES])
def test_contents_are_of_the_subset(codec):
    strategy = made.VALUES if codec is content.VALUES else made.WAVES

    @MANY
    @given(made.mutated(strategy.map(codec.encode)))
    def check(data):
        try:
            codec.decode(data, "content")
        except MalformedError:
            return
        cbor.decode(data)

    check()
