"""One device of a scenario on its line, with its faults, in the scenario's time.

A station gives the bytes that arrive at the other end and, apart from them, the lines of the truth file. It still has
no port and no clock: `serve` gives it those, `emit` runs it as fast as it goes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from firmware_sim.devices.base import Device, Emission
from firmware_sim.faults import DROPPED, NOISY, PLUG_FAULTS, FaultKind, covering, of_kind
from firmware_sim.scenario import BAUD, DeviceSpec, Scenario, build
from firmware_sim.truth import Mark, TruthLog
from firmware_sim.wire import Noise, NoisyLine


@dataclass(frozen=True, slots=True)
class Progress:
    """What became of a stretch of time: bytes that reached the line, in order, and truth lines without line ends."""

    pieces: list[tuple[int, bytes]]
    truth: list[str]

    @property
    def data(self) -> bytes:
        """All the bytes."""
        return b"".join(data for _, data in self.pieces)


@dataclass(frozen=True, slots=True)
class _Spell:
    """A time during which one and the same unit is switched on."""

    on_us: int
    off_us: int | None
    serial: str | None


def _spells(spec: DeviceSpec) -> list[_Spell]:
    spells, on_us, serial = [], spec.start_us, spec.serial
    for swap in of_kind(spec.faults, FaultKind.SWAP):
        if swap.from_us > on_us:
            spells.append(_Spell(on_us, swap.from_us, serial))
        on_us, serial = max(on_us, swap.until_us), swap.serial
    return [*spells, _Spell(on_us, None, serial)]


class Station:
    """A device of a scenario, from its start to its end.

    Args:
        spec: which device.
        seed: the scenario's seed; each device draws its own from it and its name.
        attended: see `scenario.build`.
    """

    def __init__(self, spec: DeviceSpec, seed: int, *, attended: bool = False) -> None:
        self.name = spec.name
        self._spec = spec
        self._seed = f"{seed}/{spec.name}"
        self._attended = attended
        self._spells = _spells(spec)
        self._spell: _Spell | None = None
        self._device: Device | None = None
        self._line = NoisyLine(spec.faults, f"{self._seed}/line", BAUD[spec.model])
        self._noise = Noise(spec.faults, f"{self._seed}/noise")
        self._silences = of_kind(spec.faults, FaultKind.SILENCE)
        self._unplugs = of_kind(spec.faults, *PLUG_FAULTS)
        self._freezes = of_kind(spec.faults, FaultKind.FROZEN)
        self._moves = of_kind(spec.faults, FaultKind.REPLUG)
        self._log = TruthLog(spec.name)
        self._harm: str | None = None
        self._last_harm: str | None = None
        self._wary = 0
        self._silenced = False
        self._frozen = False
        self._disturbed = False

    @property
    def by_id(self) -> str | None:
        """The link that follows the device to whatever port it is on."""
        return self._spec.by_id

    def plugged(self, now_us: int) -> bool:
        """Whether the port is there."""
        return not covering(self._unplugs, now_us)

    def port(self, now_us: int) -> str | None:
        """The port that the device is on, or was on last."""
        moved = [move.port for move in self._moves if move.until_us <= now_us and move.port is not None]
        return moved[-1] if moved else self._spec.port

    def advance(self, until_us: int) -> Progress:
        """Run up to and including `until_us`, which never goes back."""
        pieces, truth = list[tuple[int, bytes]](), list[str]()
        for emission, on_us in self._frames(until_us, truth):
            time_us = emission.time_us + on_us
            self._disturb(time_us, pieces)
            if data := self._pass(emission, time_us, truth):
                pieces.append((time_us, data))
        self._disturb(until_us, pieces)
        return Progress(pieces, truth)

    def _frames(self, until_us: int, truth: list[str]) -> Iterator[tuple[Emission, int]]:
        """What the units say, each with the time at which it was switched on."""
        while self._spell is not None or self._switch_on(until_us):
            spell, device = self._spell, self._device
            if spell is None or device is None:
                return
            ends = spell.off_us is not None and until_us >= spell.off_us
            limit = spell.off_us - 1 if ends and spell.off_us is not None else until_us
            for emission in device.advance(limit - spell.on_us):
                yield emission, spell.on_us
            if not ends:
                return
            truth += self._log.flush()
            self._spell = self._device = None

    def _disturb(self, until_us: int, pieces: list[tuple[int, bytes]]) -> None:
        """Add the noise up to a time, which is heard only where the plug is in."""
        for burst in self._noise.until(until_us):
            if self.plugged(burst.time_us):
                pieces.append((burst.time_us, burst.data))
                self._disturbed = True

    def receive(self, data: bytes, now_us: int) -> None:
        """Bytes from the host, after `advance(now_us)`; nobody hears them while the device is off."""
        if self._device is not None and self._spell is not None and self.plugged(now_us):
            self._device.receive(data, now_us - self._spell.on_us)

    def finish(self) -> list[str]:
        """The truth lines that were still being gathered."""
        return self._log.flush()

    def _switch_on(self, until_us: int) -> bool:
        if not self._spells or self._spells[0].on_us > until_us:
            return False
        self._spell = spell = self._spells.pop(0)

        seed = f"{self._seed}/{spell.on_us}"
        self._device = build(self._spec, seed=seed, serial=spell.serial, on_us=spell.on_us, attended=self._attended)
        return True

    def _pass(self, emission: Emission, time_us: int, truth: list[str]) -> bytes:
        """Send one frame through the faults; returns what arrives and adds to the truth."""
        frozen = covering(self._freezes, time_us)
        if emission.opens:
            self._harm, self._silenced, self._frozen = None, False, frozen
        if covering(self._silences, time_us):
            self._silenced = True
            truth += self._log.flush()
            return b""
        data, frame_harm = self._carry(time_us, emission.data, self._device.resync_frames if self._device else 0)
        if emission.samples:
            truth += self._log.wave(time_us, emission.samples, Mark(frame_harm, frozen))
        if emission.ends_group:
            truth += self._log.flush()
        # A group that was silent in part never reached anybody whole, so its readings were not said.
        if not self._silenced:
            mark = Mark(self._harm, self._frozen, emission.again, emission.clock)
            truth += [self._log.reading(time_us, reading, mark) for reading in emission.readings]
            if emission.alarm is not None:
                truth += self._log.alarm(time_us, emission.alarm, Mark(self._harm))
        return data

    def _carry(self, time_us: int, data: bytes, resync_frames: int) -> tuple[bytes, str | None]:
        """What arrives of a frame, and its mark; the frame's group is marked with it."""
        data, harm = self._line.carry(time_us, data)
        if not self.plugged(time_us):
            data, harm = b"", DROPPED
        if self._disturbed:
            harm = harm or NOISY
            self._disturbed = False
        # The frames next to a damaged one may be lost to a careful reader too; they carry the same mark.
        if harm:
            self._wary, self._harm = resync_frames, harm
        elif self._wary:
            self._wary -= 1
            harm = self._harm = self._harm or self._last_harm
        if harm:
            self._last_harm = harm
        return data, harm


def stations(scenario: Scenario, *, attended: bool = False) -> list[Station]:
    """All devices of a scenario."""
    return [Station(spec, scenario.seed, attended=attended) for spec in scenario.devices]
