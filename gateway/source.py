"""A driver as lines use it: what it says, held against what it said before.

    driver → frozen (a wave that stands still) → repeats (stored readings sent twice) → recorder

Whoever feeds a driver, the line or what takes up the journal after a kill, feeds it through a `Source`, so that the
same bytes become the same entries.
"""

from gateway.drivers.api import Driver, Event
from gateway.frozen import Frozen
from gateway.repeats import Repeats


class Source:
    """One driver on one line. `repeats` outlives it: it knows what the line's device has sent out of its memory."""

    def __init__(self, driver: Driver, repeats: Repeats | None = None) -> None:
        self._driver = driver
        self._frozen = Frozen(driver.signals, driver.waves)
        self._repeats = repeats or Repeats()

    def opened(self, now_us: int) -> None:
        """The line was opened, or opened again."""
        self._driver.opened(now_us)
        self._frozen.reset()

    def stand_still(self) -> None:
        """The device's values had been found frozen before the bytes that come now."""
        self._frozen.stand_still()

    def receive(self, data: bytes, now_us: int) -> list[Event]:
        """Bytes came from the device."""
        return self._judge(self._driver.receive(data, now_us), now_us)

    def tick(self, now_us: int) -> list[Event]:
        """Time went on."""
        return self._judge(self._driver.tick(now_us), now_us, quiet=True)

    def to_send(self, now_us: int) -> bytes:
        """Take the bytes that are to be sent to the device now."""
        return self._driver.to_send(now_us)

    def _judge(self, found: list[Event], now_us: int, *, quiet: bool = False) -> list[Event]:
        judged = self._repeats.judge(found, now_us)
        return self._frozen.judge(judged, now_us) if judged or not quiet else judged
