"""Losses: entries that their gateway had signed and that were anchored, and that nobody has any more.

Only a person can know that nobody has them, so a loss is stated by the operator, with a reason. It is a statement of
the ledger: whoever looks at the log afterwards is told what is missing, by whose word and since when. What is stated
begins where the collector's custody ends; entries that turn up later are taken all the same.
"""

from collector.ledger import Ledger
from collector.rows import LogRow
from collector.store import Store
from collector.successions import in_step
from vitaledger.errors import MisuseError
from vitaledger.keys import Ed25519Signer
from vitaledger.statement import Loss


def state_loss(store: Store, signer: Ed25519Signer, origin: str, reason: str, now_ms: int) -> Loss:
    """State that what was anchored of a log and is not here is lost: up to its first entry that is, or to its end.

    Raises:
        MisuseError: no such log, nothing of it is missing, or that was stated already.
    """

    def change(ledger: Ledger) -> Loss:
        row = store.log_of(origin)
        if row is None or row.origin != origin:
            raise MisuseError(f"no log {origin}; `gateways` lists them")
        first, end = missing(row, store.ranges(row.log))
        if first >= end:
            raise MisuseError(f"{origin}: all of its {row.witnessed} anchored entries are here: nothing is lost")
        if any((at, to) == (first, end) for _, at, to in store.losses_of(row.log)):
            raise MisuseError(f"{origin}: the loss of [{first}, {end}) was stated already")
        said = Loss(now_ms, origin, first, end, reason)
        store.add_loss(row.log, ledger.append(said), first, end)
        return said

    return in_step(store, signer, change)


def missing(row: LogRow, ranges: list[tuple[int, int]]) -> tuple[int, int]:
    """The first run of entries that were anchored and are not here; empty where there is none."""
    first = row.stored
    for low, high in ranges:
        if low > first:
            return first, low
        first = max(first, high)
    return first, max(first, row.witnessed)
