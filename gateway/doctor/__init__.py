"""`vitaledger-gateway doctor`: everything that a gateway needs, looked at in the order in which it needs it.

It only reads, but for a small file with which it measures the disk, and what it says to the broker. It works beside a
gateway that runs: the store is opened for reading, no port is opened, and the broker is visited under another client
id. `ports` and `reach` hold the longer checks.
"""

import time
from datetime import UTC, datetime
from pathlib import Path

from gateway import clock, config, generations, keys, ledgers, recovery, schema
from gateway.config import Config
from gateway.doctor.ports import check_ports
from gateway.doctor.reach import Own, check_reach
from gateway.locked import is_locked
from gateway.reader import Reader
from vitaledger import __version__
from vitaledger.cli.doctor import Report, machine
from vitaledger.entry import parse_leaf
from vitaledger.errors import VitaledgerError
from vitaledger.keys import Ed25519Signer, verifier_of

PROGRAM = "vitaledger-gateway"
REACH_S = 25.0  # for the broker; with the rest it stays below 30 s
LATE_S = 120.0
BUILT = datetime(2026, 1, 1, tzinfo=UTC).timestamp()  # the clock of a machine that runs this says later


def visit(path: Path) -> Report:
    """Look at everything that belongs to a configuration file."""
    report = Report(PROGRAM, __version__)
    machine.versions(report)
    machine.shadowed(report)
    try:
        found = config.load(path)
    except VitaledgerError as error:
        report.error("config", str(error), "nothing that it names can be looked at before it is mended")
        machine.clock(report, clock.kernel_bound()(), time.time(), BUILT)
        return report
    with report.guard("config"):
        found = generations.newest(found)
    report.ok("config", f"{found.path}: {found.origin}, {len(found.ports)} ports")
    signer = _key(report, found)
    there = machine.state_directory(report, found.state)
    machine.space(report, found.state)
    running = is_locked(found.state)
    newest = _store(report, found, signer, running=running) if there else None
    machine.clock(report, clock.kernel_bound()(), time.time(), max(BUILT, newest or 0.0))
    check_ports(report, found.ports, running=running)
    with report.guard("broker"):
        check_reach(report, found, signer, Own.of(found), time.monotonic() + REACH_S, running=running)
    return report


def _key(report: Report, found: Config) -> Ed25519Signer | None:
    if not machine.secret_file(report, "key", found.key):
        return None
    try:
        signer = keys.load(found.key, found.origin)
    except VitaledgerError:
        # what a library says of a file that it cannot read may quote the file
        report.error("key", f"{found.key}: no unencrypted Ed25519 key in PEM", "`init` makes one; restore yours")
        return None
    return signer


def _store(report: Report, found: Config, signer: Ed25519Signer | None, *, running: bool) -> float | None:
    """Open the store for reading and hold its end against its signed head; the time of the newest entry."""
    state = "a gateway runs on it" if running else "no gateway runs on it"
    if not (found.state / schema.DATABASE).is_file():
        report.ok("store", f"{found.state}: no log yet; {state}", "the first start makes it")
        return None
    advice = "keep the disk as it is; `vitaledger-gateway verify` names what does not hold"
    newest = None
    with report.guard("store", advice), Reader.open(found.state) as reader, reader.snapshot():
        meta = reader.meta()
        if signer is not None and meta.get("vkey") != str(signer.vkey):
            report.error("store", f"it is of the key {meta.get('vkey')}, the key file holds {signer.vkey}", advice)
            return None
        if signer is not None:
            recovery.restore(reader, found.origin, verifier_of(signer.vkey))
        size, receipt = reader.size, reader.newest_receipt()
        if size:
            newest = parse_leaf(reader.leaves(size - 1, size)[0]).clock.wall_ms / 1000
        report.ok("store", f"{size} entries under a checkpoint that holds; {state}")
        custody = receipt.size if receipt and ledgers.load(found).covers(receipt.proof) else 0
        _receipts(report, reader, custody, size, running=running)
    machine.last_verify(report, found.state, "`vitaledger-gateway verify`", time.time())
    return newest


def _receipts(report: Report, reader: Reader, custody: int, size: int, *, running: bool) -> None:
    if custody == size:
        report.ok("receipts", f"the collector has custody of all {size} entries" if size else "nothing to receipt yet")
        return
    waits = max(0.0, time.time() - parse_leaf(reader.leaves(custody, custody + 1)[0]).clock.wall_ms / 1000)
    text = f"{size - custody} of {size} entries have no receipt; the oldest waits {waits:.0f} s"
    if waits > LATE_S:
        advice = "the lines below say why" if running else "start the gateway: it sends them"
        report.warn("receipts", text, f"{advice}; they are kept until there is a receipt")
    else:
        report.ok("receipts", text)
