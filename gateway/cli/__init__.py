"""The command `vitaledger-gateway`."""

import sys
from pathlib import Path

import click

from gateway import config as configuration
from gateway.cli.doctor import doctor
from gateway.cli.setup import init
from gateway.cli.show import history, receipt, status, verify
from vitaledger.errors import VitaledgerError


class _Group(click.Group):
    """Errors raised on purpose become one line and their exit code; anything else is a fault and shows its trace."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except VitaledgerError as error:
            click.echo(f"vitaledger-gateway: {error}", err=True)
            ctx.exit(error.exit_code)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="vitaledger", prog_name="vitaledger-gateway")
@click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The configuration (default: ./gateway.toml, then /etc/vitaledger/gateway.toml).",
)
@click.pass_context
def main(ctx: click.Context, path: Path | None) -> None:
    """The agent beside the devices: seals what they send into a log of its own and hands it to the collector."""
    ctx.obj = path


@click.command()
@click.pass_obj
def run(path: Path | None) -> None:
    """Read the devices, seal, send; until SIGINT or SIGTERM."""
    found = configuration.load(configuration.find(path))
    from gateway import agent  # noqa: PLC0415  the other commands start without it

    sys.exit(agent.run(found))


@click.command()
@click.argument("port", metavar="PORT")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The file to write."
)
@click.pass_obj
def capture(path: Path | None, port: str, output: Path) -> None:
    """Record the bytes of a line, with times and directions. PORT is a name in the configuration, or a device."""
    from gateway import capture as recorder  # noqa: PLC0415

    device, settings = port, None
    try:
        found = configuration.load(configuration.find(path))
        settings = next((each for each in found.ports if each.name == port), None)
        device = settings.device if settings else port
    except VitaledgerError:
        if path is not None:
            raise
    sys.exit(recorder.run(device, output, settings))


for command in (init, run, doctor, status, verify, history, receipt, capture):
    main.add_command(command)
