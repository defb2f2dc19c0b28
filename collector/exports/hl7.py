"""HL7 v2.6 ORU^R01 in the form of IHE PCD-01: a batch file, one message an entry, one OBR a time, one OBX a reading.

    FHS, BHS
    MSH  [OBR  OBX of the device  OBX …]  …      an entry with readings
    MSH  OBR  OBX  NTE                           a gap, a finding, an entry that did not verify
    BTS, FTS

The ledger does not know patients, so there is no PID, and none is invented: whoever sends the messages on adds it. A
reading that is absent, or that the device itself takes back, has no value, status X, a flag in OBX-8 and its reason in
an NTE. Readings of a test or a demonstration are marked in MSH-11 and in the OBX-8 of each. Segments end in CR, times
are UTC in 0.1 ms.

>>> escape("50 % & more^|~")
'50 % \\\\T\\\\ more\\\\S\\\\\\\\F\\\\\\\\R\\\\'
"""

from collections.abc import Iterable, Iterator
from itertools import groupby

from collector.exports.extract import Extract
from collector.exports.words import numbered, taken_back, title_of
from vitaledger import content, events, vitals
from vitaledger.content import Row, Values
from vitaledger.csvform import Placed, Refused, quality_words, utc
from vitaledger.marks import Absence, Category, Provenance, Quality, Use
from vitaledger.rows import describe

_PROFILE = "IHE_PCD_001^IHE PCD^1.3.6.1.4.1.19376.1.6.1.1.1^ISO"
_OBSERVED = "182777000^monitoring of patient^SCT"
_MONITOR = "69965^MDC_DEV_MON_PHYSIO_MULTI_PARAM_MDS^MDC"
_OXIMETER = "69641^MDC_DEV_ANALY_SAT_O2_MDS^MDC"
_OXIMETRY = {150456, 149530, 150448, 150452}
_LOCAL = "99VITALEDGER"
_PROCESSING = {Use.CLINICAL: "P", Use.TEST: "D", Use.DEMO: "T"}
_USE_FLAGS = {Use.TEST: "TEST", Use.DEMO: "DEMO"}
_NULL_FLAVORS = {
    Absence.INVALID: "INV",
    Absence.SENSOR_DISCONNECTED: "NAV",
    Absence.SENSOR_OFF: "NAV",
    Absence.PROBE_ERROR: "NAV",
    Absence.SEARCHING: "NAV",
    Absence.CALIBRATING: "CAL",
    Absence.NOT_APPLICABLE: "NA",
    Absence.OUT_OF_RANGE: "OTH",
}
_FLAGS = {
    Quality.INVALID: "INV",
    Quality.QUESTIONABLE: "QUES",
    Quality.NOT_AVAILABLE: "NAV",
    Quality.CALIBRATION_ONGOING: "CAL",
    Quality.TEST_DATA: "TEST",
    Quality.DEMO_DATA: "DEMO",
}
_METHODS = {
    Category.MEASURED: "AMEAS^auto-measurement^MDC",
    Category.CALCULATED: "ACALC^auto-calculation^MDC",
    Category.SETTING: "ASET^auto-setting^MDC",
    Category.ALARM_LIMIT: "ASET^auto-setting^MDC",
}
_ESCAPES = str.maketrans({"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\"})


def write(extract: Extract) -> bytes:
    """The batch file."""
    return "".join(f"{segment}\r" for segment in _Batch(extract).segments()).encode()


def escape(text: str) -> str:
    """Text that stands in a field."""
    return text.translate(_ESCAPES)


class _Batch:
    def __init__(self, extract: Extract) -> None:
        self._told = extract
        self._made = _dtm(extract.request.at_us)
        self._from = f"VITALEDGER^{escape(extract.origin)}^URI"
        self._device = f"{escape(extract.chain)}^^{escape(extract.origin)}^URI"
        self._use = max(extract.uses, default=Use.CLINICAL)  # where one entry is of a demonstration, no message is "P"

    def segments(self) -> Iterator[str]:
        head = rf"|^~\&|{self._from}||||{self._made}||"
        note = escape("; ".join((self._checked(), *self._told.remarks)))
        yield f"FHS{head}{escape(self._told.chain)}|{note}"
        yield f"BHS{head}{escape(self._told.chain)}|{note}"
        count = 0
        for told in self._told.run:
            body = list(self._refused(told) if isinstance(told, Refused) else self._entry(told))
            if body:
                count += 1
                yield self._head(count)
                yield from body
        yield f"BTS|{count}"
        yield "FTS|1"

    def _checked(self) -> str:
        told = self._told
        return (
            f"{told.chain} entries {told.first} to {told.last} of {told.origin}, verified against the ledger "
            f"{told.ledger} at size {told.ledger_size}; proofs are in the evidence file of the same entries"
        )

    def _head(self, number: int) -> str:
        control = f"{self._told.request.at_us // 1000}-{number}"
        sent = rf"MSH|^~\&|{self._from}||||{self._made}||ORU^R01^ORU_R01|{control}|{_PROCESSING[self._use]}|2.6"
        return f"{sent}|||AL|NE||UNICODE UTF-8|||{_PROFILE}"

    def _order(self, number: int, told: Placed | Refused, start_us: int, end_us: int | None = None) -> str:
        entry = f"{told.seq}/{told.index}" if isinstance(told, Refused) else f"{told.index}"
        order = f"{entry}.{number}^{self._from}"
        end = "" if end_us is None else f"|{_dtm(end_us)}"
        return f"OBR|{number}|{order}|{order}|{_OBSERVED}|||{_dtm(start_us)}{end}"

    # -- entries ------------------------------------------------------------------------------------------------------

    def _entry(self, placed: Placed) -> Iterator[str]:
        opened = placed.opened
        if opened is None:
            return
        if isinstance(opened.event, events.Gap | events.Silence):
            yield from self._gap(placed, opened.event)
        if opened.values is not None:
            yield from self._readings(placed, opened.values)

    def _readings(self, placed: Placed, values: Values) -> Iterator[str]:
        began = placed.entry.clock.wall_ms * 1000
        metrics = {series.handle: n for n, series in enumerate(values.series, start=1)}
        rows = sorted(numbered(values), key=lambda each: each[2].at_us)  # stable: series stay in their order
        codes = {series.code for series in values.series if series.code}
        device = _OXIMETER if codes and codes <= _OXIMETRY else _MONITOR
        for order, (at_us, same) in enumerate(groupby(rows, key=lambda each: each[2].at_us), start=1):
            yield self._order(order, placed, began + at_us)
            yield f"OBX|1||{device}|1.0.0.0|||||||X|||||||{self._device}"
            for n, (series, _, row, device_time) in enumerate(same, start=2):
                at = f"1.0.0.{metrics[series.handle]}"
                yield self._reading(n, at, row, series.category, values.use, began + at_us)
                words = [taken_back(row), row.absence.label if row.absence else None]
                if row.quality:
                    words.append("quality: " + ", ".join(quality_words(row.quality)))
                if values.provenance is not Provenance.DEVICE_LIVE:
                    words.append(f"provenance: {values.provenance.label}")
                if device_time:
                    words.append(f"the device's own time: {device_time}")
                yield from _notes(words)

    def _reading(self, n: int, at: str, row: Row, category: Category, use: Use, at_us: int) -> str:
        flags = [_NULL_FLAVORS[row.absence]] if row.absence else []
        flags += [flag for bit, flag in _FLAGS.items() if row.quality & bit]
        flags += [_USE_FLAGS[use]] if use in _USE_FLAGS else []
        has_value = row.value is not None and not taken_back(row)
        value = content.scaled(row.value, row.exponent) if has_value and row.value is not None else ""
        status = "X" if not has_value else "F" if row.quality & Quality.VALIDATED else "R"
        told = "~".join(dict.fromkeys(flags))
        return (
            f"OBX|{n}|NM|{_code(row)}|{at}|{value}|{_unit(row.unit)}||{told}|||{status}|||{_dtm(at_us)}|||"
            f"{_METHODS[category]}|{self._device}"
        )

    def _gap(self, placed: Placed, event: events.Gap | events.Silence) -> Iterator[str]:
        until = placed.entry.clock.wall_ms * 1000
        since = until if event.since is None else event.since.wall_ms * 1000
        reason = event.reason.label if isinstance(event, events.Gap) else "silence"
        yield self._order(1, placed, since, until)
        told = f"OBX|1|ST|gap^gap in the record^{_LOCAL}|1.0.0.0|{escape(reason)}"
        yield f"{told}||||||R|||{_dtm(until)}||||{self._device}"
        yield from _notes([describe(event, placed.entry.clock)])

    def _refused(self, told: Refused) -> Iterator[str]:
        what = "entry that failed verification" if told.kind == "failed" else "entry that cannot be believed"
        yield self._order(1, told, told.at_us)
        yield f"OBX|1|ST|{told.kind}^{what}^{_LOCAL}|1.0.0.0|||||||X|||{_dtm(told.at_us)}||||{self._device}"
        yield from _notes([f"{self._told.chain} entry {told.seq}: {told.reason}"])


def _notes(words: Iterable[str | None]) -> Iterator[str]:
    for n, word in enumerate(filter(None, words), start=1):
        yield f"NTE|{n}||{escape(word)}"


def _code(row: Row) -> str:
    sign = vitals.by_code(row.code)
    if not row.code:
        return f"{escape(row.handle)}^{escape(title_of(row.handle, 0))}^{_LOCAL}"
    refid = sign.refid if sign and sign.refid else escape(title_of(row.handle, row.code))
    loinc = f"^{sign.loinc[0]}^{escape(sign.title)}^LN" if sign and sign.loinc else ""
    return f"{row.code}^{refid}^MDC{loinc}"


def _unit(code: int) -> str:
    unit = vitals.unit(code)
    return (
        f"{code}^^MDC" if unit is None else f"{code}^{unit.refid}^MDC^{escape(unit.ucum)}^{escape(unit.display)}^UCUM"
    )


def _dtm(at_us: int) -> str:
    """A time of HL7, UTC; empty where a clock claims one that no calendar has."""
    told = utc(at_us)
    if not told.endswith("Z"):
        return ""
    return told[:24].translate({ord(char): None for char in "-:TZ"}) + "+0000"
