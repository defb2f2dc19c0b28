"""Whatever happens on a line: every reading exactly once and in order, every entry opens, every gap is honest."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.chains import Chains
from gateway.draft import Instant
from gateway.drivers import api
from gateway.recorder import Limits, Recorder
from gateway.sealing import Sealer
from tests.unit.gateway.recorder_kit import BOOT, SUBJECT
from vitaledger import content, events
from vitaledger.entry import PartType, parse_body
from vitaledger.marks import Absence, AlarmKind, AlarmPhase, Direction, GapReason, Quality
from vitaledger.opened import open_entry

READINGS = st.builds(
    lambda handle, absent, quality, stored: (
        "reading",
        handle,
        absent,
        quality,
        stored,
    ),
    st.sampled_from(["spo2", "pulse"]),
    st.sampled_from([None, None, Absence.SENSOR_OFF, Absence.INVALID]),
    st.sampled_from([Quality(0), Quality.ARTEFACT, Quality.ARTEFACT | Quality.LOW_SIGNAL]),
    st.one_of(st.none(), st.none(), st.none(), st.integers(0, 5)),
)
SAMPLES = st.builds(
    lambda count, big, follows: ("samples", count, big, follows),
    st.integers(1, 3000),
    st.sampled_from([1, 300, -5, 2**31, -(2**31)]),
    st.booleans(),
)
OTHERS = st.sampled_from(
    [
        ("serial", "A"),
        ("serial", "A"),
        ("serial", "B"),
        ("serial", None),
        ("alarm",),
        ("clock", 0),
        ("clock", 9000),
        ("errors", "sync"),
        ("notice", "x"),
    ]
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("open")),
        st.tuples(st.just("close")),
        st.tuples(st.just("wait"), st.sampled_from([0.01, 0.3, 1.0, 5.0, 11.0, 61.0])),
        st.tuples(st.just("step"), st.sampled_from([-5000, 700, 86_400_000])),
        st.tuples(st.just("sent"), st.integers(1, 40)),
        st.tuples(
            st.just("call"),
            st.integers(1, 6000),
            st.lists(st.one_of(READINGS, READINGS, READINGS, SAMPLES, OTHERS), max_size=12),
        ),
    ),
    max_size=60,
)
LIMITS = st.builds(
    lambda readings, size, raw: Limits(5_000_000, 1_000_000, readings, size, keep_raw=raw),
    st.sampled_from([1, 7, 200]),
    st.sampled_from([2048, 12 * 1024]),
    st.booleans(),
)


class Play:
    """Plays steps and keeps what it fed, so that it can be compared with what came out."""

    def __init__(self, limits):
        self.chains = Chains({}, clean=False)
        self.recorder = Recorder(SUBJECT, self.chains, limits)
        self.us, self.wall = 10**9, 1_700_000_000_000
        self.value = 0
        self.up = False
        self.values = {"spo2": [], "pulse": []}
        self.stored = {"spo2": [], "pulse": []}
        self.samples = []
        self.raw = {Direction.RECEIVED: b"", Direction.SENT: b""}
        self.counts = 0

    @property
    def now(self):
        return Instant(self.us, self.wall, None, BOOT)

    def wait(self, seconds):
        self.us += round(seconds * 1e6)
        self.wall += round(seconds * 1000)

    def run(self, step):
        match step:
            case ("open",) if not self.up:
                self.up = True
                self.recorder.opened(self.now)
            case ("close",):
                self.up = False
                self.recorder.closed(GapReason.UNPLUGGED, "pulled")
            case ("wait", seconds):
                self.wait(seconds)
                self.recorder.tick(self.now)
            case ("step", delta):
                self.wall += delta
            case ("sent", size) if self.up:
                self.recorder.chunk(Direction.SENT, bytes(size), self.now)
                self.raw[Direction.SENT] += bytes(size)
            case ("call", size, found) if self.up:
                self.call(size, found)

    def call(self, size, found):
        self.wait(0.001)
        data = self.us.to_bytes(8) * (size // 8 + 1)
        self.recorder.chunk(Direction.RECEIVED, data, self.now)
        self.raw[Direction.RECEIVED] += data
        self.recorder.events([self.event(item) for item in found], self.now)

    def event(self, item):
        match item:
            case ("reading", handle, absent, quality, stored):
                self.value += 1
                row = api.Stored(stored, None) if stored is not None else None
                value = None if absent else self.value
                (self.values if row is None else self.stored)[handle].append((value, absent, quality))
                return api.Reading(handle, self.us, value, absent, quality, row)
            case ("samples", count, big, follows):
                samples = (*(n % 200 for n in range(count - 1)), big)
                self.samples += samples
                return api.Samples("pleth", self.us, samples, follows=follows)
            case ("serial", number):
                return api.Identity("Acme", "One", number)
            case ("alarm",):
                return api.Alarm(self.us, "1", None, AlarmKind.TECHNICAL, AlarmPhase.ONSET, "text")
            case ("clock", offset):
                return api.DeviceClock(self.us, "now", self.wall + offset)
            case ("errors", kind):
                self.counts += 1
                return api.FrameErrors(self.us, kind)
            case ("notice", text):
                return api.Notice(self.us, text)


@settings(max_examples=250)
@given(LIMITS, STEPS)
def test_every_reading_exactly_once_and_in_order(limits, steps):
    play = Play(limits)
    play.run(("open",))
    for step in steps:
        play.run(step)
    play.run(("wait", 0.2))
    play.run(("close",))
    sealer = Sealer("h.example/gateway/g1", {}, {}, None, bytes)
    values, stored = {"spo2": [], "pulse": []}, {"spo2": [], "pulse": []}
    samples, counts = [], 0
    raw = {Direction.RECEIVED: b"", Direction.SENT: b""}
    begun, clocks = set(), {}
    for draft in play.chains.take():
        assert bool(draft.chain)
        sealed = sealer.seal(draft)
        entry = open_entry(sealed.leaf, sealed.body)
        if draft.chain not in begun:
            begun.add(draft.chain)
            assert isinstance(entry.event, events.Gap)
        assert clocks.get(draft.chain, 0) <= draft.began.mono_us
        clocks[draft.chain] = draft.began.mono_us
        for part in parse_body(sealed.body):
            assert len(part.content) <= 16 * 1024
            assert part.type is PartType.RAW or len(part.content) <= limits.content + 256
        assert entry.reading_count <= limits.readings
        if isinstance(entry.event, events.FrameErrors):
            counts += sum(count.count for count in entry.event.counts)
        if isinstance(entry.event, events.Gap) and entry.event.since is not None:
            assert entry.event.since.boot_ms <= entry.entry.clock.boot_ms
        if entry.values:
            into = values if entry.values.stored is None else stored
            for row in content.readings(entry.values):
                into[row.handle].append((row.value, row.absence, row.quality))
        for block in entry.waves or ():
            samples += block.samples
        for chunk in entry.raw or ():
            raw[chunk.direction] += chunk.data
    assert values == play.values
    assert stored == play.stored
    assert samples == play.samples
    assert counts == play.counts
    if limits.keep_raw:
        assert raw == play.raw


@given(LIMITS, STEPS, st.integers(0, 60))
def test_a_kill_loses_only_what_lies_in_the_next_gap(limits, steps, cut):
    """Nothing that was fed before the last put datum of the settled chain is missing behind it."""
    play = Play(limits)
    play.run(("open",))
    fed = {}
    for step in steps[:cut]:
        if step[0] != "step":
            play.run(step)
            for value, _, _ in [*play.values["spo2"], *play.values["pulse"]]:
                fed.setdefault(value, play.us)
    sealer = Sealer("h.example/gateway/g1", {}, {}, None, bytes)
    sealed, last = set(), {}
    for draft in play.chains.take():
        done = sealer.seal(draft)
        entry = open_entry(done.leaf, done.body)
        last[draft.chain] = max(last.get(draft.chain, 0), entry.entry.clock.boot_ms * 1000 + entry.last_us)
        if entry.values and entry.values.stored is None:
            sealed.update(value for series in entry.values.series for value in series.values)
    if len(last) == 1:
        (since,) = last.values()
        assert not [value for value, at_us in fed.items() if value not in sealed and at_us + 2000 < since]


def test_at_us_before_the_entry_is_no_negative_time():
    play = Play(Limits())
    play.run(("open",))
    play.wait(1)
    play.recorder.chunk(Direction.RECEIVED, b"x", play.now)
    play.recorder.events([api.Reading("spo2", play.us - 500_000, 1), api.Reading("spo2", play.us, 2)], play.now)
    play.run(("close",))
    drafts = [replace(draft) for draft in play.chains.take() if draft.values]
    assert [draft.values.times for draft in drafts] == [((0, 0),)]
