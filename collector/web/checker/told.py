"""What a page tells of an entry beside its readings: events, and how far a run of entries is proven."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from collector.history import Seen
from collector.verified import State, VerifiedLog
from vitaledger import events
from vitaledger.content import Values
from vitaledger.entry import Clock
from vitaledger.marks import AlarmPhase
from vitaledger.rows import describe

CUSTODY = "custody"


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
    state = seen.verdict.state
    if state is State.STORED and log.leaf_hash(seen.look.index) is not None:
        return CUSTODY
    return state.value


def runs(log: VerifiedLog, found: Iterable[Seen]) -> list[Run]:
    """The runs of some entries, in their order. Times of what failed are taken from the proven entries around it."""
    out: list[Run] = []
    for seen in found:
        state, opened = word(log, seen), seen.opened
        timed = opened is not None
        before = out[-1] if out else None
        from_us = seen.at_us if timed or before is None else before.to_us
        to_us = seen.at_us + (opened.last_us if opened else 0) if timed else from_us
        reason = seen.verdict.reason
        if seen.carried is not None:
            reason = f"carried over by {seen.carried[0]}, entry {seen.carried[1]}. {reason}".strip()
        if before is not None and not before.timed and timed:
            out[-1] = _until(before, from_us)
            before = out[-1]
        if before and (before.state, before.reason, before.last + 1) == (state, reason, seen.seq):
            from_us, to_us = min(before.from_us, from_us), max(before.to_us, to_us)
            out[-1] = Run(
                state, from_us, to_us, before.first, seen.seq, before.index, before.origin, reason, before.timed
            )
        else:
            out.append(Run(state, from_us, to_us, seen.seq, seen.seq, seen.look.index, seen.log.origin, reason, timed))
    return out


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
