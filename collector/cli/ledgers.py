"""`ledgers`: the ledger of this collector, and those in whose place it goes on."""

from pathlib import Path

import click
from rich.console import Console
from rich.table import Column, Table

from collector.alarms import ledger_alarms
from collector.cli.common import Context, json_option, pass_context, print_json, write
from collector.cli.times import show
from collector.reader import Reader
from collector.restored import lineage
from vitaledger import succession
from vitaledger.checkpoint import parse_unverified
from vitaledger.errors import MisuseError


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def ledgers(click_context: click.Context, *, as_json: bool) -> None:
    """List the ledgers that ended because this collector was restored, and the one that goes on in their place."""
    if click_context.invoked_subcommand is not None:
        return
    context = click_context.find_object(Context)
    if context is None:
        raise MisuseError("ledgers: no configuration")
    with Reader.open(context.config.store_path) as reader, reader.snapshot():
        rows = [
            {
                "time": show(said.at_ms * 1000),
                "ended": said.old_origin,
                "restored_to": succession.parse_unverified(said.note).size,
                "shown": parse_unverified(said.old_checkpoint)[0].size,
                "goes_on": said.new_origin,
                "vkey": said.new_vkey,
            }
            for said in lineage(reader)
        ]
        newest = {"origin": context.config.ledger_origin, "vkey": reader.ledger_vkey()}
        alarms = ledger_alarms(reader)
    if as_json:
        for row in rows:
            print_json(row)
        print_json(newest | {"alarms": alarms})
        return
    names = ("time", "ended", "restored to", "shown", "goes on", "key")
    table = Table(*(Column(name, overflow="fold") for name in names))
    for row in rows:
        table.add_row(*map(str, row.values()))
    if rows:
        Console().print(table)
    click.echo(f"{newest['origin']}: {newest['vkey']}")
    for alarm in alarms:
        click.secho(alarm, fg="red")


@ledgers.command()
@click.argument("number", metavar="N", type=click.IntRange(2))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The file to write.")
@pass_context
def note(context: Context, number: int, output: Path) -> None:
    """Write the note by which ledger N goes on: `vitaledger verify --succession` takes it. It is no secret."""
    with Reader.open(context.config.store_path) as reader:
        found = [said for said in lineage(reader) if succession.generation(said.new_origin)[1] == number]
    if not found:
        raise MisuseError(f"ledger {number}: there is none of that number; `ledgers` lists them")
    write(output, found[0].note)
    click.echo(f"{output}: {found[0].old_origin} goes on as {found[0].new_origin}")
