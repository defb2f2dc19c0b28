r"""The wire between device and host: bytes lost and changed, noise, and a UART that listens at the wrong rate.

A UART that expects 8N1 waits for the line to fall, looks at it half a bit later and, if it is still low, takes eight
bits in the middle of each and then the stop bit, which has to be high. If that is low (a framing error), the byte is
handed on all the same, and the low bit is taken for the next start bit; after nothing but zeros (a break) it waits for
the line to rise. So a device with other settings delivers bytes, but not those that it sent:

>>> as_heard(b"SPO2=097%", 9600, "8N1", 9600)
b'SPO2=097%'
>>> as_heard(b"SPO2=097%", 4800, "8N1", 9600).hex()
'1e330066ff98180fe618c098f8981e3318ff'
>>> as_heard(b"SPO2=097%", 9600, "7E1", 9600)
b'SP\xcf\xb2\xbd09\xb7\xa5'
"""

import heapq
import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from firmware_sim.devices.base import MICROSECONDS
from firmware_sim.faults import (
    BYTE_FAULTS,
    CHANGED,
    DROPPED,
    NOISY,
    REPEATED,
    UNREADABLE,
    Fault,
    FaultKind,
    of_kind,
)

FRAMINGS = re.compile(r"[78][NEO][12]")
_GRAVEST = (UNREADABLE, DROPPED, CHANGED, REPEATED, NOISY)
_LONGEST_BURST = 8


def _sent_bits(data: bytes, framing: str) -> list[int]:
    """The levels of the line, one for each bit that is sent, with an idle one in front."""
    width, parity, stops = int(framing[0]), framing[1], int(framing[2])
    levels = [1]
    for byte in data:
        bits = [byte >> place & 1 for place in range(width)]
        check = [] if parity == "N" else [(sum(bits) + (parity == "O")) & 1]
        levels += [0, *bits, *check, *[1] * stops]
    return levels


def as_heard(data: bytes, baud: int, framing: str, host_baud: int) -> bytes:
    """What a host that listens at `host_baud`, 8N1, receives of bytes sent in one go on an idle line.

    Args:
        data: what the device sends.
        baud: its rate.
        framing: its data bits, parity (N, E, O) and stop bits.
        host_baud: the rate of the host.
    """
    levels = _sent_bits(data, framing)
    # In units of which a bit of either side is a whole and even number.
    sent, bit = 2 * host_baud, 2 * baud

    def level(at: int) -> int:
        place = at // sent
        return levels[place] if place < len(levels) else 1

    def falls(at: int) -> int | None:
        for place in range(at // sent + 1, len(levels)):
            if levels[place - 1] and not levels[place]:
                return place * sent
        return None

    heard = bytearray()
    start = falls(0)
    while start is not None:
        if level(start + bit // 2):
            start = falls(start + bit // 2)
            continue
        byte = sum(level(start + bit // 2 + bit * (place + 1)) << place for place in range(8))
        heard.append(byte)
        stop = start + bit // 2 + bit * 9
        # A low stop bit is taken for the start bit of the next byte, unless all was low.
        start = falls(stop) if level(stop) or not byte else start + bit * 9
    return bytes(heard)


class NoisyLine:
    """The bytes of one device's line with its byte faults and wrong settings.

    Frames pass in the order of time, so that the same seed harms the same bytes whatever the steps of time were.
    """

    def __init__(self, faults: Iterable[Fault], seed: str, host_baud: int = 9600) -> None:
        faults = tuple(faults)
        self._faults = tuple(fault for fault in faults if fault.kind in BYTE_FAULTS)
        self._settings = of_kind(faults, FaultKind.WRONG_BAUD, FaultKind.WRONG_PARITY)
        self._random = random.Random(seed)  # noqa: S311 - repeatable noise, no secret
        self._host_baud = host_baud

    def carry(self, time_us: int, data: bytes) -> tuple[bytes, str | None]:
        """What arrives of a frame, and the gravest thing that happened to it, or None."""
        marks = set()
        for fault in self._faults:
            if fault.covers(time_us):
                data, mark = self._harm(fault, data)
                marks.add(mark)
        wrong = [fault for fault in self._settings if fault.covers(time_us)]
        if wrong:
            baud = next((fault.baud for fault in wrong if fault.baud is not None), self._host_baud)
            framing = next((fault.framing for fault in wrong if fault.kind is FaultKind.WRONG_PARITY), "8N1")
            data = as_heard(data, baud, framing, self._host_baud)
            marks.add(UNREADABLE)
        return data, next((mark for mark in _GRAVEST if mark in marks), None)

    def _harm(self, fault: Fault, data: bytes) -> tuple[bytes, str | None]:
        arrived, mark = bytearray(), None
        for byte in data:
            if self._random.random() >= fault.probability:
                arrived.append(byte)
            elif fault.kind is FaultKind.DROP:
                mark = DROPPED
            elif fault.kind is FaultKind.CHANGE:
                arrived.append(byte ^ 1 << self._random.randrange(8))
                mark = CHANGED
            else:
                arrived += bytes((byte, byte))
                mark = REPEATED
        return bytes(arrived), mark


@dataclass(frozen=True, slots=True, order=True)
class Burst:
    """Bytes that nobody sent."""

    time_us: int
    data: bytes


class Noise:
    """The bursts of a line's noise faults, by chance and in the order of time; one to eight bytes each."""

    def __init__(self, faults: Iterable[Fault], seed: str) -> None:
        sources = [
            _bursts(fault, random.Random(f"{seed}/{number}"))  # noqa: S311 - repeatable noise, no secret
            for number, fault in enumerate(of_kind(faults, FaultKind.NOISE))
            if fault.bytes_per_s > 0
        ]
        self._bursts = heapq.merge(*sources)
        self._next = next(self._bursts, None)

    def until(self, time_us: int) -> list[Burst]:
        """The bursts up to and including a time that were not handed out before."""
        due = []
        while self._next is not None and self._next.time_us <= time_us:
            due.append(self._next)
            self._next = next(self._bursts, None)
        return due


def _bursts(fault: Fault, chance: random.Random) -> Iterator[Burst]:
    every_us = MICROSECONDS * (1 + _LONGEST_BURST) / 2 / fault.bytes_per_s
    at = float(fault.from_us)
    while (at := at + chance.expovariate(1 / every_us)) < fault.until_us:
        yield Burst(int(at), chance.randbytes(chance.randint(1, _LONGEST_BURST)))
