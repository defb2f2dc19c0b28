"""Pages that are made from the code: `python -m tests.docs`, or `make docs`, writes them; a test compares them.

docs/commands.md             what every command prints for --help
docs/life-of-a-reading.md    the blocks below a line `<!-- example: NAME -->` (tests/life.py)
collector/web/static/verify/tables.js   what the browser's check of evidence needs of the Python package
"""

import contextlib
import importlib.metadata
import io
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).parents[1]
PROGRAMS = ("vitaledger", "vitaledger-gateway", "vitaledger-collector", "firmware-sim")
_BLOCK = re.compile(r"(<!-- example: ([a-z-]+) -->\n```[a-z]*\n)(.*?)(\n```)", re.DOTALL)
_COMMANDS = """\
# Commands

What each command prints for `--help`. `make docs` writes this page.

Exit codes of all four programs: 0 it is good; 1 verification failed, or the work did; 2 malformed input or misuse.
"""


def help_of(program: str, *words: str) -> str:
    """What a program prints for --help, 100 columns wide, whatever terminal this runs in."""
    (point,) = [each for each in importlib.metadata.entry_points(group="console_scripts", name=program) if each.dist]
    out = io.StringIO()
    environment = {"COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1"}
    with (
        mock.patch.dict(os.environ, environment),
        mock.patch.object(sys, "argv", [program, *words, "--help"]),
        mock.patch.object(sys.modules["__main__"], "__package__", None),  # or click takes our name for the program's
        contextlib.redirect_stdout(out),
        contextlib.suppress(SystemExit),
    ):
        point.load()()
    # Python 3.13 prints "-o, --output FILE" where older ones print "-o FILE, --output FILE"
    text = re.sub(r"(-\w) ([A-Z]+), (--[\w-]+ \2)", r"\1, \3", out.getvalue())
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def subcommands(text: str) -> list[str]:
    """The commands that a help text lists."""
    _, found, rest = text.partition("Commands:\n")
    if found:  # click
        return re.findall(r"^  ([a-z][a-z-]*)(?:  |$)", rest, re.MULTILINE)
    _, _, rest = text.partition("\n  COMMAND\n")  # argparse
    return re.findall(r"^    ([a-z][a-z-]*)(?:  |$)", rest, re.MULTILINE)


def helps() -> Iterator[tuple[str, str]]:
    """Every command with its help."""
    for program in PROGRAMS:
        top = help_of(program)
        yield program, top
        for name in subcommands(top):
            yield f"{program} {name}", help_of(program, name)


def commands() -> str:
    """The page of commands."""
    page = _COMMANDS
    for name, text in helps():
        page += f"\n{'#' * (2 + name.count(' '))} {name}\n\n```text\n{text}\n```\n"
    return page


def with_examples(page: str, blocks: dict[str, str]) -> str:
    """A page with its example blocks renewed."""
    return _BLOCK.sub(lambda found: found[1] + blocks[found[2]] + found[4], page)


def example_names(page: str) -> set[str]:
    """The examples that a page shows."""
    return {found[2] for found in _BLOCK.finditer(page)}


def main() -> None:
    """Write the pages."""
    from tests.browser.verify_tables import TABLES, tables
    from tests.life import example

    TABLES.write_text(tables(), "utf-8")
    (ROOT / "docs/commands.md").write_text(commands(), "utf-8")
    path = ROOT / "docs/life-of-a-reading.md"
    path.write_text(with_examples(path.read_text("utf-8"), example()), "utf-8")


if __name__ == "__main__":
    main()
