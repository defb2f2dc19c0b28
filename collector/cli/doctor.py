"""`doctor`: is everything there that a collector needs, and what to do where it is not."""

import sys

import click

from collector.cli.common import Context, pass_context


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_context
def doctor(context: Context, *, as_json: bool) -> None:
    """Look at everything that a collector needs, also while it runs, and say what to do.

    Exit 0: no error. 1: there is one. 2: misuse.
    """
    from rich.console import Console  # noqa: PLC0415

    from collector.doctor import visit  # noqa: PLC0415  brings MQTT

    report = visit(context.path)
    if as_json:
        click.echo(report.as_json())
    else:
        report.show(Console())
    sys.exit(report.exit_code)
