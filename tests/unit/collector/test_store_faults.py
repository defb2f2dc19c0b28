"""Every statement to the database fails once, not done and done: nothing is lost, doubled or answered too early."""

import pytest

from collector import receipts
from collector.reader import LEDGER
from tests.unit.collector.model_gateway import Desk, Gateway, of
from vitaledger import merkle
from vitaledger.entry import entry_hash
from vitaledger.messages import Receipt
from vitaledger.prover import Prover
from vitaledger.statement import Anchor, Custody


class Failing:
    """A connection whose n-th statement fails, before or after the database did it."""

    def __init__(self, connection, at, *, done):
        self._connection, self._at, self._done = connection, at, done
        self.failed = False

    def _count(self, call, query, *rest):
        self._at -= 1
        if self._at:
            return call(query, *rest)
        self.failed = True
        if self._done:
            call(query, *rest)
        raise OSError("the disk")

    def execute(self, query, *rest):
        return self._count(self._connection.execute, query, *rest)

    def executemany(self, query, rows):
        return self._count(self._connection.executemany, query, rows)

    @property
    def in_transaction(self):
        return self._connection.in_transaction

    def close(self):
        self._connection.close()


@pytest.mark.parametrize("done", [False, True])
def test_each_statement_fails_once(tmp_path, done):
    at, failed = 0, True
    while failed:
        at += 1
        directory = tmp_path / str(at)
        directory.mkdir()
        gateway = Gateway().add(300)
        desk = Desk(directory, gateway)
        desk.send(gateway.anchor(100), *gateway.runs(0, 100))
        batch = [gateway.anchor(), *gateway.runs(100)]
        real = desk.store._db
        desk.store._db = flawed = Failing(real, at, done=done)
        try:
            desk.send(*batch)
        except OSError:
            assert flawed.failed
        failed = flawed.failed
        desk.store._db = real
        check(desk, gateway, batch)
    assert at > 20


def check(desk, gateway, batch):
    answers = desk.send(*batch)  # the gateway had no answer, or one: it sends again
    row = desk.store.log_of("g1")
    assert (row.stored, row.witnessed) == (300, 300)
    assert desk.check_receipt(of(Receipt, answers)[-1]).root == gateway.tiles.root()
    assert desk.check_receipt(receipt_of(desk, row)).size == 300
    assert [(leaf, body) for _, leaf, body in desk.store.entries(1, 0, 999)] == gateway.sealed
    assert [len(desk.statements(kind)) for kind in (Anchor, Custody)] == [2, 2]
    head = desk.store.ledger_head()
    assert merkle.root([entry_hash(leaf) for _, leaf in desk.store.statements(0, 999)]) == head.root
    assert len(desk.store.statements(0, 999)) == head.size
    assert desk.store.chains(1)[0].next_seq == 300
    desk.close()


def receipt_of(desk, row):
    """The receipt for the newest custody of a log, out of nothing but the store."""
    head = desk.store.ledger_head()
    found = Prover(desk.store.tile_reader(LEDGER, head.size), head.size)
    return receipts.build(desk.store.statement(row.custody), row.custody, head, found)
