"""A conformance kit for drivers, also for those that are shipped by others. Standard library only, seeded.

    check_driver(MyDriver, frames=[...], options={...})

`frames` are at least three good packets as bytes, each the smallest piece that gives readings on its own (of Nonin
format 2 that is 25 of the device's frames). Rules, each a function that can be called alone:

    declares     NAME, VERSION, CHECK, OPTIONS and the handles are well formed; an unknown option is refused
    decodes      the frames give readings, of declared handles, with a value or a reason, at the time of the call
    chunks       the same bytes give the same events in pieces of any size; adjacent samples count as joined
    noise        no byte sequence raises
    resync       after noise, a cut frame or a damaged one, at most one packet is lost
    reopened     opening the line again forgets half a frame
    listens      made with may_send=False, it sends nothing

A rule that does not hold raises `ConformanceError`, which names it.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from gateway.drivers.api import Alarm, DeviceClock, Driver, Event, FrameErrors, Identity, Notice, Reading, Samples
from vitaledger.errors import MisuseError, VitaledgerError
from vitaledger.marks import Absence, Check, Quality

NOW_US = 1_000_000_000
_KINDS = (Alarm, DeviceClock, FrameErrors, Identity, Notice, Reading, Samples)


class ConformanceError(VitaledgerError):
    """A driver breaks a rule of `gateway.drivers.api`. `rule` is the name of the rule."""

    exit_code = 1

    def __init__(self, rule: str, text: str) -> None:
        super().__init__(f"{rule}: {text}")
        self.rule = rule


@dataclass(frozen=True, slots=True)
class Subject:
    """What is tested: a driver class, good packets of its device, its options, a seed and how often."""

    driver: type[Driver]
    frames: Sequence[bytes]
    options: Mapping[str, str] = field(default_factory=dict)
    seed: int = 1
    rounds: int = 100

    def make(self) -> Driver:
        """Make a driver that only listens, its line opened."""
        driver = self.driver(may_send=False, options=self.options)
        driver.opened(NOW_US)
        return driver

    def rng(self, rule: str) -> random.Random:
        """Give the randomness of one rule: the same in every run."""
        return random.Random(f"{self.seed}/{rule}")  # noqa: S311 not for secrets


Joined = tuple[list[Event], dict[str, list[tuple[tuple[int, ...], Absence | None, Quality, bool]]]]
Key = tuple[str, int | None, Absence | None, Quality]


def check_driver(
    driver: type[Driver],
    frames: Sequence[bytes],
    options: Mapping[str, str] | None = None,
    *,
    seed: int = 1,
    rounds: int = 100,
) -> None:
    """Hold a driver against every rule.

    Raises:
        ConformanceError: the first rule that does not hold.
        MisuseError: fewer than three frames.
    """
    if len(frames) < 3:
        raise MisuseError("the conformance kit needs three good frames or more")
    subject = Subject(driver, frames, options or {}, seed, rounds)
    for rule in RULES.values():
        rule(subject)


def declares(subject: Subject) -> None:
    """Check what the class says of itself."""
    driver = subject.driver
    name = driver.NAME
    if not name or not name.isascii() or name != name.lower() or ":" in name or " " in name:
        raise ConformanceError("declares", f"NAME {name!r} is not lower-case ASCII without colon and space")
    if not driver.VERSION or not isinstance(driver.CHECK, Check):
        raise ConformanceError("declares", "VERSION is empty or CHECK is no vitaledger.marks.Check")
    if any(not values for values in driver.OPTIONS.values()):
        raise ConformanceError("declares", "an option without accepted values has no default")
    made = subject.make()
    said = {handle: signal.handle for handle, signal in made.signals.items()}
    said |= {handle: wave.handle for handle, wave in made.waves.items()}
    for handle, other in said.items():
        if other != handle or not handle.isascii():
            raise ConformanceError("declares", f"{handle!r} is declared as {other!r}")
    if set(made.signals) & set(made.waves):
        raise ConformanceError("declares", "a signal and a wave have one handle")
    try:
        driver(may_send=False, options={"no-such-option": "x"})
    except MisuseError:
        return
    raise ConformanceError("declares", "an unknown option is not refused with MisuseError")


def decodes(subject: Subject) -> None:
    """Check the events of good frames, frame by frame."""
    driver = subject.make()
    readings = 0
    for at, frame in enumerate(subject.frames):
        now_us = NOW_US + at * 20_000
        events = driver.receive(frame, now_us)
        _check_events("decodes", driver, events, now_us)
        readings += sum(isinstance(event, Reading) for event in events)
        wrong = next((event for event in events if isinstance(event, FrameErrors)), None)
        if wrong is not None:
            raise ConformanceError("decodes", f"frame {at} is good and was counted as {wrong.kind!r}")
    if not readings:
        raise ConformanceError("decodes", "the frames give no reading")


def chunks(subject: Subject) -> None:
    """Check that the size of the pieces does not matter, for good bytes and for damaged ones."""
    rng = subject.rng("chunks")
    good = b"".join(subject.frames)
    for turn in range(subject.rounds):
        data = good if turn == 0 else _damaged(rng, good)
        whole = joined(subject.make().receive(data, NOW_US))
        for pieces in (_pieces(data, 1), _random_pieces(rng, data)):
            driver = subject.make()
            got = joined([event for piece in pieces for event in driver.receive(piece, NOW_US)])
            if got != whole:
                raise ConformanceError("chunks", f"other events in other pieces of {data.hex()}")


def noise(subject: Subject) -> None:
    """Check that nothing raises, whatever comes."""
    rng = subject.rng("noise")
    good = b"".join(subject.frames)
    driver = subject.make()
    for turn in range(subject.rounds):
        data = rng.randbytes(rng.randrange(600)) if turn % 2 else _damaged(rng, good)
        now_us = NOW_US + turn * 250_000
        try:
            events = [*driver.receive(data, now_us), *driver.tick(now_us)]
        except Exception as error:
            raise ConformanceError("noise", f"{error!r} is raised on {data.hex()}") from error
        _check_events("noise", driver, events, now_us)


def resync(subject: Subject) -> None:
    """Check that at most one packet is lost behind the last bad byte."""
    rng = subject.rng("resync")
    clean = subject.make()
    clean.receive(b"", NOW_US)
    each = [readings(clean.receive(frame, NOW_US)) for frame in subject.frames]
    wanted = [key for keys in each[1:] for key in keys]
    good = b"".join(subject.frames)
    for turn in range(subject.rounds):
        kind = turn % 3
        if kind == 0:
            bad = rng.randbytes(rng.randrange(1, 300))
        elif kind == 1:
            frame = rng.choice(subject.frames)
            bad = frame[: rng.randrange(len(frame))]
        else:
            bad = _damaged(rng, good)
        driver = subject.make()
        got = readings(driver.receive(bad, NOW_US))
        for piece in _random_pieces(rng, good):
            got += readings(driver.receive(piece, NOW_US))
        if wanted and got[-len(wanted) :] != wanted:
            raise ConformanceError("resync", f"more than one packet is lost after {bad.hex()}")


def reopened(subject: Subject) -> None:
    """Check that half a frame is forgotten when the line is opened again."""
    good = b"".join(subject.frames)
    wanted = _told(subject.make().receive(good, NOW_US))
    for cut in range(1, min(len(subject.frames[0]), 200)):
        driver = subject.make()
        driver.receive(subject.frames[0][:cut], NOW_US)
        driver.opened(NOW_US)
        if _told(driver.receive(good, NOW_US)) != wanted:
            raise ConformanceError("reopened", f"{cut} bytes of before are still there after opened()")


def listens(subject: Subject) -> None:
    """Check that a driver which may not send does not."""
    driver = subject.make()
    for at in range(400):
        now_us = NOW_US + at * 250_000
        driver.tick(now_us)
        driver.receive(subject.frames[at % len(subject.frames)] if at % 100 < 50 else b"", now_us)
        sent = driver.to_send(now_us)
        if sent:
            raise ConformanceError("listens", f"made with may_send=False, it sends {sent.hex()}")


RULES: Mapping[str, Callable[[Subject], None]] = {
    rule.__name__: rule for rule in (declares, decodes, chunks, noise, resync, reopened, listens)
}


def readings(events: Sequence[Event]) -> list[Key]:
    """What the readings among `events` say, without their times."""
    return [(e.handle, e.value, e.absence, e.quality) for e in events if isinstance(e, Reading)]


def _told(events: Sequence[Event]) -> list[Event]:
    return [event for event in events if isinstance(event, Reading | FrameErrors)]


def joined(events: Sequence[Event]) -> Joined:
    """All but samples in their order, and of each wave its runs, joined where one follows the other unchanged."""
    others: list[Event] = []
    waves: dict[str, list[tuple[tuple[int, ...], Absence | None, Quality, bool]]] = {}
    for event in events:
        if not isinstance(event, Samples):
            others.append(event)
            continue
        runs = waves.setdefault(event.handle, [])
        if runs and event.follows and runs[-1][1:3] == (event.absence, event.quality):
            before = runs[-1]
            runs[-1] = (before[0] + event.samples, *before[1:])
        else:
            runs.append((event.samples, event.absence, event.quality, event.follows))
    return others, waves


def _check_events(rule: str, driver: Driver, events: Sequence[Event], now_us: int) -> None:
    for event in events:
        if not isinstance(event, _KINDS):
            raise ConformanceError(rule, f"{event!r} is no event")
        if not isinstance(event, Identity) and event.at_us != now_us:
            raise ConformanceError(rule, f"{event!r} does not bear the time of the call, {now_us}")
        if isinstance(event, Reading):
            _check_reading(rule, driver, event)
        elif isinstance(event, Samples):
            if event.handle not in driver.waves:
                raise ConformanceError(rule, f"wave {event.handle!r} is not declared")
            if not event.samples:
                raise ConformanceError(rule, f"{event!r} is empty")


def _check_reading(rule: str, driver: Driver, reading: Reading) -> None:
    if reading.handle not in driver.signals:
        raise ConformanceError(rule, f"handle {reading.handle!r} is not declared")
    if (reading.value is None) == (reading.absence is None):
        raise ConformanceError(rule, f"{reading!r} has to have either a value or a reason why not")
    if reading.value is not None and type(reading.value) is not int:
        raise ConformanceError(rule, f"{reading!r}: a value is an int, scaled by the signal's exponent")


def _pieces(data: bytes, size: int) -> Iterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


def _random_pieces(rng: random.Random, data: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        end = at + rng.randrange(1, 40)
        yield data[at:end]
        at = end


def _damaged(rng: random.Random, data: bytes) -> bytes:
    """Flip a bit, drop, repeat, insert or splice, one to four times."""
    out = bytearray(data)
    for _ in range(rng.randrange(1, 5)):
        if not out:
            break
        at, to = sorted((rng.randrange(len(out)), rng.randrange(len(out))))
        to = min(to, at + 40)
        match rng.randrange(5):
            case 0:
                out[at] ^= 1 << rng.randrange(8)
            case 1:
                del out[at : to + 1]
            case 2:
                out[at:at] = out[at : to + 1]
            case 3:
                out[at:at] = rng.randbytes(rng.randrange(1, 20))
            case _:
                out[at:to] = data[rng.randrange(len(data)) :][:30]
    return bytes(out)
