"""Properties of the drivers for any input that Hypothesis finds."""

import sys
from fractions import Fraction
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from gateway.drivers.conformance import joined, readings
from gateway.drivers.contec import ContecDriver, decode
from gateway.drivers.masimo import MasimoDriver
from gateway.drivers.masimo_line import BadLineError, scaled
from gateway.drivers.nonin import NoninDriver
from vitaledger.marks import Absence

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "drivers"))
from device_frames import NOW, contec, contec_live, masimo_line, nonin_packet, ready

MAKERS = {
    "nonin 2": lambda: NoninDriver(may_send=False, options={"format": "2"}),
    "nonin 7": lambda: NoninDriver(may_send=False, options={"format": "7"}),
    "nonin 8": lambda: NoninDriver(may_send=False, options={"format": "8"}),
    "contec": lambda: ContecDriver(may_send=False),
    "masimo": lambda: MasimoDriver(may_send=False),
}
GOOD = [nonin_packet(), nonin_packet(fmt="7"), contec_live(), masimo_line(), bytes.fromhex("80486100")]
makers = st.sampled_from(sorted(MAKERS)).map(MAKERS.get)
pieces = st.lists(st.one_of(st.binary(max_size=40), st.sampled_from(GOOD)), max_size=8)


@given(makers, pieces, st.lists(st.integers(0, 400), max_size=8))
def test_pieces_do_not_matter(make, parts, cuts):
    data = b"".join(parts)
    want = joined(ready(make()).receive(data, NOW))
    driver = ready(make())
    cuts = sorted(min(cut, len(data)) for cut in cuts)
    got = [
        event for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True) for event in driver.receive(data[a:b], NOW)
    ]
    assert joined(got) == want


@given(st.sampled_from("27"), st.integers(0, 510), st.integers(0, 126))
def test_nonin_packets_round_trip(fmt, rate, spo2):
    spo2 = max(spo2, 5)
    driver = ready(NoninDriver(may_send=False, options={"format": fmt}))
    got = {
        handle: value
        for handle, value, _, _ in readings(driver.receive(nonin_packet(min(rate, 507), spo2, fmt=fmt), NOW))
    }
    assert (got["pulse"], got["pulse.e"], got["spo2"], got["spo2.e.d"]) == (
        min(rate, 507),
        min(rate, 507) + 1,
        spo2,
        spo2 - 5,
    )


@given(st.sampled_from([(0x01, 7), (0x0F, 6), (0x09, 4)]), st.binary(min_size=7, max_size=7))
def test_contec_frames_round_trip(kind, payload):
    payload = payload[: kind[1]]
    assert decode(contec(kind[0], *payload)) == (kind[0], payload)


@given(st.binary(min_size=7, max_size=7))
def test_contec_every_frame_gives_three_readings_and_absence_wins(payload):
    events = ready(ContecDriver(may_send=False)).receive(contec(1, *payload), NOW)
    told = readings(events)
    assert [handle for handle, *_ in told] == ["pulse", "spo2", "pi"]
    if payload[0] & 0x80:
        assert {absence for _, _, absence, _ in told} == {Absence.PROBE_ERROR}
    for _, value, absence, _ in told:
        assert (value is None) != (absence is None)


@given(st.text("0123456789.+-% ", max_size=8), st.sampled_from([0, -1, -2]))
def test_masimo_numbers_are_exact_or_refused(text, exponent):
    try:
        value = scaled(text, exponent)
    except BadLineError:
        return
    if value is None:
        assert not any(char.isdigit() for char in text)
    else:
        assert Fraction(value) * Fraction(10) ** exponent == Fraction(text.rstrip("%"))
