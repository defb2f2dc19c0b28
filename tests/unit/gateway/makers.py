"""Logs, drafts and receipts for the gateway's tests."""

import sqlite3
from dataclasses import replace
from hashlib import sha256
from itertools import count
from random import Random

from gateway import schema
from gateway.draft import Draft, Instant
from gateway.journal import Journal, Row, encode, pack
from gateway.reader import Reader
from gateway.receipts import VerifiedReceipt, verify_receipt
from gateway.slots import verify_slots
from gateway.store import Store
from gateway.tape import Mark, Position, What
from vitaledger import note, proof, statement
from vitaledger.checkpoint import Checkpoint, sign_checkpoint
from vitaledger.content import Context, Series, Values
from vitaledger.entry import GATEWAY_CHAIN, Kind
from vitaledger.events import Heads, Identity, Line, Stop
from vitaledger.keys import Ed25519Signer, verifier_of
from vitaledger.marks import Category, Check, Direction, GapReason, LineState, Provenance, Sureness, Use
from vitaledger.merkle import leaf_hash
from vitaledger.prover import inclusion_proof
from vitaledger.raw import Chunk
from vitaledger.tiles import MemoryTiles

ORIGIN = "h.example/gateway/g1"
SIGNER = Ed25519Signer(ORIGIN, bytes(range(32)))
KEY = verifier_of(SIGNER.vkey)
LEDGER = Ed25519Signer("h.example/ledger", bytes(32))
LEDGER_KEY = verifier_of(LEDGER.vkey)
BOOT = bytes(15) + b"\x01"


def instant(ms):
    return Instant(ms * 1000, 1_700_000_000_000 + ms, 3, BOOT)


def readings(chain, ms, salt=0, size=4):
    times = tuple(n * 333_333 for n in range(size))
    spo2 = Series(
        "spo2", 150456, 262688, Category.MEASURED, 0, 0, tuple(95 + (salt + n) % 5 for n in range(size)), (), ()
    )
    values = Values(
        "nonin",
        "1",
        Provenance.DEVICE_LIVE,
        Use.DEMO,
        Check.CHECKSUM,
        Context(None, None, None),
        (times,),
        (spo2,),
        None,
    )
    raw = (Chunk(Direction.RECEIVED, 0, Random(salt).randbytes(60)),)
    return Draft(Kind.READINGS, chain, instant(ms), values=values, raw=raw)


def identity(chain, ms):
    event = Identity("Nonin", "8500", None, None, chain, Sureness.PORT, "nonin", "1", Use.DEMO, Check.CHECKSUM)
    return Draft(Kind.DEVICE_EVENT, chain, instant(ms), event=event)


def heads(ms):
    return Draft(Kind.GATEWAY_EVENT, GATEWAY_CHAIN, instant(ms), event=Heads((), None))


def stop(ms):
    return Draft(Kind.GATEWAY_EVENT, GATEWAY_CHAIN, instant(ms), event=Stop("asked to"))


def chain_of(n):
    return f"nonin:port:bed-{n}"


def line_event(chain, ms, state):
    event = Line(state, "bed", "", "other" if state is LineState.CLOSED else None)
    return Draft(Kind.DEVICE_EVENT, chain, instant(ms), event=event)


def drafts(size, first=0, every=40):
    """`size` drafts of three devices, a heads entry now and then."""
    made = []
    for n in range(first, first + size):
        if n % every == every - 1:
            made.append(heads(n * 100))
        elif n < 3:
            made.append(identity(chain_of(n % 3), n * 100))
        else:
            made.append(readings(chain_of(n % 3), n * 100, n))
    return made


def open_store(path, signer=SIGNER, seed=1):
    return Store.open(path, signer, random=Random(seed).randbytes)


class ModelLedger:
    """A provider ledger in memory that makes receipts."""

    def __init__(self, signer=LEDGER):
        self.signer, self.leaves, self.tiles, self.clock = signer, [], MemoryTiles(), count(1_700_000_000_000)

    def state(self, leaf):
        self.leaves.append(leaf)
        self.tiles.append(leaf_hash(leaf))
        return len(self.leaves) - 1

    def custody(self, size, root, origin=ORIGIN):
        leaf = statement.encode(statement.Custody(next(self.clock), origin, size, root))
        return self.prove(self.state(leaf))

    def prove(self, index):
        size = len(self.leaves)
        note = sign_checkpoint(Checkpoint(self.signer.name, size, self.tiles.root()), self.signer)
        made = proof.TlogProof(index, tuple(inclusion_proof(self.tiles, index, size)), note)
        return self.leaves[index], proof.encode(made)

    def receipt(self, size, root) -> VerifiedReceipt:
        return verify_receipt(*self.custody(size, root), ORIGIN, verifier_of(self.signer.vkey), lambda _: root)


def journal_row(n, length=20):
    """A row of the journal, of some line that is open."""
    tape = Journal(0, bytes(16), clean=True).tape("bed-1", "nonin")
    mark = Mark(Position(0, 0, 1), "nonin:port:bed-1", None, "", GapReason.UNPLUGGED, "")
    tape.follow(lambda: mark)
    tape.add(What.RECEIVED, instant(n * 1000), Random(n).randbytes(length))
    return encode(Row(bytes(16), 1, (pack(tape, *tape.take()),)))


def make_older(path, version):
    """Turn a store into what a program of an earlier version would have left: its tables, its seal."""
    with Reader.open(path) as reader:
        seal = reader.seal()
        rows = list(enumerate(verify_slots(seal, reader.journal()), seal.journal_first))
    db = sqlite3.connect(path / schema.DATABASE, isolation_level=None)
    if version < schema.EDGE_VERSION:
        db.execute("DROP TABLE edge")
    db.execute("DROP TABLE journal")
    if version >= schema.JOURNAL_VERSION:
        db.execute("CREATE TABLE journal (n INTEGER PRIMARY KEY, data BLOB NOT NULL)")
        db.executemany("INSERT INTO journal VALUES (?, ?)", rows)
    digest = sha256(b"".join(sha256(data).digest() for _, data in rows)).digest()
    seal = replace(seal, journal_digest=digest, version=2 if version >= schema.JOURNAL_VERSION else 1)
    db.execute("UPDATE head SET seal = ?", (note.encode(note.sign_note(seal.text, SIGNER)),))
    db.execute(f"PRAGMA user_version = {version}")
    db.close()
