"""`status`: how far everything has come; with --watch once a second, newly arrived entries verified on the way."""

import signal
import threading
from typing import Any

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table

from collector.alarms import ledger_alarms
from collector.cli.common import Context, json_option, now_us, pass_context, print_json
from collector.cli.devices import gateway_rows
from collector.cli.times import show
from collector.cli.watch import Watch
from collector.reader import Reader
from collector.verified import VerifiedStore

_EVERY_S = 1.0


@click.command()
@click.option("--watch", is_flag=True, help="Go on until Ctrl-C or SIGTERM, once a second.")
@json_option
@pass_context
def status(context: Context, *, watch: bool, as_json: bool) -> None:
    """Show the ledger's and every gateway log's size; nothing is written."""
    if watch:
        _watch(context, as_json=as_json)
        return
    with context.verified() as store:
        found = state_of(store)
    if as_json:
        print_json(found)
    else:
        Console().print(_table(found))


def state_of(store: VerifiedStore) -> dict[str, Any]:
    """Sizes as they stand; the ledger's is verified."""
    refusals = store.reader.refusals(1)
    return {
        "time": show(now_us()),
        "ledger_origin": store.ledger.head.checkpoint.origin,
        "ledger_size": store.ledger.size,
        "ledger_alarms": ledger_alarms(store.reader),
        "logs": gateway_rows(store.reader),
        "last_refusal": None
        if not refusals
        else {
            "time": show(refusals[0].at_ms * 1000),
            "gateway": refusals[0].gateway,
            "status": refusals[0].status,
            "reason": refusals[0].reason,
        },
    }


def _watch(context: Context, *, as_json: bool) -> None:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with Reader.open(context.config.store_path) as reader:
        with reader.snapshot():
            watch = Watch(VerifiedStore(reader, context.vkey))
        live = None if as_json else Live(auto_refresh=False)
        if live:
            live.start()
        try:
            while not stop.is_set():
                with reader.snapshot():
                    watch.step()
                    found = state_of(watch.store) | watch.as_json(now_us())
                if live:
                    live.update(Group(_table(found), _latest(found)), refresh=True)
                else:
                    print_json(found)
                stop.wait(_EVERY_S)
        finally:
            if live:
                live.stop()


def _table(found: dict[str, Any]) -> RenderableType:
    caption = f"{found['ledger_origin']}: {found['ledger_size']} statements"
    if "entries_verified" in found:
        caption += (
            f"; verified here: {found['entries_verified']} entries, {found['readings_verified']} readings, "
            f"{found['wave_samples_verified']} wave samples, {found['failures']} failures"
        )
    caption += "".join(f"\n{alarm}" for alarm in found["ledger_alarms"])
    alarms = [f"\n{row['origin']}: {alarm}" for row in found["logs"] for alarm in row["alarms"]]
    caption += "".join(alarms)
    table = Table("gateway", "online", "last heard", "witnessed", "stored", "custody", caption=caption)
    for row in found["logs"]:
        online = {True: "yes", False: "no", None: "?"}[row["online"]]
        sizes = (str(row[key]) for key in ("witnessed_size", "stored", "custody_size"))
        table.add_row(row["gateway"], online, row["last_seen"] or "never", *sizes)
    return table


def _latest(found: dict[str, Any]) -> RenderableType:
    table = Table("device", "signal", "value", "unit", "time (UTC)", "state")
    for row in found["latest"]:
        value = row["value"] if row["value"] is not None else f"({row['absent']})"
        table.add_row(row["device"], row["signal"], value, row["unit"], row["time"], row["state"])
    return table
