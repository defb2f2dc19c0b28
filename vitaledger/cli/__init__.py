"""The command `vitaledger`: check evidence offline, and see the whole path at work."""

import sys

import click

from vitaledger import __version__
from vitaledger.cli.demo import demo
from vitaledger.cli.fork import fork
from vitaledger.cli.verify import verify
from vitaledger.errors import VitaledgerError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="vitaledger")
def cli() -> None:
    """Readings of medical devices, exactly as sent, complete, in order, and anyone can prove it."""


cli.add_command(verify)
cli.add_command(demo)
cli.add_command(fork)


def main() -> None:
    """Run the command line. Exit 0: good; 1: verification failed; 2: malformed input or misuse."""
    try:
        cli()
    except VitaledgerError as error:
        click.echo(f"vitaledger: {error}", err=True)
        sys.exit(error.exit_code)
