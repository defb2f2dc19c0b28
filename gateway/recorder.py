"""Follows one line and makes entries of what comes: pure, time is an argument.

    recorder.opened(now)                         the line stands (again)
    recorder.chunk(direction, data, now)         bytes went over it
    recorder.events(driver.receive(…), now)      what the driver made of the bytes just told
    recorder.tick(now)                           at least once a second
    recorder.closed(reason, detail)              the line is down
    recorder.resume(mark, now), recorder.cut()   around what a killed gateway had read (`gateway.salvage`)

Drafts go to the queue of `gateway.chains.Chains`, which all recorders share. An entry closes together with those of all
other lines, within 5 s (so that it is committed by then), after 1,000 readings or 12 KiB of content, at a clock step,
and before each event: so whatever stands in an entry is older than the entries behind it, and up to the last entry's
time nothing is missing. `gateway.placement` says which micro-chain it goes to; of a frame that tells another serial
number only raw bytes that came before its end may stand in the former chain.

**Gaps.** A chain's first entry in a run, and its first after the line was down, after 10 s of silence, after 10 s of
bytes without a frame, and after something was dropped, is a gap event. Its `since` is the time of the last datum that
was put into the chain, never later. A packet that was half over when bytes began to come is missing, too, and the
driver counts it as an error: then a second gap goes from there to the first whole reading. The clocks of a chain
never run back but by a step of the wall clock.

Bounds: one open entry (12 KiB of content, and one more of stored readings), 16 KiB of raw bytes not yet placed, 32
kinds of frame errors; for the rest see `gateway.placement` and `gateway.chains`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.accumulate import MAX_SAMPLES, Live, Memory, check_reading, check_tables
from gateway.chains import Chains
from gateway.clock import STEP_MS, offset_ms
from gateway.draft import Draft, Instant
from gateway.drivers import api
from gateway.drivers.api import GOOD
from gateway.identity import clean, tidy
from gateway.placement import Placement, Subject
from gateway.tape import Mark, Position, Tape, What
from gateway.watch import FrameErrorCounter, Quiet
from vitaledger import events
from vitaledger.content import NO_CONTEXT, Series, StoredRows, Values
from vitaledger.entry import Clock, Kind
from vitaledger.errors import MisuseError
from vitaledger.marks import Direction, GapReason, Provenance, Quality

__all__ = ["Limits", "Recorder", "Subject"]

MAX_CHUNK = 4096
MAX_UNPLACED = 16 * 1024
PAUSE_US = 1_000_000
OFFSET_MS = 2_000  # a device's clock was set, or ours: more than its seconds and their delay explain
UNREADABLE = "line unreadable: bytes but no frame; check baud rate, parity and output format"


@dataclass(frozen=True, slots=True)
class Limits:
    """When an entry closes.

    `entry_us` is the longest time from a byte to its commit: what is committed every `commit_us` closes that much
    earlier. It is also how long readings wait for a serial number.
    """

    entry_us: int = 5_000_000
    commit_us: int = 0
    readings: int = 1000
    content: int = 12 * 1024
    keep_raw: bool = True


class Recorder:
    """Follows one line. `after` says why there was a break, where this recorder goes on for another one.

    `tape` is told what came and what of it is not sealed yet.

    Raises:
        MisuseError: a signal or wave of the subject is such that no entry can hold it.
    """

    def __init__(
        self,
        subject: Subject,
        chains: Chains,
        limits: Limits,
        after: tuple[GapReason, str] = (GapReason.UNPLUGGED, ""),
        tape: Tape | None = None,
    ) -> None:
        check_tables(subject.signals, subject.waves)
        self._of, self._limits = subject, limits
        self._lasts_us = max(limits.entry_us - limits.commit_us, limits.entry_us // 2)
        self._to = Placement(subject, chains, self._lasts_us, after)
        self._up = False
        self._looked = Instant(0, 0, None, bytes(16))
        self._live: Live | None = None
        self._memory: Memory | None = None
        self._unplaced: list[tuple[Direction, bytes, Instant]] = []
        self._offset: int | None = None
        self._device_clock: str | None = None
        self._half: Instant | None = None  # bytes began, or begin, to come: until a whole reading
        self._torn = False  # what came since then began in the middle of a frame or packet
        self._notice = ""
        self._last_us: int | None = None  # of the last datum in a closed entry
        self._quiet = Quiet()
        self._errors = FrameErrorCounter()
        self._tape = tape or Tape()
        self._tape.follow(self.mark)
        self._record, self._taken = -1, 0  # the last record, and how many events of it were taken
        self._put = self._put_before = Position(0, 0, 0)  # up to where all was put; and before it was in doubt whose
        self._silence, self._stale = "", 0

    # What happens on the line

    def opened(self, now: Instant) -> None:
        """The line stands. Nothing is known of who is on it."""
        self._up, self._looked = True, now
        self._record, self._taken = self._tape.add(What.OPENED, now, b""), 0
        self._silence, self._stale = "", 0
        self._forget()
        self._put, self._put_before = Position(self._record, 0, 1), Position(self._record, 0, 0)
        self._half, self._torn = now, False
        self._quiet.opened(now)
        self._to.opened(now)

    def closed(self, reason: GapReason, detail: str) -> None:
        """The line is down. All that came is put; when the line returns, the gap bears `reason` and `detail`.

        It counts as down from when it was last looked at: what came afterwards was not read.
        """
        if not self._up:
            return
        self._up, now = False, self._looked
        self._flush()
        if self._to.empty and not self._quiet.heard:
            self._to.forget()  # opened, nothing came, closed: nothing to say
            return
        if self._quiet.unreadable:
            self._to.event(events.Gap(GapReason.UNREADABLE, None, "until the line went down", None), now)
        self._tell_errors(now)
        self._to.settle(heard=self._quiet.heard)
        if reason is GapReason.DISK_FULL:
            self._to.event(events.Gap(reason, None, detail, None), now)  # it may be long until the line returns
        self._to.closed(now, detail)
        self._to.after = (reason, detail)

    def missed(self, count: int) -> None:
        """So many bytes came while the line was closed here, and were not kept: the next gap says so."""
        self._to.missed += count

    def _forget(self) -> None:
        self._live = self._memory = self._offset = self._device_clock = self._last_us = None
        self._unplaced.clear()

    def chunk(self, direction: Direction, data: bytes, now: Instant) -> None:
        """Bytes went over the line; `events` is told next what the driver made of them."""
        if not data or not self._up:
            return
        self._place()
        self._look(now)
        if direction is Direction.RECEIVED:
            if (pause_us := self._quiet.received(now)) is not None:
                self._returned(now, pause_us)
            self._to.heard(len(data), now)
        self._record, self._taken = self._tape.add(What(direction), now, data), 0
        if self._limits.keep_raw:
            self._unplaced += [(direction, data[at : at + MAX_CHUNK], now) for at in range(0, len(data), MAX_CHUNK)]
            if sum(len(piece) for _, piece, _ in self._unplaced) > MAX_UNPLACED:
                self._place()

    def _returned(self, now: Instant, pause_us: int) -> None:
        """Bytes after a silence: it may be another device."""
        self._flush()
        self._half, self._torn = now, False
        detail = f"nothing came for {pause_us // 1_000_000} s"
        if not self._to.in_doubt:
            self._put_before, self._silence = self._put, detail
        self._to.returned(now, detail)
        self._offset = None

    def events(self, found: Sequence[api.Event], now: Instant) -> None:
        """What the driver made of the bytes that came last, or of the time that passed.

        Raises:
            MisuseError: the driver emitted what no entry can hold.
        """
        if not self._up:
            return
        self._look(now)
        coming = sum(type(event) is api.Reading for event in found)
        if self._live is not None and coming <= self._limits.readings < self._live.readings + coming:
            self._close_entry()  # one call's readings stay together where they can
        for event in found:
            if type(event) is api.Reading and self._half is None and self._quiet.clear:
                # what _take comes to for all but the first reading of a call
                self._stale = 0 if event.quality is GOOD else int(Quality.STALE in event.quality)
                self._add_reading(event, now)
            else:
                self._take(event, now)
            self._taken += 1
            if self._live is None:
                self._note_put()
        self._place()

    def _take(self, event: api.Event, now: Instant) -> None:
        if isinstance(event, api.FrameErrors):
            self._errors.add(clean(event.kind, 32), event.count, now)
            self._torn = self._half is not None
        elif isinstance(event, api.Notice):
            self._tell_notice(clean(event.text, 256), now)
        else:
            whole = isinstance(event, api.Reading) or not self._of.signals
            if self._quiet.good(whole=whole):
                self._notice = "" if self._notice == UNREADABLE else self._notice
                self._gap(now, None, "bytes came without a frame")
            elif whole and self._half is not None and self._torn and self._quiet.heard_before(now):
                self._gap(now, self._half.clock, "it began in the middle of a frame or packet")
            self._half = None if whole else self._half
            if isinstance(event, api.Reading | api.Samples):
                self._stale = int(Quality.STALE in event.quality)
            self._good(event, now)

    def _gap(self, now: Instant, since: Clock | None, detail: str) -> None:
        self._flush(place=False)
        self._to.event(events.Gap(GapReason.UNREADABLE, since, detail, None), now)

    def _good(self, event: api.Event, now: Instant) -> None:
        match event:
            case api.Reading():
                self._add_reading(event, now)
            case api.Samples():
                self._add_samples(event, now)
            case api.Identity():
                self._identify(tidy(event), now)
            case api.Alarm():
                self._flush()
                self._to.event(_alarm(event), now)
            case api.DeviceClock():
                self._device_clock = clean(event.text, 64)
                self._tell_offset(event.local_ms - now.wall_ms, now)
            case _:
                raise MisuseError(f"driver {self._of.driver} emitted {event!r}: expected an event")

    def tick(self, now: Instant) -> None:
        """Time went on: what is due closes."""
        if not self._up:
            return
        self._place()
        self._look(now)
        if (self._live is not None and self._live.received and now.mono_us >= self._deadline(self._live)) or (
            self._memory is not None and now.mono_us >= self._memory.began.mono_us + self._lasts_us
        ):
            self._close_entry()
        if self._to.due(now):
            self._to.settle(heard=self._quiet.heard)
        if self._errors.due(now):
            self._flush()
            self._tell_errors(now)
        if self._quiet.became_unreadable(now):
            self._tell_notice(UNREADABLE, now)
        if (since := self._quiet.silence_due(now)) is not None:
            self._flush()
            self._to.settle(heard=self._quiet.heard)
            self._to.event(events.Silence(since.clock), now)
        self._to.tell_dropping(now)
        self._note_put()

    # What is not sealed yet, and how it is taken up again

    def mark(self) -> Mark | None:
        """From where on what came is not put into drafts; None where nothing is open or will be sealed."""
        if not self._up or self._to.lost:
            return None
        position = self._put_before if self._to.in_doubt else self._put
        silence = self._silence if self._to.in_doubt else ""
        chain, serial = self._to.stand
        reason, detail = self._to.after
        return Mark(position, chain, serial, silence, reason, clean(detail, 256))

    def _note_put(self) -> None:
        if self._live is None and self._memory is None:
            self._put = Position(max(0, self._record), self._taken, int(not self._unplaced), self._stale)

    def resume(self, mark: Mark, now: Instant) -> None:
        """Go on where another recorder stood; what follows is told as it was told to that one.

        Call `opened` behind it where that was what the other one had not put yet.
        """
        self._to.resume(mark, now)
        self._up, self._looked, self._stale = True, now, mark.position.stale
        self._quiet.opened(now)

    def prime(self, found: Sequence[api.Event]) -> None:
        """What the driver had said before: nothing of it is sealed again."""
        for event in found:
            if isinstance(event, api.DeviceClock):
                self._device_clock = clean(event.text, 64)
                self._offset = event.local_ms - self._looked.wall_ms
            elif isinstance(event, api.Notice):
                self._notice = clean(event.text, 256)

    def look(self, now: Instant) -> None:
        """Only the time goes on."""
        self._looked = now

    def cut(self) -> None:
        """Nothing more will come, and nobody closed the line: put what is open."""
        self._flush()
        self._tell_errors(self._looked)
        self._to.settle(heard=self._quiet.heard)
        self._up = False

    def _deadline(self, live: Live) -> int:
        # The pause since the last entry counts, up to a second: after a crash the gap begins there.
        began = live.began.mono_us
        pause = min(began - self._last_us, PAUSE_US) if self._last_us is not None else 0
        longest = began + max(self._lasts_us - max(0, pause), self._lasts_us // 2)
        # Entries of all lines close together, whenever they began: what a commit writes besides them, it writes once.
        return min(longest, (began // self._lasts_us + 1) * self._lasts_us)

    # What is told in events of its own

    def _identify(self, told: api.Identity, now: Instant) -> None:
        if self._to.is_foreign(told):
            self._flush(place=False)  # the bytes just come are the other device's
            self._put_before, self._silence = self._put, ""
            self._to.doubt(now)
            self._offset = None
        if self._to.told(told):
            self._flush(place=False)
            self._to.put_identity(now)

    def _tell_notice(self, text: str, now: Instant) -> None:
        if text and text != self._notice:
            self._notice = text
            self._flush()
            self._to.event(events.Notice(text), now)

    def _tell_offset(self, offset: int, now: Instant) -> None:
        if self._device_clock and (self._offset is None or abs(offset - self._offset) > OFFSET_MS):
            self._offset = offset
            self._flush(place=False)
            self._to.event(events.ClockOffset(self._device_clock, offset), now)

    def _tell_errors(self, now: Instant) -> None:
        if (counted := self._errors.take(now)) is not None:
            self._to.event(counted, now)

    # The open entry

    def _look(self, now: Instant) -> None:
        """An entry's times count from one reading of both clocks: it must not outlive a step between them."""
        self._looked = now
        for held in (self._live, self._memory):
            if held is not None and abs(offset_ms(now) - offset_ms(held.began)) > STEP_MS:
                self._close_entry()
                return

    def _entry(self, now: Instant, size: int = 0, *, received: bool = True) -> Live:
        """The entry that takes `size` bytes more."""
        live = self._live
        if live is not None:
            # What was sent into a silence waits for an answer, but an entry of its time begins with that.
            old = received and not live.received and now.mono_us - live.began.mono_us >= self._limits.entry_us
            if old or live.size + size > self._limits.content:
                self._close_entry()
        if self._live is None:
            self._live = Live(now)
        return self._live

    def _place(self) -> None:
        """Put the bytes that came into the open entry."""
        if not self._unplaced:
            return
        unplaced, self._unplaced = self._unplaced, []
        for direction, data, at in unplaced:
            received = direction is Direction.RECEIVED
            self._entry(at, len(data), received=received).add_chunk(direction, at.mono_us, data)

    def _add_reading(self, reading: api.Reading, now: Instant) -> None:
        check_reading(reading)
        signal = self._of.signals.get(reading.handle)
        if signal is None:
            raise MisuseError(f"driver {self._of.driver} emitted {reading}: it declares no such signal")
        if self._unplaced:
            self._place()
        if reading.stored is None:
            live = self._live
            if live is None or not live.received or live.size > self._limits.content:
                live = self._entry(now)
            live.add(signal, reading)
            if live.readings < self._limits.readings and live.size < self._limits.content:
                return
        else:
            if self._memory is None:
                self._memory = Memory(now)
            self._memory.add(reading)
        self._close_if_full()

    def _add_samples(self, found: api.Samples, now: Instant) -> None:
        wave = self._of.waves.get(found.handle)
        if wave is None:
            raise MisuseError(f"driver {self._of.driver} emitted samples of {found.handle}: it declares no such wave")
        self._place()
        most = min(MAX_SAMPLES, self._limits.content // 8)
        for at in range(0, len(found.samples), most):
            piece, follows = found.samples[at : at + most], found.follows or at > 0
            grown = self._live.growth(found.handle, piece, follows=follows) if self._live is not None else 0
            self._entry(now, grown).add_samples(wave, found.at_us, piece, found.absence, found.quality, follows=follows)
        self._close_if_full()

    def _close_if_full(self) -> None:
        for held in (self._live, self._memory):
            if held is not None and (held.readings >= self._limits.readings or held.size >= self._limits.content):
                self._close_entry()
                return

    def _flush(self, *, place: bool = True) -> None:
        """Close what is open, before an event: the bytes just come belong before it (`place`) or behind it."""
        if place:
            self._place()
        self._close_entry()

    def _close_entry(self) -> None:
        """Put what is open: both entries, because what is sealed behind one of them must not be older."""
        live, self._live = self._live, None
        memory, self._memory = self._memory, None
        drafts: list[Draft] = []
        if live is not None:
            self._last_us = live.began.mono_us + live.last_us if live.received else self._last_us
            times, series = live.columns()
            values = self._values(times, series, None) if series else None
            drafts.append(Draft(Kind.READINGS, "", live.began, None, values, live.blocks(), live.chunks()))
        if memory is not None:
            for dump in memory.dumps(self._of.signals, self._device_clock):
                values = self._values(dump.times, dump.series, dump.rows)
                drafts.append(Draft(Kind.READINGS, "", memory.began, None, values))
        for draft in sorted(drafts, key=lambda each: each.began.mono_us):
            self._to.put(draft)
        self._note_put()

    def _values(
        self, times: tuple[tuple[int, ...], ...], series: tuple[Series, ...], stored: StoredRows | None
    ) -> Values:
        provenance = Provenance.DEVICE_LIVE if stored is None else Provenance.DEVICE_STORED
        of = self._of
        return Values(of.driver, of.version, provenance, of.use, of.check, NO_CONTEXT, times, series, stored)


def _alarm(told: api.Alarm) -> events.Alarm:
    # Limits in force are told by no driver yet.
    return events.Alarm(
        clean(told.bits, 64),
        told.code,
        told.kind,
        told.phase,
        told.priority,
        int(told.silenced),
        clean(told.text, 256),
        (),
    )
