"""`vitaledger fork`: check the evidence of a fork, with no network, and say what it proves."""

from pathlib import Path

import click

from vitaledger import fork as evidence
from vitaledger.errors import MalformedError


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--vkey", help="The key of the log, where you know it from elsewhere.")
def fork(file: Path, vkey: str | None) -> None:
    """Check the evidence in FILE that a log has forked: two heads, signed by its key, that contradict each other.

    Exit 0: it is proven. 1: it is not. 2: malformed file or wrong use.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise MalformedError(f"{file}: cannot be read: {error.strerror}") from None
    found = evidence.verify(data, vkey)
    click.echo("FORKED")
    click.echo(f"  log          {found.origin}")
    click.echo(f"  signed by    {found.vkey}" + ("" if vkey else " (the file's word: pin it by --vkey)"))
    for head in (found.smaller, found.larger):
        click.echo(f"  head         {head.size} entries, root {head.root.hex()}")
    click.echo("  Both were signed with the key of this log, and they cannot both be true: two copies of it, or a copy")
    click.echo("  that was put back, signed on. It does not say which of the two the devices were on.")
