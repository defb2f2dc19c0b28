"""Successions: a gateway whose log cannot go on names the one that does, by a note that the old key signs.

    the note is not one, or not of this gateway's    400, 404
    not signed by the key of the log that ends       403
    asked before                                     as it was answered then: 200 taken, 202 waiting, 403 refused
    another log has, or waits for, the new origin    409 and the least number that is free
    the first of that log                            200: a succession statement, and the new log is enrolled; an alarm
    another one of that log                          202: a copy of it lives. It waits for the operator; an alarm

The log that ends stays enrolled: where the other copy lives, it goes on under the old origin, and neither loses
anything. `accept` and `refuse` are the operator's; they run beside a collector at work.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from collector.enrolment import gateway_of
from collector.ledger import Ledger
from collector.rows import LogRow, SuccessionRow
from collector.store import LostSwapError, Store
from vitaledger import statement, succession
from vitaledger.checkpoint import Checkpoint, encode_text
from vitaledger.errors import MalformedError, MisuseError, VitaledgerError
from vitaledger.keys import Ed25519Signer, parse_vkey
from vitaledger.messages import BAD_REQUEST, CONFLICT, FORBIDDEN, OK, UNKNOWN, WAITING
from vitaledger.statement import Succession

TAKEN, PENDING, REFUSED = "taken", "waiting", "refused"
MAX_WAITING = 16  # of one gateway
_REPEATS = 20
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Taken:
    """The answer to a note; `alarm` is for people."""

    status: int
    free: int
    detail: str
    alarm: str | None = None


def take(store: Store, ledger: Ledger, gateway: str, note: bytes, now_ms: int) -> Taken:
    """Work on a note that a gateway sent; inside the caller's transaction."""
    if len(note) > statement.MAX_NOTE:
        return Taken(BAD_REQUEST, 2, f"succession: expected at most {statement.MAX_NOTE} bytes")
    try:
        said = succession.parse_unverified(note)
        named = gateway_of(store.provider(), said.new_origin)
    except (MalformedError, MisuseError) as error:
        return Taken(BAD_REQUEST, 2, str(error))
    old = store.log_of(said.old_origin)
    if old is None or (old.origin, old.gateway) != (said.old_origin, gateway) or named != gateway:
        return Taken(UNKNOWN, 2, f"{said.old_origin}: not an origin of gateway {gateway}")
    try:
        succession.open_succession(note, parse_vkey(old.vkey))
    except VitaledgerError as error:
        return Taken(FORBIDDEN, 2, str(error))
    return _decide(store, ledger, old, said, note, now_ms)


def _decide(store: Store, ledger: Ledger, old: LogRow, said: succession.Succession, note: bytes, now_ms: int) -> Taken:
    rows = [(row, log) for row in store.successions() for log in (_log(store, row.log),) if log.gateway == old.gateway]
    taken = {log.origin for log in store.logs() if log.gateway == old.gateway} | {row.origin for row, _ in rows}
    free = max(succession.generation(origin)[1] for origin in taken) + 1
    asked = next((row for row, _ in rows if row.vkey == said.new_vkey), None)
    if asked is not None:
        status = {TAKEN: OK, PENDING: WAITING}.get(asked.state, FORBIDDEN)
        return Taken(status, free, "" if status == OK else f"succession {asked.id} is {asked.state}")
    if said.new_origin in taken:
        return Taken(CONFLICT, free, f"{said.new_origin} is another log")
    sizes = f"its own head is of {said.size} entries, {old.witnessed} were witnessed"
    new = SuccessionRow(0, now_ms, old.log, said.new_origin, said.new_vkey, note, PENDING, None)
    if any(row.log == old.log for row, _ in rows):
        if sum(row.state == PENDING for row, _ in rows) >= MAX_WAITING:
            return Taken(FORBIDDEN, free, f"{MAX_WAITING} successions of {old.gateway} wait already")
        store.put_succession(new)
        return Taken(
            WAITING,
            free,
            "waits for the operator",
            f"{old.origin} was copied: a second successor, {said.new_origin}, waits for `succession accept`; {sizes}",
        )
    _append(store, ledger, old, new, now_ms)
    return Taken(OK, free, "", f"{old.origin} was restored or copied and goes on as {said.new_origin}; {sizes}")


def _append(store: Store, ledger: Ledger, old: LogRow, row: SuccessionRow, now_ms: int) -> None:
    last = old.checkpoint or _nothing_witnessed(old)
    index = ledger.append(Succession(now_ms, old.origin, last, row.origin, row.vkey, row.note))
    store.add_log(old.gateway, row.origin, row.vkey, index)
    store.put_succession(replace(row, state=TAKEN, statement=index))


def _nothing_witnessed(old: LogRow) -> bytes:
    """What stands for the last witnessed checkpoint where there is none: the text of an empty one, unsigned."""
    return encode_text(Checkpoint(old.origin, 0, succession.EMPTY_ROOT)).encode()


def _log(store: Store, number: int) -> LogRow:
    return next(row for row in store.logs() if row.log == number)


# -- the operator's side ----------------------------------------------------------------------------------------------


def accept(store: Store, signer: Ed25519Signer, number: int, now_ms: int) -> SuccessionRow:
    """Take a succession that waits, or that was refused; MisuseError where there is none of that number."""

    def change(ledger: Ledger) -> SuccessionRow:
        row = _open(store, number)
        if store.log_of(row.origin) is not None:
            raise MisuseError(f"succession {number}: {row.origin} is another log by now")
        _append(store, ledger, _log(store, row.log), row, now_ms)
        return row

    return in_step(store, signer, change)


def refuse(store: Store, signer: Ed25519Signer, number: int) -> SuccessionRow:
    """Refuse a succession that waits; its gateway goes on sealing and is told so whenever it asks."""

    def change(_: Ledger) -> SuccessionRow:
        row = _open(store, number)
        store.put_succession(replace(row, state=REFUSED))
        return row

    return in_step(store, signer, change)


def _open(store: Store, number: int) -> SuccessionRow:
    row = next((row for row in store.successions() if row.id == number), None)
    if row is None or row.state == TAKEN:
        why = "there is none of that number" if row is None else "it is taken already"
        raise MisuseError(f"succession {number}: {why}; `succession list` shows all")
    return row


def in_step(store: Store, signer: Ed25519Signer, change: Callable[[Ledger], T]) -> T:
    """Run a change of the ledger in a transaction of its own, beside a collector at work."""
    ledger = Ledger(store, signer)
    for _ in range(_REPEATS):
        try:
            with store.transaction():
                done = change(ledger)
                ledger.seal()
                return done
        except LostSwapError:
            ledger.load()
    raise LostSwapError(f"the ledger's head was taken away {_REPEATS} times in a row")
