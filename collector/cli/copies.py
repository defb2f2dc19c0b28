"""`succession`, `forks` and `loss`: what an operator does about copies and rollbacks."""

from pathlib import Path

import click
from rich.console import Console
from rich.table import Column, Table

from collector import losses, successions
from collector.cli.common import Context, json_option, now_us, pass_context, print_json, write
from collector.cli.times import show
from collector.enrolment import open_ledger
from collector.reader import Reader
from collector.rows import ForkRow
from vitaledger import fork
from vitaledger import succession as notes
from vitaledger.errors import MisuseError


@click.group()
def succession() -> None:
    """Logs that could not go on, and those that go on in their place."""


@succession.command("list")
@json_option
@pass_context
def list_successions(context: Context, *, as_json: bool) -> None:
    """List the successions that gateways asked for; the first of a log is taken, others wait."""
    with Reader.open(context.config.store_path) as reader:
        origins = {row.log: row.origin for row in reader.logs()}
        found = [
            {
                "id": row.id,
                "time": show(row.at_ms * 1000),
                "old_origin": origins.get(row.log),
                "old_size": notes.parse_unverified(row.note).size,
                "new_origin": row.origin,
                "new_vkey": row.vkey,
                "state": row.state,
                "statement": row.statement,
            }
            for row in reader.successions()
        ]
    if as_json:
        for each in found:
            print_json(each)
        return
    names = ("id", "time", "ends", "at size", "goes on", "state", "statement")
    table = Table(*(Column(name, overflow="fold") for name in names))
    for each in found:
        cells = ("id", "time", "old_origin", "old_size", "new_origin", "state", "statement")
        table.add_row(*("" if each[key] is None else str(each[key]) for key in cells))
    Console().print(table)


@succession.command()
@click.argument("number", metavar="ID", type=int)
@pass_context
def accept(context: Context, number: int) -> None:
    """Take a succession that waits: its gateway goes on under the new origin."""
    store, signer = open_ledger(context.config)
    with store:
        row = successions.accept(store, signer, number, now_us() // 1000)
    click.echo(f"taken: {row.origin} goes on")


@succession.command()
@click.argument("number", metavar="ID", type=int)
@pass_context
def refuse(context: Context, number: int) -> None:
    """Refuse a succession that waits: its gateway keeps what it has, and sends nothing."""
    store, signer = open_ledger(context.config)
    with store:
        row = successions.refuse(store, signer, number)
    click.echo(f"refused: {row.origin}")


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def forks(click_context: click.Context, *, as_json: bool) -> None:
    """List signed heads that contradict each other, and export them as evidence."""
    if click_context.invoked_subcommand is not None:
        return
    context = click_context.find_object(Context)
    if context is None:
        raise MisuseError("forks: no configuration")
    with Reader.open(context.config.store_path) as reader:
        vkeys = {row.log: row.vkey for row in reader.logs()}
        found = [(row, fork.verify(row.evidence, vkeys.get(row.log))) for row in reader.forks()]
    if as_json:
        for row, shown in found:
            heads = [{"size": head.size, "root": head.root.hex()} for head in (shown.smaller, shown.larger)]
            print_json({"id": row.id, "time": show(row.at_ms * 1000), "origin": shown.origin, "heads": heads})
        return
    table = Table("id", "time", "origin", "sizes")
    for row, shown in found:
        table.add_row(str(row.id), show(row.at_ms * 1000), shown.origin, " and ".join(map(str, shown.sizes)))
    Console().print(table)


@forks.command()
@click.argument("number", metavar="ID", type=int)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The file to write.")
@pass_context
def export(context: Context, number: int, output: Path) -> None:
    """Write the evidence of a fork; `vitaledger fork FILE` checks it, offline."""
    with Reader.open(context.config.store_path) as reader:
        row = _fork(reader, number)
        vkey = next((log.vkey for log in reader.logs() if log.log == row.log), None)
    shown = fork.verify(row.evidence, vkey)
    write(output, row.evidence)
    click.echo(f"{output}: heads of {shown.sizes[0]} and {shown.sizes[1]} entries of {shown.origin}, verified")


def _fork(reader: Reader, number: int) -> ForkRow:
    for row in reader.forks():
        if row.id == number:
            return row
    raise MisuseError(f"fork {number}: there is none of that number; `forks` lists them")


@click.command()
@click.argument("origin")
@click.option("--reason", required=True, help="Why nobody has these entries any more; it is signed into the ledger.")
@pass_context
def loss(context: Context, origin: str, reason: str) -> None:
    """State that entries of ORIGIN that were anchored and never arrived are lost for good."""
    store, signer = open_ledger(context.config)
    with store:
        said = losses.state_loss(store, signer, origin, reason, now_us() // 1000)
    click.echo(f"stated: entries [{said.first}, {said.end}) of {said.origin} are lost")
