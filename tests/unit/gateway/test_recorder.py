"""The recorder's rules about entries and gaps, one by one."""

from fractions import Fraction
from itertools import pairwise

import pytest

from gateway.drivers import api
from gateway.recorder import UNREADABLE, Limits
from tests.unit.gateway.recorder_kit import Rig, at, values_in
from vitaledger import content, events
from vitaledger.errors import MisuseError
from vitaledger.marks import (
    Absence,
    AlarmKind,
    AlarmPhase,
    Direction,
    GapReason,
    Provenance,
    Quality,
)
from vitaledger.raw import Chunk

PORT = "fake:port:bed-1"
START = [(PORT, "gap start"), (PORT, "line up"), (PORT, "identity None")]


def opened(seconds=0.0, **options):
    rig = Rig(**options)
    rig.recorder.opened(at(seconds))
    return rig


def settled(**options):
    """A line whose device was settled on; the next entry begins with what comes now."""
    rig = opened(**options)
    rig.values(0.1, 96)
    rig.ticks(0.25, 5.25)
    assert rig.told()[:3] == START
    return rig


def test_nothing_is_said_of_a_line_that_only_opened_and_closed():
    rig = opened()
    assert rig.tick(1).close(2) == []


def test_a_chain_begins_with_gap_line_identity_and_its_first_readings():
    rig = opened()
    rig.values(0.5, 97)
    rig.values(1.5, 98)
    assert rig.tick(5.25).told() == []
    assert rig.tick(5.5).told() == [*START, (PORT, [97, 98])]
    gap, _, identity, readings = rig.entries
    assert gap.event.since is None
    assert gap.entry.clock == at(0).clock
    assert identity.event.port == "bed-1"
    assert readings.entry.clock == at(0.5).clock
    assert (readings.values.driver, readings.values.driver_version) == ("fake", "3")
    assert readings.values.provenance is Provenance.DEVICE_LIVE
    assert readings.values.context.identity == identity.entry.seq
    assert readings.raw == (Chunk(Direction.RECEIVED, 0, b"frame"), Chunk(0, 1_000_000, b"frame"))


@pytest.mark.parametrize(("clean", "reason"), [(True, GapReason.START), (False, GapReason.CRASH)])
def test_the_first_gap_says_how_the_run_before_ended_and_since_when(clean, reason):
    last = at(-100).clock
    rig = opened(known={PORT: last}, clean=clean)
    rig.values(0.1, 97)
    gap = rig.close(1)[0]
    assert (gap.event.reason, gap.event.since) == (reason, last)


def test_a_chain_that_no_run_had_begins_with_start_whatever_happened():
    rig = opened(clean=False)
    rig.values(0.1, 97)
    assert rig.close(1)[0].event.reason is GapReason.START


def test_series_that_came_together_share_their_times():
    rig = opened()
    for second in (0.1, 0.4, 0.8):
        rig.frame(second, api.Reading("spo2", 0, 97), api.Reading("pulse", 0, 60))
    values = rig.close(1)[-2].values
    assert values.times == ((0, 300_000, 700_000),)
    assert [series.times for series in values.series] == [0, 0]


def test_series_that_came_apart_do_not():
    rig = opened()
    rig.values(0.1, 97)
    rig.frame(0.2, api.Reading("spo2", 0, 97), api.Reading("pulse", 0, 60))
    assert rig.close(1)[-2].values.times == ((0, 100_000), (100_000,))


def test_absences_and_quality_are_runs():
    rig = opened()
    off = api.Reading("spo2", 0, None, Absence.SENSOR_OFF)
    for n, reading in enumerate([off, off, api.Reading("spo2", 0, 88, quality=Quality.ARTEFACT)]):
        rig.frame(0.1 + n / 10, reading)
    (series,) = rig.close(1)[-2].values.series
    assert series.values == (None, None, 88)
    assert series.absences == ((0, 2, Absence.SENSOR_OFF),)
    assert series.quality == ((2, 1, Quality.ARTEFACT),)


@pytest.mark.parametrize(
    ("limits", "calls", "entries"),
    [
        (Limits(readings=10), [4, 4, 4], [8, 4]),  # one call's readings stay together
        (Limits(readings=10), [25], [10, 10, 5]),
        (Limits(readings=10), [10, 1], [10, 1]),
        (Limits(content=400), [2] * 40, None),
    ],
)
def test_an_entry_closes_at_its_limits(limits, calls, entries):
    rig = opened(limits=limits)
    for n, count in enumerate(calls):
        rig.values(0.1 + n / 100, *range(count))
    found = [len(values_in([entry])) for entry in rig.close(2) if entry.values]
    assert sum(found) == sum(calls)
    if entries is None:
        assert len(found) > 3
        assert all(len(content.VALUES.encode(entry.values)) <= 400 for entry in rig.entries if entry.values)
    else:
        assert found == entries


def test_an_entry_closes_after_five_seconds_and_the_pause_before_counts():
    rig = settled()
    rig.values(6.0, 97)  # the entry before ended at 0.1: of the pause, one second counts
    assert rig.tick(9.75).told() == []
    assert rig.tick(10.0).told() == [(PORT, [97])]


def test_lines_that_began_at_different_times_close_their_entries_together():
    closings = []
    for begins in (6.0, 7.3, 8.8, 9.1):
        rig, closed = settled(), []
        for tenth in range(round(begins * 10), 600):
            rig.values(tenth / 10, 97)
            if tenth % 10 == 0 and rig.tick(tenth / 10).told():
                closed.append(tenth // 10)
        closings.append(closed)
    common = [[second for second in closed if second > 15] for closed in closings]
    assert common[0] == common[1] == common[2] == common[3]
    assert {after - before for before, after in pairwise(common[0])} <= {4, 5}
    assert all(closed[0] - begins <= 5 for closed, begins in zip(closings, (6.0, 7.3, 8.8, 9.1), strict=True))


def test_a_clock_step_closes_the_entry():
    rig = settled()
    rig.values(6.0, 97)
    rig.values(6.5, 98, shift_ms=3_600_000)
    assert rig.told() == [(PORT, [97])]
    rig.tick(12, shift_ms=3_600_000)
    (later,) = rig.taken()
    assert later.entry.clock == at(6.5, 3_600_000).clock


def test_a_small_shift_does_not():
    rig = settled()
    rig.values(6.0, 97)
    rig.values(6.5, 98, shift_ms=400)
    assert rig.told() == []


def test_waves_go_on_in_one_block_until_a_frame_is_lost():
    rig = opened()
    rig.frame(0.1, api.Samples("pleth", 0, (1, 2, 3)), api.Samples("pleth", 0, (4,), Absence.SENSOR_OFF))
    rig.frame(0.2, api.Samples("pleth", 0, (5, 300), quality=Quality.ARTEFACT))
    rig.frame(0.3, api.Samples("pleth", 0, (6,), follows=False))
    first, second = rig.close(1)[-2].waves
    assert first.samples == (1, 2, 3, 4, 5, 300)
    assert first.absences == ((3, 1, Absence.SENSOR_OFF),)
    assert first.quality == ((4, 2, Quality.ARTEFACT),)
    assert (first.first_us, first.last_us, first.rate) == (0, 100_000, Fraction(75))
    assert (second.samples, second.first_us) == ((6,), 200_000)


def test_a_very_long_run_of_samples_is_taken_in_pieces():
    rig = opened()
    samples = tuple(range(10_000))
    rig.frame(0.1, api.Samples("pleth", 0, samples))
    found = [sample for entry in rig.close(1) for block in entry.waves or () for sample in block.samples]
    assert tuple(found) == samples
    assert all(len(content.WAVES.encode(entry.waves)) <= 16 * 1024 for entry in rig.entries if entry.waves)


def test_raw_bytes_can_be_switched_off():
    rig = opened(limits=Limits(keep_raw=False))
    rig.values(0.1, 97)
    assert all(entry.raw is None for entry in rig.close(1))
    assert values_in(rig.entries) == [97]


def test_stored_readings_get_an_entry_of_their_own():
    rig = opened()
    rig.frame(0.1, api.DeviceClock(0, "01/02/26 10:00:00", 1_700_000_000_000), api.Reading("spo2", 0, 99))
    for n in (7, 8, 10):
        row = api.Stored(n, f"10:00:0{n}" if n < 10 else None)
        rig.frame(0.2, api.Reading("spo2", 0, 90 + n, stored=row), api.Reading("pulse", 0, 60, stored=row))
    live, *dumps = [entry for entry in rig.close(1) if entry.values]
    assert live.values.provenance is Provenance.DEVICE_LIVE
    assert [entry.values.provenance for entry in dumps] == [Provenance.DEVICE_STORED] * 2
    rows = [entry.values.stored for entry in dumps]
    assert [(row.first_ordinal, row.device_times) for row in rows] == [(7, ("10:00:07", "10:00:08")), (10, (None,))]
    assert {row.device_clock for row in rows} == {"01/02/26 10:00:00"}
    assert values_in(dumps) == [97, 98, 60, 60, 100, 60]


def test_down_and_up_again_seals_line_down_then_a_gap_since_the_last_datum():
    rig = settled()
    rig.values(6.0, 97)
    rig.values(6.5, 98)
    assert rig.close(9.0, detail="pulled out")[-1].event.detail == "pulled out"
    rig.recorder.opened(at(20.0))
    rig.values(20.5, 99)
    rig.tick(25.5)
    gap, up, readings = rig.taken()
    assert (gap.event.reason, gap.event.detail) == (GapReason.UNPLUGGED, "pulled out")
    assert gap.event.since == at(6.5).clock
    assert gap.entry.clock == at(20.0).clock
    assert up.event.state.label == "up"
    assert values_in([readings]) == [99]


def test_opened_and_closed_without_a_byte_keeps_the_reason_of_the_gap():
    rig = settled()
    rig.close(6.0, detail="first")
    rig.recorder.opened(at(7))
    assert rig.close(8.0, detail="second") == []
    rig.recorder.opened(at(9))
    rig.values(9.5, 99)
    assert rig.close(10)[0].event.detail == "first"


def test_half_a_packet_at_the_beginning_is_in_a_gap_of_its_own():
    rig = opened()
    rig.frame(1.0, api.FrameErrors(0, "length"), api.Samples("pleth", 0, (1, 2)), data=b"half")
    rig.values(1.3, 97)
    first, _, _, half, gap, readings, *_ = rig.close(2)
    assert (first.event.reason, first.entry.clock) == (GapReason.START, at(0).clock)
    assert (half.raw[0].data, half.waves[0].samples) == (b"half", (1, 2))
    assert gap.event.reason is GapReason.UNREADABLE
    assert (gap.event.since, gap.entry.clock) == (at(0).clock, at(1.3).clock)
    assert values_in([readings]) == [97]


def test_a_packet_that_was_whole_from_its_first_byte_is_in_no_gap():
    rig = opened()
    rig.frame(1.0, api.Samples("pleth", 0, (1, 2)), data=b"first half")
    rig.values(1.3, 97)
    assert [entry.event.reason for entry in rig.close(2) if isinstance(entry.event, events.Gap)] == [GapReason.START]


def test_after_a_silence_half_a_packet_is_in_a_gap_too():
    rig = settled()
    rig.frame(30.0, api.FrameErrors(0, "sync"), data=b"half")
    rig.values(30.4, 97)
    rig.close(31)
    gaps = [(entry.event.reason, entry.event.since) for entry in rig.entries if isinstance(entry.event, events.Gap)]
    assert gaps[1:] == [(GapReason.SILENCE, at(0.1).clock), (GapReason.UNREADABLE, at(30.0).clock)]


def test_silence_is_told_once_a_minute_and_ends_with_a_gap():
    rig = settled()
    rig.ticks(5.5, 130.25)
    silences = rig.taken()
    assert [entry.event for entry in silences] == [events.Silence(at(0.1).clock)] * 2
    assert [entry.entry.clock.boot_ms for entry in silences] == [1_060_250, 1_120_250]
    rig.values(131.0, 99)
    rig.tick(136.0)
    gap, readings = rig.taken()
    assert (gap.event.reason, gap.event.since) == (GapReason.SILENCE, at(0.1).clock)
    assert gap.entry.clock == at(131.0).clock
    assert values_in([readings]) == [99]


def test_ten_seconds_are_no_silence():
    rig = settled()
    rig.values(10.1, 99)
    rig.tick(15.25)
    assert rig.told() == [(PORT, [99])]


def test_a_device_that_never_spoke_is_silent_since_the_line_opened():
    rig = opened(1.0)
    rig.ticks(1.25, 61.25)
    assert rig.told() == [*START, (PORT, "silence")]
    assert rig.entries[-1].event.since == at(1.0).clock
    rig.values(70.0, 99)
    rig.tick(75)
    gap, _ = rig.taken()
    assert (gap.event.reason, gap.event.since) == (GapReason.SILENCE, None)  # nothing was ever sealed before


def test_what_is_sent_into_a_silence_makes_no_entries_of_its_own():
    rig = settled()
    for second in range(6, 70, 5):
        rig.recorder.chunk(Direction.SENT, b"\x7d", at(second))
        rig.ticks(second, second + 4.75)
    assert rig.told() == [(PORT, "raw"), (PORT, "silence")]


def test_bytes_without_a_frame_are_unreadable_told_once_and_a_gap_when_frames_return():
    rig = settled()
    for tenth in range(60, 300):
        rig.frame(tenth / 10, data=b"\xff")
        rig.tick(tenth / 10)
    told = [entry for entry in rig.taken() if entry.event]
    assert [entry.event for entry in told] == [events.Notice(UNREADABLE)]
    rig.values(30.0, 99)
    found = rig.close(31.0)
    gap = next(entry for entry in found if isinstance(entry.event, events.Gap))
    assert (gap.event.reason, gap.event.since) == (GapReason.UNREADABLE, at(0.1).clock)
    assert gap.entry.clock == at(30.0).clock


def test_frame_errors_are_counted_and_sealed_once_a_minute_and_at_the_end():
    rig = settled()
    for second in range(6, 100):
        rig.frame(second, api.FrameErrors(0, "checksum", 2), api.FrameErrors(0, "sync"), api.Reading("spo2", 0, 97))
        rig.tick(second)
    rig.close(100)
    found = [entry.event for entry in rig.entries if isinstance(entry.event, events.FrameErrors)]
    assert len(found) == 3
    total = dict.fromkeys(("checksum", "sync"), 0)
    for event in found:
        for count in event.counts:
            total[count.kind] += count.count
    assert total == {"checksum": 188, "sync": 94}


def test_kinds_of_frame_errors_are_bounded():
    rig = settled()
    rig.frame(6, *(api.FrameErrors(0, f"kind-{n}") for n in range(100)), api.Reading("spo2", 0, 97))
    (event,) = [entry.event for entry in rig.close(7) if isinstance(entry.event, events.FrameErrors)]
    assert len(event.counts) == 32
    assert sum(count.count for count in event.counts) == 100


def test_an_alarm_is_sealed_at_once_and_readings_name_it():
    rig = settled()
    rig.values(6.0, 97)
    alarm = api.Alarm(0, "0002", None, AlarmKind.PHYSIOLOGICAL, AlarmPhase.ONSET, "SpO2 low")
    rig.frame(6.5, alarm, api.Reading("spo2", 0, 84))
    assert [value for _, value in rig.told()] == [[97], "alarm"]
    assert rig.entries[-1].event.bits == "0002"
    rig.tick(12)
    assert rig.taken()[-1].values.context.alarm == rig.entries[-2].entry.seq


@pytest.mark.parametrize(
    ("offsets", "sealed"),
    [
        ([0, 900, -900], [0]),
        ([0, 2_001], [0, 2_001]),
        ([5_000, 7_000, 7_500], [5_000, 7_500]),
        ([-(10**12)], [-(10**12)]),
    ],
)
def test_the_device_clock_is_sealed_when_known_and_at_each_change(offsets, sealed):
    rig = settled()
    for n, offset in enumerate(offsets):
        now = at(6 + n)
        rig.frame(6 + n, api.DeviceClock(0, "07/08/26 09:10:11", now.wall_ms + offset), api.Reading("spo2", 0, 97))
    found = [entry.event for entry in rig.close(20) if isinstance(entry.event, events.ClockOffset)]
    assert [event.offset_ms for event in found] == sealed


def test_a_notice_is_sealed_when_it_changes():
    rig = settled()
    for n, text in enumerate(["a", "a", "b", "b", "a"]):
        rig.frame(6 + n, api.Notice(0, text), api.Reading("spo2", 0, 97))
    assert [entry.event.text for entry in rig.close(20) if isinstance(entry.event, events.Notice)] == ["a", "b", "a"]


def test_events_come_behind_the_readings_before_them_so_that_a_crash_loses_nothing_unsaid():
    rig = settled()
    rig.values(6.0, 97)
    rig.frame(7.0, api.Notice(0, "set it right"))
    assert rig.told()[0] == (PORT, [97])


@pytest.mark.parametrize(
    "event",
    [
        api.Reading("nosuch", 0, 1),
        api.Reading("spo2", 0, None),
        api.Reading("spo2", 0, 1, Absence.INVALID),
        api.Reading("spo2", 0, 2**63),
        api.Reading("spo2", 0, 1.5),  # type: ignore[arg-type]
        api.Samples("nosuch", 0, (1,)),
        api.Samples("pleth", 0, (2**32,)),
        api.Alarm(0, "1", -1, AlarmKind.TECHNICAL, AlarmPhase.ONSET, ""),
    ],
)
def test_what_no_entry_can_hold_is_refused_before_it_reaches_the_store(event):
    rig = settled()
    with pytest.raises(MisuseError):
        rig.frame(6.0, event)
    rig.close(7.0)


def test_texts_are_made_such_that_entries_take_them():
    rig = settled()
    rig.frame(6.0, api.Notice(0, "a\x00b\ud800" + "c" * 500), api.Reading("spo2", 0, 97))
    (notice,) = [entry.event for entry in rig.close(7) if isinstance(entry.event, events.Notice)]
    assert notice.text.startswith("a?b?ccc")
    assert len(notice.text) == 256


def test_a_table_that_no_entry_can_hold_is_refused_at_the_start():
    with pytest.raises(MisuseError):
        Rig(signals={"x": api.Signal("x", -1, 0)})
    with pytest.raises(MisuseError):
        Rig(waves={"x": api.Wave("y", 0, 0, Fraction(1))})
