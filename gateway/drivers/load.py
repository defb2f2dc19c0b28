"""Find drivers by the entry-point group `vitaledger.drivers`, so that others can ship theirs."""

from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast

from gateway.drivers.api import Driver
from gateway.drivers.common import nearest
from vitaledger.errors import MisuseError

GROUP = "vitaledger.drivers"


def available() -> dict[str, EntryPoint]:
    """Every installed driver by name; nothing is imported.

    Raises:
        MisuseError: two distributions ship a driver of one name, and nobody could tell which one runs.
    """
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        other = found.setdefault(point.name, point)
        if other.value != point.value:
            raise MisuseError(f"two drivers are called {point.name!r}: {other.value} and {point.value}; remove one")
    return found


def load(name: str) -> type[Driver]:
    """Import the driver of this name.

    Raises:
        MisuseError: there is none (names the nearest one), it cannot be imported, or it is not a driver.
    """
    found = available()
    if name not in found:
        raise MisuseError(f"no driver {name!r}; {nearest(name, list(found))}")
    try:
        driver: Any = found[name].load()
    except (ImportError, AttributeError) as error:
        raise MisuseError(f"driver {name!r} ({found[name].value}) cannot be loaded: {error}") from error
    missing = [
        needed for needed in ("NAME", "VERSION", "CHECK", "OPTIONS", "receive", "tick") if not hasattr(driver, needed)
    ]
    if not isinstance(driver, type) or missing:
        raise MisuseError(f"{found[name].value} is not a driver: {', '.join(missing) or 'it is no class'}")
    shipped = cast("type[Driver]", driver)
    if name != shipped.NAME:
        raise MisuseError(f"driver {name!r} calls itself {shipped.NAME!r}; both names must be the same")
    return shipped
