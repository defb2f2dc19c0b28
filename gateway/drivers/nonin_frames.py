"""Frames of Nonin data formats 2, 7 and 8 out of a stream of bytes: where one begins, and which bytes are none.

Format 2:  ``01 | STATUS (b7 = 1) | PLETH | DATA | CHK``          CHK = sum of the bytes before it, mod 256
Format 7:  ``STATUS (b7 = 1) | PLETH_hi | PLETH_lo | DATA | CHK``  the same without the 01
Format 8:  ``B0 (b7 = 1) | B1 | B2 | B3 (b7 = 0)``                 no checksum

A checksum of eight bits is right by chance once in 256, so a single good frame is no proof of the alignment:

- Once the alignment is known, a frame is taken as soon as it is complete.
- Format 2 finds it by two good frames in a row (01, b7 and checksum twice: chance 1 in 2**34 in noise), or by one good
  frame at a multiple of five bytes behind the last good one: a flipped bit costs its own frame only.
- Format 7 has no fixed byte, and a resting pleth at mid-scale (80 00) with reserved zeros makes a whole row of good
  checksums one byte off. It therefore waits for a whole packet: a frame with SYNC and 24 good ones without. Nothing
  of that packet is lost; it is reported when its last frame is in.

>>> [f"{s:02x} {p} {d}" for s, p, d in frames("2", bytes.fromhex("0181010083 01800148ca 01800161e3"))]
['81 1 0', '80 1 72', '80 1 97']
"""

from collections.abc import Generator, Iterator

SYNC = 0x01  # bit of STATUS: this is frame 1 of a packet
PACKET = 25  # frames
SIZE = 5
_HIGH = 0x80
_REPLIES = {0x06: "ack", 0x15: "nak"}
_ERROR_EVERY = SIZE * PACKET  # bytes: an unreadable line goes on telling so, about once a packet

Frame = tuple[int, int, int]  # status, pleth, data


class Framer:
    """Formats 2 and 7. `feed` gives frames, and words for what was none: "checksum", "sync", "ack", "nak"."""

    __slots__ = ("_at", "_buffer", "_good", "_locked", "_seven", "_skipped", "expect_reply")

    def __init__(self, fmt: str) -> None:
        self._seven = fmt == "7"
        self.expect_reply = False
        self._buffer = b""
        self._at = 0  # the bytes of the buffer before this one are done
        self._locked = False
        self._good = False  # a good frame was seen since `reset`, so that multiples of five mean something
        self._skipped = 0  # bytes since the last good frame

    def reset(self) -> None:
        """Forget partial frames and the alignment."""
        self._buffer, self._at, self._locked, self._good, self._skipped = b"", 0, False, False, 0

    def unlock(self) -> None:
        """Doubt the alignment: SYNC is not where it has to be."""
        if self._seven:
            self._locked = False
            self._good = False
            self._skipped = 0

    def feed(self, data: bytes) -> Iterator[Frame | str]:
        """Take bytes; give what they complete, in the order of the bytes. To be run to its end."""
        self._buffer = self._buffer[self._at :] + data
        self._at = 0
        while True:
            if self._locked and (yield from self._in_step()):
                return
            if (yield from self._search()):
                return

    def _in_step(self) -> Generator[Frame, None, bool]:
        """Give frames while they are good; True where more bytes have to come, False where something is wrong."""
        buffer, at, size, seven = self._buffer, self._at, len(self._buffer), self._seven
        while size - at >= SIZE:
            status = buffer[at if seven else at + 1]
            total = buffer[at] + buffer[at + 1] + buffer[at + 2] + buffer[at + 3]
            if total & 0xFF != buffer[at + 4] or status < _HIGH or not (seven or buffer[at] == 1):
                self._at = at
                return False
            pleth = buffer[at + 1] << 8 | buffer[at + 2] if seven else buffer[at + 2]
            at += SIZE
            yield status, pleth, buffer[at - 2]
            if not self._locked:  # the reader of this frame doubts the alignment
                self._at = at
                return False
        self._at = at
        return True

    def _search(self) -> Generator[str, None, bool]:
        """Pass over bytes that begin no frame, up to one that does; True where more bytes have to come."""
        while True:
            begins = False if self._locked else self._begins()
            if begins:
                self._locked, self._good, self._skipped = True, True, 0
                return False
            if begins is None:
                return True
            buffer, at = self._buffer, self._at
            if self.expect_reply and buffer[at] in _REPLIES:
                if len(buffer) - at < 2:
                    return True
                if buffer[at + 1] >= _HIGH if self._seven else buffer[at + 1] == 1:
                    self.expect_reply = False
                    self._at += 1
                    yield _REPLIES[buffer[at]]
                    return False
            if self._skipped % _ERROR_EVERY == 0:
                yield self._kind(buffer, at)
            self._locked = False
            self._skipped += 1
            self._at += 1

    def _kind(self, buffer: bytes, at: int) -> str:
        """Say why no frame begins here: of the right form with a wrong sum, or not of the form."""
        if not self._locked:
            return "sync"
        if self._seven:
            return "checksum" if buffer[at] >= _HIGH else "sync"
        return "checksum" if buffer[at] == 1 and buffer[at + 1] >= _HIGH else "sync"

    def _good_at(self, buffer: bytes, at: int) -> bool | None:
        """Say whether the five bytes here are a frame; None where too few are in to know."""
        status = at
        if not self._seven:
            if at < len(buffer) and buffer[at] != 1:
                return False
            status += 1
        if status >= len(buffer):
            return None
        if buffer[status] < _HIGH:
            return False
        if len(buffer) - at < SIZE:
            return None
        return sum(buffer[at : at + 4]) & 0xFF == buffer[at + 4]

    def _begins(self) -> bool | None:
        """Say whether the alignment is proven from here on; None where too few bytes are in to know."""
        buffer, at = self._buffer, self._at
        first = self._good_at(buffer, at)
        if not first:
            return first
        if not self._seven:
            in_step = self._good and self._skipped % SIZE == 0
            return True if in_step else self._good_at(buffer, at + SIZE)
        if not buffer[at] & SYNC:
            return False
        for frame in range(1, PACKET):
            here = at + frame * SIZE
            if here < len(buffer) and buffer[here] & SYNC:
                return False
            good = self._good_at(buffer, here)
            if not good:
                return good
        return True


class Framer8:
    """Format 8: four bytes, the first with b7, the others without. `feed` gives them, "sync", "ack" and "nak"."""

    __slots__ = ("_buffer", "_skipped", "expect_reply")

    def __init__(self) -> None:
        self.expect_reply = False
        self._buffer = bytearray()
        self._skipped = 0

    def reset(self) -> None:
        """Forget a partial frame."""
        self._buffer.clear()
        self._skipped = 0

    def feed(self, data: bytes) -> Iterator[bytes | str]:
        """Take bytes; give what they complete, in the order of the bytes."""
        buffer = self._buffer
        for byte in data:
            if byte >= _HIGH:
                if buffer and self._skip(len(buffer)):
                    yield "sync"  # the frame before was cut short
                buffer[:] = bytes((byte,))
            elif buffer:
                buffer.append(byte)
                if len(buffer) == 4:
                    yield bytes(buffer)
                    buffer.clear()
                    self._skipped = 0
            elif self.expect_reply and byte in _REPLIES:
                self.expect_reply = False
                yield _REPLIES[byte]
            elif self._skip(1):
                yield "sync"

    def _skip(self, count: int) -> bool:
        """Count bytes that are in no frame; say whether it is time to tell."""
        before = self._skipped
        self._skipped += count
        return before == 0 or before // _ERROR_EVERY != self._skipped // _ERROR_EVERY


def frames(fmt: str, data: bytes) -> list[Frame]:
    """Decode format 2 or 7 from the beginning of a stream; what is not a frame is left out."""
    return [item for item in Framer(fmt).feed(data) if not isinstance(item, str)]
