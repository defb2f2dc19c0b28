"""Stored readings that a device sends again: sealed once. True equal readings, of another time or place, are kept.

    dated      a reading is known by the start that the device told, its ordinal, its signal and its value: what was
               sent before under all of these is left out
    undated    only a whole dump is known, by its content: rows that begin exactly like a dump before are held back
               until the dump ends. If it was the same to its end it is left out; if not, all of it is recorded

A dump ends with a row whose ordinal does not follow, with anything else that the device sends, or after two seconds
without a row. Raw bytes are always recorded: leaving out concerns the readings made of them. A notice says how many
were left out.

Bounds: 131,072 readings (a day of a finger oximeter is 86,400 rows), the oldest forgotten first; 65,536 held back (nine
hours of two values a second). What is forgotten, and what was sent before the gateway started, is recorded a second
time: provenance, device time and ordinal tell a reader so. Rather twice than not at all.
"""

from hashlib import blake2b

from gateway.drivers.api import Event, Notice, Reading

MAX_KNOWN = 131_072
MAX_HELD = 65_536
END_US = 2_000_000


class Repeats:
    """What the device of one line has sent out of its memory in this run."""

    def __init__(self, most: int = MAX_KNOWN) -> None:
        self._most = most
        self._dated: dict[bytes, None] = {}
        self._prefixes: dict[bytes, None] = {}  # of undated dumps, at each reading
        self._ends: dict[bytes, None] = {}  # of undated dumps, where they ended
        self._prefix = b""
        self._ordinal = -1
        self._last_us = 0
        self._held: list[Reading] | None = None  # None: this dump is another one than those before
        self._left_out = 0

    def judge(self, found: list[Event], now_us: int) -> list[Event]:
        """The events as they are to be recorded."""
        if not self._prefix and not self._left_out:
            for event in found:
                if isinstance(event, Reading) and event.stored is not None:
                    break
            else:
                return found
        judged: list[Event] = []
        ended = not found and now_us - self._last_us >= END_US
        for event in found:
            if not isinstance(event, Reading) or event.stored is None:
                judged += self._end_dump()
                judged.append(event)
                ended = True
                continue
            ended = False  # what came before it in this call ended the dump before, not this one
            if event.stored.device_time is not None:
                judged += self._end_dump()
                self._last_us = now_us
                judged += self._by_place(event)
            else:
                judged += self._by_content(event, now_us)
        if ended:
            judged += self._end_dump()
            judged += self._tell(now_us)
        return judged

    def _by_place(self, event: Reading) -> list[Event]:
        stored = event.stored
        where = f"{stored.device_time}/{stored.ordinal}" if stored is not None else ""
        key = _digest(b"", f"{where}/{_what(event)}")
        if key in self._dated:
            self._left_out += 1
            return []
        _remember(self._dated, key, self._most)
        return [event]

    def _by_content(self, event: Reading, now_us: int) -> list[Event]:
        ordinal = event.stored.ordinal if event.stored is not None else 0
        judged = self._end_dump() if ordinal < self._ordinal else []
        if not self._prefix:
            self._held = []
        self._ordinal, self._last_us = ordinal, now_us
        self._prefix = _digest(self._prefix, f"{ordinal}/{_what(event)}")
        if self._held is None:
            _remember(self._prefixes, self._prefix, self._most)
            return [*judged, event]
        self._held.append(event)
        if self._prefix in self._prefixes and len(self._held) <= MAX_HELD:
            return judged
        held, self._held = self._held, None
        prefix = b""
        for each in held:
            prefix = _digest(prefix, f"{each.stored.ordinal if each.stored else 0}/{_what(each)}")
            _remember(self._prefixes, prefix, self._most)
        return [*judged, *held]

    def _end_dump(self) -> list[Event]:
        """The undated dump is over."""
        held, prefix = self._held or [], self._prefix
        self._prefix, self._ordinal, self._held = b"", -1, None
        if not prefix:
            return []
        if held and prefix in self._ends:
            self._left_out += len(held)
            return []
        _remember(self._ends, prefix, self._most)
        return list(held)

    def _tell(self, now_us: int) -> list[Event]:
        """Something else came, or nothing more: what was left out, behind the events of the call."""
        count, self._left_out = self._left_out, 0
        return [Notice(now_us, f"{count} stored readings were sent again and are not recorded twice")] if count else []


def _what(event: Reading) -> str:
    return f"{event.handle}/{event.value}/{event.absence}"


def _digest(before: bytes, text: str) -> bytes:
    return blake2b(before + text.encode(), digest_size=12).digest()


def _remember(known: dict[bytes, None], key: bytes, most: int) -> None:
    known[key] = None
    if len(known) > most:
        del known[next(iter(known))]
