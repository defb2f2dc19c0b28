"""`doctor`: is everything there that a gateway needs, and what to do where it is not."""

import sys
from pathlib import Path

import click

from gateway import config as configuration


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def doctor(path: Path | None, *, as_json: bool) -> None:
    """Look at everything that a gateway needs, also while it runs, and say what to do.

    Exit 0: no error. 1: there is one. 2: misuse.
    """
    from rich.console import Console  # noqa: PLC0415

    from gateway.doctor import visit  # noqa: PLC0415  the other commands start without it

    report = visit(configuration.find(path))
    if as_json:
        click.echo(report.as_json())
    else:
        report.show(Console())
    sys.exit(report.exit_code)
