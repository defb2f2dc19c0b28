"""What the forms have in common: names of signals, and which values a device itself takes back."""

from collections.abc import Iterator

from vitaledger import content, vitals
from vitaledger.content import Row, Series, Values
from vitaledger.csvform import quality_words
from vitaledger.marks import Quality

NO_VALUE = Quality.INVALID | Quality.NOT_AVAILABLE  # with one of these a number is no value


def title_of(handle: str, code: int) -> str:
    """A signal in words: by its MDC code, else as the device calls it; never blank."""
    sign = vitals.by_code(code)
    return sign.title if sign else handle.strip() or f"code {code}"


def taken_back(row: Row) -> str | None:
    """What a device says of a value that it sends and marks as none; None for a value that stands."""
    if row.value is None or not row.quality & NO_VALUE:
        return None
    words = " and ".join(quality_words(row.quality & NO_VALUE))
    return f"the device sent {content.scaled(row.value, row.exponent)} and marks it {words}"


def numbered(values: Values) -> Iterator[tuple[Series, int, Row, str | None]]:
    """Every reading with its series, its place in it, and the device's own time where it is a stored one."""
    rows = content.readings(values)
    for series in values.series:
        stored = values.stored.device_times if values.stored is not None and series.times == 0 else None
        for n in range(len(series.values)):
            yield series, n, next(rows), stored[n] if stored else None
