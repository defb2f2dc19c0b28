"""`verifier`: the page that checks evidence without any program, as one file."""

from pathlib import Path

import click

from collector.web.verifier import verifier_page
from vitaledger.errors import MisuseError


@click.command()
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The HTML file.")
def verifier(output: Path) -> None:
    """Write the verifier: one HTML file that checks evidence in a browser, from disk and with no network."""
    page = verifier_page().encode()
    try:
        output.write_bytes(page)
    except OSError as error:
        raise MisuseError(f"{output}: cannot be written: {error.strerror}") from error
    click.echo(f"{output}: {len(page)} bytes; open it in a browser and drop an evidence file and a policy on it")
