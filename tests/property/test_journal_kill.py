"""A kill at any moment: what the journal held is sealed once, and nothing of it twice."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import journal as journals
from gateway.chains import Chains
from gateway.draft import Instant
from gateway.drivers import api
from gateway.recorder import Limits, Recorder
from gateway.salvage import Wired, salvage
from gateway.sealing import Sealer
from gateway.source import Source
from tests.unit.gateway.recorder_kit import BOOT, SUBJECT
from vitaledger import content
from vitaledger.entry import Clock
from vitaledger.events import Gap
from vitaledger.marks import AlarmKind, AlarmPhase, Direction, GapReason
from vitaledger.opened import open_entry


class FakeDriver:
    """Frames of four bytes; each byte of the line is used once, so that lost or repeated ones are seen."""

    NAME, VERSION, CHECK, OPTIONS = "fake", "3", SUBJECT.check, {}
    signals, waves, line = SUBJECT.signals, SUBJECT.waves, api.LineSettings(9600)

    def __init__(self):
        self._bytes = bytearray()

    def opened(self, now_us):
        self._bytes.clear()

    def receive(self, data, now_us):
        found = []
        for byte in data:
            if byte & 0x80:  # a frame begins
                self._bytes.clear()
            elif not self._bytes:
                continue
            self._bytes.append(byte)
            if len(self._bytes) == 4:
                kind, a, b, c = self._bytes
                self._bytes.clear()
                found.append(self._event(kind, a << 14 | b << 7 | c, now_us))
        return found

    def _event(self, kind, number, now_us):
        match kind & 7:
            case 0 | 1:
                return api.Reading("spo2", now_us, number)
            case 2:
                return api.Samples("pleth", now_us, (2 * number, 2 * number + 1))
            case 3:
                return api.Alarm(now_us, "1", None, AlarmKind.TECHNICAL, AlarmPhase.ONSET, str(number))
            case 4:
                return api.Identity("Acme", "One", "AB"[number % 2])
            case 5:
                return api.DeviceClock(now_us, f"clock {number}", number * 9000)
            case _:
                return api.Notice(now_us, f"notice {number}")

    def tick(self, now_us):
        return []

    def to_send(self, now_us):
        return b""


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.sampled_from([0.02, 0.4, 1.0, 3.0, 11.0])),
        st.tuples(st.just("close")),
        st.tuples(st.just("open")),
        st.tuples(st.just("sent")),
        st.tuples(st.just("bytes"), st.lists(st.sampled_from([0, 0, 0, 1, 2, 3, 4, 4, 5, 6]), max_size=9)),
        st.tuples(st.just("commit")),
        st.tuples(st.just("step"), st.sampled_from([-9000, 9000])),
    ),
    max_size=60,
)


class Gateway:
    """A line with a store that is a list, committing as the agent does."""

    def __init__(self, limits, seed):
        self.limits, self.random = limits, Random(seed)
        self.us, self.wall, self.number = 10**9, 1_700_000_000_000, 0
        self.rest = b""
        self.chains = Chains({}, clean=True)
        self.journal = journals.Journal(0, BOOT, clean=True)
        self.tape = self.journal.tape("bed-1", "fake")
        self.source = Source(FakeDriver())
        self.recorder = Recorder(SUBJECT, self.chains, limits, tape=self.tape)
        self.sealed, self.rows = [], {}
        self.fed, self.safe = [], []
        self.open()

    @property
    def now(self):
        return Instant(self.us, self.wall, 3, BOOT)

    def open(self):
        self.rest = b""
        self.source.opened(self.us)
        self.recorder.opened(self.now)

    def wait(self, seconds):
        while seconds > 0:
            part = min(seconds, 0.25)
            self.us += round(part * 1e6)
            self.wall += round(part * 1e3)
            self.recorder.events(self.source.tick(self.us), self.now)
            self.recorder.tick(self.now)
            seconds -= part

    def bytes(self, kinds):
        data = self.rest
        done = []
        for kind in kinds:
            self.number += 1
            data += bytes((0x80 | kind, self.number >> 14 & 127, self.number >> 7 & 127, self.number & 127))
            done.append((kind, self.number))
        cut = self.random.randrange(4) if done else 0
        data, self.rest = data[: len(data) - cut], data[len(data) - cut :]
        self.us += 1000
        self.recorder.chunk(Direction.RECEIVED, data, self.now)
        self.recorder.events(self.source.receive(data, self.us), self.now)
        self.fed.append((self.us, data))

    def commit(self):
        step = self.journal.step()
        self.sealed += self.chains.take()
        if step.row is not None:
            self.rows[step.end - 1] = step.row
        self.rows = {n: row for n, row in self.rows.items() if n >= step.first}
        assert sorted(self.rows) == list(range(step.first, step.end))
        self.safe = list(self.fed)

    def run(self, step):
        match step:
            case ("wait", seconds):
                self.wait(seconds)
            case ("close",):
                self.recorder.closed(GapReason.UNPLUGGED, "pulled")
            case ("open",) if not self.recorder._up:
                self.open()
            case ("sent",):
                self.us += 1000
                self.recorder.chunk(Direction.SENT, b"ask", self.now)
            case ("bytes", kinds) if self.recorder._up:
                self.bytes(kinds)
            case ("commit",):
                self.commit()
            case ("step", delta):
                self.wall += delta


def said(drafts):
    """What stands in entries: numbers of readings, samples and alarms, and the raw bytes received."""
    sealer = Sealer("h.example/gateway/g1", {}, {}, None, bytes)
    numbers, raw = [], b""
    for draft in drafts:
        done = sealer.seal(draft)
        entry = open_entry(done.leaf, done.body)
        if entry.values:
            numbers += [("reading", row.value) for row in content.readings(entry.values)]
        numbers += [("sample", sample) for block in entry.waves or () for sample in block.samples]
        event = entry.event
        if type(event).__name__ in {"Alarm", "Notice"}:
            numbers.append((type(event).__name__, event.text))
        raw += b"".join(chunk.data for chunk in entry.raw or () if chunk.direction is Direction.RECEIVED)
    return numbers, raw


def told(data):
    """What the driver would say of bytes in one go."""
    events = FakeDriver().receive(data, 0)
    found = [("reading", each.value) for each in events if isinstance(each, api.Reading)]
    found += [("sample", sample) for each in events if isinstance(each, api.Samples) for sample in each.samples]
    return found


@settings(max_examples=300, deadline=None)
@given(
    STEPS,
    st.integers(0, 99),
    st.sampled_from([Limits(5_000_000, 1_000_000, 200), Limits(5_000_000, 1_000_000, 2), Limits(content=2048)]),
)
def test_what_was_journaled_is_sealed_once(steps, seed, limits):
    gateway = Gateway(limits, seed)
    for step in steps:
        gateway.run(step)
    rows = [gateway.rows[n] for n in sorted(gateway.rows)]
    last = {}
    for draft in gateway.sealed:
        last[draft.chain] = Clock(draft.began.wall_ms, BOOT, draft.began.mono_us // 1000, 3)
    found = salvage(journals.read(rows), last, {"bed-1": Wired(FakeDriver, lambda driver: SUBJECT)}, limits)
    assert not found.notes
    numbers, raw = said([*gateway.sealed, *found.drafts])
    assert len(set(numbers)) == len(numbers), "sealed twice"
    assert raw == b"".join(data for _, data in gateway.safe)
    whole = set(told(b"".join(data for _, data in gateway.safe)))
    assert {each for each in numbers if each[0] in {"reading", "sample"}} == whole
    for draft in found.drafts:
        if isinstance(draft.event, Gap) and draft.chain in last:
            assert draft.event.since is not None
    clocks = {}
    for draft in [*gateway.sealed, *found.drafts]:
        assert clocks.get(draft.chain, 0) <= draft.began.mono_us
        clocks[draft.chain] = draft.began.mono_us
