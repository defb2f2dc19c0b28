"""After a kill: what the journal holds goes through the driver again and becomes entries.

    before the mark     the driver alone sees it, so that it stands in the middle of the same packet; what it says was
                        sealed
    from the mark on    driver and recorder, as if it came now, with the times at which it came

The entries go to the chain that the line was on; where that was still in doubt, by the rules of `gateway.placement`. A
line whose driver is not the configured one any more keeps its bytes, without readings. What cannot be taken up at all
is said in a note; it lies in the gap that follows, like what was read in the last second.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gateway.chains import Chains
from gateway.draft import Draft
from gateway.drivers.api import Driver, Event
from gateway.journal import Found
from gateway.placement import Subject
from gateway.recorder import Limits, Recorder
from gateway.source import Source
from gateway.tape import Position, Record, What
from vitaledger.entry import Clock
from vitaledger.marks import Check, Direction, Use

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Wired:
    """How a port is followed: its driver, and what the recorder is told of it."""

    make_driver: Callable[[], Driver]
    describe: Callable[[Driver], Subject]


@dataclass(frozen=True, slots=True)
class Salvaged:
    """Entries to be sealed, and the time of the last datum of each chain behind them."""

    drafts: tuple[Draft, ...]
    clocks: Mapping[str, Clock | None]
    readings: int
    bytes: int
    notes: tuple[str, ...]

    @property
    def detail(self) -> str:
        """For the boot entry; empty where there was nothing."""
        if not self.drafts and not self.notes:
            return ""
        notes = "".join(f"; {note}" for note in self.notes)
        return f"recovered {self.bytes} bytes with {self.readings} readings that were read and not sealed{notes}"


def salvage(
    found: Sequence[Found], known: Mapping[str, Clock | None], wired: Mapping[str, Wired], limits: Limits
) -> Salvaged:
    """Make entries of what the journal holds. `known`: every device chain with the time of its last datum."""
    chains = Chains(known, clean=all(each.clean for each in found))
    drafts: list[Draft] = []
    notes: list[str] = []
    for line in sorted(found, key=lambda each: each.records[-1].at.mono_us if each.records else 0):
        try:
            _replay(line, chains, wired.get(line.port), limits)
        except Exception as error:  # the outermost loop of a line, as in gateway.line: no bytes keep a gateway down
            logger.exception("line %s: what was read before the kill cannot be taken up", line.port)
            notes.append(f"{line.port}: {line.open_bytes} bytes lost, {type(error).__name__}")
            chains.take()
        else:
            taken = chains.take()
            drafts += taken
            if not taken and line.open_bytes:
                notes.append(f"{line.port}: {line.open_bytes} bytes lost, its driver {line.driver} is not configured")
        chains.release(line.port)
    readings = sum(len(series.values) for draft in drafts if draft.values is not None for series in draft.values.series)
    size = sum(len(chunk.data) for draft in drafts for chunk in draft.raw if chunk.direction is Direction.RECEIVED)
    clocks = chains.clocks() if drafts else known
    return Salvaged(tuple(drafts), clocks, readings, size, tuple(notes))


def _replay(line: Found, chains: Chains, wired: Wired | None, limits: Limits) -> None:
    mark, position = line.mark, line.mark.position
    source, subject = _source(line, wired)
    if subject is None:
        return
    recorder = Recorder(subject, chains, limits, (mark.reason, mark.detail))
    resumed = False
    if line.records and line.records[0].what is not What.OPENED:
        source.opened(line.records[0].at.mono_us)
    for each in line.records:
        late = source.tick(each.at.mono_us)
        recorder.look(each.at)
        if resumed:
            recorder.events(late, each.at)
            recorder.tick(each.at)
        elif each.number >= position.number:
            resumed = True
            recorder.resume(mark, each.at)
            if position.stale:
                source.stand_still()
        _feed(each, position, source, recorder)
    recorder.cut()


def _feed(each: Record, position: Position, source: "Source | _Mute", recorder: Recorder) -> None:
    now, whole = each.at, each.number > position.number
    new = whole or (each.number == position.number and not position.placed)
    if each.what is What.OPENED:
        source.opened(now.mono_us)
        if new:
            recorder.opened(now)
        return
    source.to_send(now.mono_us)
    if new:
        recorder.chunk(Direction(each.what), each.data, now)
    if each.what is What.RECEIVED:
        events = source.receive(each.data, now.mono_us)
        put = 0 if whole else position.events if each.number == position.number else len(events)
        recorder.prime(events[:put])
        if events[put:]:
            recorder.events(events[put:], now)


def _source(line: Found, wired: Wired | None) -> tuple["Source | _Mute", Subject | None]:
    if wired is not None:
        driver = wired.make_driver()
        if line.driver == driver.NAME:
            return Source(driver), wired.describe(driver)
    if line.mark.chain is None:
        return _Mute(), None
    return _Mute(), Subject(line.port, line.driver, "-", Check.NOTHING, Use.TEST, {}, {})


class _Mute:
    """In the place of a driver that is not there any more: says nothing."""

    def opened(self, now_us: int) -> None:
        del now_us

    def stand_still(self) -> None:
        return

    def receive(self, data: bytes, now_us: int) -> list[Event]:
        del data, now_us
        return []

    def tick(self, now_us: int) -> list[Event]:
        del now_us
        return []

    def to_send(self, now_us: int) -> bytes:
        del now_us
        return b""
