"""Small readers of each protocol, written for the tests alone, against which the truth is held.

Each takes the bytes of an undisturbed stream and gives ((signal, value or None), ...) and the samples of the wave.
"""

import json
import re

Decoded = tuple[list[tuple[str, float | None]], list[int]]


def nonin(stream: bytes, data_format: int) -> Decoded:
    readings, wave, packet = [], [], []
    for at in range(0, len(stream), 5):
        frame = stream[at : at + 5]
        assert sum(frame[:4]) % 256 == frame[4]
        status, data = frame[1 if data_format == 2 else 0], frame[3]
        assert status & 0x80
        assert bool(status & 1) == (len(packet) == 0)
        wave.append(frame[2] if data_format == 2 else frame[1] * 256 + frame[2])
        packet.append(data)
        if len(packet) == 25:
            for signal, place in (
                ("pulse", 0),
                ("spo2", 2),
                ("spo2.d", 8),
                ("spo2.fast", 9),
                ("spo2.beat", 10),
                ("pulse.e", 13),
                ("spo2.e", 15),
                ("spo2.e.d", 16),
                ("pulse.d", 19),
                ("pulse.e.d", 21),
            ):
                if signal.startswith("pulse"):
                    value = (packet[place] % 4) * 128 + packet[place + 1] % 128
                    readings.append((signal, None if value == 511 else value))
                else:
                    readings.append((signal, None if packet[place] % 128 == 127 else packet[place] % 128))
            packet.clear()
    return readings, wave


def nonin8(stream: bytes) -> Decoded:
    readings = []
    for at in range(0, len(stream), 4):
        first, low, spo2, _ = stream[at : at + 4]
        pulse = first % 4 * 128 + low
        readings += [("pulse", None if pulse == 511 else pulse), ("spo2", None if spo2 == 127 else spo2)]
    return readings, []


def contec(stream: bytes) -> Decoded:
    readings, wave = [], []
    for message in re.findall(rb"[\x00-\x7f][\x80-\xff]+", stream):
        payload = [byte & 0x7F | (message[1] >> bit & 1) << 7 for bit, byte in enumerate(message[2:])]
        match message[0]:
            case 0x01:
                pulse, spo2, pi = payload[3], payload[4], payload[5] + payload[6] * 256
                wave.append(payload[1] % 128)
                readings += [
                    ("pulse", None if pulse == 255 else pulse),
                    ("spo2", None if spo2 == 127 else spo2),
                    ("pi", None if pi == 0xFFFF or payload[2] & 0x10 else pi / 100),
                ]
            case 0x0F:
                for spo2, pulse in zip(payload[::2], payload[1::2], strict=True):
                    if spo2:
                        readings += [("spo2", spo2), ("pulse", pulse)]
            case 0x09:
                pi = payload[2] + payload[3] * 256
                readings += [("spo2", payload[0]), ("pulse", payload[1]), ("pi", pi / 100)]
    return readings, wave


MASIMO_TAGS = {
    "SPO2": "spo2",
    "BPM": "pulse",
    "PI": "pi",
    "SPCO": "spco",
    "SPMET": "spmet",
    "DESAT": "desat",
    "PIDELTA": "pidelta",
    "PVI": "pvi",
}


def masimo(stream: bytes) -> Decoded:
    readings = []
    for line in stream.decode("ascii").split("\r\n"):
        for tag, text in re.findall(r"(\w+)=(\S+)", line):
            if tag in MASIMO_TAGS:
                readings.append((MASIMO_TAGS[tag], None if "--" in text else float(text.rstrip("%"))))
    return readings, []


DECODERS = {
    "nonin-df2": lambda stream: nonin(stream, 2),
    "nonin-df7": lambda stream: nonin(stream, 7),
    "nonin-df8": nonin8,
    "contec": contec,
    "masimo": masimo,
}


def truth(lines: str) -> tuple[list[dict], list[dict]]:
    """The readings and the waves of a truth file of one device, whose numbering is checked."""
    items = [json.loads(line) for line in lines.splitlines()]
    readings = [item for item in items if "signal" in item]
    waves = [item for item in items if "wave" in item]
    assert [item["ordinal"] for item in readings] == list(range(len(readings)))
    at = 0
    for item in waves:
        assert item["ordinal"] == at
        at += len(item["samples"])
    alarms = [item for item in items if "alarm" in item]
    assert [item["ordinal"] for item in alarms] == list(range(len(alarms)))
    for item in readings:
        assert set(item) - {"fault", "frozen", "stored", "again", "clock"} in (
            {"device", "ordinal", "time", "signal", "value"},
            {"device", "ordinal", "time", "signal", "absent"},
        )
    return readings, waves
