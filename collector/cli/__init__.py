"""The command `vitaledger-collector`: run the collector, enrol gateways, and look at what it has, verified."""

import sys
from pathlib import Path

import click

from collector.cli.backup import backup, restore
from collector.cli.common import Context, readable
from collector.cli.copies import forks, loss, succession
from collector.cli.devices import devices, gateways
from collector.cli.doctor import doctor
from collector.cli.export import export
from collector.cli.history import history
from collector.cli.ledgers import ledgers
from collector.cli.service import broker, enroll, init, run
from collector.cli.status import status
from collector.cli.verifier import verifier
from collector.cli.verify import verify
from vitaledger import __version__
from vitaledger.errors import VitaledgerError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="vitaledger-collector")
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The configuration; default: ./collector.toml, then /etc/vitaledger/collector.toml.",
)
@click.option(
    "--ledger",
    type=click.IntRange(1),
    metavar="N",
    help="Look at the store of ledger N; default: the newest. One that was restored is never written again.",
)
@click.pass_context
def cli(context: click.Context, config_file: Path | None, ledger: int | None) -> None:
    """The provider's side: takes what gateways send, keeps the ledger, shows readings and verifies each."""
    context.obj = Context(config_file, ledger)


for _command in (
    run,
    init,
    enroll,
    doctor,
    gateways,
    devices,
    history,
    export,
    verify,
    verifier,
    status,
    backup,
    restore,
    broker,
    succession,
    forks,
    loss,
    ledgers,
):
    cli.add_command(_command)


def main() -> None:
    """Run the command line. Exit 0: good; 1: verification failed; 2: malformed input or misuse."""
    try:
        with readable():
            cli()
    except VitaledgerError as error:
        click.echo(f"vitaledger-collector: {error}", err=True)
        sys.exit(error.exit_code)
