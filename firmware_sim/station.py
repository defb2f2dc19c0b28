"""One device of a scenario on its line, with its faults, in the scenario's time.

A station gives the bytes that arrive at the other end and, apart from them, the lines of the truth file. It still has
no port and no clock: `serve` gives it those, `emit` runs it as fast as it goes.
"""

from dataclasses import dataclass

from firmware_sim.devices.base import Device, Emission, Sensor
from firmware_sim.faults import DROPPED, Fault, FaultKind, NoisyLine, sensor_state
from firmware_sim.scenario import DeviceSpec, Scenario, build
from firmware_sim.truth import TruthLog


@dataclass(frozen=True, slots=True)
class Progress:
    """What became of a stretch of time: bytes that reached the line, in order, and truth lines without line ends."""

    data: bytes
    truth: list[str]


@dataclass(frozen=True, slots=True)
class _Spell:
    """A time during which one and the same unit is switched on."""

    on_us: int
    off_us: int | None
    serial: str | None


def _spells(spec: DeviceSpec) -> list[_Spell]:
    spells, on_us, serial = [], spec.start_us, spec.serial
    for swap in sorted((f for f in spec.faults if f.kind is FaultKind.SWAP), key=lambda f: f.from_us):
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
        self._line = NoisyLine(spec.faults, f"{self._seed}/line")
        self._silences = tuple(f for f in spec.faults if f.kind is FaultKind.SILENCE)
        self._unplugs = tuple(f for f in spec.faults if f.kind is FaultKind.UNPLUG)
        self._log = TruthLog(spec.name)
        self._harm: str | None = None
        self._last_harm: str | None = None
        self._wary = 0
        self._silenced = False

    def plugged(self, now_us: int) -> bool:
        """Whether the port is there."""
        return not _any(self._unplugs, now_us)

    def advance(self, until_us: int) -> Progress:
        """Run up to and including `until_us`, which never goes back."""
        data, truth = bytearray(), list[str]()
        while True:
            if self._spell is None and not self._switch_on(until_us):
                break
            spell, device = self._spell, self._device
            if spell is None or device is None:
                break
            ends = spell.off_us is not None and until_us >= spell.off_us
            limit = spell.off_us - 1 if ends and spell.off_us is not None else until_us
            for emission in device.advance(limit - spell.on_us):
                data += self._pass(emission, spell.on_us, device, truth)
            if not ends:
                break
            truth += self._log.flush()
            self._spell = self._device = None
        return Progress(bytes(data), truth)

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

        def sensor(time_us: int) -> Sensor:
            return sensor_state(self._spec.faults, time_us + spell.on_us)

        seed = f"{self._seed}/{spell.on_us}"
        self._device = build(self._spec, seed=seed, serial=spell.serial, sensor=sensor, attended=self._attended)
        return True

    def _pass(self, emission: Emission, on_us: int, device: Device, truth: list[str]) -> bytes:
        """Send one frame through the faults; returns what arrives and adds to the truth."""
        time_us = emission.time_us + on_us
        if emission.opens:
            self._harm, self._silenced = None, False
        if _any(self._silences, time_us):
            self._silenced = True
            truth += self._log.flush()
            return b""
        data, harm = self._line.carry(time_us, emission.data)
        if _any(self._unplugs, time_us):
            data, harm = b"", DROPPED
        # The frames next to a damaged one may be lost to a careful reader too; they carry the same mark.
        frame_harm = harm
        if harm:
            self._wary, self._harm = device.resync_frames, harm
        elif self._wary:
            self._wary -= 1
            frame_harm = self._harm = self._harm or self._last_harm
        if frame_harm:
            self._last_harm = frame_harm
        if emission.samples:
            truth += self._log.wave(time_us, emission.samples, frame_harm)
        if emission.ends_group:
            truth += self._log.flush()
        # A group that was silent in part never reached anybody whole, so its readings were not said.
        if emission.readings and not self._silenced:
            truth += [self._log.reading(time_us, reading, self._harm) for reading in emission.readings]
        return data


def _any(faults: tuple[Fault, ...], time_us: int) -> bool:
    return any(fault.covers(time_us) for fault in faults)


def stations(scenario: Scenario, *, attended: bool = False) -> list[Station]:
    """All devices of a scenario."""
    return [Station(spec, scenario.seed, attended=attended) for spec in scenario.devices]
