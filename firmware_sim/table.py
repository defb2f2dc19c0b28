"""Tables of a scenario, checked key by key as they are taken; a key nobody knows is an error that names the nearest."""

import difflib
from collections.abc import Mapping
from typing import Any, TypeVar

from firmware_sim.devices.base import MICROSECONDS
from firmware_sim.errors import ScenarioError

_T = TypeVar("_T")
_FAR = 1e9


def nearest(key: str, known: tuple[str, ...]) -> str:
    """A hint for the end of an error's text."""
    near = difflib.get_close_matches(key, known, n=1, cutoff=0)
    return f" (nearest: {near[0]!r})" if near else ""


class Table:
    """A TOML table whose keys and types are checked as they are taken.

    Args:
        table: what the file has there.
        where: how an error's text calls the place.
        keys: those that it may have.

    Every method raises ScenarioError.
    """

    def __init__(self, table: object, where: str, keys: tuple[str, ...]) -> None:
        if not isinstance(table, Mapping):
            raise ScenarioError(f"{where} is not a table")
        self._table: Mapping[str, Any] = table
        self._where = where
        for key in table:
            if key not in keys:
                raise ScenarioError(f"{where}: unknown key {key!r}{nearest(key, keys)}")

    def take(self, key: str, kind: type[_T], default: _T | None = None) -> _T:
        """A value of exactly this type; a whole number will do for a float."""
        value = self._table.get(key, default)
        if value is None:
            raise ScenarioError(f"{self._where}: {key} is missing")
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise ScenarioError(f"{self._where}: {key} is to be of type {kind.__name__}, not {value!r}")
        return value

    def optional(self, key: str, kind: type[_T]) -> _T | None:
        """A value of exactly this type, or None where the key is not there."""
        return self.take(key, kind) if key in self._table else None

    def number(self, key: str, least: float, most: float, default: float | None = None) -> float:
        """A number between two bounds, both allowed."""
        value = self.take(key, float, default)
        if not least <= value <= most:
            raise ScenarioError(f"{self._where}: {key} is to be from {least:g} to {most:g}, not {value!r}")
        return value

    def time(self, key: str, default: float | None = None) -> int:
        """Seconds as whole microseconds."""
        value = self.take(key, float, default)
        if not 0 <= value < _FAR:
            raise ScenarioError(f"{self._where}: {key} is to be a number of seconds from 0, not {value!r}")
        return round(value * MICROSECONDS)

    def shift(self, key: str, default: float | None = None) -> int:
        """Seconds forward or, below 0, back, as whole microseconds."""
        return round(self.number(key, -_FAR, _FAR, default) * MICROSECONDS)

    def tables(self, key: str) -> list[Any]:
        """A list, empty where the key is not there; what stands in it is not yet checked."""
        return self.take(key, list, [])

    def window(self) -> tuple[int, int]:
        """From `from_s` up to, and without, `until_s`, in microseconds."""
        start, end = self.time("from_s"), self.time("until_s")
        if start >= end:
            raise ScenarioError(f"{self._where}: from_s is to be before until_s")
        return start, end
