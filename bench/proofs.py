"""Proof files: how long they are, and what it takes to make and to verify one, in ledgers of up to ten million leaves.

A proof file (`.tlog-proof`) holds the siblings from one leaf to the root, the ledger's checkpoint and one witness's
cosignature, made by the code of a witness. *Made* is what a collector does for each receipt: statement, head and tiles
are read out of SQLite. *Made, each tile checked* is what evidence takes, out of a store that nobody trusts: the tiles
are held against the signed root. *Verified* is all of it: parsing, both Ed25519 signatures by a policy that asks for
them, and the hashes up to the root; its two signatures are measured by themselves too.
"""

import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from random import Random

from bench.deep import deep_tree, fill_edge, fill_tiles
from bench.figure import Effort, Figure, Goal, of_runs
from bench.scratch import scratch
from bench.sealing import one_core
from collector import receipts
from collector.ledger import empty_head
from collector.reader import FILE_NAME, LEDGER, Reader
from collector.store import Store
from collector.verified import VerifiedLedger
from vitaledger import messages, note, policy, proof, statement, witness
from vitaledger.checkpoint import Checkpoint, add_signatures, parse_unverified, sign_checkpoint
from vitaledger.keys import CosignatureSigner, Ed25519Signer, verifier_of
from vitaledger.merkle import TILE_WIDTH, leaf_hash
from vitaledger.proof import TlogProof
from vitaledger.prover import Prover
from vitaledger.statement import Custody

PROVIDER = "hospital.example"
_SIZES = (1_000, 100_000, 10_000_000)
_LARGEST_SHORT = 100_000
_PROOFS = 200
_NOW = 1_700_000_000
_BYTES, _MADE_US, _VERIFIED_US = Goal(most=1536), Goal(most=1000), Goal(most=300)


class Site:
    """A ledger of `size` statements in a collector's store, cosigned by one witness; its policy asks for both."""

    def __init__(self, folder: Path, size: int, wanted: Sequence[int]) -> None:
        folder.mkdir()
        self.path = folder / FILE_NAME
        signer = Ed25519Signer(f"{PROVIDER}/ledger", os.urandom(32))
        cosigner = CosignatureSigner("witness.example/w1", os.urandom(32))
        self.vkey, self.keys = str(signer.vkey), (signer.vkey, cosigner.vkey)
        self.policy = policy.parse(f"log {signer.vkey}\nwitness w1 {cosigner.vkey}\nquorum w1\n".encode())
        leaves = [
            statement.encode(Custody(_NOW * 1000 + n, f"{PROVIDER}/gateway/ward-3", n, bytes(32)))
            for n in range(TILE_WIDTH)
        ]
        tree = deep_tree([leaf_hash(leaf) for leaf in leaves], size)
        signed = sign_checkpoint(Checkpoint(signer.name, size, tree.root), signer)
        request = witness.encode_request(0, (), signed)
        decided = witness.decide([verifier_of(signer.vkey)], None, request, cosigner, _NOW)
        cosigned = add_signatures(signed, note.parse_signatures(decided.body.decode()))
        Store.create(self.path, PROVIDER, self.vkey, empty_head(signer)).close()
        with closing(sqlite3.connect(self.path)) as db:
            fill_tiles(db, tree, LEDGER)
            fill_edge(db, tree.builder, LEDGER)
            rows = sorted({*wanted, *range(size - size % TILE_WIDTH, size)})
            db.executemany("INSERT INTO statements VALUES (?, ?)", [(n, leaves[n % TILE_WIDTH]) for n in rows])
            db.execute("UPDATE ledger SET size = ?, root = ?, checkpoint = ?", (size, tree.root, cosigned))
            db.commit()


def measure(effort: Effort) -> Iterator[Figure]:
    """Bytes and times at each size, on one core."""
    sizes = [size for size in _SIZES if not effort.short or size <= _LARGEST_SHORT]
    with tempfile.TemporaryDirectory(prefix="vitaledger-bench-", dir=scratch()) as name, one_core():
        for size in sizes:
            yield from _measured(Path(name) / str(size), size, effort)


def _measured(folder: Path, size: int, effort: Effort) -> Iterator[Figure]:
    wanted = sorted({0, size - 1, *Random(1).sample(range(size), _PROOFS - 2)})
    site = Site(folder, size, wanted)
    last = size == _SIZES[-1]
    with Reader.open(site.path) as reader:
        head = reader.ledger_head()
        ledger = VerifiedLedger(reader, site.vkey)

        def prover() -> Prover:
            return Prover(reader.tile_reader(LEDGER, size), size)

        def make(index: int, prover: Prover) -> messages.Receipt:
            leaf = reader.statement(index)
            assert leaf is not None
            return receipts.build(leaf, index, head, prover)

        made = {index: make(index, prover()) for index in wanted}
        hashes = {index: leaf_hash(each.statement) for index, each in made.items()}

        def make_beside() -> Callable[[int], object]:
            return partial(make, prover=prover())

        def make_checked(index: int) -> None:
            ledger.leaf(index)
            proof.encode(TlogProof(index, ledger.inclusion(index), ledger.head.raw))

        def verify(index: int) -> None:
            parse_unverified.cache_clear()  # as for a proof by itself: all of these are under one checkpoint
            proof.verify(proof.parse(made[index].proof), hashes[index], site.policy)

        text = note.parse(ledger.head.raw)
        keys = [verifier_of(key) for key in site.keys]

        def signatures(_index: int) -> None:
            note.verify_note(text, keys)

        at = f"{size:,} leaves, one cosignature, {len(wanted)} proofs a run, one core"
        lengths = [len(each.proof) for each in made.values()]
        goal = _BYTES if last else None
        yield Figure("a proof file, the longest", max(lengths), "bytes", min(lengths), max(lengths), 1, goal, at)
        for what, work, goal in (
            ("made", lambda: lambda index: make(index, prover()), _MADE_US),
            ("made beside the others under one head", make_beside, None),
            ("made, each tile checked", lambda: make_checked, None),
            ("verified", lambda: verify, _VERIFIED_US),
            ("verified: its two signatures", lambda: signatures, None),
        ):
            yield of_runs(what, _runs(work, wanted, effort.runs), "µs", goal if last else None, at)


def _runs(begin: Callable[[], Callable[[int], object]], indices: Sequence[int], runs: int) -> list[float]:
    """µs for one, of each run over all of them; `begin` is called for each run."""
    found = []
    for _ in range(runs):
        work = begin()
        began = time.perf_counter()
        for index in indices:
            work(index)
        found.append((time.perf_counter() - began) * 1e6 / len(indices))
    return found
