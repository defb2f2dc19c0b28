"""`gateways` and `devices`: who there is."""

from typing import Any

import click
from rich.console import Console
from rich.table import Column, Table

from collector.alarms import alarms
from collector.cli.common import Context, json_option, now_us, pass_context, print_json
from collector.cli.times import show
from collector.generations import history
from collector.history import Device, Span, identity
from collector.history import devices as all_devices
from collector.reader import Reader
from collector.rows import Presence
from collector.verified import VerifiedStore
from vitaledger import messages
from vitaledger.errors import MalformedError

_ONLINE_MS = 90_000


@click.command()
@json_option
@pass_context
def gateways(context: Context, *, as_json: bool) -> None:
    """List the gateways: whether they are online, as they say, and how far their logs have come."""
    with context.verified() as store:
        found = gateway_rows(store.reader)
    if as_json:
        for row in found:
            print_json(row)
        return
    names = ("gateway", "origin", "online", "last heard", "version", "witnessed", "stored", "custody", "backlog")
    table = Table(*(Column(name, overflow="fold") for name in names))
    for row in found:
        online = {True: "yes", False: "no", None: "?"}[row["online"]]
        cells = (online, row["last_seen"] or "never", row["version"] or "")
        sizes = (row["witnessed_size"], row["stored"], row["custody_size"], row["backlog"])
        table.add_row(row["gateway"], row["origin"], *cells, *("" if each is None else str(each) for each in sizes))
    Console().print(table)
    for row in found:
        for alarm in row["alarms"]:
            click.secho(f"{row['origin']}: {alarm}", fg="red")


def gateway_rows(reader: Reader) -> list[dict[str, Any]]:
    """Every log with its sizes, and what its gateway said of itself last."""
    presence = {each.gateway: each for each in reader.presence()}
    known = alarms(reader)
    return [
        {
            "gateway": row.gateway,
            "origin": row.origin,
            "vkey": row.vkey,
            "witnessed_size": row.witnessed,
            "stored": row.stored,
            # stating custody is part of the step that stores
            "custody_size": row.stored if row.custody is not None else 0,
            **_claims(presence.get(row.gateway)),
            "alarms": [alarm.text for alarm in known if alarm.origin == row.origin],
        }
        for row in reader.logs()
    ]


def _claims(presence: Presence | None) -> dict[str, Any]:
    said: dict[str, Any] = {"online": None, "last_seen": None, "version": None, "backlog": None}
    if presence is None:
        return said
    said["last_seen"] = show(presence.at_ms * 1000)
    try:
        if presence.status is not None:
            status = messages.STATUS.decode(presence.status, "status")
            said |= {"online": bool(status.online), "version": status.version}
        if presence.health is not None:
            said["backlog"] = messages.HEALTH.decode(presence.health, "health").backlog
    except MalformedError:
        said["online"] = None
    return said


@click.command()
@json_option
@pass_context
def devices(context: Context, *, as_json: bool) -> None:
    """List the devices, who they are and how sure that is, and their latest entry."""
    with context.verified() as store:
        found = [_device(store, device) for device in all_devices(store.reader)]
    if as_json:
        for row in found:
            print_json(row)
        return
    names = ("device", "make and model", "serial", "identity by", "use", "entries", "last entry", "state")
    table = Table(*(Column(name, overflow="fold") for name in names))
    for row in found:
        who = row["identity"] or {}
        named = " ".join(filter(None, (who.get("make"), who.get("model")))) or "?"
        use = row["use"] or "?"
        table.add_row(
            row["device"],
            named,
            who.get("serial") or "",
            who.get("sureness", "?"),
            use if use == "clinical" else use.upper(),
            str(row["entries"]),
            row["last"] or "",
            row["state"] or "",
        )
    Console().print(table)


def _device(store: VerifiedStore, device: Device) -> dict[str, Any]:
    log, chain = device.chains[-1]
    who = identity(store, device)
    newest = list(history(store, device, Span(), 16))
    last = newest[-1] if newest else None
    reading_us = None
    for seen in reversed(newest):
        if seen.opened and seen.opened.values:
            reading_us = seen.at_us + seen.opened.last_us
            break
    return {
        "device": device.label,
        "chain": chain.name,
        "gateway": log.gateway,
        "origin": log.origin,
        "origins": [each.origin for each, _ in device.chains],
        "identity": None
        if who is None
        else {
            "make": who.make,
            "model": who.model,
            "serial": who.serial,
            "firmware": who.firmware,
            "port": who.port,
            "sureness": who.sureness.label,
        },
        "use": who.use.label if who else None,
        "entries": sum(each.next_seq for _, each in device.chains),
        "last": show(last.at_us) if last else None,
        "last_reading": show(reading_us) if reading_us is not None else None,
        "age_s": None if reading_us is None else round((now_us() - reading_us) / 1e6, 1),
        "state": last.verdict.state.value if last else None,
    }
