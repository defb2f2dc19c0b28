"""What the holder of the ledger's key can do: make a whole store anew, consistent and signed, out of changed parts."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from collector import ledger
from collector.ledger import Ledger
from collector.store import Store
from collector.strands import Strands
from vitaledger import prover, statement
from vitaledger.chain import follow, start
from vitaledger.checkpoint import Checkpoint, parse_unverified, sign_checkpoint
from vitaledger.entry import entry_hash, parse_body, parse_leaf, seal
from vitaledger.errors import VitaledgerError
from vitaledger.statement import Anchor, Custody, Enrolment, Finding
from vitaledger.tiles import MemoryTiles, TileBuilder


@dataclass
class Story:
    """Everything in a store that is not derived."""

    provider: str
    statements: list
    entries: dict[str, list[tuple[bytes, bytes]]] = field(default_factory=dict)  # by origin

    @classmethod
    def read(cls, path: Path) -> "Story":
        with Store.open(path) as store:
            size = store.ledger_head().size
            told = cls(store.provider(), [statement.decode(leaf) for _, leaf in store.statements(0, size)])
            for row in store.logs():
                told.entries[row.origin] = [(leaf, body) for _, leaf, body in store.entries(row.log, 0, row.stored)]
        return told

    def write(self, path: Path, signer) -> None:
        """A new store that tells this story, every derived row as the collector would have made it."""
        path.unlink(missing_ok=True)
        with Store.create(path, self.provider, str(signer.vkey), ledger.empty_head(signer)) as store:
            book = Ledger(store, signer)
            with store.transaction():
                for said in self.statements:
                    index = book.append(said)
                    if isinstance(said, Enrolment):
                        store.add_log(said.gateway, said.origin, said.vkey, index)
                    elif isinstance(said, Anchor):
                        head = parse_unverified(said.checkpoint)[0]
                        store.set_witnessed(store.log_of(head.origin), head.size, said.checkpoint, index)
                    elif isinstance(said, Custody):
                        store.set_custody(store.log_of(said.origin), index)
                    elif isinstance(said, Finding):
                        store.add_finding(store.log_of(said.origin).log, said.index, index)
                book.seal()
                for origin, rows in self.entries.items():
                    if (row := store.log_of(origin)) is not None:
                        self._log(store, row, rows)

    @staticmethod
    def _log(store, row, rows) -> None:
        store.add_entries(row.log, [(index, *pair) for index, pair in enumerate(rows)])
        strands, hashes = Strands(store, row.log, row.origin), []
        for index, (leaf, body) in enumerate(rows):
            hashes.append(entry_hash(leaf))
            strands.examine(index, leaf, body, hashes[-1])
        strands.save()
        builder = TileBuilder()
        tiles = builder.extend(hashes)
        store.add_tiles(row.log, tiles, builder.roots_of(tiles))
        store.set_stored(row, len(rows))

    # -- changes ------------------------------------------------------------------------------------------------------

    def change_entry(self, origin: str, index: int, random) -> None:
        """Other content in one entry, and every later entry of its micro-chain linked anew."""
        rows = self.entries[origin]
        chain, heads = parse_leaf(rows[index][0]).chain, {}
        for at, (leaf, body) in enumerate(rows):
            told = parse_leaf(leaf)
            if told.chain == chain and at >= index:
                parts = [(part.type, part.content) for part in parse_body(body)]
                salts = [part.salt for part in parse_body(body)]
                if at == index:  # one content byte; the reading says something else
                    part, content = parts[0]
                    spot = len(content) - 1 - random.randrange(min(8, len(content)))
                    content = content[:spot] + bytes([content[spot] ^ 1]) + content[spot + 1 :]
                    parts[0] = (part, content)
                head = heads.get(chain) or start(origin, chain)
                rows[at] = seal(told.kind, chain, told.seq, head.last, told.clock, parts, salts)
                told = parse_leaf(rows[at][0])
            head = heads.get(told.chain) or start(origin, told.chain)
            try:
                heads[told.chain] = follow(head, told, entry_hash(rows[at][0]))
            except VitaledgerError:
                heads[told.chain] = replace(head, next_seq=told.seq + 1, last=entry_hash(rows[at][0]))

    def restate_custody(self, origin: str) -> None:
        """Custody statements with the roots of the entries as they are now."""
        tiles = self.tiles(origin)
        for at, said in enumerate(self.statements):
            if isinstance(said, Custody) and said.origin == origin:
                self.statements[at] = replace(said, root=prover.root_from_tiles(tiles, said.size))

    def resign_anchors(self, origin: str, signer) -> None:
        """Anchors with the roots of the entries as they are now, signed by whatever key there is."""
        tiles = self.tiles(origin)
        for at, said in enumerate(self.statements):
            if isinstance(said, Anchor) and (head := parse_unverified(said.checkpoint)[0]).origin == origin:
                root = prover.root_from_tiles(tiles, head.size)
                self.statements[at] = replace(
                    said, checkpoint=sign_checkpoint(Checkpoint(origin, head.size, root), signer)
                )

    def enrol_instead(self, origin: str, signer) -> None:
        """Another key for an origin, from the beginning."""
        for at, said in enumerate(self.statements):
            if isinstance(said, Enrolment) and said.origin == origin:
                self.statements[at] = replace(said, vkey=str(signer.vkey))

    def drop_anchors(self, origin: str, above: int) -> None:
        """No anchor above an index, so that none contradicts what stands there."""
        self.statements = [
            said
            for said in self.statements
            if not (
                isinstance(said, Anchor)
                and (head := parse_unverified(said.checkpoint)[0]).origin == origin
                and head.size > above
            )
        ]

    def cut(self, size: int) -> None:
        """The ledger as it was at a size, and the logs as they were then."""
        self.statements = self.statements[:size]
        for origin, rows in self.entries.items():
            stored = [said.size for said in self.statements if isinstance(said, Custody) and said.origin == origin]
            self.entries[origin] = rows[: stored[-1] if stored else 0]

    def tiles(self, origin: str) -> MemoryTiles:
        return MemoryTiles(entry_hash(leaf) for leaf, _ in self.entries[origin])
