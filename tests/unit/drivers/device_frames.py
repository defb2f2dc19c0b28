"""Bytes as the devices send them, written after the protocol documents, and ways to feed them to a driver."""

import random

from gateway.drivers.api import Reading

NOW = 7_000_000


def nonin_frame(status, pleth, data, fmt="2"):
    body = bytes((1, status, pleth & 255)) if fmt == "2" else bytes((status, pleth >> 8, pleth & 255))
    body += bytes((data,))
    return body + bytes((sum(body) & 255,))


def nonin_data(rate=72, spo2=97, revision=48):
    """The 25 bytes of a packet, every value told apart by a small difference."""
    data = [0] * 25
    for at, value in ((0, rate), (13, rate + 1), (19, rate + 2), (21, rate + 3)):
        data[at], data[at + 1] = value >> 7, value & 127
    for at, value in ((2, spo2), (8, spo2 - 1), (9, spo2 - 2), (10, spo2 - 3), (15, spo2 - 4), (16, spo2 - 5)):
        data[at] = value
    data[3] = revision
    return data


def nonin_frames(data, status=0x80, fmt="2", pleth=100):
    extra = status if callable(status) else lambda _: status
    return [nonin_frame(0x80 | extra(i) | (i == 0), pleth + i, byte, fmt) for i, byte in enumerate(data)]


def nonin_packet(rate=72, spo2=97, status=0x80, fmt="2", pleth=100):
    return b"".join(nonin_frames(nonin_data(rate, spo2), status, fmt, pleth))


def contec(kind, *payload):
    high = 0x80 | sum((byte >> 7) << i for i, byte in enumerate(payload))
    return bytes((kind, high, *(0x80 | byte for byte in payload)))


def contec_live(flags=4, wave=19, bar=2, pulse=60, spo2=99, pi=360):
    return contec(1, flags, wave, bar, pulse, spo2, pi & 255, pi >> 8)


def masimo_line(
    spo2="098", bpm="097", pi="03.60", rest="SPCO=--.-% SPMET=--.-% DESAT=-- PIDELTA=+--", alarm="0000", exc="000800",
    time="02/22/16 22:47:45", serial="0000056661",
):  # fmt: skip
    line = f"{time} SN={serial} SPO2={spo2}% BPM={bpm} PI={pi}% {rest} ALARM={alarm} EXC={exc}\r\n"
    return line.encode()


def ready(driver):
    driver.opened(NOW)
    return driver


def readings(events):
    return [event for event in events if isinstance(event, Reading)]


def values(events):
    return {event.handle: event.value if event.absence is None else event.absence for event in readings(events)}


def in_pieces(data, rng=None):
    """The data whole, byte by byte, and in five random cuts."""
    yield [data]
    yield [data[i : i + 1] for i in range(len(data))]
    rng = rng or random.Random(5)
    for _ in range(5):
        cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.randrange(1, 12)))
        yield [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
