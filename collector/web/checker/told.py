"""What a page tells of an entry beside its readings: events, and how far a run of entries is proven."""

from dataclasses import dataclass, replace
from typing import Any

from collector.history import Seen
from collector.verified import State, VerifiedLog
from vitaledger import events
from vitaledger.content import Values
from vitaledger.entry import Clock
from vitaledger.marks import AlarmPhase
from vitaledger.opened import Opened
from vitaledger.rows import describe

CUSTODY = "custody"
_PROVEN, _PROVEN_WORD = State.PROVEN, State.PROVEN.value


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive entries of one micro-chain that are proven equally far.

    `state` is that of `collector.verified`, or "custody" for an entry that the collector has stated to hold and that
    waits for its anchor. `timed` is False where the times are those of the neighbours, because its own prove nothing.
    """

    state: str
    from_us: int
    to_us: int
    first: int
    last: int
    index: int
    origin: str
    reason: str = ""
    timed: bool = True


@dataclass(frozen=True, slots=True)
class Told:
    """An event as a page shows it; `from_us` is before `at_us` where it speaks of a time that has passed."""

    kind: str
    from_us: int
    at_us: int
    seq: int
    state: str
    text: str
    more: dict[str, Any]


def word(log: VerifiedLog, seen: Seen) -> str:
    """How far an entry is proven, in one word."""
    state = seen.look.verdict.state
    if state is _PROVEN:
        return _PROVEN_WORD
    if state is State.STORED and log.leaf_hash(seen.look.index) is not None:
        return CUSTODY
    return state.value


class Runs:
    """The runs of some entries, in their order. Times of what failed are taken from the proven entries around it."""

    __slots__ = ("_from_us", "_growing", "_last", "_log", "_made", "_to_us")

    def __init__(self, log: VerifiedLog) -> None:
        self._log = log
        self._made: list[Run] = []
        self._growing: Run | None = None  # the last one, while entries with times of their own are added to it
        self._from_us = self._to_us = self._last = 0

    def take(self, seen: Seen, opened: Opened | None) -> None:
        """Add the next entry; `opened` is `seen.opened`."""
        state, reason, grows = word(self._log, seen), seen.look.verdict.reason, self._growing
        if seen.carried is not None:
            reason = f"carried over by {seen.carried[0]}, entry {seen.carried[1]}. {reason}".strip()
        like_it = grows is not None and self._last + 1 == seen.seq and grows.state == state and grows.reason == reason
        if opened is None or not like_it:
            self._take(seen, opened, state, reason)
            return
        from_us = seen.at_us
        to_us = from_us + opened.last_us
        self._from_us = min(self._from_us, from_us)
        self._to_us = max(self._to_us, to_us)
        self._last = seen.seq

    def _take(self, seen: Seen, opened: Opened | None, state: str, reason: str) -> None:
        made, timed = self.made(), opened is not None
        before = made[-1] if made else None
        from_us = seen.at_us if timed or before is None else before.to_us
        to_us = from_us if opened is None else seen.at_us + opened.last_us
        if before is not None and not before.timed and timed:
            before = made[-1] = _until(before, from_us)
        if before and (before.state, before.reason, before.last + 1) == (state, reason, seen.seq):
            from_us, to_us = min(before.from_us, from_us), max(before.to_us, to_us)
            made[-1] = replace(before, from_us=from_us, to_us=to_us, last=seen.seq)
        else:
            made.append(Run(state, from_us, to_us, seen.seq, seen.seq, seen.look.index, seen.log.origin, reason, timed))
        if made[-1].timed:
            self._growing, self._from_us, self._to_us, self._last = made[-1], from_us, to_us, seen.seq

    def made(self) -> list[Run]:
        """The runs so far."""
        if self._growing is not None and self._made:
            self._made[-1] = replace(self._growing, from_us=self._from_us, to_us=self._to_us, last=self._last)
            self._growing = None
        return self._made


def _until(run: Run, to_us: int) -> Run:
    from_us = min(run.from_us, to_us) if run.from_us else to_us
    return Run(run.state, from_us, to_us, run.first, run.last, run.index, run.origin, run.reason, run.timed)


def event(log: VerifiedLog, seen: Seen) -> Told | None:
    """The event of an entry; None where it has none, or where nothing of it must be shown."""
    opened = seen.opened
    if opened is None:
        return None
    if opened.event is None:
        return _memory(log, seen, opened.values)
    said, clock = opened.event, opened.entry.clock
    kind, more = _kind(said)
    from_us = _since(said.since, clock) if isinstance(said, events.Gap | events.Silence) else seen.at_us
    return Told(kind, from_us, seen.at_us, seen.seq, word(log, seen), describe(said, clock), more)


def _kind(said: events.Event) -> tuple[str, dict[str, Any]]:
    """An event's kind for a page, and the fields that a page tells apart."""
    more: dict[str, Any] = {}
    match said:
        case events.Gap():
            kind = "gap"
            more = {"reason": said.reason.label, "detail": said.detail, "unknown": said.since is None}
        case events.Silence():
            kind = "silence"
        case events.Identity():
            kind = "identity"
            more = {
                "make": said.make,
                "model": said.model,
                "serial": said.serial,
                "firmware": said.firmware,
                "port": said.port,
                "sureness": said.sureness.label,
                "use": said.use.label,
                "check": said.check.label,
            }
        case events.Line():
            kind = "line"
            more = {"line": said.state.label, "port": said.port, "next": said.next_chain}
        case events.Alarm():
            kind = "alarm"
            more = {
                "alarm": said.kind.label,
                "phase": said.phase.label,
                "priority": said.priority.label,
                "silenced": bool(said.silenced),
                "text": said.text,
                "bits": said.bits,
                "on": said.phase is not AlarmPhase.END,
            }
        case events.ClockOffset():
            kind, more = "clock", {"offset_ms": said.offset_ms, "device_time": said.device_time}
        case events.Notice():
            kind = "notice"
        case events.FrameErrors():
            kind = "errors"
        case _:
            kind = "other"
    return kind, more


def _memory(log: VerifiedLog, seen: Seen, values: Values | None) -> Told | None:
    if values is None or values.stored is None:
        return None
    count = sum(len(series.values) for series in values.series)
    times = [each for each in values.stored.device_times if each is not None]
    when = f"its times {times[0]} to {times[-1]}" if times else "it tells no times"
    text = f"{count} readings out of the device's memory, from number {values.stored.first_ordinal}; {when}"
    return Told("memory", seen.at_us, seen.at_us, seen.seq, word(log, seen), text, {"count": count})


def _since(since: Clock | None, until: Clock) -> int:
    if since is None:
        return until.wall_ms * 1000
    if since.boot_id == until.boot_id:
        return (until.wall_ms - (until.boot_ms - since.boot_ms)) * 1000
    return min(since.wall_ms, until.wall_ms) * 1000
