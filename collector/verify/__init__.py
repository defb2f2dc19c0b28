"""`vitaledger-collector verify`: everything that is stored, checked anew, with nothing believed because it is stored.

    the file            SQLite's own check, the tables of schema.sql and no others
    the ledger          statements → leaves → every tile → root → the signed checkpoint; anchors by gateways' signatures
    each gateway's log  entries → tiles → every anchored root; bodies → commitments; micro-chains; custody; findings
    what was derived    tiles, edges, anchors, findings, chains, positions, ranges, sizes: equal to what is made anew
    quotes              the ledger heads that gateways saw and signed are heads of this ledger

It reads each row once or twice, in bounded memory, in one snapshot, beside a collector at work.
What cannot be found stands in `UNDETECTABLE`.
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path

from collector.verify.against import check_against, checkpoint_in
from collector.verify.copies import check_copies
from collector.verify.facts import Facts
from collector.verify.ledger import check_ledger
from collector.verify.logs import LogCheck
from collector.verify.quotes import Quotes
from collector.verify.report import Counts, Failure, Place, Report
from collector.verify.tables import Tables, check_claims, check_meta
from vitaledger.keys import parse_vkey

__all__ = ["UNDETECTABLE", "Counts", "Failure", "Place", "Report", "checkpoint_in", "verify_store"]

UNDETECTABLE = (
    "presence and refusals: what gateways and messages claimed, and when; a row that is well formed can be anyone's",
    "the body of an entry whose leaf this version cannot read: nothing that can be read commits to it",
    "leaves behind a hole, and those that no anchor and no custody covers yet, unless another entry quotes them",
    "a whole store put back to an earlier state, unless a receipt or checkpoint from outside is given (--against)",
    "by the holder of the ledger's key: what the ledger alone says (enrolments, findings, times), until it is quoted",
    "by the holder of the ledger's key: a gateway left out altogether, where nobody outside kept a receipt",
)

Progress = Callable[[str], None]


def verify_store(path: Path, vkey: str, *, against: bytes | None = None, progress: Progress | None = None) -> Report:
    """Check a whole store. `vkey` is the ledger's pinned key, `against` a checkpoint from outside.

    Raises:
        MisuseError: there is no store at `path`.
        MalformedError, VerificationError: `vkey` or `against` is not what it must be; failures of the store are in
            the report.
    """
    parse_vkey(vkey)
    if against is not None:
        checkpoint_in(against)
    report = Report()
    tables = Tables.open_checked(path, report)
    if tables is None:
        return report
    try:
        with tables, Facts() as facts:
            _verify(tables, vkey, against, facts, report, progress or (lambda _: None))
    except (sqlite3.DatabaseError, TypeError, OverflowError) as error:
        # a cell of another type than its column's, or a damaged page: SQLite keeps what it is given
        report.fail("file", f"a row cannot be read: {error}")
    return report


def _verify(tables: Tables, vkey: str, against: bytes | None, facts: Facts, report: Report, progress: Progress) -> None:
    for table, what in tables.mistyped():
        report.fail(table, what)
    check_meta(tables, vkey, report)
    progress("the ledger")
    ledger = check_ledger(tables, vkey, facts, report)
    quotes = Quotes(tables, ledger.builder, parse_vkey(vkey).name, report)
    rows = tables.logs()
    for row in rows:
        progress(row.origin)
        LogCheck(tables, row, facts, quotes, report).run()
    check_copies(tables, vkey, facts, report)
    for table, what in tables.orphans():
        report.fail(table, what)
    check_claims(tables, report)
    if against is not None:
        check_against(tables, against, vkey, ledger.builder.size, facts, report)
    touched = {failure.gateway for failure in report.failures}
    report.untouched = sorted({row.gateway for row in rows} - touched) if report.failed <= len(report.failures) else []
