"""Entries, contents, events, statements and messages that are refused, each for its reason, and names and topics."""

import zlib
from fractions import Fraction

import cbor2
import pytest

from vitaledger import cbor, content, entry, events, messages, statement
from vitaledger.entry import Clock, Commitment, Kind, Part, PartType, chain_name, genesis, seal
from vitaledger.errors import MalformedError, MisuseError, VerificationError
from vitaledger.marks import Absence, Category, Check, Direction, Provenance, Quality, Use
from vitaledger.opened import open_entry
from vitaledger.raw import Chunk, decode_raw, encode_raw

ORIGIN, BED_1, SALT = "h.example/gateway/g1", "nonin:port:bed-1", bytes(16)
CLOCK = [1_700_000_000_000, bytes(16), 5_000, None]
STOP = events.encode(events.Stop(""))
GAP = events.encode(events.Gap(events.GapReason.START, None, "", None))


def replaced(items, at, value):
    return [*items[:at], value, *items[at + 1 :]]


# -- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "name"),
    [
        (("nonin", "port", "bed-1"), "nonin:port:bed-1"),
        (("nonin", "sn", "0501"), "nonin:sn:0501"),
        (("x-1", "sn", "a b:c@d"), "x-1:sn:a%20b%3Ac%40d"),
        (("x-1", "sn", "é"), "x-1:sn:%C3%A9"),
        (("x-1", "sn", "100%"), "x-1:sn:100%25"),
        (("nonin", "port", "usb/0~1._-"), "nonin:port:usb/0~1._-"),
        (("nonin", "sn", "1", "bed-2"), "nonin:sn:1@bed-2"),
        (("nonin", "sn", "a" * 87), "nonin:sn:" + "a" * 87),
        (("nonin", "sn", "\udc80"), "nonin:sn:%5C%75%64%63%38%30"),
    ],
)
def test_chain_names(args, name):
    assert chain_name(*args) == name
    assert entry.check_chain(name) is None


@pytest.mark.parametrize(
    "args",
    [("nonin", "sn", ""), ("nonin", "mac", "1"), ("", "sn", "1"), ("Nonin", "sn", "1"), ("no:nin", "sn", "1"),
     ("nonin", "sn", "a" * 88), ("nonin", "sn", "é" * 30), ("nonin", "sn", "1", "")],
)  # fmt: skip
def test_names_that_are_none(args):
    with pytest.raises(MisuseError, match="chain"):
        chain_name(*args)


@pytest.mark.parametrize(
    "name",
    ["", "Gateway", "gateway ", "gateway\n", "nonin", "nonin:", "nonin:sn", "nonin:sn:", "nonin:sn:a b", "nonin:sn:%",
     "nonin:sn:%4", "nonin:sn:%zz", "nonin:sn:%c3", "nonin:sn:é", "nonin:sn:a@", "nonin:sn:a@b@c", "nonin:sn:a:b"],
)  # fmt: skip
def test_chains_that_are_none(name):
    assert entry.check_chain(name)
    with pytest.raises(MalformedError):
        entry.parse_leaf(cbor.encode([1, 1, name, 0, bytes(32), CLOCK, []]))


# -- leaf and body ----------------------------------------------------------------------------------------------------

LEAF = [1, 1, BED_1, 7, bytes(32), CLOCK, [[1, bytes(32)], [3, bytes(32)]]]


def test_a_leaf():
    found = entry.parse_leaf(cbor.encode(LEAF))
    assert found == entry.Entry(
        Kind.READINGS, BED_1, 7, bytes(32), Clock(*CLOCK), (Commitment(1, bytes(32)), Commitment(3, bytes(32)))
    )


@pytest.mark.parametrize(
    ("item", "why"),
    [
        ([], "expected an array of 7 items, found 0 items"),
        (LEAF[:6], "expected an array of 7 items, found 6"),
        ([*LEAF, 0], "expected an array of 7 items, found 8"),
        (replaced(LEAF, 0, 2), "expected the number 1 first, found 2"),
        (replaced(LEAF, 1, 6), r"leaf\.kind: expected a Kind number, found 6"),
        (replaced(LEAF, 1, "1"), r"leaf\.kind"),
        (replaced(LEAF, 2, "bed"), "chain 'bed': expected"),
        (replaced(LEAF, 3, -1), r"leaf\.seq: expected an integer from 0"),
        (replaced(LEAF, 4, bytes(31)), r"leaf\.prev: expected 32 to 32 bytes, found 31 bytes"),
        (replaced(LEAF, 5, CLOCK[:3]), r"leaf\.clock: expected an array of 4"),
        (replaced(LEAF, 5, replaced(CLOCK, 1, bytes(15))), r"leaf\.clock\.boot_id"),
        (replaced(LEAF, 5, replaced(CLOCK, 3, -1)), r"leaf\.clock\.bound_ms"),
        (replaced(LEAF, 6, LEAF[6][::-1]), r"types \[3, 1\]: expected ascending types, each once"),
        (replaced(LEAF, 6, [LEAF[6][0]] * 2), r"types \[1, 1\]"),
        (replaced(LEAF, 6, [[n, bytes(32)] for n in range(1, 10)]), "expected an array of 0 to 8 items"),
        (replaced(LEAF, 6, [[0, bytes(32)]]), r"parts\[0\]\.type: expected an integer from 1 to 255"),
        (replaced(LEAF, 6, [[256, bytes(32)]]), r"parts\[0\]\.type"),
        (replaced(LEAF, 6, None), r"leaf\.parts: expected an array of 0 to 8 items, found None"),
        (None, "leaf: expected an array"),
    ],
)
def test_leaves_that_are_none(item, why):
    with pytest.raises(MalformedError, match=why):
        entry.parse_leaf(cbor.encode(item))


def test_a_leaf_that_is_too_long():
    with pytest.raises(MalformedError, match="leaf: 1025 bytes, at most 1024"):
        entry.parse_leaf(bytes(1025))


@pytest.mark.parametrize(
    ("item", "why"),
    [
        ([[1, SALT]], r"body\[0\]: expected an array of 3"),
        ([[1, bytes(15), b""]], r"body\[0\]\.salt"),
        ([[1, SALT, "text"]], r"body\[0\]\.content: expected 0 to 49152 bytes, found 'text'"),
        ([[1, SALT, bytes(49_153)]], r"body\[0\]\.content"),
        ([[2, SALT, b""], [1, SALT, b""]], "expected ascending types"),
        ([[1, SALT, b""]] * 9, "0 to 8 items, found 9"),
        ({}.get("x"), "body: expected an array"),
    ],
)
def test_bodies_that_are_none(item, why):
    with pytest.raises(MalformedError, match=why):
        entry.parse_body(cbor.encode(item))


def test_a_body_is_written_in_order():
    with pytest.raises(MisuseError, match="ascending"):
        entry.encode_body([Part(2, SALT, b""), Part(1, SALT, b"")])
    assert entry.encode_body([]) == b"\x80"


def make(kind=Kind.DEVICE_EVENT, chain=BED_1, contents=((PartType.EVENT, GAP),), seq=0):
    return seal(kind, chain, seq, genesis(ORIGIN, chain), Clock(*CLOCK), contents, [SALT] * len(contents))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"seq": -1}, "seq"),
        ({"seq": 2**63}, "seq"),
        ({"chain": "bed"}, "chain"),
        ({"contents": ((4, GAP), (3, b""))}, "ascending"),
        ({"contents": ((0, b""),)}, "type"),
        ({"contents": ((1, bytes(49_153)),)}, "content"),
        ({"contents": ((1, bytes(30_000)), (2, bytes(30_000)))}, "body of 600.. bytes"),
    ],
)
def test_what_cannot_be_sealed(change, why):
    with pytest.raises(MisuseError, match=why):
        make(**change)


@pytest.mark.parametrize(
    ("part", "why"),
    [
        (Part(int(PartType.EVENT), SALT, GAP + b"x"), "part event: commitment expected"),
        (Part(int(PartType.EVENT), b"\x01" * 16, GAP), "part event: commitment expected"),
        (Part(int(PartType.VALUES), SALT, GAP), "part values: the leaf commits to no such part"),
        (Part(77, SALT, GAP), "part of unknown type 77: the leaf commits to no such part"),
    ],
)
def test_a_body_that_is_not_the_leafs(part, why):
    leaf, _ = make()
    with pytest.raises(VerificationError, match=f"{BED_1} entry 0: {why}"):
        open_entry(leaf, entry.encode_body([part]))


VALUES = cbor.encode(["nonin", "1", 0, 2, 2, [None, None, None], [], [], None])


@pytest.mark.parametrize(
    ("kind", "chain", "contents", "why"),
    [
        (Kind.ASSOCIATION, BED_1, (), "kind association is reserved; a newer version may know it"),
        (Kind.READINGS, BED_1, (), r"parts \[\] do not fit kind readings"),
        (Kind.READINGS, BED_1, ((4, GAP),), r"parts \[4\] do not fit kind readings"),
        (Kind.READINGS, BED_1, ((1, VALUES), (9, b"")), "do not fit kind readings"),
        (Kind.READINGS, "gateway", ((1, VALUES),), "kind readings does not belong on this micro-chain"),
        (Kind.DEVICE_EVENT, BED_1, ((3, b"\x83\x00\x80\x40"),), "do not fit kind device_event"),
        (Kind.DEVICE_EVENT, BED_1, ((1, VALUES), (4, GAP)), "do not fit kind device_event"),
        (Kind.DEVICE_EVENT, "gateway", ((4, GAP),), "does not belong on this micro-chain"),
        (Kind.DEVICE_EVENT, BED_1, ((4, STOP),), "event Stop does not belong on this micro-chain"),
        (Kind.GATEWAY_EVENT, BED_1, ((4, STOP),), "kind gateway_event does not belong"),
        (Kind.GATEWAY_EVENT, "gateway", ((4, GAP),), "event Gap does not belong"),
        (Kind.GATEWAY_EVENT, "gateway", ((3, b"\x83\x00\x80\x40"), (4, STOP)), "do not fit kind gateway_event"),
        (Kind.CARRIED, "gateway", ((4, STOP),), "event Stop does not fit kind carried"),
        (
            Kind.GATEWAY_EVENT,
            "gateway",
            ((4, events.encode(events.Carried(ORIGIN, 0, b"x", b""))),),
            "event Carried does not fit kind gateway_event",
        ),
        (Kind.READINGS, BED_1, ((1, b"\x80"),), "values part: expected an array of 9"),
        (Kind.READINGS, BED_1, ((2, b"\x01"),), "waves part: expected an array"),
        (Kind.READINGS, BED_1, ((3, b"\x80"),), "raw part: expected an array"),
        (Kind.READINGS, BED_1, ((1, VALUES + b"\x00"),), "values part: 1 bytes left over"),
        (Kind.DEVICE_EVENT, BED_1, ((4, b"\x81\x18\x63"),), "unknown event 99; a newer version may know it"),
    ],
)
def test_what_cannot_be_opened(kind, chain, contents, why):
    with pytest.raises(MalformedError, match=f"^{chain} entry 0: .*{why}"):
        open_entry(*make(kind, chain, contents))


def test_an_entry_whose_parts_are_all_withheld_still_stands():
    leaf, _ = make()
    opened = open_entry(leaf, entry.encode_body([]))
    assert (opened.withheld, opened.event) == ((PartType.EVENT,), None)


# -- values and waves -------------------------------------------------------------------------------------------------

SERIES = ["spo2", 150456, 262688, 0, 0, 0, [97, None, 95], [[1, 1, 3]], [[2, 1, 65536]]]
RECORD = ["nonin", "1", 0, 2, 2, [1, None, None], [[0, 333_333, 333_333]], [SERIES], None]


def with_series(*pairs):
    series = list(SERIES)
    for at, value in pairs:
        series[at] = value
    return replaced(RECORD, 7, [series])


def test_values():
    found = content.VALUES.decode(cbor.encode(RECORD), "values")
    (series,) = found.series
    assert (found.provenance, found.use, found.check) == (Provenance.DEVICE_LIVE, Use.DEMO, Check.CHECKSUM)
    assert (series.category, series.absences) == (Category.MEASURED, ((1, 1, Absence.SENSOR_OFF),))
    assert series.quality == ((2, 1, Quality.ARTEFACT),)


@pytest.mark.parametrize(
    ("item", "why"),
    [
        (replaced(RECORD, 0, ""), ".driver: expected text of 1 to 32"),
        (replaced(RECORD, 0, "non\nin"), "control character"),
        (replaced(RECORD, 2, 4), "expected a Provenance number"),
        (replaced(RECORD, 6, [[0, 2, 1]]), "never run back"),
        (replaced(RECORD, 6, [[-1, 0, 1]]), "expected offsets from 0"),
        (replaced(RECORD, 6, [[0, 1, None]]), "expected at most 65536 integers"),
        (replaced(RECORD, 6, [[0, 1]]), "spo2: 3 values do not fit times 0"),
        (replaced(RECORD, 6, []), "do not fit times"),
        (replaced(RECORD, 7, [SERIES, SERIES]), "expected each once"),
        (replaced(RECORD, 2, 1), "stored rows: expected with, and only with"),
        (replaced(RECORD, 8, [None, 0, [None] * 3]), "stored rows: expected with, and only with"),
        (replaced(replaced(RECORD, 2, 1), 8, [None, 0, [None] * 2]), "stored rows: expected one device time"),
        (with_series((5, 1)), "do not fit times 1"),
        (with_series((4, 19)), "exponent: expected an integer from -18 to 18"),
        (with_series((6, [97, None, None])), "do not cover exactly the nulls"),
        (with_series((6, [97, 96, 95])), "do not cover exactly the nulls"),
        (with_series((7, [])), "do not cover exactly the nulls"),
        (with_series((7, [[1, 1, 0]])), "expected a Absence number, found 0"),
        (with_series((7, [[1, 0, 3]])), "is empty"),
        (with_series((7, [[1, 3, 3]])), "leaves its 3 values"),
        (with_series((7, [[1, 2**63 - 1, 3]])), "leaves its 3 values"),
        (with_series((7, [[1, 1, 3], [1, 1, 3]])), "overlaps"),
        (with_series((6, [None] * 3), (7, [[0, 1, 3], [1, 2, 3]])), "repeats the mark of the run before it"),
        (with_series((8, [[2, 1, 0]])), "is empty"),
        (with_series((8, [[2, 1]])), r"expected \[first, count, mark\]"),
        (with_series((8, [[2, 1, -1]])), "expected an integer from 0"),
        (with_series((6, [97, None, 2**63])), "outside ±2⁶³"),
        (with_series((6, [97, None, -(2**63) - 1])), "outside ±2⁶³"),
    ],
)
def test_values_that_are_none(item, why):
    with pytest.raises(MalformedError, match=f"^values.*{why}"):
        content.VALUES.decode(cbor2.dumps(item), "values")


def test_touching_runs_of_two_marks():
    item = with_series((6, [None] * 3), (7, [[0, 1, 3], [1, 2, 4]]))
    assert len(content.VALUES.decode(cbor.encode(item), "values").series[0].absences) == 2


@pytest.mark.timeout(20)
def test_many_overlapping_runs_cost_little():
    """Runs are checked against one another before anything is spread over the values."""
    item = with_series((6, [None] * 20_000), (7, [[0, 20_000, 3]] * 4_000), (8, []))
    item = replaced(item, 6, [[0] * 20_000])
    with pytest.raises(MalformedError, match="overlaps"):
        content.VALUES.decode(cbor.encode(item), "values")


SAMPLES = cbor.pack_samples([1, 2, 300])
WAVE = ["pleth", 150452, 262656, [75, 1], [1, 1], 0, 0, 40_000, SAMPLES, [[0, 2, 3]], []]


def test_waves():
    (found,) = content.WAVES.decode(cbor.encode([WAVE]), "waves")
    assert (found.rate, found.scale, found.samples) == (Fraction(75), Fraction(1), (1, 2, 300))


@pytest.mark.parametrize(
    ("at", "value", "why"),
    [
        (3, [150, 2], "lowest terms"),
        (3, [0, 1], "not zero"),
        (3, [75, 0], "expected a fraction"),
        (3, [75, -1], "expected a fraction"),
        (3, [75], "expected a fraction"),
        (3, [75, 1, 1], "expected at most 2 integers"),
        (3, 75, "expected at most 2 integers"),
        (4, [-2, 4], "lowest terms"),
        (6, 50_000, "last arrival before the first"),
        (8, [1, 2, 300], "typed array"),
        (8, None, "typed array"),
        (8, cbor.pack_samples([1]), "leaves its 1 values"),
        (9, [[0, 1, 3], [1, 1, 3]], "repeats the mark"),
        (10, [[3, 1, 1]], "leaves its 3 values"),
    ],
)
def test_waves_that_are_none(at, value, why):
    with pytest.raises(MalformedError, match=f"^waves.*{why}"):
        content.WAVES.decode(cbor.encode([replaced(WAVE, at, value)]), "waves")


# -- raw --------------------------------------------------------------------------------------------------------------


def deflated(data):
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return squeezer.compress(data) + squeezer.flush()


@pytest.mark.parametrize(
    ("item", "why"),
    [
        ([2, [], b""], "coding: expected an integer from 0 to 1"),
        ([0, [[0, 0, 1]], b""], "its table speaks of 1 bytes, found 0"),
        ([0, [], b"x"], "its table speaks of 0 bytes, found 1"),
        ([0, [[2, 0, 1]], b"x"], "expected .direction 0 or 1"),
        ([0, [[0, -1, 1]], b"x"], "expected .direction"),
        ([0, [[0, 0, 0], [0, 0, 1]], b"x"], "expected .direction"),
        ([0, [[0, 0]], b"x"], "expected .direction"),
        ([0, [[0, 0, 65_537]], b"x"], "65537 bytes, at most 65536"),
        ([1, [[0, 0, 1]], b"\xff\xff"], "not deflated bytes"),
        ([1, [[0, 0, 3]], deflated(b"abcd")], "do not end where|found 4"),
        ([1, [[0, 0, 5]], deflated(b"abcd")], "its table speaks of 5 bytes, found 4"),
        ([1, [[0, 0, 4]], deflated(b"abcd") + b"x"], "do not end where"),
        ([1, [[0, 0, 4]], deflated(b"abcd")[:-1]], "do not end where|not deflated"),
        ([1, [[0, 0, 4]], b""], "do not end where"),
        ([1, [[0, 0, 9]], deflated(bytes(10_000_000))], "do not end where"),
        ([1, [[0, 0, 4]], zlib.compress(b"abcd")], "not deflated"),
    ],
)
def test_raw_parts_that_are_none(item, why):
    with pytest.raises(MalformedError, match=f"^raw part.*({why})"):
        decode_raw(cbor.encode(item))


def test_raw_bytes_are_deflated_where_that_is_shorter():
    chunks = (Chunk(Direction.RECEIVED, 0, b"\x01\x80\x10" * 100), Chunk(Direction.SENT, 9, b"?"))
    short, plain = encode_raw(chunks), encode_raw(chunks, deflate=False)
    assert len(short) < 50
    assert len(plain) > 300
    assert decode_raw(short) == decode_raw(plain) == chunks
    assert encode_raw(chunks[1:]) == encode_raw(chunks[1:], deflate=False)


# -- statements and messages ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "why"),
    [
        ([], "begins with a version"),
        (None, "begins with a version"),
        (["1", 2], "version: expected an integer"),
        ([2, 2, 0, ORIGIN, 1, bytes(32)], "version 2; this program knows version 1"),
        ([1], "begins with the number of a statement"),
        ([1, 8, 0], "unknown statement 8; a newer version may know it"),
        ([1, 0, 0], "unknown statement 0"),
        ([1, -1, 0], "expected an integer from 0"),
        ([1, 2, -1, ORIGIN, 1, bytes(32)], r"at_ms"),
        ([1, 2, 0, "", 1, bytes(32)], "origin"),
        ([1, 2, 0, "a\nb", 1, bytes(32)], "control character"),
        ([1, 2, 0, ORIGIN, 1, bytes(31)], "root"),
        ([1, 2, 0, ORIGIN, 1], "expected an array of 5 items"),
        ([1, 1, 0, b""], "checkpoint: expected 1 to 16384 bytes"),
        ([1, 1, 0, bytes(16_385)], "checkpoint"),
    ],
)
def test_statements_that_are_none(item, why):
    with pytest.raises(MalformedError, match=f"^statement.*{why}"):
        statement.decode(cbor.encode(item))


def test_every_statement_fits_an_entry_bundle():
    note, words = bytes(statement.MAX_NOTE), "é" * 512
    largest = statement.Succession(2**63 - 1, "é" * 255, note, "é" * 255, words, note)
    assert len(statement.encode(largest)) <= statement.MAX_STATEMENT


@pytest.mark.parametrize(("first", "end"), [(5, 5), (6, 5), (2**63 - 1, 0)])
def test_a_loss_of_nothing_cannot_be_stated(first, end):
    with pytest.raises(MisuseError, match="a loss that ends at"):
        statement.encode(statement.Loss(1, ORIGIN, first, end, "disk"))
    item = cbor.decode(statement.encode(statement.Loss(1, ORIGIN, 5, 6, "disk")))
    with pytest.raises(MalformedError, match="a loss that ends at"):
        statement.decode(cbor.encode([*item[:4], first, end, item[6]]))


@pytest.mark.parametrize(
    ("codec", "message"),
    [
        (messages.STATUS, messages.Status(2, SALT, SALT, "1", 0, 0)),
        (messages.STATUS, messages.Status(1, SALT[1:], SALT, "1", 0, 0)),
        (messages.STATUS, messages.Status(1, SALT, SALT, "", 0, 0)),
        (messages.HEALTH, messages.Health(-1, None, 0, 0, None)),
        (messages.ENTRIES, messages.Entries(0, ORIGIN, 1, 0, (), ())),
        (messages.ENTRIES, messages.Entries(0, ORIGIN, 0, 0, (messages.Sealed(b"", b""),), ())),
        (messages.ENTRIES, messages.Entries(0, ORIGIN, 1, 1, (messages.Sealed(b"", b""),), ())),
        (messages.ENTRIES, messages.Entries(0, ORIGIN, 999, 255, (messages.Sealed(b"", b""),) * 2, ())),
        (messages.ENTRIES, messages.Entries(0, ORIGIN, 999, 0, (messages.Sealed(b"", b""),) * 257, ())),
        (messages.ENTRIES, messages.Entries(0, ORIGIN, 9, 0, (messages.Sealed(b"", b""),), (b"",))),
        (messages.ENTRIES_ANSWER, messages.EntriesAnswer(0, 99, ORIGIN, (), 0, "")),
        (messages.ENTRIES_ANSWER, messages.EntriesAnswer(0, 200, ORIGIN, (messages.Range(0, 1),) * 9, 0, "")),
        (messages.ENTRIES_ANSWER, messages.EntriesAnswer(0, 200, ORIGIN, (messages.Range(5, 5),), 0, "")),
        (messages.ENTRIES_ANSWER, messages.EntriesAnswer(0, 200, ORIGIN, (messages.Range(6, 5),), 0, "")),
        (messages.CHECKPOINT_ANSWER, messages.CheckpointAnswer(bytes(31), 200, b"", None)),
        (messages.CHECKPOINT_ANSWER, messages.CheckpointAnswer(bytes(32), 200, b"", b"")),
        (messages.RECEIPT, messages.Receipt(b"", b"x")),
    ],
)
def test_messages_that_cannot_be_sent_are_refused_when_received_too(codec, message):
    with pytest.raises(MisuseError):
        codec.encode(message)
    with pytest.raises(MalformedError):
        codec.decode(cbor.encode(codec.dump(message)), "message")


@pytest.mark.parametrize(("first", "count"), [(0, 256), (255, 1), (256, 256), (300, 212), (2**40, 1)])
def test_runs_of_one_tile(first, count):
    message = messages.Entries(1, ORIGIN, first + count, first, (messages.Sealed(b"a", b"b"),) * count, ())
    assert messages.ENTRIES.decode(messages.ENTRIES.encode(message), "up/entries") == message


def test_a_packed_message_is_no_bomb():
    most = messages.pack(bytes(messages.MAX_MESSAGE))
    assert len(most) < 200
    assert messages.unpack(most, "up/entries") == bytes(messages.MAX_MESSAGE)
    with pytest.raises(MalformedError, match="more than 65536"):
        messages.unpack(messages.pack(bytes(messages.MAX_MESSAGE + 1)), "up/entries")


def test_what_does_not_get_shorter_is_not_packed():
    assert messages.pack(b"\x86leaf") == b"\x86leaf"


@pytest.mark.parametrize("leaf", messages.UP + messages.DOWN)
def test_topics(leaf):
    assert messages.parse_topic(messages.topic("g1", leaf)) == ("g1", leaf)


@pytest.mark.parametrize(
    "full",
    ["", "vitaledger/v1", "vitaledger/v1/", "vitaledger/v1/g1", "vitaledger/v1/g1/", "vitaledger/v1/g1/up",
     "vitaledger/v1/g1/up/other", "vitaledger/v1/G1/up/entries", "vitaledger/v1//up/entries",
     "vitaledger/v1/-g/up/entries", "vitaledger/v1/g1/up/entries/", "vitaledger/v2/g1/up/entries",
     "x/vitaledger/v1/g1/up/entries", "/vitaledger/v1/g1/up/entries", "vitaledger/v1/+/up/entries",
     "vitaledger/v1/#", "vitaledger/v1/g1/vitaledger/v1/g1/up/entries", "vitaledger/v1/g1\n/up/entries",
     "vitaledger/v1/" + "a" * 64 + "/up/entries"],
)  # fmt: skip
def test_topics_that_are_none(full):
    with pytest.raises(MalformedError, match="topic"):
        messages.parse_topic(full)


@pytest.mark.parametrize(("gateway", "leaf"), [("g1", "up/other"), ("G1", "up/entries"), ("", "up/entries")])
def test_topics_that_cannot_be(gateway, leaf):
    with pytest.raises(MisuseError):
        messages.topic(gateway, leaf)


def test_origins():
    assert messages.gateway_origin("h.example", "g1") == "h.example/gateway/g1"
    assert messages.gateway_origin("h.example", "g1", 2) == "h.example/gateway/g1/2"
    assert messages.ledger_origin("h.example") == "h.example/ledger"
    assert messages.ledger_origin("h.example", 3) == "h.example/ledger/3"


def test_ledgers_behind_one_another():
    many = messages.MAX_LEDGERS
    assert len(messages.LEDGER_NOTES.decode(messages.LEDGER_NOTES.encode((b"note",) * many), "down/ledger")) == many
    with pytest.raises(MisuseError):
        messages.LEDGER_NOTES.encode((b"note",) * (many + 1))
    with pytest.raises(MalformedError):
        messages.LEDGER_SHOWN.decode(cbor.encode([[b"note"] * (many + 1), None]), "up/ledger")
