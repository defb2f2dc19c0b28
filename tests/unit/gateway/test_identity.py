"""Whose readings: serial numbers, swaps, the same device at two ports, and the bounds."""

import pytest

from gateway.chains import Chains
from gateway.drivers import api
from gateway.identity import DeclaredIdentity
from gateway.placement import FORGOTTEN
from tests.unit.gateway.recorder_kit import Rig, at, serial, values_in
from vitaledger import events
from vitaledger.marks import Direction, GapReason, Sureness

PORT = "fake:port:bed-1"
A, B = serial("A1"), serial("B2")
SN_A, SN_B = "fake:sn:A1", "fake:sn:B2"
START_A = [(SN_A, "gap start"), (SN_A, "line up"), (SN_A, "identity A1")]


def opened(**options):
    rig = Rig(**options)
    rig.recorder.opened(at(0))
    return rig


def settled(who=A, **options):
    """A line with a device that told its serial number three times."""
    rig = opened(**options)
    for n in range(3):
        rig.values(1 + n, n, who=who)
    rig.tick(6)
    rig.taken()
    return rig


def test_three_equal_frames_make_the_chain_and_readings_held_until_then_go_there():
    rig = opened()
    rig.values(1, 90)
    rig.values(2, 91, who=A)
    rig.values(3, 92, who=A)
    assert rig.told() == []
    rig.values(4, 93, who=A)
    assert rig.told() == START_A
    rig.tick(6)
    assert rig.told() == [(SN_A, [90, 91, 92, 93])]
    assert rig.entries[2].event.sureness is Sureness.PROTOCOL


def test_two_frames_make_no_serial_number():
    rig = opened()
    rig.values(1, 90, who=A)
    rig.values(2, 91, who=A)
    rig.tick(6)
    assert rig.told() == [(PORT, "gap start"), (PORT, "line up"), (PORT, "identity None"), (PORT, [90, 91])]
    assert rig.entries[2].event.sureness is Sureness.PORT


def test_a_flipped_bit_begins_no_chain():
    rig = opened()
    for n, who in enumerate([A, serial("A0"), A, A, A]):
        rig.values(1 + n / 2, n, who=who)
    assert {chain for chain, _ in rig.told()} == {SN_A}


def test_a_serial_number_learned_late_closes_the_port_chain_with_a_link():
    rig = opened()
    rig.values(1, 90)
    rig.tick(6)
    assert rig.told()[-1] == (PORT, [90])
    rig.values(7, 91)
    for n in range(3):
        rig.values(8 + n, 92 + n, who=A)
    rig.tick(15)
    assert rig.told() == [(PORT, [91]), (PORT, f"line closed -> {SN_A}"), *START_A, (SN_A, [92, 93, 94])]


def test_another_unit_on_the_same_line():
    rig = settled()
    rig.values(7, 50, who=A)
    for n in range(3):
        rig.values(8 + n, 60 + n, who=B)
    rig.tick(14)
    assert rig.told() == [
        (SN_A, [50]),
        (SN_A, f"line closed -> {SN_B}"),
        (SN_B, "gap start"),
        (SN_B, "line up"),
        (SN_B, "identity B2"),
        (SN_B, [60, 61, 62]),
    ]
    closed = next(entry for entry in rig.entries if isinstance(entry.event, events.Line) and entry.event.next_chain)
    assert closed.event.detail == "another unit"
    assert not any(entry.raw and entry.raw[-1].at_us > 7e6 for entry in rig.entries if entry.entry.chain == SN_A)


def test_and_back_again_the_first_chain_goes_on_behind_a_gap():
    rig = settled()
    for n, who in enumerate([B, B, B, A, A, A]):
        rig.values(7 + n, n, who=who)
    rig.tick(20)
    last = [told for chain, told in rig.told() if chain == SN_A]
    assert last == [f"line closed -> {SN_B}", "gap unplugged", "line up", [3, 4, 5]]


def test_a_frame_that_told_a_wrong_serial_number_once_stays_with_the_device():
    rig = settled()
    rig.values(7, 50, who=B)
    rig.values(8, 51, who=A)
    rig.tick(15)
    assert rig.told() == [(SN_A, [50, 51])]


@pytest.mark.parametrize("end", ["time", "line down"])
def test_readings_of_an_unconfirmed_unit_never_enter_the_former_chain(end):
    rig = settled()
    rig.values(7, 50, who=B)
    rig.values(8, 51, who=B)
    if end == "time":
        rig.tick(13)
        rig.tick(14)
    else:
        rig.recorder.closed(GapReason.UNPLUGGED, "pulled")
    found = [(chain, told) for chain, told in rig.told() if isinstance(told, list)]
    assert [chain for chain, _ in found] == [PORT] * len(found)
    assert [value for _, told in found for value in told] == [50, 51]


def test_after_a_silence_the_serial_number_has_to_be_told_again_only_where_it_changed():
    rig = settled()
    rig.values(30, 70, who=A)
    rig.tick(36)
    assert rig.told() == [(SN_A, "gap silence"), (SN_A, [70])]
    for n in range(3):
        rig.values(60 + n, 80 + n, who=B)
    rig.tick(70)
    assert [chain for chain, told in rig.told() if isinstance(told, list)] == [SN_B]


def test_after_a_silence_without_identity_the_chain_goes_on():
    rig = settled()
    rig.values(30, 70)
    rig.tick(36)
    assert rig.told() == [(SN_A, "gap silence"), (SN_A, [70])]


def test_after_the_line_was_down_who_tells_nothing_is_not_the_same_device():
    rig = settled()
    rig.close(7)
    rig.recorder.opened(at(10))
    rig.values(11, 70)
    rig.tick(16)
    assert {chain for chain, told in rig.told() if isinstance(told, list)} == {PORT}


def test_after_the_line_was_down_the_same_serial_number_goes_on():
    rig = settled()
    rig.close(7)
    rig.recorder.opened(at(10))
    for n in range(3):
        rig.values(11 + n, 70, who=A)
    rig.tick(20)
    assert [told for _, told in rig.told()] == ["gap unplugged", "line up", [70, 70, 70]]
    gap = next(entry for entry in rig.entries if getattr(entry.event, "reason", None) is GapReason.UNPLUGGED)
    assert gap.event.since == at(3).clock


@pytest.mark.parametrize("last", [None, at(-50).clock])
def test_a_gap_says_so_where_nobody_knows_since_when(last):
    rig = opened(known={PORT: last})
    rig.values(1, 70)
    rig.tick(6)
    rig.told()
    gap = next(entry.event for entry in rig.entries if isinstance(entry.event, events.Gap))
    assert (gap.since, gap.detail) == ((last, "") if last is not None else (None, FORGOTTEN))


def test_a_device_that_moves_to_another_port_keeps_its_chain():
    chains = Chains({}, clean=True)
    one, two = settled(chains=chains), Rig(chains=chains, port="bed-2")
    one.close(7)
    two.recorder.opened(at(8))
    for n in range(3):
        two.values(9 + n, 70 + n, who=A)
    two.sealer = one.sealer
    two.tick(20)
    assert two.told() == [(SN_A, "gap unplugged"), (SN_A, "line up"), (SN_A, "identity A1"), (SN_A, [70, 71, 72])]
    assert two.entries[2].event.port == "bed-2"


def test_one_serial_number_on_two_live_ports_gets_a_chain_of_its_own_and_a_notice():
    chains = Chains({}, clean=True)
    one, two = settled(chains=chains), Rig(chains=chains, port="bed-2")
    two.recorder.opened(at(8))
    for n in range(3):
        two.values(9 + n, 70 + n, who=A)
    two.tick(20)
    told = two.told()
    assert {chain for chain, _ in told} == {"fake:sn:A1@bed-2"}
    assert "notice" in [what for _, what in told]
    one.values(21, 99, who=A)
    one.tick(27)
    assert (SN_A, [99]) in [(c, w) for c, w in one.told() if isinstance(w, list)]


def test_identity_is_sealed_again_when_three_frames_told_another_firmware():
    rig = settled()
    new = api.Identity("Acme", "One", "A1", "2.0")
    for n in range(4):
        rig.values(7 + n, n, who=new)
    rig.close(12)
    identities = [entry.event for entry in rig.entries if isinstance(entry.event, events.Identity)]
    assert [identity.firmware for identity in identities] == [None, "2.0"]


def test_a_declared_identity_is_marked_as_declared_and_names_no_chain():
    rig = opened(declared=DeclaredIdentity("Acme", "Two", "X9"))
    rig.values(1, 90)
    rig.tick(6)
    (identity,) = [entry.event for entry in rig.taken() if isinstance(entry.event, events.Identity)]
    assert (identity.model, identity.serial, identity.sureness) == ("Two", "X9", Sureness.DECLARED)
    assert {entry.entry.chain for entry in rig.entries} == {PORT}


@pytest.mark.parametrize("number", ["", " ", "x" * 65, "ü" * 40, "\x00"])
def test_a_serial_number_that_makes_no_name_does_no_harm(number):
    rig = opened()
    for n in range(3):
        rig.values(1 + n, 90 + n, who=serial(number))
    rig.close(5)
    assert values_in(rig.entries) == [90, 91, 92]


def test_without_room_for_a_chain_readings_are_counted_as_dropped():
    chains = Chains({SN_A: at(-9).clock}, clean=True, max_chains=1)
    rig = settled(who=B, chains=chains)
    rig.ticks(6.25, 70)
    (incident,) = [entry.event for entry in rig.entries if isinstance(entry.event, events.Incident)][:1]
    assert "no room for another micro-chain" in incident.detail
    rig.values(70.5, 1, who=B)
    rig.close(71)
    assert values_in(rig.entries) == []
    rig.recorder.opened(at(80))
    for n in range(3):
        rig.values(81 + n, 50 + n, who=A)
    rig.tick(90)
    found = rig.taken()
    gap = next(entry.event for entry in found if entry.event)
    assert (gap.reason, gap.dropped_bytes) == (GapReason.OVERLOAD, 20)
    assert values_in(found) == [50, 51, 52]


def test_when_too_much_waits_to_be_sealed_the_rest_is_dropped_and_stated():
    chains = Chains({}, clean=True, max_waiting=5)
    rig = Rig(chains=chains)
    rig.recorder.opened(at(0))
    for second in range(1, 60, 6):
        rig.values(second, second)
        rig.ticks(second + 1, second + 5.9)
    kept = rig.taken()
    assert len(kept) == 5
    rig.values(61, 61)
    rig.values(62, 62)
    rig.tick(67)
    found = rig.taken()
    gap = found[0].event
    last = max(entry.entry.clock.boot_ms for entry in kept)
    assert gap.reason is GapReason.OVERLOAD
    assert gap.since.boot_ms == last
    assert gap.dropped_bytes == 8 * len(b"frame")
    assert values_in(found) == [61, 62]


def test_drafts_held_back_are_bounded():
    rig = opened()
    for n in range(100):
        rig.frame(1 + n / 1000, api.Notice(0, f"{n}"))
        rig.recorder.chunk(Direction.RECEIVED, b"x", at(1 + n / 1000))
    rig.tick(1.2)
    assert rig.taken()
