"""`init`: the key, a commented configuration, and what to do next."""

import os
from pathlib import Path

import click

from gateway import config as configuration
from gateway import keys
from vitaledger.errors import MisuseError
from vitaledger.messages import check_gateway, gateway_origin

_TEMPLATE = """\
# The configuration of a Vitaledger gateway. Paths are relative to this file.

provider = "{provider}"
gateway = "{gateway}"            # also its MQTT client id and user name, and the CN of its certificate
ledger_vkey = "{ledger_vkey}"    # receipts are believed only when this key has signed them
state = "state"                  # the log lives here; losing it means beginning a new one
key = "gateway.key"

[mqtt]
host = "{host}"
port = {port}
# protocol = "auto"              # "5", "3.1.1" or "auto": 5 where the broker has it
# user = "{gateway}"
# password_file = "password"
# ca = "ca.pem"                  # with this the line is encrypted
# cert = "gateway.pem"
# key = "gateway-tls.key"
# anchor_every_s = 10            # how often the log's head goes to the collector

[record]
# entry_seconds = 5              # an entry closes after this long,
# entry_readings = 1000          # or after this many readings
# keep_raw = true                # keep the line's bytes, so that a mended decoder never rewrites history
# retention_days = 30            # bodies that the collector has custody of are kept this long
# min_free_mb = 64               # with less free than this the intake stops, and goes on when there is room

# [metrics]                      # Prometheus finds the gateway there; without this section it does not
# host = "127.0.0.1"
# port = 9464

# One [[port]] for each line to a device.
#
# [[port]]
# name = "bed-1"
# device = "/dev/serial/by-id/usb-…"   # a port by its stable name, a pseudo-terminal, or socket://host:port
# driver = "nonin"                     # "nonin", "contec", "masimo", or one that another package brings
# use = "clinical"                     # "clinical", "test" or "demo"
# may_send = true                      # whether the driver may send the commands that its documentation lists
# [port.options]
# format = "2"
"""


@click.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option("--gateway", required=True, metavar="NAME", help="This gateway's name: a-z, 0-9 and '-'.")
@click.option("--provider", required=True, metavar="NAME", help="The provider's name, as hospital.example.")
@click.option(
    "--ledger-vkey", required=True, metavar="VKEY", help="The provider ledger's key; the collector prints it."
)
@click.option("--broker", default="127.0.0.1:1883", show_default=True, metavar="HOST:PORT", help="The MQTT broker.")
def init(directory: Path, gateway: str, provider: str, ledger_vkey: str, broker: str) -> None:
    """Make a key and a commented configuration in DIRECTORY, and print the vkey to enrol."""
    if wrong := check_gateway(gateway):
        raise MisuseError(wrong)
    host, _, port = broker.rpartition(":")
    if not host or not port.isascii() or not port.isdigit():
        raise MisuseError(f"broker {broker!r}: expected HOST:PORT")
    path = directory / "gateway.toml"
    if path.exists():
        raise MisuseError(f"{path}: there is a configuration already; it is never overwritten")
    text = _TEMPLATE.format(
        provider=provider, gateway=gateway, ledger_vkey=ledger_vkey, host=host.strip("[]"), port=port
    )
    found = configuration.parse(text.encode(), path)
    signer = keys.create(found.key, gateway_origin(provider, gateway), os.urandom(32))
    path.write_text(text, "utf-8")
    click.echo(f"Made {path} and {found.key}.\n")
    click.echo("Enrol this gateway at the collector, with this vkey:\n")
    click.echo(f"    vitaledger-collector enroll '{signer.vkey}'\n")
    click.echo(f"Then name the devices in {path}, and start:\n")
    click.echo(f"    vitaledger-gateway --config {path} run")
