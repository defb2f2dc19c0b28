"""`export`: evidence for somebody who trusts nobody, or what it proves in a form that other systems read."""

from pathlib import Path

import click

from collector.cli.common import Context, now_us, pass_context, seq_option, since_option, span_of, until_option
from collector.exports import EVIDENCE, FORMATS, make
from collector.exports.extract import Request
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
@click.option(
    "--format",
    "form",
    type=click.Choice(list(FORMATS)),
    default=EVIDENCE,
    show_default=True,
    help="Evidence is what can be checked; the others are for systems that read them.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The file to write.")
@click.option("--by", default="", metavar="NAME", help="Who exports it: a claim that the file repeats.")
@click.option("--raw", is_flag=True, help="Evidence with the bytes of the line.")
@click.option("--waves", is_flag=True, help="Evidence with the wave samples.")
@pass_context
def export(
    context: Context,
    *,
    device: str,
    since: str | None,
    until: str | None,
    seqs: str | None,
    origin: str | None,
    form: str,
    output: Path,
    by: str,
    raw: bool,
    waves: bool,
) -> None:
    """Write what DEVICE sent, each entry verified: evidence, or a FHIR Bundle, HL7 v2 messages or a table of it.

    Evidence is checked with `vitaledger verify FILE --policy POLICY`, offline. The SHA-256 that is printed belongs into
    a records custodian's certification, of which the evidence holds a template.
    """
    if form != EVIDENCE and (raw or waves):
        raise MisuseError(f"--raw and --waves are for evidence; {FORMATS[form].title} has neither")
    span = span_of(since, until, seqs)
    request = Request(now_us(), by, f"vitaledger-collector {__version__}", raw=raw, waves=waves)
    with context.verified() as store:
        found = find_device(store, device)
        if origin is not None:
            chains = tuple(pair for pair in found.chains if pair[0].origin == origin)
            if not chains:
                raise MisuseError(f"{found.label} is not on {origin}")
            found = Device(found.label, chains)
        made = make(store, found, span, request, form)
    try:
        output.write_bytes(made.data)
    except OSError as error:
        raise MisuseError(f"{output}: cannot be written: {error.strerror}") from error
    click.echo(f"{output}: {made.told}")
    click.echo(f"SHA-256 {made.sha256}")
    if made.verified is not None and made.verified.withheld:
        click.echo(f"left out: {', '.join(part_name(part) for part in made.verified.withheld)}")
    for remark in made.remarks:
        click.echo(remark)
    if made.verified is not None:
        click.echo(f"a policy that checks it:\nlog {context.vkey}\nquorum none")
