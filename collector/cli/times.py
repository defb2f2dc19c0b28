"""Times as people type them: ISO 8601, `now`, or a span back from now (`-90s`, `-15m`, `-1h`, `-7d`, `-2w`).

A time without a zone is UTC. All are µs since 1970 UTC here.

>>> now = parse_time("2026-01-02T03:04:05Z", 0)
>>> show(now), show(parse_time("-1h", now)), show(parse_time("2026-01-02 05:00:00.25+02:00", now))
('2026-01-02T03:04:05.000Z', '2026-01-02T02:04:05.000Z', '2026-01-02T03:00:00.250Z')
>>> parse_time("yesterday", now)
Traceback (most recent call last):
vitaledger.errors.MisuseError: time 'yesterday': expected ISO 8601 (UTC where no zone is given), now, or -15m, -1h, -7d
"""

import re
from datetime import UTC, datetime, timedelta

from vitaledger.errors import MisuseError

_SPAN = re.compile(r"-([0-9]{1,9})([smhdw])", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_time(text: str, now_us: int) -> int:
    """A time in µs since 1970 UTC, or MisuseError."""
    if text == "now":
        return now_us
    if span := _SPAN.fullmatch(text):
        return now_us - int(span[1]) * _SECONDS[span[2]] * 1_000_000
    try:
        found = datetime.fromisoformat(text)
        found = found if found.tzinfo else found.replace(tzinfo=UTC)
        return (found - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError):
        raise MisuseError(
            f"time {text!r}: expected ISO 8601 (UTC where no zone is given), now, or -15m, -1h, -7d"
        ) from None


def has_zone(text: str) -> bool:
    """Whether a time says its zone, or needs none; where it does not, it is taken as UTC and the user is told."""
    if text == "now" or _SPAN.fullmatch(text):
        return True
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return True


def show(at_us: int) -> str:
    """ISO 8601 with ms, UTC; a time that no calendar has is shown as a number."""
    try:
        at = _EPOCH + timedelta(microseconds=at_us)
    except OverflowError:
        return f"{at_us / 1e6:.3f} s"
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
