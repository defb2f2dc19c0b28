"""Random and mutated streams for every decoder: 2,000 of each by default, more by VITALEDGER_FUZZ.

A mutated stream is a few good packets with bits flipped, bytes dropped, repeated, inserted and spliced, and three good
packets behind them. Nothing may raise, every event is checked against the contract, and of the good packets the first
may be lost but no other.
"""

import os
import random

import pytest
from device_frames import NOW, contec, contec_live, masimo_line, nonin_packet, ready

from gateway.drivers.conformance import _check_events, _damaged, readings
from gateway.drivers.contec import ContecDriver
from gateway.drivers.masimo import MasimoDriver
from gateway.drivers.nonin import NoninDriver

COUNT = int(os.environ.get("VITALEDGER_FUZZ", "2000"))


def _stored(i):
    return contec(0x0F, 90 + i, 60 + i, 90 + i, 61 + i, 90 + i, 62 + i)


DECODERS = {
    "nonin-2": (NoninDriver, {"format": "2"}, lambda i: nonin_packet(70 + i, 90 + i)),
    "nonin-7": (NoninDriver, {"format": "7"}, lambda i: nonin_packet(70 + i, 90 + i, fmt="7", pleth=0x8000 - 12)),
    "nonin-8": (NoninDriver, {"format": "8"}, lambda i: bytes((0x80, 70 + i, 90 + i, 0))),
    "contec-live": (ContecDriver, {}, lambda i: contec_live(pulse=70 + i, spo2=90 + i)),
    "contec-stored": (ContecDriver, {}, _stored),
    "masimo": (MasimoDriver, {}, lambda i: masimo_line(bpm=f"{70 + i:03}", spo2=f"{90 + i:03}")),
}


def fuzz_random(name, count, seed=1):
    driver_class, options, _ = DECODERS[name]
    rng = random.Random(f"{seed}/{name}/random")
    driver = ready(driver_class(may_send=False, options=options))
    alphabet = bytes((0, 1, 6, 13, 10, 0x0F, 0x80, 0x81, 0xFF, *b"SPO2=0%"))
    for turn in range(count):
        size = rng.randrange(1, 120)
        data = rng.randbytes(size) if turn % 3 else bytes(rng.choices(alphabet, k=size))
        now = NOW + turn * 10_000
        _check_events("fuzz", driver, driver.receive(data, now) + driver.tick(now), now)


def fuzz_mutated(name, count, seed=1):
    driver_class, options, packet = DECODERS[name]
    rng = random.Random(f"{seed}/{name}/mutated")
    clean = ready(driver_class(may_send=False, options=options))
    tail = [packet(5 + i) for i in range(3)]
    wanted = [key for piece in tail for key in readings(clean.receive(piece, NOW))[:]]
    wanted = wanted[len(wanted) // 3 :]
    head = b"".join(packet(i) for i in range(3))
    for _ in range(count):
        driver = ready(driver_class(may_send=False, options=options))
        bad = _damaged(rng, head)
        cut = rng.randrange(len(bad) + 1)
        events = []
        for piece in (bad[:cut], bad[cut:], *tail):
            got = driver.receive(piece, NOW)
            _check_events("fuzz", driver, got, NOW)
            events += got
        assert readings(events)[-len(wanted) :] == wanted, bad.hex()


def fuzz_flipped(name, count, seed=1):
    """One flipped bit under a checksum: no value that was not sent."""
    driver_class, options, packet = DECODERS[name]
    rng = random.Random(f"{seed}/{name}/flipped")
    packets = [packet(i) for i in range(3)]
    sent = {key for piece in packets for key in _alone(driver_class, options, piece)}
    for _ in range(count):
        data = bytearray(b"".join(packets))
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        assert set(_alone(driver_class, options, bytes(data))) <= sent


def _alone(driver_class, options, data):
    return readings(ready(driver_class(may_send=False, options=options)).receive(data, NOW))


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", DECODERS)
def test_random_bytes(name):
    fuzz_random(name, COUNT)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", DECODERS)
def test_mutated_streams(name):
    fuzz_mutated(name, COUNT)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", ["nonin-2", "nonin-7"])
def test_flipped_bits_under_a_checksum(name):
    fuzz_flipped(name, max(COUNT // 4, 500))
