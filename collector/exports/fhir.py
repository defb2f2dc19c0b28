"""A FHIR R4 Bundle: Device, DeviceMetric, one Observation a reading, and a Provenance that carries the evidence.

The ledger does not know patients, so no Observation has a subject; whoever imports the Bundle adds it. A value that the
device itself marks invalid, or that is absent, is a dataAbsentReason with the reason in words. Gaps, findings and
entries that did not verify are Observations without a value: nothing in the span is passed over in silence.
"""

import uuid
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from hashlib import sha1
from typing import Any
from urllib.parse import quote

import msgspec

from collector.exports.extract import Extract
from collector.exports.words import numbered, taken_back, title_of
from vitaledger import content, events, vitals
from vitaledger.content import Row, Values
from vitaledger.csvform import Placed, Refused, quality_words, utc, utc_ms
from vitaledger.events import Identity
from vitaledger.marks import Absence, Category, Provenance, Use
from vitaledger.rows import describe

Resource = dict[str, Any]
_encode = msgspec.json.Encoder(decimal_format="number").encode
_LOINC = "http://loinc.org"
_MDC = "urn:iso:std:iso:11073:10101"
_UCUM = "http://unitsofmeasure.org"
_ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
_URI = "urn:ietf:rfc:3986"
_AGENT = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
_TEST = [
    {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HTEST", "display": "test health data"}
]
_SPACE = uuid.UUID("5f7b0c62-7d0e-5c1b-9c59-3c6fd5a1b0f4")  # names of resources are made in this space
_REASONS = {
    Absence.INVALID: "unknown",
    Absence.SENSOR_DISCONNECTED: "not-performed",
    Absence.SENSOR_OFF: "not-performed",
    Absence.PROBE_ERROR: "error",
    Absence.SEARCHING: "temp-unknown",
    Absence.CALIBRATING: "temp-unknown",
    Absence.NOT_APPLICABLE: "not-applicable",
    Absence.OUT_OF_RANGE: "unknown",
}
_METRICS = {
    Category.MEASURED: "measurement",
    Category.CALCULATED: "calculation",
    Category.SETTING: "setting",
    Category.ALARM_LIMIT: "setting",
}


def write(extract: Extract) -> bytes:
    """The Bundle as JSON, one resource a line."""
    bundle = _Bundle(extract)
    head: Resource = {"resourceType": "Bundle", "type": "collection", "timestamp": utc(extract.request.at_us)}
    if bundle.is_test:
        head["meta"] = {"security": _TEST}
    return _encode(head)[:-1] + b',"entry":[\n' + b",\n".join(bundle.lines()) + b"\n]}\n"


@dataclass(frozen=True, slots=True)
class _Signal:
    """What readings have in common that are of one DeviceMetric."""

    identity: int | None
    handle: str
    code: int
    unit: int
    category: Category
    provenance: Provenance


class _Bundle:
    """The entries of the Bundle as JSON; resources that others point to come first."""

    def __init__(self, extract: Extract) -> None:
        self._told = extract
        self._system = "https://" + quote(extract.origin)
        self._stem = f"{extract.origin} {extract.chain}"
        self._metrics: dict[_Signal, tuple[str, Resource]] = {}
        self._common: dict[_Signal, Resource] = {}
        self.is_test = any(use is not Use.CLINICAL for use in extract.uses)

    def lines(self) -> Iterator[bytes]:
        observations = [(seq, url, _entry(url, resource)) for seq, url, resource in self._observations()]
        yield _entry(self._url("gateway"), self._gateway())
        for seq, identity in self._told.identities.items():
            yield _entry(self._url(f"device {seq}"), self._device(seq, identity))
        if not self._told.identities or any(signal.identity is None for signal in self._metrics):
            yield _entry(self._url("device None"), self._device(None, None))
        for url, metric in self._metrics.values():
            yield _entry(url, metric)
        yield from (line for _, _, line in observations)
        document = self._evidence()
        if document is not None:
            yield _entry(self._url("evidence"), document)
        yield _entry(self._url("provenance"), self._provenance([(seq, url) for seq, url, _ in observations]))

    def _url(self, name: str) -> str:
        return uuid.uuid5(_SPACE, f"{self._stem} {name}").urn

    def _resource(self, kind: str) -> Resource:
        return {"resourceType": kind, "meta": {"security": _TEST}} if self.is_test else {"resourceType": kind}

    # -- devices ------------------------------------------------------------------------------------------------------

    def _gateway(self) -> Resource:
        return self._resource("Device") | {
            "identifier": [
                {"system": "https://" + quote(self._told.origin.rpartition("/")[0]), "value": self._told.gateway}
            ],
            "type": {"text": "gateway that seals readings into a log"},
            "deviceName": [{"name": self._told.gateway, "type": "user-friendly-name"}],
        }

    def _device(self, seq: int | None, who: Identity | None) -> Resource:
        name = self._told.chain if seq is None else f"{self._told.chain} {seq}"
        device = self._resource("Device") | {"identifier": [{"system": self._system, "value": name}]}
        if who is None:
            return device | {"note": [{"text": "The record says nothing of who this device is."}]}
        for field, told in (
            ("manufacturer", who.make),
            ("serialNumber", who.serial),
            ("modelNumber", who.model),
        ):
            if told and told.strip():
                device[field] = told.strip()
        if who.firmware and who.firmware.strip():
            device["version"] = [{"type": {"text": "firmware"}, "value": who.firmware.strip()}]
        device["note"] = [{"text": f"Identity by {who.sureness.label}; stated use: {who.use.label}; port {who.port}."}]
        return device

    def _metric(self, signal: _Signal) -> str:
        """The URL of the DeviceMetric of a signal; its provenance is each Observation's."""
        signal = replace(signal, provenance=Provenance.DEVICE_LIVE)
        if signal not in self._metrics:
            metric = self._resource("DeviceMetric") | {
                "identifier": [{"system": self._system, "value": f"{self._told.chain} {signal.handle}"}],
                "type": _code(signal.handle, signal.code),
                "category": _METRICS[signal.category],
                "source": {"reference": self._url(f"device {signal.identity}")},
            }
            if unit := vitals.unit(signal.unit):
                metric["unit"] = {"coding": [_coding(_UCUM, unit.ucum), _coding(_MDC, str(unit.code), unit.refid)]}
            name = f"metric {signal.identity} {signal.handle} {signal.code} {signal.unit} {signal.category}"
            self._metrics[signal] = self._url(name), metric
        return self._metrics[signal][0]

    def _base(self, signal: _Signal) -> Resource:
        """What is the same in all readings of a signal, encoded once."""
        found = self._common.get(signal)
        if found is None:
            found = self._common[signal] = self._resource("Observation") | {
                "status": "final",
                "code": msgspec.Raw(_encode(_code(signal.handle, signal.code))),
                "device": msgspec.Raw(_encode({"reference": self._metric(signal)})),
                "method": msgspec.Raw(_encode({"text": signal.provenance.label})),
            }
        return found

    # -- observations -------------------------------------------------------------------------------------------------

    def _observations(self) -> Iterator[tuple[int, str, Resource]]:
        """(number of the entry, URL, Observation)."""
        for told in self._told.run:
            if isinstance(told, Refused):
                yield told.seq, self._url(f"entry {told.seq} {told.index}"), self._refused(told)
                continue
            opened = told.opened
            if opened is None:
                continue
            if isinstance(opened.event, events.Gap | events.Silence):
                yield told.entry.seq, self._url(f"gap {told.index}"), self._gap(told, opened.event)
            if opened.values is not None:
                for name, resource in self._readings(told, opened.values):
                    yield told.entry.seq, self._url(name), resource

    def _readings(self, placed: Placed, values: Values) -> Iterator[tuple[str, Resource]]:
        began = placed.entry.clock.wall_ms * 1000
        who = self._told.identity_of(placed)
        for series, n, row, device_time in numbered(values):
            name = f"{placed.index}/{row.handle}/{n}"
            notes = [taken_back(row), f"the device's own time: {device_time}" if device_time else None]
            signal = _Signal(who, row.handle, row.code, row.unit, series.category, values.provenance)
            found = {
                **self._base(signal),
                "identifier": [{"system": self._system, "value": name}],
                **_when(began + row.at_us, notes),
                **_value(row),
            }
            if row.quality:
                found["interpretation"] = [{"text": word} for word in quality_words(row.quality)]
            yield name, found

    def _gap(self, placed: Placed, event: events.Gap | events.Silence) -> Resource:
        until = placed.entry.clock.wall_ms
        what = event.reason.label if isinstance(event, events.Gap) else "the device sent nothing"
        found = self._resource("Observation") | {
            "identifier": [{"system": self._system, "value": f"{placed.index}"}],
            "status": "final",
            "code": {"text": "gap in the record"},
            "dataAbsentReason": {"coding": [_coding(_ABSENT, "unknown")], "text": what},
        }
        note, since = describe(event, placed.entry.clock), event.since
        if since is not None and since.wall_ms <= until and in_calendar(since.wall_ms) and in_calendar(until):
            period = {"start": utc_ms(since.wall_ms), "end": utc_ms(until)}
            return found | {"effectivePeriod": period, "note": [{"text": note}]}
        return found | _when(until * 1000, [note])

    def _refused(self, told: Refused) -> Resource:
        what = "entry that failed verification" if told.kind == "failed" else "entry that cannot be believed (finding)"
        note = f"{self._told.chain} entry {told.seq}: {told.reason}"
        found = self._resource("Observation") | {
            "identifier": [{"system": self._system, "value": f"{self._told.chain} {told.seq}"}],
            "status": "unknown",
            "code": {"text": what},
            "dataAbsentReason": {"coding": [_coding(_ABSENT, "error")], "text": what},
        }
        return found | (_when(told.at_us, [note]) if told.at_us else {"note": [{"text": note}]})

    # -- evidence -----------------------------------------------------------------------------------------------------

    def _evidence(self) -> Resource | None:
        evidence = self._told.evidence
        if evidence is None:
            return None
        digest = evidence.sha256
        name = urlsafe_b64encode(digest).decode().rstrip("=")
        return self._resource("DocumentReference") | {
            "masterIdentifier": {"system": _URI, "value": f"ni:///sha-256;{name}"},
            "status": "current",
            "type": {"text": "evidence file of a transparency log"},
            "date": utc(self._told.request.at_us),
            "description": (
                f"Evidence for entries {evidence.first} to {evidence.last} of {self._told.chain} in the log "
                f"{self._told.origin}. SHA-256 {digest.hex()}. Check it with `vitaledger verify`."
            ),
            "content": [
                {
                    "attachment": {
                        "contentType": "application/zip",
                        "data": b64encode(evidence.data).decode(),
                        "size": len(evidence.data),
                        "hash": b64encode(sha1(evidence.data, usedforsecurity=False).digest()).decode(),
                        "title": "evidence.zip",
                    }
                }
            ],
        }

    def _provenance(self, observations: list[tuple[int, str]]) -> Resource:
        """What the evidence covers; without evidence, what was exported."""
        told, proof = self._told, self._told.evidence
        covered = [url for seq, url in observations if proof is None or proof.first <= seq <= proof.last]
        found = self._resource("Provenance") | {
            "target": [{"reference": url} for url in covered or [self._url("gateway")]],
            "recorded": utc(told.request.at_us),
            "agent": [
                {
                    "type": {"coding": [_coding(_AGENT, "assembler")]},
                    "who": {"display": told.request.program},
                    **({"onBehalfOf": {"display": told.request.by}} if told.request.by.strip() else {}),
                },
                {"type": {"coding": [_coding(_AGENT, "author")]}, "who": {"reference": self._url("gateway")}},
            ],
            "activity": {
                "text": f"verified against the ledger {told.ledger} at size {told.ledger_size}"
                + "".join(f"; {remark}" for remark in told.remarks)
            },
        }
        if proof is not None:
            found["entity"] = [{"role": "source", "what": {"reference": self._url("evidence")}}]
        return found


def _entry(url: str, resource: Resource) -> bytes:
    return _encode({"fullUrl": url, "resource": resource})


def _coding(system: str, code: str, display: str | None = None) -> Resource:
    coding = {"system": system, "code": code}
    return coding if display is None else coding | {"display": display}


def _code(handle: str, code: int) -> Resource:
    """LOINC and MDC where they are known; the words, and for a signal of the device's own its handle."""
    sign = vitals.by_code(code)
    coding = [_coding(_LOINC, loinc) for loinc in sign.loinc] if sign else []
    if code:
        coding.append(_coding(_MDC, str(code), sign.refid if sign else None))
    told = {"text": title_of(handle, code)}
    return {"coding": coding, **told} if coding else told


def _value(row: Row) -> Resource:
    if row.value is None:
        reason = row.absence or Absence.INVALID
        return {"dataAbsentReason": {"coding": [_coding(_ABSENT, _REASONS[reason])], "text": reason.label}}
    if taken_back(row):
        words = " ".join(quality_words(row.quality))
        return {"dataAbsentReason": {"coding": [_coding(_ABSENT, "error")], "text": words}}
    told = content.scaled(row.value, row.exponent)
    unit = vitals.unit(row.unit)
    if unit is None:
        return {"valueQuantity": {"value": Decimal(told), "system": _MDC, "code": str(row.unit)}}
    return {
        "valueQuantity": {"value": Decimal(told), "unit": unit.display or unit.ucum, "system": _UCUM, "code": unit.ucum}
    }


def in_calendar(at_ms: int) -> bool:
    """Whether a clock's time is one that a calendar has."""
    return utc_ms(at_ms).endswith("Z")


def _when(at_us: int, notes: Iterable[str | None]) -> Resource:
    """The time, and the notes; a clock may claim any time, and FHIR knows those of the calendar."""
    told, said = utc(at_us), [{"text": note} for note in notes if note]
    found: Resource = {"effectiveDateTime": told}
    if not told.endswith("Z"):
        found = {}
        said.append({"text": f"time by the gateway's clock: {told} µs since 1970"})
    return found | {"note": said} if said else found
