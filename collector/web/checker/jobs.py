"""What can be asked of the checker: a word and arguments in, answers out, one after another.

| ask | arguments | answers |
|---|---|---|
| overview | | everything on the overview |
| device | label | one device's row, its signals, its place in the ledger |
| chart | label, from_us, to_us | see `chart` |
| table | label, from_us, to_us | see `table` |
| export | label, from_us, to_us, form, origin | see `files` |
| unchecked | label, from_us, to_us | CBOR: an answer of `collector.unchecked` |
| unchecked-page | label, origin, size, first, last | CBOR: a page of it |
"""

import time
from collections.abc import Iterator
from typing import Any

import msgspec

from collector import unchecked
from collector.history import Device
from collector.web.checker import chart, files, rows, table
from collector.web.checker.desk import Desk
from collector.web.checker.parts import signal_plain

Args = dict[str, Any]


class AskError(Exception):
    """What was asked for is not there, or cannot be; `status` is that of HTTP."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def answers(desk: Desk, ask: str, args: Args) -> Iterator[bytes | None]:
    """The answers to an ask, JSON but for files and CBOR; None where another job may have its turn."""
    for answer in _answers(desk, ask, args):
        yield msgspec.json.encode(answer) if isinstance(answer, dict) else answer


def _answers(desk: Desk, ask: str, args: Args) -> Iterator[dict[str, Any] | bytes | None]:
    now_us = time.time_ns() // 1000
    match ask:
        case "overview":
            yield rows.overview(desk, now_us)
        case "device":
            yield _device(desk, _find(desk, args), now_us)
        case "chart":
            yield from chart.chart(desk, _find(desk, args), int(args["from_us"]), int(args["to_us"]))
        case "table":
            yield from table.table(desk, _find(desk, args), int(args["from_us"]), int(args["to_us"]))
        case "export":
            span = int(args["from_us"]), int(args["to_us"])
            yield from files.export(desk, _find(desk, args), *span, str(args["form"]), args["origin"], now_us)
        case "unchecked":
            yield unchecked.overview(desk.store, _find(desk, args), int(args["from_us"]), int(args["to_us"]))
        case "unchecked-page":
            size, first, last = int(args["size"]), int(args["first"]), int(args["last"])
            yield unchecked.page(desk.store, _find(desk, args), str(args["origin"]), size, first, last)
        case _:
            raise AskError(400, f"{ask}: nobody knows how to answer that")


def _find(desk: Desk, args: Args) -> Device:
    found = desk.device(str(args["label"]))
    if found is None:
        raise AskError(404, f"no device {args['label']}: the overview has those that there are")
    return found


def _device(desk: Desk, device: Device, now_us: int) -> dict[str, Any]:
    row = rows.device_row(desk, device, now_us, set())
    log_row, chain = device.chains[-1]
    return {
        **rows.plain(row),
        "now_us": now_us,
        "signals": [signal_plain(signal) for signal in row.signals],
        "chain": chain.name,
        "entries": sum(each.next_seq for _, each in device.chains),
        "origin": log_row.origin,
        "vkey": log_row.vkey,
        "ledger": rows.ledger_plain(desk),
        "ledger_vkey": desk.store.ledger.vkey,
    }
