"""What the store says of copies and rollbacks: forks prove themselves, successions and losses are in the ledger.

A row in which an operator's decision is pending, or was no, proves nothing but that the old key signed its note.
"""

from collector.reader import LEDGER
from collector.rows import ForkRow, LogRow, SuccessionRow
from collector.shown import contradiction
from collector.verify.facts import Facts
from collector.verify.report import Report
from collector.verify.tables import Tables
from vitaledger import fork, succession, witness
from vitaledger.checkpoint import parse_unverified
from vitaledger.errors import VitaledgerError
from vitaledger.keys import parse_vkey
from vitaledger.messages import LEDGER_SHOWN


def check_copies(tables: Tables, vkey: str, facts: Facts, report: Report) -> None:
    """Hold the rows of forks, successions and losses against what proves them; missing ones are failures too."""
    logs = {row.log: row for row in tables.logs()}
    _check_halted(tables, vkey, report)
    for each in tables.forks():
        log = logs.get(each.log)
        if log is None:
            if each.log == LEDGER:
                _check_ledger_fork(each, facts, report)
            continue  # else an orphan, told elsewhere
        try:
            shown = fork.verify(each.evidence, log.vkey)
            head = parse_unverified(witness.parse_request(each.message).checkpoint)[0]
            said = {(one.size, one.root) for one in (shown.smaller, shown.larger)}
            if not {(each.size, each.root), (head.size, head.root)} <= said:
                report.fail("forks", f"fork {each.id}: its evidence is of other heads", gateway=log.gateway)
        except VitaledgerError as error:
            report.fail("forks", f"fork {each.id}: {error}", gateway=log.gateway)
    _check_successions(tables, logs, facts, report)
    expected = {
        index: (next((row.log for row in logs.values() if row.origin == said.origin), None), said.first, said.end)
        for index, said in facts.losses.items()
    }
    found = tables.loss_rows()
    for index in sorted(expected.keys() | found.keys()):
        if expected.get(index) != found.get(index):
            report.fail("losses", f"statement {index}: expected {expected.get(index)}, found {found.get(index)}")


def _check_halted(tables: Tables, vkey: str, report: Report) -> None:
    """What halted the ledger must show that the store is an old copy: else nothing forbids to sign on."""
    for row in tables.halted():
        try:
            found = contradiction(tables, parse_vkey(vkey), row.shown)
        except VitaledgerError as error:
            report.fail("halted", f"what gateway {row.gateway} showed cannot be read: {error}")
            continue
        if found is None:
            report.fail("halted", f"what gateway {row.gateway} showed does not contradict this store")
        else:
            report.remarks.append(f"restored, and never signed on again: gateway {row.gateway} shows {found.text}")


def _check_ledger_fork(row: ForkRow, facts: Facts, report: Report) -> None:
    """A fork of a ledger before this one: its key is the one that signed that ledger's succession."""
    try:
        shown = fork.verify(row.evidence)
        said = next((each for each in facts.ledgers if each.old_origin == shown.origin), None)
        if said is None:
            report.fail("forks", f"fork {row.id}: {shown.origin} is no ledger that this one goes on in the place of")
            return
        succession.open_succession(said.note, parse_vkey(shown.vkey))
        head = LEDGER_SHOWN.decode(row.message, "up/ledger").checkpoint
        known = {(one.size, one.root) for one in (shown.smaller, shown.larger)}
        given = None if head is None else parse_unverified(head)[0]
        if given is None or not {(row.size, row.root), (given.size, given.root)} <= known:
            report.fail("forks", f"fork {row.id}: its evidence is of other heads")
    except VitaledgerError as error:
        report.fail("forks", f"fork {row.id}: {error}")


def _check_successions(tables: Tables, logs: dict[int, LogRow], facts: Facts, report: Report) -> None:
    stated = dict(facts.successions)
    for row in tables.successions():
        old = logs.get(row.log)
        if old is None:
            continue
        if wrong := _wrong(row, old, facts):
            report.fail("successions", f"succession {row.id}: {wrong}", gateway=old.gateway)
        if row.statement is not None:
            stated.pop(row.statement, None)
    for index, said in stated.items():
        report.fail("successions", f"statement {index}: the row of the succession to {said.new_origin} is missing")


def _wrong(row: SuccessionRow, old: LogRow, facts: Facts) -> str | None:
    try:
        note = succession.open_succession(row.note, parse_vkey(old.vkey))
    except VitaledgerError as error:
        return str(error)
    if (note.new_origin, note.new_vkey) != (row.origin, row.vkey):
        return f"its note names {note.new_vkey}"
    said = None if row.statement is None else facts.successions.get(row.statement)
    if row.state not in {"taken", "waiting", "refused"} or (row.state == "taken") != (row.statement is not None):
        return f"state {row.state} with statement {row.statement}"
    if row.statement is not None and (said is None or said.note != row.note):
        return f"statement {row.statement} is not that succession"
    return None
