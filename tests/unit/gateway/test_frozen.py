"""A wave that stands still while a sensor is said to be on is marked; what moves is not, nor what says it is off."""

from fractions import Fraction

import pytest

from gateway.drivers import api
from gateway.drivers.contec import ContecDriver
from gateway.drivers.masimo import MasimoDriver
from gateway.drivers.nonin import NoninDriver
from gateway.frozen import Frozen
from vitaledger.marks import Absence, Quality

WAVES = {"pleth": api.Wave("pleth", 150452, 262656, Fraction(60))}
SIGNALS = {"spo2": api.Signal("spo2", 150456, 262688)}
NO_WAVE = {
    **SIGNALS,
    "pulse": api.Signal("pulse", 149530, 264864),
    "pi": api.Signal("pi", 150448, 262688, -2),
}


def seconds(frozen, count, sample, begin=0, **options):
    """`count` seconds of a wave and a reading; what was told of each: (marked samples, marked reading, notices)."""
    told = []
    for second in range(begin, begin + count):
        now = second * 1_000_000
        samples = tuple(sample(n) for n in range(second * 60, second * 60 + 60))
        found = frozen.judge([api.Samples("pleth", now, samples, **options), api.Reading("spo2", now, 97)], now)
        stale = [bool(each.quality & Quality.STALE) for each in found if not isinstance(each, api.Notice)]
        told.append((*stale, sum(isinstance(each, api.Notice) for each in found)))
    return told


def test_ten_seconds_of_one_sample_are_stale_and_told_once():
    told = seconds(Frozen(SIGNALS, WAVES), 15, lambda n: 64)
    assert told == [(False, False, 0)] * 9 + [(True, True, 1)] + [(True, True, 0)] * 5


def test_it_ends_with_the_first_sample_that_is_another_and_can_come_again():
    frozen = Frozen(SIGNALS, WAVES)
    seconds(frozen, 12, lambda n: 64)
    assert seconds(frozen, 1, lambda n: 64 + (n % 60 == 30), 12) == [(False, False, 0)]
    again = seconds(frozen, 12, lambda n: 64, 13)
    assert again[8][0] is False
    assert again[9][0] is True
    assert sum(notices for *_, notices in again) == 1


@pytest.mark.parametrize(
    "wave",
    [
        lambda n: n % 7,
        lambda n: 100 if n % 550 == 0 else 0,  # a single other sample every nine seconds
        lambda n: 127 if n // 60 % 2 else 0,
    ],
)
def test_a_wave_that_moves_is_not(wave):
    assert not any(any(each) for each in seconds(Frozen(SIGNALS, WAVES), 60, wave))


def test_a_sensor_that_is_off_or_frames_lost_begin_anew():
    frozen = Frozen(SIGNALS, WAVES)
    assert not any(any(each) for each in seconds(frozen, 30, lambda n: 64, absence=Absence.SENSOR_OFF))
    assert not any(any(each) for each in seconds(frozen, 30, lambda n: 64, follows=False))


def values(frozen, count, *, step=lambda n: 0, begin=0):
    stale = notices = 0
    for second in range(begin, begin + count):
        now = second * 1_000_000
        found = frozen.judge(
            [api.Reading(handle, now, 90 + (step(second) if handle == "pi" else 0)) for handle in NO_WAVE], now
        )
        stale += sum(isinstance(each, api.Reading) and bool(each.quality & Quality.STALE) for each in found)
        notices += sum(isinstance(each, api.Notice) for each in found)
    return stale, notices


def test_values_of_a_device_without_a_wave_are_stale_after_five_minutes():
    assert values(Frozen(NO_WAVE, {}), 300) == (0, 0)
    stale, notices = values(Frozen(NO_WAVE, {}), 320)
    assert (stale > 50, notices) == (True, 1)
    assert values(Frozen(NO_WAVE, {}), 2000, step=lambda n: n // 200) == (0, 0)
    assert values(Frozen(SIGNALS, {}), 2000) == (0, 0)  # one number may well stay the same


@pytest.mark.parametrize("driver", [NoninDriver, ContecDriver, MasimoDriver])
def test_each_driver_is_watched(driver):
    made = driver(may_send=False)
    frozen = Frozen(made.signals, made.waves)
    assert bool(frozen._needed) != bool(frozen._watched)
