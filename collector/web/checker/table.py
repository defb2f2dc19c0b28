"""The table of a device: the same as its chart in rows, each verified for this view.

Up to an hour, one row a reading, an event, or an entry of which nothing can be shown; a longer interval has one row a
cell of the chart, with lowest and highest value.
"""

from collections.abc import Iterator
from typing import Any

from collector.generations import history
from collector.history import Device, Seen, Span
from collector.verified import State, VerifiedStore
from collector.web.checker.cells import is_drawn
from collector.web.checker.desk import Desk
from collector.web.checker.told import word
from vitaledger import vitals
from vitaledger.rows import EventRow, ReadingRow, Row, rows

MAX_ROWS = 20_000  # of one table; the page says that there are more
MAX_SPAN_US = 3_600_000_000


def table(desk: Desk, device: Device, from_us: int, to_us: int) -> Iterator[dict[str, Any] | None]:
    """All rows of an interval, in one answer; None in between, so that others have their turn."""
    found: list[dict[str, Any]] = []
    left_out = 0
    store = desk.store
    for count, seen in enumerate(history(store, device, Span(from_us, to_us - 1))):
        for row in _rows(store, seen, from_us, to_us):
            if len(found) < MAX_ROWS:
                found.append(row)
            else:
                left_out += 1
        if count % 64 == 63:
            yield None
    yield {"rows": found, "left_out": left_out}


def _rows(store: VerifiedStore, seen: Seen, from_us: int, to_us: int) -> Iterator[dict[str, Any]]:
    state = word(store.log(seen.log), seen)
    base = {"seq": seen.seq, "index": seen.look.index, "origin": seen.log.origin, "state": state}
    if seen.verdict.state in {State.FAILED, State.FINDING}:
        yield base | {"at_us": seen.at_us, "what": "entry", "text": seen.verdict.reason}
    if seen.opened is None:
        return
    for row in rows(seen.opened):
        if from_us <= row.at_us < to_us and (told := _row(row)):
            yield base | told


def _row(row: Row) -> dict[str, Any]:
    match row:
        case ReadingRow():
            sign = vitals.by_code(row.mdc)
            unit = next((each.display for each in vitals.UNITS.values() if each.ucum == row.unit), row.unit)
            return {
                "at_us": row.at_us,
                "what": "reading",
                "signal": row.signal,
                "title": sign.title if sign else row.signal,
                "value": row.value,
                "unit": unit,
                "absent": row.absence.label if row.absence else None,
                "quality": list(row.quality.labels),
                "drawn": row.value is not None and is_drawn(row.quality),
                "provenance": row.provenance.label,
            }
        case EventRow():
            return {"at_us": row.at_us, "what": row.name, "text": row.text}
        case _:
            return {}
