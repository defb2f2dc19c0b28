"""Whose readings: which micro-chain the entries of one line go to, and what a chain has to be told first.

Which device is on a line is not known when it opens, nor after a silence, nor when frames tell another serial number.
From then on drafts are *held back* until three equal frames have told a serial number, or for one entry's time at
most. Then the micro-chain is chosen:

    a serial number told by three equal frames    its chain
    another one told, but not three times         the port's chain: nobody's
    none told since the line opened               the port's chain
    none told since a silence                     the chain as before
    frames of the former device again             the chain as before

A chain that is new to the line then gets, before anything else: a gap with its reason, "line up", the identity. The
one that the line leaves gets "closed" with a link, if nobody pulled the line in between or it was the port's own.

Bounds: 64 drafts held back; what waits to be sealed is bounded by `Chains`, and what does not fit is counted and stated
in a gap.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from gateway.chains import Chains
from gateway.disk import FULL_DETAIL
from gateway.draft import Draft, Instant
from gateway.drivers import api
from gateway.hold import Hold
from gateway.identity import DeclaredIdentity, Told, clean, describe
from gateway.tape import Mark
from vitaledger import events
from vitaledger.entry import GATEWAY_CHAIN, Clock, Kind, chain_name
from vitaledger.errors import MisuseError
from vitaledger.marks import Check, Direction, GapReason, LineState, Use

MINUTE_US = 60_000_000
ANOTHER_UNIT, LEARNED, NOT_TOLD = "another unit", "the device told its serial number", "no serial number was told"
FORGOTTEN = "since when is not known: this micro-chain was quiet for very long"


@dataclass(frozen=True, slots=True)
class Subject:
    """What a recorder follows: a port and the driver on it."""

    port: str
    driver: str
    version: str
    check: Check
    use: Use
    signals: Mapping[str, api.Signal]
    waves: Mapping[str, api.Wave]
    declared: DeclaredIdentity | None = None


class Placement:
    """The micro-chain of one line. `after` is why there was a break before, for the next gap."""

    def __init__(self, subject: Subject, chains: Chains, entry_us: int, after: tuple[GapReason, str]) -> None:
        self._of, self._chains, self._entry_us = subject, chains, entry_us
        self.after = after
        self.chain: str | None = None
        self._serial: str | None = None  # the one that names the chain
        self._also_on: str | None = None  # the port where that serial number is live, too
        self._told = Told()
        self._hold: Hold | None = None
        self._reopened = False  # the chain has no "line up" of this opening yet
        self._settled = False  # a device was settled on, by what it sent, since the line opened
        self._resumed = False  # from a run before, in which the chain got its identity
        self.missed = 0  # bytes that came while the line was closed
        self._dropped = 0
        self._dropped_known = True
        self._dropping = False
        self._told_dropping_us: int | None = None

    def opened(self, now: Instant) -> None:
        """The line stands, and nothing is known of who is on it."""
        self._reopened, self._settled, self._resumed = True, False, False
        self._told.reset()
        self._hold = Hold(now)

    def doubt(self, now: Instant) -> None:
        """It may be another device from here on: a frame told so."""
        if self._hold is None:
            self._told.confirmed = None
            self._hold = Hold(now)

    def returned(self, now: Instant, detail: str) -> None:
        """Bytes after a silence: a gap, and it may be another device."""
        if self._hold is None:
            self._told.reset()
            self._hold = Hold(now)
        self.event(events.Gap(GapReason.SILENCE, None, detail, None), now)

    def heard(self, count: int, now: Instant) -> None:
        """So many bytes came."""
        if self._hold is not None:
            self._hold.heard(count, now)
        elif self.chain is None:
            self._dropped += count
            self._dropping = True

    @property
    def in_doubt(self) -> bool:
        """Whether drafts are held back."""
        return self._hold is not None

    @property
    def lost(self) -> bool:
        """Whether what comes will not be sealed, because there was no room for another chain."""
        return self._hold is None and self.chain is None

    @property
    def stand(self) -> tuple[str | None, str | None]:
        """The chain, and the serial number that names it."""
        return self.chain, self._serial

    def resume(self, mark: Mark, now: Instant) -> None:
        """Stand where a recorder of a run before stood."""
        self.chain, self._serial, self.after = mark.chain, mark.serial, (mark.reason, mark.detail)
        self._settled = self._resumed = True
        if mark.chain is not None:
            self._chains.begin(mark.chain)
            self._chains.keep(mark.chain, self._of.port)
        if mark.silence:
            self.returned(now, mark.silence)

    @property
    def empty(self) -> bool:
        """Whether nothing came since it was in doubt who is on the line."""
        return self._hold is not None and not self._hold.drafts and not self._hold.bytes

    def is_foreign(self, told: api.Identity) -> bool:
        """Whether a frame told another serial number than the device's that was settled on."""
        return self._hold is None and told.serial is not None and told.serial != self._serial

    def told(self, identity: api.Identity) -> bool:
        """A frame told who the device is; call `doubt` before where it is foreign.

        Answers whether the chain's identity is another now: then close what is open and call `put_identity`.
        """
        self._told.feed(identity)
        if self._hold is not None:
            former = self._settled and identity.serial is not None and identity.serial == self._serial
            if self._told.serial is not None or former:
                self.settle(heard=True)
            return False
        return (
            self.chain is not None
            and not self._resumed
            and self._told.confirmed is not None
            and self._chains.is_news(self.chain, self._describe())
        )

    def due(self, now: Instant) -> bool:
        """Whether it has to be settled now who is on the line."""
        return self._hold is not None and self._hold.due(now, self._entry_us)

    def settle(self, *, heard: bool) -> None:
        """Choose the chain and let go what was held back. `heard`: whether anything came since the line opened."""
        hold, self._hold = self._hold, None
        if hold is None:
            return
        before, self.chain = self.chain, self._choose(heard=heard)
        if before is not None and before != self.chain:
            self._leave(before, hold.began)
        if self.chain is None:
            self._dropped, self._dropping = self._dropped + hold.bytes, True
        else:
            self._begin(self.chain, before, hold.began)
            for draft in hold.drafts:
                self.put(draft)
        self._settled = self._settled or heard

    def _choose(self, *, heard: bool) -> str | None:
        latest = self._told.latest.serial if self._told.latest is not None else None
        if self._told.serial is not None:
            return self._claim(self._told.serial)
        as_before = (self._settled or not heard) and latest in {None, self._serial}
        if self.chain is not None and as_before and self._chains.keep(self.chain, self._of.port):
            return self.chain
        return self._claim(None)

    def _claim(self, serial: str | None) -> str | None:
        try:
            claim = self._chains.claim(self._of.driver, self._of.port, serial)
        except MisuseError:
            # A serial number that makes no name: as if it had not been told.
            serial, claim = None, self._chains.claim(self._of.driver, self._of.port, None)
        self._serial = serial
        self._also_on = claim.also_on if claim is not None else None
        return claim.chain if claim is not None else None

    def _leave(self, chain: str, began: Instant) -> None:
        own = chain == chain_name(self._of.driver, "port", self._of.port)
        if self._reopened and not own:
            return  # it ended with "line down", and may go on at another port
        detail = LEARNED if own else ANOTHER_UNIT if self._serial is not None else NOT_TOLD
        self._send(chain, began, events.Line(LineState.CLOSED, clean(self._of.port, 64), detail, self.chain))

    def _begin(self, chain: str, before: str | None, began: Instant) -> None:
        first = self._chains.begin(chain)
        changed = first is not None or chain != before
        if first is not None:
            reason, detail = first, ""
        elif self._reopened:
            reason, detail = self.after
        else:
            reason, detail = GapReason.UNPLUGGED, "the line had another unit"
        if changed or self._reopened:
            missed, self.missed = self.missed or None, 0
            detail = detail or (FULL_DETAIL if missed else FORGOTTEN if self._chains.is_forgotten(chain) else "")
            self._send(chain, began, events.Gap(reason, None, clean(detail, 256), missed))
            self._send(chain, began, events.Line(LineState.UP, clean(self._of.port, 64), "", None))
        self._reopened = False
        if self._told.latest is not None or not self._chains.has_identity(chain):
            self._put_identity(chain, began)
        if changed and self._also_on is not None:
            text = f"the serial number {self._serial} is live on port {self._also_on}, too"
            self._send(chain, began, events.Notice(clean(text, 256)))

    def _describe(self) -> events.Identity:
        told = self._told.confirmed or self._told.latest
        of = self._of
        return describe(
            told,
            of.declared,
            self._serial,
            port=of.port,
            driver=of.driver,
            version=of.version,
            use=of.use,
            check=of.check,
        )

    def put_identity(self, now: Instant) -> None:
        """Put the identity as it is now."""
        if self.chain is not None:
            self._put_identity(self.chain, now)

    def _put_identity(self, chain: str, began: Instant) -> None:
        identity = self._describe()
        if self._chains.is_news(chain, identity):
            self._chains.renew_identity(chain, identity)
            self._send(chain, began, identity)

    # Drafts

    def event(self, event: events.Event, now: Instant) -> None:
        """Put a device event.

        Raises:
            MisuseError: no entry can hold it: the driver has an error.
        """
        events.encode(event)  # here it costs a line, behind the queue it would cost the process
        self.put(Draft(Kind.DEVICE_EVENT, "", now, event=event))

    def put(self, draft: Draft) -> None:
        """Put a draft: held back, or to the chain. Its `chain` is filled in, and a gap's `since`."""
        if self._hold is not None:
            self._hold.drafts.append(draft)
        elif self.chain is None:
            self._dropping = True  # its bytes were counted when they came
        else:
            self._deliver(self.chain, draft)

    def _send(self, chain: str, began: Instant, event: events.Event) -> None:
        self._deliver(chain, Draft(Kind.DEVICE_EVENT, chain, began, event=event))

    def _deliver(self, chain: str, draft: Draft) -> None:
        if self._dropping and self._chains.has_room(self._of.port, 2):
            dropped = self._dropped if self._dropped_known else None
            gap = events.Gap(GapReason.OVERLOAD, self._chains.last(chain), "readings were dropped", dropped)
            self._chains.put(self._of.port, Draft(Kind.DEVICE_EVENT, chain, draft.began, event=gap))
            self._dropped, self._dropped_known, self._dropping = 0, True, False
        event = draft.event
        if isinstance(event, events.Gap) and event.since is None:
            since = self._chains.last(chain, reading=event.reason is GapReason.UNREADABLE)
            event = replace(event, since=since)
        if self._dropping or not self._chains.put(self._of.port, replace(draft, chain=chain, event=event)):
            self._dropping = True
            self._dropped += sum(len(chunk.data) for chunk in draft.raw if chunk.direction is Direction.RECEIVED)
            self._dropped_known = self._dropped_known and (bool(draft.raw) or draft.kind is not Kind.READINGS)
        elif (last_us := _last_us(draft)) is not None:
            began = draft.began
            clock = Clock(
                began.wall_ms + last_us // 1000, began.boot_id, (began.mono_us + last_us) // 1000, began.bound_ms
            )
            self._chains.advance(chain, clock, reading=draft.values is not None or bool(draft.waves))

    def tell_dropping(self, now: Instant) -> None:
        """Once a minute: an incident on the gateway's own chain, where there is no room for another chain."""
        if self._hold is not None or self.chain is not None or not self._dropping:
            return
        if self._told_dropping_us is None or now.mono_us - self._told_dropping_us >= MINUTE_US:
            self._told_dropping_us = now.mono_us
            detail = f"port {self._of.port}: no room for another micro-chain: {self._dropped} bytes dropped"
            incident = events.Incident("recorder", clean(detail, 256))
            self._chains.put(self._of.port, Draft(Kind.GATEWAY_EVENT, GATEWAY_CHAIN, now, event=incident))

    def closed(self, now: Instant, detail: str) -> None:
        """The line is down; `settle` was called before."""
        self.event(events.Line(LineState.DOWN, clean(self._of.port, 64), clean(detail, 256), None), now)
        self._chains.release(self._of.port)

    def forget(self) -> None:
        """The line is down and nothing had come: nothing to say."""
        self._hold = None
        self._chains.release(self._of.port)


def _last_us(draft: Draft) -> int | None:
    """The latest time of what was received, in µs after the entry's clock; None where there is nothing."""
    times = [vector[-1] for vector in draft.values.times if vector] if draft.values is not None else []
    times += [block.last_us for block in draft.waves]
    times += [chunk.at_us for chunk in draft.raw if chunk.direction is Direction.RECEIVED]
    return max(times, default=None)
