"""Hypothesis strategies for every record of the core: what a gateway or a collector could write, and more."""

from fractions import Fraction

from hypothesis import strategies as st

from vitaledger import content, events, marks, messages, statement
from vitaledger.entry import Clock, Kind, PartType, genesis, seal
from vitaledger.raw import Chunk, encode_raw

ORIGIN = "h.example/gateway/g1"
HASHES = st.binary(min_size=32, max_size=32)
IDS = st.binary(min_size=16, max_size=16)
UINTS = st.one_of(st.integers(0, 300), st.integers(0, 2**63 - 1))
INTS = st.one_of(st.integers(-300, 300), st.integers(-(2**63), 2**63 - 1))
COUNTS = st.one_of(st.integers(1, 300), st.integers(1, 2**63 - 1))
CODES = st.one_of(st.sampled_from([0, 150456, 149530, 262688]), st.integers(0, 2**32 - 1))
EXPONENTS = st.integers(-18, 18)
FLAGS = st.integers(0, 1)
BARRED = "".join(map(chr, (*range(0x2028, 0x202F), *range(0x2066, 0x206A))))
CHARACTERS = st.one_of(
    st.characters(min_codepoint=32, max_codepoint=126),
    st.characters(exclude_categories=["Cc", "Cs"], exclude_characters=BARRED),
)


def text(least, most):
    return st.text(CHARACTERS, min_size=least, max_size=min(most, least + 20)) | st.just("é" * most)


def maybe(strategy):
    return st.none() | strategy


def lists(strategy, least=0, most=4):
    return st.lists(strategy, min_size=least, max_size=most).map(tuple)


def numbers(enum):
    return st.sampled_from(list(enum))


# -- entry ------------------------------------------------------------------------------------------------------------

CLOCKS = st.builds(Clock, INTS, IDS, UINTS, maybe(UINTS))
_NAME = st.from_regex(r"([A-Za-z0-9._~/-]|%[0-9A-F]{2}){1,9}", fullmatch=True)
DEVICE_CHAINS = st.builds(
    "{}:{}:{}{}".format,
    st.sampled_from(["nonin", "contec", "masimo", "x-1"]),
    st.sampled_from(["sn", "port"]),
    _NAME,
    st.just("") | _NAME.map("@{}".format),
)
CHAINS = st.just("gateway") | DEVICE_CHAINS

# -- readings ---------------------------------------------------------------------------------------------------------

QUALITIES = st.one_of(
    st.integers(0, 2**25 - 1), st.sampled_from([0, 1 << 16, 1 << 40, 2**63 - 1])
).map(marks.Quality)  # fmt: skip


@st.composite
def quality_runs(draw, length):
    chosen = draw(st.lists(st.just(marks.Quality(0)) | QUALITIES, min_size=length, max_size=length))
    return content.runs(chosen)


@st.composite
def series_of(draw, handle, times):
    index = draw(st.integers(0, len(times) - 1))
    length = len(times[index])
    values = draw(st.lists(maybe(INTS), min_size=length, max_size=length))
    reasons = draw(st.lists(numbers(marks.Absence), min_size=length, max_size=length))
    absences = content.runs([reason if value is None else None for value, reason in zip(values, reasons, strict=True)])
    return content.Series(
        handle,
        draw(CODES),
        draw(CODES),
        draw(numbers(marks.Category)),
        draw(EXPONENTS),
        index,
        tuple(values),
        absences,
        draw(quality_runs(length)),
    )


@st.composite
def values_contents(draw):
    times = tuple(tuple(sorted(each)) for each in draw(st.lists(st.lists(UINTS, max_size=5), max_size=3)))
    handles = draw(st.lists(text(1, 32), max_size=3, unique=True)) if times else []
    provenance = draw(numbers(marks.Provenance))
    stored = None
    if provenance is marks.Provenance.DEVICE_STORED:
        length = len(times[0]) if times else 0
        rows = draw(st.lists(maybe(text(0, 64)), min_size=length, max_size=length))
        stored = content.StoredRows(draw(maybe(text(0, 64))), draw(UINTS), tuple(rows))
    return content.Values(
        draw(text(1, 32)),
        draw(text(1, 32)),
        provenance,
        draw(numbers(marks.Use)),
        draw(numbers(marks.Check)),
        draw(st.builds(content.Context, maybe(UINTS), maybe(UINTS), maybe(UINTS))),
        times,
        tuple(draw(series_of(handle, times)) for handle in handles),
        stored,
    )


FRACTIONS = st.builds(Fraction, INTS.filter(bool), COUNTS)
SAMPLES = st.one_of(
    lists(st.integers(0, 255)),
    lists(st.integers(-128, 127)),
    lists(st.integers(-(2**15), 2**15 - 1)),
    lists(st.integers(0, 2**32 - 1)),
    lists(st.integers(-(2**31), 2**31 - 1)),
)


@st.composite
def wave_blocks(draw):
    samples = draw(SAMPLES)
    first, last = sorted((draw(UINTS), draw(UINTS)))
    reasons = draw(st.lists(maybe(numbers(marks.Absence)), min_size=len(samples), max_size=len(samples)))
    return content.WaveBlock(
        draw(text(1, 32)),
        draw(CODES),
        draw(CODES),
        draw(FRACTIONS),
        draw(FRACTIONS),
        draw(INTS),
        first,
        last,
        samples,
        content.runs(reasons),
        draw(quality_runs(len(samples))),
    )


VALUES = values_contents()
WAVES = lists(wave_blocks(), most=3)
CHUNKS = lists(
    st.builds(
        Chunk,
        numbers(marks.Direction),
        UINTS,
        st.one_of(
            st.binary(min_size=1, max_size=30),
            st.builds(bytes.__mul__, st.binary(min_size=1, max_size=4), st.integers(1, 99)),
        ),
    )
)
RAWS = st.builds(lambda chunks, deflate: encode_raw(chunks, deflate=deflate), CHUNKS, st.booleans())

# -- events -----------------------------------------------------------------------------------------------------------

LINES = text(0, 256)
LIMITS = st.builds(events.Limit, text(1, 32), maybe(INTS), maybe(INTS), EXPONENTS)
CHAIN_HEADS = st.builds(events.ChainHead, text(1, 96), UINTS, HASHES)
EVENTS_BY_TYPE = {
    events.Identity: st.builds(
        events.Identity,
        text(0, 64),
        text(0, 64),
        maybe(text(1, 64)),
        maybe(text(1, 64)),
        text(1, 64),
        numbers(marks.Sureness),
        text(1, 32),
        text(1, 32),
        numbers(marks.Use),
        numbers(marks.Check),
    ),
    events.Line: st.builds(events.Line, numbers(marks.LineState), text(1, 64), LINES, maybe(text(1, 96))),
    events.Gap: st.builds(events.Gap, numbers(marks.GapReason), maybe(CLOCKS), LINES, maybe(UINTS)),
    events.Silence: st.builds(events.Silence, CLOCKS),
    events.FrameErrors: st.builds(
        events.FrameErrors, lists(st.builds(events.FrameErrorCount, text(1, 32), COUNTS), least=1)
    ),
    events.Alarm: st.builds(
        events.Alarm,
        text(0, 64),
        maybe(CODES),
        numbers(marks.AlarmKind),
        numbers(marks.AlarmPhase),
        numbers(marks.AlarmPriority),
        FLAGS,
        LINES,
        lists(LIMITS),
    ),
    events.ClockOffset: st.builds(events.ClockOffset, text(1, 64), INTS),
    events.Notice: st.builds(events.Notice, text(1, 256)),
    events.Boot: st.builds(events.Boot, text(1, 32), IDS, FLAGS, LINES),
    events.Stop: st.builds(events.Stop, LINES),
    events.ClockStep: st.builds(events.ClockStep, INTS, maybe(UINTS)),
    events.Config: st.builds(events.Config, HASHES),
    events.Disk: st.builds(events.Disk, UINTS, UINTS, LINES),
    events.Heads: st.builds(
        events.Heads, lists(CHAIN_HEADS), maybe(st.builds(events.LedgerHead, text(1, 256), UINTS, HASHES))
    ),
    events.Incident: st.builds(events.Incident, text(1, 32), LINES),
    events.Succeeds: st.builds(events.Succeeds, st.binary(max_size=60), lists(CHAIN_HEADS)),
    events.Carried: st.builds(
        events.Carried, text(1, 256), UINTS, st.binary(min_size=1, max_size=60), st.binary(max_size=60)
    ),
}
EVENTS = st.one_of(*EVENTS_BY_TYPE.values())
DEVICE_EVENTS = EVENTS.filter(lambda event: not events.of_gateway(event))
GATEWAY_EVENTS = EVENTS.filter(lambda event: events.of_gateway(event) and not isinstance(event, events.Carried))


@st.composite
def sealed_entries(draw):
    """(leaf, body) of an entry that `open_entry` takes."""
    kind = draw(st.sampled_from([Kind.READINGS, Kind.DEVICE_EVENT, Kind.GATEWAY_EVENT, Kind.CARRIED]))
    chain = draw(DEVICE_CHAINS if kind in {Kind.READINGS, Kind.DEVICE_EVENT} else st.just("gateway"))
    contents = []
    if kind is Kind.READINGS:
        parts = draw(st.sets(st.sampled_from([PartType.VALUES, PartType.WAVES, PartType.RAW]), min_size=1))
        if PartType.VALUES in parts:
            contents.append((PartType.VALUES, content.VALUES.encode(draw(VALUES))))
        if PartType.WAVES in parts:
            contents.append((PartType.WAVES, content.WAVES.encode(draw(WAVES))))
        if PartType.RAW in parts:
            contents.append((PartType.RAW, draw(RAWS)))
    else:
        if kind is Kind.DEVICE_EVENT and draw(st.booleans()):
            contents.append((PartType.RAW, draw(RAWS)))
        of = {
            Kind.DEVICE_EVENT: DEVICE_EVENTS,
            Kind.GATEWAY_EVENT: GATEWAY_EVENTS,
            Kind.CARRIED: EVENTS_BY_TYPE[events.Carried],
        }
        contents.append((PartType.EVENT, events.encode(draw(of[kind]))))
    seq = draw(UINTS)
    prev = draw(HASHES) if seq else genesis(ORIGIN, chain)
    salts = draw(st.lists(IDS, min_size=len(contents), max_size=len(contents)))
    return seal(kind, chain, seq, prev, draw(CLOCKS), contents, salts)


# -- statements and messages ------------------------------------------------------------------------------------------

RUNS = st.tuples(UINTS, UINTS).filter(lambda run: run[0] != run[1]).map(sorted)  # [first, end)
ORIGINS = text(1, 255)
NOTES = st.binary(min_size=1, max_size=80)
VKEYS = text(1, 512)
STATEMENTS = st.one_of(
    st.builds(statement.Anchor, UINTS, NOTES),
    st.builds(statement.Custody, UINTS, ORIGINS, UINTS, HASHES),
    st.builds(statement.Enrolment, UINTS, text(1, 64), ORIGINS, VKEYS),
    st.builds(statement.Revocation, UINTS, ORIGINS, UINTS, text(0, 512)),
    st.builds(statement.Succession, UINTS, ORIGINS, NOTES, ORIGINS, VKEYS, NOTES),
    st.builds(lambda at, origin, run, why: statement.Loss(at, origin, *run, why), UINTS, ORIGINS, RUNS, text(0, 512)),
    st.builds(statement.Finding, UINTS, ORIGINS, UINTS, text(0, 512)),
)
STATUSES = st.integers(100, 599)


@st.composite
def entries_messages(draw):
    entries = draw(lists(st.builds(messages.Sealed, st.binary(max_size=20), st.binary(max_size=20)), least=1, most=6))
    tile, at = draw(st.integers(0, 2**40)), draw(st.integers(0, 256 - len(entries)))
    first = tile * 256 + at
    size = first + len(entries) + draw(st.integers(0, 2**40))
    return messages.Entries(draw(UINTS), draw(ORIGINS), size, first, entries, draw(lists(HASHES)))


MESSAGES = {
    "down-checkpoint": (
        messages.CHECKPOINT_ANSWER,
        st.builds(messages.CheckpointAnswer, HASHES, STATUSES, st.binary(max_size=40), maybe(NOTES)),
    ),
    "up-entries": (messages.ENTRIES, entries_messages()),
    "down-entries": (
        messages.ENTRIES_ANSWER,
        st.builds(
            messages.EntriesAnswer,
            UINTS,
            STATUSES,
            ORIGINS,
            lists(RUNS.map(lambda run: messages.Range(*run)), most=8),
            UINTS,
            text(0, 512),
        ),
    ),
    "down-receipt": (messages.RECEIPT, st.builds(messages.Receipt, NOTES, NOTES)),
    "up-status": (messages.STATUS, st.builds(messages.Status, FLAGS, IDS, IDS, text(1, 32), UINTS, UINTS)),
    "up-ledger": (messages.LEDGER_SHOWN, st.builds(messages.LedgerShown, lists(NOTES, most=3), maybe(NOTES))),
    "down-ledger": (messages.LEDGER_NOTES, lists(NOTES, least=1, most=3)),
    "up-health": (messages.HEALTH, st.builds(messages.Health, UINTS, maybe(INTS), UINTS, UINTS, maybe(UINTS))),
}

# -- mutations --------------------------------------------------------------------------------------------------------


@st.composite
def mutated(draw, strategy):
    """Bytes of `strategy` with one to three changes: flip, insert, delete, repeat, truncate."""
    data = draw(strategy)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        match draw(st.sampled_from(["flip", "set", "insert", "delete", "repeat", "truncate"])):
            case "flip" if at < len(data):
                data = data[:at] + bytes([data[at] ^ 1 << draw(st.integers(0, 7))]) + data[at + 1 :]
            case "set":
                data = data[:at] + draw(st.binary(min_size=1, max_size=1)) + data[at + 1 :]
            case "insert":
                data = data[:at] + draw(st.binary(min_size=1, max_size=4)) + data[at:]
            case "delete":
                data = data[:at] + data[at + draw(st.integers(1, 4)) :]
            case "repeat":
                data = data[:at] + data[max(at - 5, 0) :]
            case "truncate":
                data = data[:at]
    return data
