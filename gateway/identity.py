"""Who is on a line: three equal frames make an identity, and entries say how sure it is.

One frame proves nothing where the protocol has no checksum: a flipped bit in a serial number would begin another
device's history. So an identity counts when three frames in a row told the same.
"""

import re
from dataclasses import dataclass

from gateway.drivers import api
from vitaledger import events
from vitaledger.marks import Check, Sureness, Use

EQUAL_FRAMES = 3
_NO_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")  # what entries refuse


def clean(text: str, most: int) -> str:
    """`text` as a field of an entry takes it: no control characters, nothing that is no UTF-8, at most `most` long."""
    printable = _NO_TEXT.sub("?", text)
    return printable if len(printable) <= most else printable[: most - 1] + "…"


def tidy(told: api.Identity) -> api.Identity:
    """An identity as entries can hold it. A serial number that is empty or longer than 64 was not told."""
    serial = clean(told.serial.strip(), 65) if told.serial is not None else ""
    firmware = clean(told.firmware, 64) if told.firmware is not None else ""
    return api.Identity(
        clean(told.make, 64),
        clean(told.model, 64),
        serial if 0 < len(serial) <= 64 else None,
        firmware or None,
        told.sureness,
    )


class Told:
    """Counts equal frames. Holds two identities, whatever comes."""

    __slots__ = ("_count", "confirmed", "latest")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin anew: another device may be on the line."""
        self.confirmed: api.Identity | None = None
        self.latest: api.Identity | None = None
        self._count = 0

    def feed(self, told: api.Identity) -> None:
        """One frame told this."""
        self._count = self._count + 1 if told == self.latest else 1
        self.latest = told
        if self._count >= EQUAL_FRAMES:
            self.confirmed = told

    @property
    def serial(self) -> str | None:
        """The serial number that counts, or None."""
        return self.confirmed.serial if self.confirmed is not None else None


@dataclass(frozen=True, slots=True)
class DeclaredIdentity:
    """Who the configuration says is on the line."""

    make: str
    model: str
    serial: str | None


def describe(
    told: api.Identity | None,
    declared: DeclaredIdentity | None,
    serial: str | None,
    *,
    port: str,
    driver: str,
    version: str,
    use: Use,
    check: Check,
) -> events.Identity:
    """The identity entry of a chain. `serial` is the one that names the chain; any other is not stated as told.

    A declaration speaks only where the device does not tell its serial number, and is marked as such.
    """
    make, model = (told.make, told.model) if told is not None else ("", "")
    firmware = told.firmware if told is not None else None
    sureness = Sureness.PORT
    if serial is not None and told is not None:
        sureness = told.sureness
    elif declared is not None:
        make, model, serial = declared.make or make, declared.model or model, declared.serial or None
        sureness = Sureness.DECLARED
        serial = clean(serial, 64) if serial else None
    else:
        serial = None
    return events.Identity(
        clean(make, 64), clean(model, 64), serial, firmware, clean(port, 64), sureness, driver, version, use, check
    )
