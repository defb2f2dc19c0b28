"""`run`, `init`, `enroll` and `broker`: what makes a collector work."""

import secrets
import sys
from pathlib import Path

import click

from collector.cli.common import Context, now_us, pass_context
from collector.enrolment import enroll as enroll_key
from collector.enrolment import init as init_store
from collector.enrolment import open_ledger
from vitaledger.errors import MisuseError


@click.command()
@pass_context
def run(context: Context) -> None:
    """Run the collector until SIGTERM or Ctrl-C."""
    from collector.service import run as run_service  # noqa: PLC0415  the web and MQTT are for this command only

    if context.ledger is not None:
        raise MisuseError("run: it is always the newest ledger that goes on; leave --ledger out")
    sys.exit(run_service(context.config))


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--provider", required=True, help="First part of every origin, as hospital.example. For ever.")
def init(directory: Path, provider: str) -> None:
    """Make a configuration, the ledger's key and an empty store in DIRECTORY; prints the ledger's vkey."""
    vkey = init_store(directory, provider, secrets.token_bytes(32))
    click.echo(f"ledger vkey, for gateways and for whoever verifies:\n{vkey}")


@click.command()
@click.argument("vkey")
@pass_context
def enroll(context: Context, vkey: str) -> None:
    """Enrol a gateway by the VKEY that its `init` printed: from then on it speaks for its origin."""
    store, signer = open_ledger(context.config)
    with store:
        log = enroll_key(store, signer, vkey, now_us() // 1000)
        row = next(each for each in store.logs() if each.log == log)
    click.echo(f"enrolled {row.gateway} as {row.origin}, statement {row.enrolled} of the ledger")


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65_535), default=1883, show_default=True, help="0 takes a free one.")
def broker(host: str, port: int) -> None:
    """Serve MQTT for a demo or a test, on this machine, without authentication. Prints the port."""
    from collector.broker import serve  # noqa: PLC0415  brings a broker's dependencies

    sys.exit(serve(host, port, lambda found: print(found, flush=True)))  # noqa: T201
