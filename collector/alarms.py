"""What an operator has to know of copies and rollbacks: read out of the store, for `status` and `gateways`.

Each alarm names the origin and the sizes. It stands as long as its cause is in the store, that is for ever: a log that
was copied once stays one that was copied.
"""

from dataclasses import dataclass

from collector import restored
from collector.reader import LEDGER, Reader
from collector.rows import LogRow, SuccessionRow
from vitaledger import fork, statement, succession
from vitaledger.checkpoint import parse_unverified
from vitaledger.errors import VitaledgerError
from vitaledger.statement import Loss


@dataclass(frozen=True, slots=True)
class Alarm:
    """One thing to know about a log; `open` where an operator has to decide."""

    gateway: str
    origin: str
    text: str
    open: bool = False


def alarms(reader: Reader) -> list[Alarm]:
    """Everything that there is to know."""
    logs = {row.log: row for row in reader.logs()}
    found = [_fork(logs[row.log], row.evidence, row.id) for row in reader.forks() if row.log in logs]
    for row in reader.successions():
        if row.log in logs:
            found += _succession(reader, logs[row.log], row)
    by_origin = {row.origin: row for row in logs.values()}
    for index in reader.losses():
        said = _loss(reader, index)
        if said is not None and said.origin in by_origin:
            text = f"entries [{said.first}, {said.end}) are lost: {said.reason} (statement {index})"
            found.append(Alarm(by_origin[said.origin].gateway, said.origin, text))
    return found


def ledger_alarms(reader: Reader) -> list[str]:
    """What there is to know of the provider ledger itself: that it was restored, and what was signed twice."""
    found = []
    for said in restored.lineage(reader):
        left = succession.parse_unverified(said.note).size
        size = parse_unverified(said.old_checkpoint)[0].size
        found.append(
            f"{said.old_origin} was restored from an old copy of {left} statements, a head of {size} was shown: "
            f"{said.new_origin} goes on in its place"
        )
    for row in reader.forks(LEDGER):
        shown = fork.verify(row.evidence)
        sizes = " and ".join(map(str, shown.sizes))
        text = f"{shown.origin} forked: signed heads of {sizes} statements contradict each other"
        found.append(f"{text} (`forks export {row.id}`)")
    if halted := reader.halted():
        text = f"this store was restored from an old copy, as gateway {halted[0].gateway} has shown"
        found.append(f"{text}: it signs no more, and `run` goes on as the next ledger")
    return found


def _fork(log: LogRow, evidence: bytes, number: int) -> Alarm:
    try:
        sizes = " and ".join(map(str, fork.verify(evidence, log.vkey).sizes))
    except VitaledgerError as error:
        return Alarm(log.gateway, log.origin, f"fork {number}: its evidence in the store does not hold: {error}")
    text = f"forked: signed heads of {sizes} entries contradict each other (`forks export {number}`)"
    return Alarm(log.gateway, log.origin, text)


def _succession(reader: Reader, log: LogRow, row: SuccessionRow) -> list[Alarm]:
    try:
        size = succession.parse_unverified(row.note).size
    except VitaledgerError as error:
        return [Alarm(log.gateway, log.origin, f"succession {row.id}: its note in the store does not hold: {error}")]
    sizes = f"its own head was of {size} entries, {log.witnessed} are witnessed"
    if row.state != "taken":
        text = f"succession {row.id} to {row.origin} is {row.state}: a copy of this log lives; {sizes}"
        return [Alarm(log.gateway, log.origin, text, open=row.state == "waiting")]
    found = [Alarm(log.gateway, log.origin, f"restored or copied: {row.origin} goes on in its place; {sizes}")]
    newest = reader.anchor_at_or_below(log.log, log.witnessed)
    if newest is not None and row.statement is not None and newest[1] > row.statement:
        text = f"still grows, to {newest[0]} entries, although {row.origin} has succeeded it: a copy of it lives"
        found.append(Alarm(log.gateway, log.origin, text))
    return found


def _loss(reader: Reader, index: int) -> Loss | None:
    leaf = reader.statement(index)
    try:
        said = None if leaf is None else statement.decode(leaf)
    except VitaledgerError:
        return None
    return said if isinstance(said, Loss) else None
