"""Reading the local log for people: entries found by micro-chain, each verified for this view.

Leaf hash → tile → signed checkpoint, and content → commitment → leaf. What fails is not left out: it comes with its
reason instead of its content.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from gateway import interval
from gateway.reader import Reader
from gateway.recovery import REACH, restore
from gateway.runs import Run
from vitaledger import events
from vitaledger.authentic import AuthenticTiles
from vitaledger.checkpoint import Checkpoint, open_checkpoint
from vitaledger.entry import GATEWAY_CHAIN, Clock, Entry, entry_hash, parse_leaf
from vitaledger.errors import MisuseError, VerificationError, VitaledgerError
from vitaledger.keys import Verifier
from vitaledger.opened import Opened, open_entry

_PAGE = 256
_IDENTITY_REACH = 64  # how many entries of a chain are looked through for the port that it is on


@dataclass(frozen=True, slots=True)
class Shown:
    """An entry as it may be shown: `opened`, or `failure` and why. Neither where its body was pruned."""

    index: int
    entry: Entry | None
    opened: Opened | None
    failure: str | None


class History:
    """The log as of one signed checkpoint."""

    def __init__(self, reader: Reader, own_key: Verifier) -> None:
        self._reader = reader
        data = reader.checkpoint()
        self.head: Checkpoint | None = None
        self._tiles: AuthenticTiles | None = None
        if data is not None:
            self.head = open_checkpoint(data, [own_key]).checkpoint
            self._tiles = AuthenticTiles(reader, self.head.size, self.head.root)
        self._own_key = own_key

    @property
    def size(self) -> int:
        """How many entries."""
        return self.head.size if self.head else 0

    def chains(self) -> dict[str, events.ChainHead]:
        """Every micro-chain with its head, by name."""
        found = restore(self._reader, self._own_key.name, self._own_key).heads
        return {name: found[name] for name in sorted(found)}

    def find(self, wanted: str) -> list[str]:
        """The micro-chains that a name means: a chain, a port, or a serial number.

        Raises:
            MisuseError: none; names those that there are.
        """
        chains = list(self.chains())
        if wanted in chains:
            return [wanted]
        named = [name for name in chains if wanted in _names(name)]
        if not named:
            named = [name for name in chains if name != GATEWAY_CHAIN and self.port_of(name) == wanted]
        if not named:
            raise MisuseError(f"no chain, port or serial number {wanted!r}; there are: {', '.join(chains) or 'none'}")
        return named

    def port_of(self, chain: str) -> str | None:
        """The port that a device was on last, by its identity and line events."""
        for shown in islice(self.backward(chain), _IDENTITY_REACH):
            event = shown.opened.event if shown.opened else None
            if isinstance(event, events.Identity | events.Line):
                return event.port
        return None

    def backward(self, chain: str) -> Iterator[Shown]:
        """The entries of one chain, the newest first."""
        at = self.size
        while (row := self._reader.last_entry_of(chain, at, REACH)) is not None:
            at = row[0]
            shown = self._show(*row)
            if shown.entry is None or shown.entry.chain == chain:
                yield shown

    def within(self, from_ms: int | None, to_ms: int | None) -> list[Run]:
        """The runs of the log that may hold what claims a wall time in [from_ms, to_ms); see `gateway.interval`."""
        return interval.runs(self._clock, self.size, from_ms, to_ms)

    def forward(self, chains: list[str], runs: Iterable[Run]) -> Iterator[Shown]:
        """The entries of these chains in runs of the log, in its order; those that cannot be read come as well."""
        for first, end in pages(runs):
            for index, (leaf, body) in enumerate(self._reader.entries(first, end), first):
                if any(name.encode() in leaf for name in chains):
                    shown = self._show(index, leaf, body)
                    if shown.entry is None or shown.entry.chain in chains:
                        yield shown

    def _clock(self, index: int) -> Clock | None:
        """The clock of an entry that is what was signed."""
        try:
            (leaf,) = self._reader.leaves(index, index + 1)
            return parse_leaf(leaf).clock if self._leaf_hash(index) == entry_hash(leaf) else None
        except VitaledgerError:
            return None

    def _show(self, index: int, leaf: bytes, body: bytes | None) -> Shown:
        entry = None
        try:
            entry = parse_leaf(leaf)
            sure, found = self._leaf_hash(index), entry_hash(leaf)
            if sure != found:
                raise VerificationError(f"hash expected {sure.hex()[:16]}…, found {found.hex()[:16]}…")
            return Shown(index, entry, None if body is None else open_entry(leaf, body), None)
        except VitaledgerError as error:
            return Shown(index, entry, None, str(error))

    def _leaf_hash(self, index: int) -> bytes:
        if self._tiles is None:
            raise MisuseError("the log is empty")
        return self._tiles.leaf_hash(index)


def pages(runs: Iterable[Run]) -> Iterator[Run]:
    """Runs, cut where they are long."""
    for first, end in runs:
        for at in range(first, end, _PAGE):
            yield at, min(at + _PAGE, end)


def _names(chain: str) -> set[str]:
    rest = chain.split(":", 2)[-1]
    serial, _, port = rest.partition("@")
    return {rest, serial, port} - {""}
