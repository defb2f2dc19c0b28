"""What the `doctor` of gateway and collector have in common: lines with a state, and what to do about each.

    ok        as it should be
    warning   it works, and something will or may go wrong
    error     it does not work, or what it writes cannot be relied on

No line may hold a secret. What a check says of a password or a key is where it is, who may read it and whether it can
be used; the words of libraries that read one are not passed on.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vitaledger.errors import VitaledgerError

__all__ = ["Line", "Report", "State"]


class State(Enum):
    """How a thing stands."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


_COLOURS = {State.OK: "green", State.WARNING: "yellow", State.ERROR: "bold red"}


@dataclass(frozen=True, slots=True)
class Line:
    """One finding: what was looked at, how it stands, what was found, and what to do."""

    name: str
    state: State
    text: str
    advice: str = ""


@dataclass(slots=True)
class Report:
    """All findings of one visit, in order."""

    program: str
    version: str
    lines: list[Line] = field(default_factory=list)

    def ok(self, name: str, text: str, advice: str = "") -> None:
        """It is as it should be."""
        self.lines.append(Line(name, State.OK, text, advice))

    def warn(self, name: str, text: str, advice: str = "") -> None:
        """It works, and something may go wrong."""
        self.lines.append(Line(name, State.WARNING, text, advice))

    def error(self, name: str, text: str, advice: str = "") -> None:
        """It does not work."""
        self.lines.append(Line(name, State.ERROR, text, advice))

    @contextmanager
    def guard(self, name: str, advice: str = "") -> Iterator[None]:
        """Whatever is raised on purpose inside, or by the system, is an error line: the visit goes on."""
        try:
            yield
        except VitaledgerError as error:
            self.error(name, str(error), advice)
        except OSError as error:
            what = f"{error.filename}: " if isinstance(error.filename, str) else ""
            self.error(name, f"{what}{error.strerror or type(error).__name__}", advice)

    def count(self, state: State) -> int:
        """How many lines are of a state."""
        return sum(line.state is state for line in self.lines)

    @property
    def exit_code(self) -> int:
        """0: no error; 1: there is one."""
        return 1 if self.count(State.ERROR) else 0

    def as_json(self) -> str:
        """The same for machines, one object on one line."""
        found: dict[str, Any] = {
            "program": self.program,
            "version": self.version,
            "ok": not self.exit_code,
            "errors": self.count(State.ERROR),
            "warnings": self.count(State.WARNING),
            "checks": [{**asdict(line), "state": line.state.value} for line in self.lines],
        }
        return json.dumps(found, ensure_ascii=False)

    def show(self, console: Console) -> None:
        """The same for people."""
        table = Table(show_header=False, box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for column in ("state", "name"):
            table.add_column(column, no_wrap=True)
        table.add_column("found", overflow="fold")
        for line in self.lines:
            colour = _COLOURS[line.state]
            said = escape(line.text) + (f"\n[dim]→ {escape(line.advice)}[/dim]" if line.advice else "")
            table.add_row(f"[{colour}]{line.state.value}[/{colour}]", escape(line.name), said)
        console.print(table)
        errors, warnings = self.count(State.ERROR), self.count(State.WARNING)
        console.print(f"{self.program} {self.version}: {errors} errors, {warnings} warnings", highlight=False)
