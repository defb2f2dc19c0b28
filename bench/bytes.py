"""Bytes: on the wire and on disk, against what the devices sent, against JSON and against FHIR.

No processes, no network, and time is an argument: see `bench.world`.

*The wire* is the payloads of everything that the gateway publishes: anchors with their proofs, and entries. With
framing it is that of MQTT 3.1.1 at QoS 1 as well (header, topic, packet id, acknowledgement), in both directions, and
the collector's answers. *The disk* is the gateway's database at the end of the run.

*JSON* is one message a reading, as small as it can be and still say device, code, unit, time and value; *FHIR* the
smallest Observation with the same. Neither has the waves, the raw bytes, an order or a proof.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.figure import Effort, Figure, Goal
from bench.scratch import scratch
from bench.ward import MIX
from bench.world import GATEWAY, World
from gateway.reader import Reader
from vitaledger import messages, vitals
from vitaledger.opened import open_entry
from vitaledger.rows import ReadingRow, WaveRow, rows

SECONDS = 600
_FRAMING = 2 + 2 + 2 + 4  # header and length, the topic's length, packet id, acknowledgement; and the topic


@dataclass(slots=True)
class Tally:
    """What some devices sent in some seconds, and what became of it."""

    received: int = 0
    readings: int = 0
    samples: int = 0
    up: int = 0  # payloads
    framed: int = 0  # all payloads and framing, up and down
    disk: int = 0
    json: int = 0
    fhir: int = 0

    def sent(self, leaf: str, payload: bytes) -> None:
        """The gateway published something."""
        self.up += len(payload)
        self.passed(leaf, payload)

    def passed(self, leaf: str, payload: bytes) -> None:
        """Something was published, by either side."""
        self.framed += len(payload) + len(messages.topic(GATEWAY, leaf)) + _FRAMING

    def count(self, log: Reader) -> None:
        """Count what a log holds, and what JSON and FHIR would say of it."""
        for leaf, body in log.entries(0, log.size):
            opened = open_entry(leaf, body or b"\x80")
            for row in rows(opened):
                if isinstance(row, ReadingRow):
                    self.readings += 1
                    self.json += len(json_of(opened.entry.chain, row))
                    self.fhir += len(fhir_of(opened.entry.chain, row))
                elif isinstance(row, WaveRow):
                    self.samples += len(row.samples)


def json_of(chain: str, row: ReadingRow) -> bytes:
    """A reading as one small message."""
    return _packed({"device": chain, "code": row.mdc, "unit": row.unit, "time": _time(row), "value": _value(row)})


def fhir_of(chain: str, row: ReadingRow) -> bytes:
    """A reading as the smallest FHIR R4 Observation that says the same."""
    sign = vitals.by_code(row.mdc)
    coding = [{"system": "http://loinc.org", "code": sign.loinc[0]}] if sign and sign.loinc else []
    coding.append({"system": "urn:iso:std:iso:11073:10101", "code": str(row.mdc)})
    observation: dict[str, object] = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": coding},
        "device": {"identifier": {"value": chain}},
        "effectiveDateTime": _time(row),
    }
    if row.value is None:
        observation["dataAbsentReason"] = {"text": row.absence.label if row.absence else ""}
    else:
        unit = {"system": "http://unitsofmeasure.org", "code": row.unit}
        observation["valueQuantity"] = {"value": _value(row), "unit": row.unit, **unit}
    return _packed(observation)


def _packed(value: dict[str, object]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _time(row: ReadingRow) -> str:
    return datetime.fromtimestamp(row.at_us / 1e6, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _value(row: ReadingRow) -> float | None:
    return None if row.value is None else float(row.value) if "." in row.value else int(row.value)


def measure(effort: Effort) -> Iterator[Figure]:
    """Each device by itself, then all eight."""
    seconds = effort.of(SECONDS)
    kinds = {driver: port for port, (driver, _) in MIX.items()}
    for driver, port in kinds.items():
        yield from _figures(_tally({port: MIX[port]}, seconds), f"one {driver}", seconds)
    yield from _figures(_tally(MIX, seconds), f"{len(MIX)} devices", seconds, Goal(most=1.3))


def _figures(found: Tally, who: str, seconds: int, goal: Goal | None = None) -> Iterator[Figure]:
    at = (
        f"{who}: {found.received / seconds:.0f} bytes, {found.readings / seconds:.1f} readings and "
        f"{found.samples / seconds:.0f} wave samples a second, {seconds} s"
    )

    def one(what: str, value: float, unit: str = "bytes", of: Goal | None = None) -> Figure:
        return Figure(what, value, unit, value, value, 1, of, at)

    yield one("the device's own, a reading", found.received / found.readings)
    yield one("wire, a reading", found.up / found.readings)
    yield one("wire with framing and answers, a reading", found.framed / found.readings)
    yield one("disk, a reading", found.disk / found.readings)
    yield one("JSON, a reading", found.json / found.readings)
    yield one("FHIR, a reading", found.fhir / found.readings)
    yield one("wire over the device's own", found.up / found.received, "", goal)
    yield one("disk over the device's own", found.disk / found.received, "")
    yield one("wire over JSON", found.up / found.json, "")
    yield one("wire over FHIR", found.up / found.fhir, "")


def _tally(devices: Mapping[str, tuple[str, str]], seconds: int) -> Tally:
    found = Tally()
    with tempfile.TemporaryDirectory(prefix="vitaledger-bench-", dir=scratch()) as name:
        world = World(Path(name), devices, seconds, found.sent, found.passed)
        try:
            world.run()
            found.received = world.received
            found.count(world.log)
        finally:
            world.close()
        found.disk = (Path(name) / "gateway" / "log.db").stat().st_size  # closed: all of it is in the database
    return found
