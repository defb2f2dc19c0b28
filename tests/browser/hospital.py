"""A collector's store as a hospital fills it, made in memory by the real ingest step: what the pages are tested on.

Three gateways: `ward-3` has four devices and everything that can happen to them in two hours (a desaturation with its
alarm, a sensor that came off, low perfusion, artefacts, an unplugged cable, a unit that was swapped, stored readings, a
clock that is 24 minutes ahead, an entry that cannot be read); `icu` is offline and its clock was never set; what
`ward-5` sent lately waits for its anchor.
"""

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from collector.ingest import Message
from firmware_sim.physiology import Desaturation, Patient, Profile
from tests.fault.ward import Gateway, Ward
from vitaledger import events, messages
from vitaledger.content import VALUES, WAVES, Context, Series, StoredRows, Values, WaveBlock, runs
from vitaledger.entry import Clock, Kind, PartType, genesis, seal
from vitaledger.marks import (
    Absence,
    AlarmKind,
    AlarmPhase,
    AlarmPriority,
    Category,
    Check,
    GapReason,
    LineState,
    Provenance,
    Quality,
    Sureness,
    Use,
)

PERCENT, PER_MINUTE = 262688, 264864
CODES = {"spo2": (150456, PERCENT, 0), "pulse": (149530, PER_MINUTE, 0), "pi": (150448, PERCENT, -2)}
ENTRY_S = 5
MINUTE = 60


@dataclass
class Site(Gateway):
    """A gateway whose clock says how sure it is."""

    name: str
    seed: int
    bound_ms: int | None = 4

    def __post_init__(self):
        super().__init__(self.name, self.seed)

    def seal(self, kind, chain, contents):
        head = self.heads.get(chain) or events.ChainHead(chain, 0, genesis(self.origin, chain))
        salts = [self.random.randbytes(16) for _ in contents]
        clock = Clock(self.now_ms, bytes(16), self.now_ms - 1_600_000_000_000, self.bound_ms)
        return self.append(*seal(kind, chain, head.next_seq, head.last, clock, contents, salts))


@dataclass
class Bed:
    """One device on a line: seals what a recorder would."""

    site: Site
    chain: str
    patient: Patient
    port: str
    make: str
    model: str
    serial: str | None = None
    firmware: str | None = None
    check: Check = Check.NOTHING
    use: Use = Use.DEMO
    handles: tuple[str, ...] = ("spo2", "pulse", "pi")
    context: Context = field(default_factory=lambda: Context(None, None, None))
    waves: bool = False
    began_ms: int = 0
    absence: Absence | None = None
    quality: Quality = field(default_factory=lambda: Quality(0))

    def event(self, event):
        seq = self.site.heads[self.chain].next_seq if self.chain in self.site.heads else 0
        self.site.seal(Kind.DEVICE_EVENT, self.chain, [(PartType.EVENT, events.encode(event))])
        return seq

    def begin(self, reason=GapReason.START, since=None, detail="", **changes):
        for name, value in changes.items():
            setattr(self, name, value)
        self.began_ms = self.began_ms or self.site.now_ms
        self.event(events.Gap(reason, since, detail, None))
        self.event(events.Line(LineState.UP, self.port, "", None))
        sure = Sureness.PROTOCOL if self.serial else Sureness.PORT
        driver = self.chain.split(":")[0]
        who = events.Identity(
            self.make, self.model, self.serial, self.firmware, self.port, sure, driver, "1", self.use, self.check
        )
        self.context = Context(self.event(who), self.context.alarm, None)

    def alarm(self, phase, text="SpO2 low", kind=AlarmKind.PHYSIOLOGICAL, bits="0012"):
        told = events.Alarm(bits, None, kind, phase, AlarmPriority.UNKNOWN, 0, text, ())
        self.context = Context(self.context.identity, self.event(told), None)

    def clock(self):
        return Clock(self.site.now_ms, bytes(16), self.site.now_ms - 1_600_000_000_000, self.site.bound_ms)

    def readings(self):
        """Five seconds at one reading a second."""
        start = self.site.now_ms
        rows = [self.patient.vitals((start - self.began_ms + n * 1000) * 1000) for n in range(ENTRY_S)]
        values = {
            "spo2": [round(row.spo2_average) for row in rows],
            "spo2.fast": [round(row.spo2) for row in rows],
            "pulse": [round(row.pulse_average) for row in rows],
            "pulse.slow": [round(row.pulse_slow) for row in rows],
            "pi": [round(row.perfusion * (12 if self.quality & Quality.LOW_PERFUSION else 100)) for row in rows],
        }
        absent = runs([self.absence] * ENTRY_S) if self.absence else ()
        said = runs([self.quality] * ENTRY_S) if self.quality else ()
        series = []
        for handle in self.handles:
            code, unit, exponent = CODES[handle.split(".")[0]]
            found = tuple([None] * ENTRY_S if self.absence else values[handle])
            series.append(Series(handle, code, unit, Category.MEASURED, exponent, 0, found, absent, said))
        times = (tuple(n * 1_000_000 for n in range(ENTRY_S)),)
        driver = self.chain.split(":")[0]
        content = Values(
            driver, "1", Provenance.DEVICE_LIVE, self.use, self.check, self.context, times, tuple(series), None
        )
        parts = [(int(PartType.VALUES), VALUES.encode(content))]
        if self.waves:
            samples = tuple(self.site.random.randbytes(75 * ENTRY_S))
            block = WaveBlock("pleth", 150452, 262656, Fraction(75), Fraction(1), 0, 0, 4_990_000, samples, (), ())
            parts.append((int(PartType.WAVES), WAVES.encode((block,))))
        self.site.seal(Kind.READINGS, self.chain, parts)

    def dump(self, count):
        """Readings out of the device's memory."""
        rows = StoredRows("11/22/26 14:00:00", 0, tuple(None for _ in range(count)))
        series = Series("spo2", 150456, PERCENT, Category.MEASURED, 0, 0, (96,) * count, (), ())
        driver = self.chain.split(":")[0]
        content = Values(
            driver, "1", Provenance.DEVICE_STORED, self.use, self.check, self.context, ((0,) * count,), (series,), rows
        )
        self.site.seal(Kind.READINGS, self.chain, [(int(PartType.VALUES), VALUES.encode(content))])


def desaturation(from_min, until_min, lowest):
    return Desaturation(from_min * 60_000_000, until_min * 60_000_000, lowest)


@dataclass
class Hospital:
    """The ward with its gateways; `now_ms` is the time up to which it was filled."""

    ward: Ward
    now_ms: int
    minutes: int
    sites: list[Site]

    def send(self, site, *, until=None):
        """Anchor a log and send its entries, in bites that a broker would carry."""
        batch = [site.anchor(), *site.entries()]
        self.ward.process(batch[: 1 + until] if until is not None else batch)

    def hello(self, site, *, online):
        status = messages.STATUS.encode(messages.Status(int(online), bytes(16), bytes(16), "0.1.0", site.size, 3))
        health = messages.HEALTH.encode(messages.Health(0 if online else 214, None, 10**9, 4, site.bound_ms))
        self.ward.process([Message(site.name, "up/status", status), Message(site.name, "up/health", health)])


def make_hospital(folder: Path, now_ms: int, minutes: int = 120) -> Hospital:
    """Fill a store with the last `minutes` before `now_ms`; at least 100, which the story takes."""
    folder.mkdir(parents=True, exist_ok=True)
    ward = Ward(folder)
    ward.now_ms = now_ms - minutes * 60_000
    made = Hospital(ward, now_ms, minutes, [Site("ward-3", 31), Site("icu", 32, None), Site("ward-5", 33)])
    for site in made.sites:
        ward.enroll(site)
        site.now_ms = ward.now_ms
    ward_3, icu, ward_5 = made.sites
    _ward_3(made, ward_3)
    _icu(made, icu)
    _ward_5(made, ward_5)
    ward.now_ms = now_ms - 1000
    for site in made.sites:
        made.hello(site, online=site is not icu)
    return made


def _patient(seed, *falls, **profile):
    return Patient(Profile(desaturations=falls, **profile), seed)


def _ward_3(made, site):
    end = made.minutes
    one = Bed(
        site,
        "masimo:sn:0000056661",
        _patient(
            "one", desaturation(end - 70, end - 61, 79), desaturation(end - 32, end - 27, 62), pulse=74, spo2=96.4
        ),
        "bed-1",
        "Masimo",
        "Rad-8",
        "0000056661",
    )
    two = Bed(
        site,
        "nonin:port:bed-2",
        _patient("two", pulse=66, spo2=97.3),
        "bed-2",
        "Nonin",
        "Xpod",
        firmware="48",
        check=Check.CHECKSUM,
        handles=("spo2", "spo2.fast", "pulse", "pulse.slow"),
        waves=True,
    )
    three = Bed(site, "contec:port:bed-3", _patient("three", pulse=88, spo2=94.6), "bed-3", "Contec", "CMS50D+")
    four = Bed(site, "masimo:sn:0000010001", _patient("four"), "bed-4", "Masimo", "Rad-8", "0000010001")
    five = Bed(site, "masimo:sn:0000010002", _patient("five", spo2=98), "bed-4", "Masimo", "Rad-8", "0000010002")
    site.state_heads()
    beds = [one, two, three, four]
    for bed in beds:
        bed.begin()
    one.event(events.ClockOffset("11/22/26 16:24:00", 1_440_000))
    down_ms = None
    for step in range(made.minutes * MINUTE // ENTRY_S):
        left = made.minutes - step * ENTRY_S / MINUTE  # minutes until the end
        exact = step * ENTRY_S % MINUTE == 0
        _story_of_one(one, left, exact=exact)
        three.quality = Quality.IMPLAUSIBLE if 55 >= left > 54.7 else Quality(0)
        two.quality = Quality.LOW_PERFUSION if 40 >= left > 35 else Quality(0)
        if exact and left == 80:
            three.dump(180)
        if exact and left == 20:
            down_ms = one.clock()
            one.event(events.Line(LineState.DOWN, "bed-1", "device not found", None))
            beds.remove(one)
        if exact and left == 14:
            one.begin(GapReason.UNPLUGGED, down_ms, "device not found")
            beds.insert(0, one)
        if exact and left == 45:
            four.event(events.Line(LineState.CLOSED, "bed-4", "another unit", five.chain))
            beds.remove(four)
            five.begin(GapReason.START, None, "another unit")
            beds.append(five)
        if exact and left == 60:
            site.append(b"\x9f of no format that is known", b"\x80", track=False)
        for bed in beds:
            bed.readings()
        if exact:
            site.state_heads()
        site.now_ms += ENTRY_S * 1000
        if step % 24 == 23:
            made.send(site)
    made.send(site)


def _story_of_one(one, left, *, exact):
    one.absence = Absence.SENSOR_OFF if 50 >= left > 47 else None
    one.quality = Quality.LOW_PERFUSION if 42 >= left > 37 else Quality.ARTEFACT if 25 >= left > 24.5 else Quality(0)
    if exact and left in {69, 31}:
        one.alarm(AlarmPhase.ONSET)
    if exact and left in {62, 28}:
        one.alarm(AlarmPhase.END)
    if exact and left in {50, 47}:
        phase = AlarmPhase.ONSET if left == 50 else AlarmPhase.END
        one.alarm(phase, "sensor off patient", AlarmKind.TECHNICAL, "0020")


def _icu(made, site):
    bed = Bed(
        site,
        "nonin:port:icu-1",
        _patient("icu", spo2=95, pulse=92),
        "icu-1",
        "Nonin",
        "Xpod",
        check=Check.CHECKSUM,
        use=Use.CLINICAL,
        handles=("spo2", "pulse"),
    )
    site.state_heads()
    bed.begin()
    site.now_ms = made.now_ms - 40 * 60_000
    for _ in range(20 * MINUTE // ENTRY_S):
        bed.readings()
        site.now_ms += ENTRY_S * 1000
    site.state_heads()
    made.send(site)


def _ward_5(made, site):
    bed = Bed(site, "nonin:port:bed-9", _patient("nine"), "bed-9", "Nonin", "3150", check=Check.CHECKSUM)
    site.state_heads()
    bed.begin(handles=("spo2", "pulse"))
    site.now_ms = made.now_ms - 20 * 60_000
    for _ in range(10 * MINUTE // ENTRY_S):
        bed.readings()
        site.now_ms += ENTRY_S * 1000
    made.send(site)
    while site.now_ms < made.now_ms:
        bed.readings()
        site.now_ms += ENTRY_S * 1000
    made.send(site, until=1)  # the rest is on its way
