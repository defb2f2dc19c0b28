"""`backup` and `restore`: a verified copy of the store, and the way back."""

import sys
from pathlib import Path

import click

from collector.backup import Copied
from collector.backup import backup as copy_store
from collector.backup import restore as put_back
from collector.cli.common import Context, json_option, pass_context, print_json
from collector.verify import Progress

_vkey = click.option("--vkey", help="The ledger's key, where it is not to be read from the key file.")


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--with-key", is_flag=True, help="Also copy the ledger's key, to FILE.key. Keep that one locked away.")
@_vkey
@json_option
@pass_context
def backup(context: Context, file: Path, *, with_key: bool, vkey: str | None, as_json: bool) -> None:
    """Copy the store to FILE, also while the collector runs, and verify the copy.

    The ledger's key is NOT in it: without the key a restored store can be read and checked, and never goes on. FILE
    must not be there yet. Exit 0: the copy is durable and holds. 1: it does not hold, and was not kept. 2: misuse.
    """
    done = copy_store(
        context.config, file, vkey or context.vkey, with_key=with_key, progress=_progress(as_json=as_json)
    )
    _say(done, as_json=as_json)
    if as_json:
        return
    if done.key is None:
        click.echo(
            "The ledger's key is not in it: keep a copy of it in a safe place, apart from this one (--with-key)."
        )
    else:
        click.echo(f"{done.key} is the ledger's key: whoever has it can sign the ledger. Keep it locked away.")


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@_vkey
@json_option
@pass_context
def restore(context: Context, file: Path, *, vkey: str | None, as_json: bool) -> None:
    """Verify the copy in FILE and put it into the configuration's empty state directory.

    FILE.key is taken with it where it is there. Nothing is ever overwritten. Restore only where the newer store is
    lost: what came after the copy is forgotten, and gateways that know better will show it.
    """
    done = put_back(context.config, file, vkey, progress=_progress(as_json=as_json))
    _say(done, as_json=as_json)
    if not as_json and done.key is None:
        click.echo(f"There is no key: put the ledger's key at {done.key_place} (mode 0600) before `run`.")


def _progress(*, as_json: bool) -> Progress | None:
    return None if as_json or not sys.stderr.isatty() else lambda what: click.echo(f"checking {what}", err=True)


def _say(done: Copied, *, as_json: bool) -> None:
    counts = done.report.counts
    if as_json:
        found = {"file": str(done.path), "verified": True, "ledger_size": done.report.ledger_size}
        print_json(found | {"entries": counts.entries, "key": None if done.key is None else str(done.key)})
    else:
        click.echo(f"{done.path}: {counts.statements} statements, {counts.entries} entries. VERIFIED: everything holds")
