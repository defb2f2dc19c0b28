"""`export`: an evidence file, for somebody who trusts nobody."""

from pathlib import Path

import click

from collector.cli.common import Context, now_us, pass_context, seq_option, since_option, span_of, until_option
from collector.cli.times import show
from collector.export import export as collect
from collector.export import write_zip
from collector.history import Device, find_device
from vitaledger import __version__
from vitaledger.entry import part_name
from vitaledger.errors import MisuseError


@click.command()
@click.argument("device")
@since_option
@until_option
@seq_option
@click.option("--origin", help="The log, where the device was on several.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The evidence file (a zip).")
@click.option("--raw", is_flag=True, help="With the bytes of the line.")
@click.option("--waves", is_flag=True, help="With the wave samples.")
@pass_context
def export(
    context: Context,
    *,
    device: str,
    since: str | None,
    until: str | None,
    seqs: str | None,
    origin: str | None,
    output: Path,
    raw: bool,
    waves: bool,
) -> None:
    """Write evidence for what DEVICE sent; `vitaledger verify FILE --policy POLICY` checks it, offline."""
    span = span_of(since, until, seqs)
    with context.verified() as store:
        found = find_device(store, device)
        if origin is not None:
            chains = tuple(pair for pair in found.chains if pair[0].origin == origin)
            if not chains:
                raise MisuseError(f"{found.label} is not on {origin}")
            found = Device(found.label, chains)
        by = f"vitaledger-collector {__version__}"
        made = collect(store, found, span, exported=show(now_us()), by=by, raw=raw, waves=waves)
    write_zip(output, made.files)
    claim = made.verified.claim
    click.echo(f"{output}: {claim.chain} entries {claim.first} to {claim.last}, {len(made.files)} files, verified")
    if made.verified.withheld:
        click.echo(f"left out: {', '.join(part_name(part) for part in made.verified.withheld)}")
    for remark in made.remarks:
        click.echo(remark)
    click.echo(f"a policy that checks it:\nlog {context.vkey}\nquorum none")
