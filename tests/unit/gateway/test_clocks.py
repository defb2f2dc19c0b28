"""The wall clock as wards have it: set forward and back, never set, wrong on the device. Order is by sequence."""

from dataclasses import dataclass, field

import pytest

from gateway.clock import ClockWatch
from gateway.draft import Draft, Instant
from gateway.drivers import api
from gateway.drivers.masimo import MasimoDriver
from gateway.reader import Reader
from gateway.verify import verify_store
from tests.unit.gateway.makers import KEY, LEDGER_KEY, open_store
from tests.unit.gateway.recorder_kit import BOOT, Rig, at, serial
from vitaledger import content
from vitaledger.entry import GATEWAY_CHAIN, Kind
from vitaledger.events import ClockOffset, ClockStep, Gap
from vitaledger.opened import open_entry

HOUR = 3_600_000
LATER_BOOT = bytes(16)


@dataclass
class Drive:
    """A wall clock: (from second, ms ahead of the true time, error bound)."""

    steps: list = field(default_factory=list)

    def now(self, seconds):
        shift, bound = 0, 3
        for since, ahead, error in self.steps:
            if seconds >= since:
                shift, bound = ahead, error
        true = at(seconds)
        return Instant(true.mono_us, true.wall_ms + shift, bound, BOOT)


# name: the clock, the steps that are sealed, whether `verify` remarks that the wall clock ran back
CLOCKS = {
    "steady": ([], [], False),
    "set an hour forward": ([(20, HOUR, 3)], [HOUR], False),
    "set an hour back": ([(20, -HOUR, 3)], [-HOUR], True),
    "set back and forth": ([(15, -90_000, 3), (30, 0, 3), (45, 700, 3)], [-90_000, 90_000, 700], True),
    "never synchronised": ([(0, -5000, None)], [], False),
    "synchronised late, without a step": ([(0, 100, None), (30, 100, 8)], [], False),
    "synchronised late, with a step": ([(0, -86_400_000, None), (30, 0, 8)], [86_400_000], False),
    "a board that boots without a clock": ([(0, -1_700_000_000_000, None), (30, 0, 12)], [1_700_000_000_000], False),
    "synchronisation lost": ([(0, 0, 4), (30, 0, None)], [], False),
    "a slow drift that is slewed": ([(n, n // 2, 3) for n in range(60)], [], False),
}


@pytest.mark.parametrize("name", sorted(CLOCKS))
def test_whatever_the_wall_clock_does(tmp_path, name):
    steps, sealed_steps, ran_back = CLOCKS[name]
    drive, watch, rig = Drive(steps), ClockWatch(), Rig()
    with open_store(tmp_path) as store:
        rig.recorder.opened(drive.now(0))
        for quarter in range(240):
            now = drive.now(quarter / 4)
            if quarter % 4 == 0:
                step = watch.look(now)
                drafts = rig.chains.take()
                if step is not None:
                    event = ClockStep(step, now.bound_ms)
                    drafts = [Draft(Kind.GATEWAY_EVENT, GATEWAY_CHAIN, now, event=event), *drafts]
                store.commit(drafts)
                if quarter == 120:
                    with Reader.open(tmp_path) as reader:
                        before = reader.entries(0, reader.size)
            rig.recorder.chunk(api_direction(), b"x", now)
            rig.recorder.events([api.Reading("spo2", now.mono_us, quarter)], now)
            rig.recorder.tick(now)
        rig.recorder.cut()
        store.commit(rig.chains.take())
    with Reader.open(tmp_path) as reader:
        rows = reader.entries(0, reader.size)
        report = verify_store(reader, KEY, LEDGER_KEY)
    assert report.ok, str(report.failure)
    assert rows[: len(before)] == before, "what was sealed is never written again"
    assert any("ran back" in remark for remark in report.remarks) == ran_back
    found = [open_entry(leaf, body) for leaf, body in rows]
    assert [e.event.delta_ms for e in found if isinstance(e.event, ClockStep)] == sealed_steps
    readings = [
        (entry.entry.clock, row.at_us, row.value)
        for entry in found
        if entry.values
        for row in content.readings(entry.values)
    ]
    assert [value for *_, value in readings] == list(range(240)), "by sequence, whatever the clock said"
    for clock, at_us, value in readings:
        true = drive.now(value / 4)
        assert clock.boot_ms * 1000 + at_us - true.mono_us < 1000, "the monotonic distance is right"
        assert abs(clock.wall_ms + at_us // 1000 - true.wall_ms) <= 510, "as the wall clock said when it came"
        began = drive.now((clock.boot_ms - 1_000_000) / 1000)
        assert clock.bound_ms == began.bound_ms, "each with the bound of its time"


def api_direction():
    from vitaledger.marks import Direction

    return Direction.RECEIVED


def test_a_later_synchronisation_narrows_the_bound_by_what_is_sealed():
    """From one boot's monotonic times a reader places what came before at the wall times of what came behind."""
    drive, rig = Drive([(0, -5_000_000, None), (30, 0, 8)]), Rig()
    rig.recorder.opened(drive.now(0))
    for second in range(60):
        now = drive.now(second)
        rig.recorder.chunk(api_direction(), b"x", now)
        rig.recorder.events([api.Reading("spo2", now.mono_us, second)], now)
        rig.recorder.tick(now)
    rig.recorder.cut()
    found = [entry for entry in rig.taken() if entry.values]
    early, late = found[0].entry.clock, found[-1].entry.clock
    assert (early.bound_ms, late.bound_ms) == (None, 8)
    assert early.boot_id == late.boot_id
    placed = late.wall_ms - (late.boot_ms - early.boot_ms)
    assert abs(placed - at(early.boot_ms / 1000 - 1000).wall_ms) <= 8


def test_the_next_boot_begins_at_zero_and_order_goes_on(tmp_path):
    rig = Rig(known={"fake:port:bed-1": at(0).clock}, clean=False)
    early = Instant(7_000_000, 5_000, None, LATER_BOOT)  # 1970, seven seconds after power came back
    rig.recorder.opened(early)
    for n in range(8):
        now = Instant(early.mono_us + n * 1_000_000, early.wall_ms + n * 1000, None, LATER_BOOT)
        rig.recorder.chunk(api_direction(), b"x", now)
        rig.recorder.events([api.Reading("spo2", now.mono_us, n)], now)
        rig.recorder.tick(now)
    rig.recorder.cut()
    gap, *_ = found = rig.taken()
    assert isinstance(gap.event, Gap)
    assert gap.event.since == at(0).clock  # of the boot before, by its clocks
    assert (gap.entry.clock.boot_id, gap.entry.clock.wall_ms, gap.entry.clock.bound_ms) == (LATER_BOOT, 5_000, None)
    assert [entry.entry.seq for entry in found] == list(range(len(found)))


LINE = "{date} {time} SN=0000056661 SPO2=098% BPM=097 PI=03.60% ALARM=0000 EXC=000800\r\n"
# name: what the device shows at 2026-03-29 00:59:58 + n s, in n; offsets in ms that are sealed
T0 = 1_774_745_998_000  # 2026-03-29 00:59:58 UTC
DEVICES = {
    "right": (
        lambda n: (
            "03/29/26",
            f"{(59 * 60 + 58 + n) // 3600 % 24:02}:{(59 * 60 + 58 + n) // 60 % 60:02}:{(58 + n) % 60:02}",
        ),
        [0],
    ),
    "24 minutes off": (lambda n: ("03/29/26", f"01:{23 + (58 + n) // 60:02}:{(58 + n) % 60:02}"), [24 * 60_000]),
    "1970": (lambda n: ("01/01/70", f"00:00:{n:02}"), [-T0]),
    "summer time begins": (
        lambda n: ("03/29/26", f"00:59:{58 + n:02}" if n < 2 else f"02:00:{n - 2:02}"),
        [0, HOUR],
    ),
    "set in between": (
        lambda n: ("03/29/26", f"01:00:{n:02}" if n < 5 else f"03:00:{n:02}"),
        [2_000, 2_000 + 2 * HOUR],
    ),
}


@pytest.mark.parametrize("name", sorted(DEVICES))
def test_whatever_the_device_says_of_the_time(name):
    shows, offsets = DEVICES[name]
    driver, rig = MasimoDriver(may_send=False), None
    rig = Rig(signals=driver.signals, waves=driver.waves)
    driver.opened(0)
    rig.recorder.opened(Instant(10**9, T0, 3, BOOT))
    for n in range(12):
        now = Instant(10**9 + n * 1_000_000, T0 + n * 1000, 3, BOOT)
        date, time = shows(n)
        data = LINE.format(date=date, time=time).encode()
        rig.recorder.chunk(api_direction(), data, now)
        rig.recorder.events(driver.receive(data, now.mono_us), now)
        rig.recorder.tick(now)
    rig.recorder.cut()
    found = rig.taken()
    told = [entry.event for entry in found if isinstance(entry.event, ClockOffset)]
    assert [round(event.offset_ms, -1) for event in told] == offsets
    assert all(event.device_time for event in told)
    times = [
        entry.entry.clock.boot_ms * 1000 + row.at_us
        for entry in found
        if entry.values
        for row in content.readings(entry.values)
        if row.handle == "spo2"
    ]
    assert times == [10**9 + n * 1_000_000 for n in range(12)], "the gateway's time orders, whatever the device says"
    assert serial  # the kit's
