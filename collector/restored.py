"""A collector that was restored from an old copy goes on as the next ledger.

How it finds out stands in `collector.shown`: its store is halted, and no restart forgets that. `begin` makes the next
ledger out of it, in a directory of its own, with a key of its own:

    statement 0     the succession: a note signed by the old key, and the newest head of the old ledger that was shown
    then            the ledgers' successions before it; every enrolment and succession of the old store, in its order;
                    losses and revocations; all stated anew
    and each log    its newest anchors, its entries copied and examined as when they came, their custody

The old store and key stay where they are and are never written again. What the old store had not yet, the gateways
still have, and send: nothing is in custody for them until the new ledger says so.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import msgspec

from collector import keys, shown
from collector.config import Config
from collector.ledger import Ledger, empty_head
from collector.mirror import Mirror
from collector.reader import LEDGER, Reader
from collector.rows import Halted, LogRow
from collector.shown import Contradiction
from collector.store import Store
from vitaledger import statement, succession
from vitaledger.errors import MisuseError
from vitaledger.keys import Ed25519Signer, Vkey
from vitaledger.statement import Anchor, Loss, Revocation, Statement, Succession

_BATCH = 2048


def lineage(reader: Reader) -> list[Succession]:
    """The statements by which ledgers went on, from the first ledger to the one of this store; none where it is that.

    They are its first statements: its own succession, and then those before it.
    """
    found: list[Succession] = []
    origin = reader.ledger_vkey().partition("+")[0]
    stem = succession.generation(origin)[0]
    for index in range(succession.generation(origin)[1]):
        leaf = reader.statement(index)
        said = None if leaf is None else statement.decode(leaf)
        if not isinstance(said, Succession) or succession.generation(said.new_origin)[0] != stem:
            break
        found.append(said)
    return [*found[1:], *found[:1]]


def begin(
    config: Config, random: Callable[[int], bytes], now_ms: int, progress: Callable[[], object] = lambda: None
) -> Config:
    """Make the ledger that goes on in the place of a halted one; its configuration. Durable when this returns.

    A kill in the middle leaves nothing that counts; it is begun again. `progress` is called every few thousand entries.

    Raises:
        MisuseError: the store was not shown to be restored.
        VerificationError: what is to be copied does not hold.
    """
    old_key = keys.load(config.key_path, config.ledger_origin)
    with Reader.open(config.store_path) as old, old.snapshot():
        halted = [(row, wrong) for row in old.halted() if (wrong := shown.contradiction(old, old_key.vkey, row.shown))]
        if not halted:
            raise MisuseError(f"{config.store_path}: nothing shows that this store was restored")
        new = _next(config, halted)
        draft = new.ledger_dir.with_name(f"{new.generation}.draft")
        if draft.exists():
            shutil.rmtree(draft)  # of a kill: its key has signed nothing that anybody saw
        draft.mkdir(mode=0o700)
        key = keys.create(draft / keys.FILE_NAME, new.ledger_origin, random(32))
        head = old.ledger_head()
        said = succession.Succession(old_key.name, head.size, head.root, str(key.vkey))
        note = succession.sign_succession(said, old_key)
        first = Succession(now_ms, old_key.name, _newest(old, halted), key.name, str(key.vkey), note)
        path = draft / config.store_path.name
        with Store.create(path, old.provider(), str(key.vkey), empty_head(key)) as store:
            _Copy(old, store, key, now_ms, progress).run(first, old_key.vkey, halted)
            store.checkpoint_file()
    _sync(draft)
    draft.rename(new.ledger_dir)
    _sync(config.state_dir)
    return new


def _next(config: Config, halted: list[tuple[Halted, Contradiction]]) -> Config:
    """The next number that nobody has seen in use."""
    numbers = {succession.generation(origin)[1] for _, wrong in halted for origin in wrong.origins}
    number = max(config.generation, *numbers) + 1
    while (config.state_dir / str(number)).exists():
        number += 1
    return msgspec.structs.replace(config, generation=number)


def _newest(old: Reader, halted: list[tuple[Halted, Contradiction]]) -> bytes:
    """The old ledger's largest head that is known: one that was shown, else the store's own."""
    found = [(wrong.head.size, wrong.note) for _, wrong in halted if wrong.head is not None and wrong.note is not None]
    own = old.ledger_head()
    size, note = max(found, default=(-1, b""))
    return note if size >= own.size else own.checkpoint


class _Copy:
    """From the old store into the new one."""

    def __init__(
        self, old: Reader, store: Store, key: Ed25519Signer, now_ms: int, progress: Callable[[], object]
    ) -> None:
        self._old, self._store, self._now_ms, self._progress = old, store, now_ms, progress
        self._ledger = Ledger(store, key)

    def run(self, first: Succession, old_key: Vkey, halted: list[tuple[Halted, Contradiction]]) -> None:
        """All of it."""
        with self._store.transaction():
            self._ledger.append(first)
            for each in lineage(self._old):
                self._ledger.append(replace(each, at_ms=self._now_ms))
            for row in self._old.logs():
                self._enrol(row)
            self._rows()
            self._forks(old_key, halted)
            self._ledger.seal()
        for row in self._old.logs():
            self._log(row)

    def _restate(self, index: int) -> tuple[int, Statement]:
        leaf = self._old.statement(index)
        if leaf is None:
            raise MisuseError(f"statement {index} is missing in the store that was restored; `verify` says more")
        said = replace(statement.decode(leaf), at_ms=self._now_ms)
        return self._ledger.append(said), said

    def _enrol(self, row: LogRow) -> None:
        index, _ = self._restate(row.enrolled)
        if self._store.add_log(row.gateway, row.origin, row.vkey, index) != row.log:
            raise MisuseError(f"{row.origin}: the logs of the store that was restored are not numbered from 1 on")
        for each in self._old.successions():
            if each.statement == row.enrolled:
                self._store.put_succession(replace(each, id=0, statement=index))

    def _rows(self) -> None:
        for each in self._old.successions():
            if each.statement is None:
                self._store.put_succession(replace(each, id=0))
        for fork in self._old.forks():
            self._store.add_fork(fork.log, fork.at_ms, fork.size, fork.root, fork.evidence, fork.message)
        logs = {row.origin: row.log for row in self._old.logs()}
        for at in self._old.losses():
            index, said = self._restate(at)
            if isinstance(said, Loss):
                self._store.add_loss(logs[said.origin], index, said.first, said.end)
        size = self._old.ledger_head().size
        for at in range(0, size, _BATCH):
            for index, leaf in self._old.statements(at, min(at + _BATCH, size)):
                if isinstance(statement.decode(leaf), Revocation):
                    self._restate(index)
            self._progress()

    def _forks(self, old_key: Vkey, halted: list[tuple[Halted, Contradiction]]) -> None:
        """The ledger that ended may have been signed on twice: what proves it is kept with the forks of logs."""
        for row, wrong in halted:
            evidence = shown.fork_evidence(self._old, str(old_key), wrong)
            if evidence is not None and wrong.head is not None:
                head = wrong.head
                self._store.add_fork(LEDGER, row.at_ms, head.size, head.root, evidence, row.shown)

    def _log(self, old: LogRow) -> None:
        """One log: its anchors first, so that what is copied is held against what its gateway signed."""
        with self._store.transaction():
            row = next(each for each in self._store.logs() if each.log == old.log)
            row = self._anchors(old, row)
            mirror = Mirror(self._store, self._ledger, row)
            self._ledger.seal()
        for first, end in [(0, old.stored), *self._old.ranges(old.log)]:
            for entries in self._entries(old, first, end):
                with self._store.transaction():
                    self._store.add_entries(old.log, entries)
                    mirror.ranges.add(entries[0][0], entries[-1][0] + 1)
                    self._store.set_ranges(old.log, mirror.ranges.beyond)
                    mirror.advance(self._now_ms)
                    self._ledger.seal()
                self._progress()
        if mirror.row.stored:
            with self._store.transaction():
                mirror.custody(self._now_ms)
                self._ledger.seal()

    def _anchors(self, old: LogRow, row: LogRow) -> LogRow:
        """The newest anchor that the entries reach, and the newest of all."""
        covered = self._old.anchor_at_or_below(old.log, old.stored)
        newest = self._old.anchor_at_or_below(old.log, old.witnessed)
        for found in dict.fromkeys(each for each in (covered, newest) if each is not None):
            index, said = self._restate(found[1])
            if isinstance(said, Anchor):
                row = self._store.set_witnessed(row, found[0], said.checkpoint, index)
        return row

    def _entries(self, old: LogRow, first: int, end: int) -> Iterator[list[tuple[int, bytes, bytes]]]:
        for at in range(first, end, _BATCH):
            found = list(self._old.entries(old.log, at, min(at + _BATCH, end)))
            if found:
                yield found


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
