"""From a draft to an entry: numbers, links, context and salts, checked before anything is stored.

`Sealer` follows the micro-chains of one commit on top of the heads that were committed before. It changes nothing but
itself, so a commit that fails is forgotten by forgetting its sealer.

What the store fills in, because only it knows the numbers that entries get:

    values.context   seq of the latest identity and alarm entry of that chain in this run, None before there is one
    heads            every micro-chain's head as it stands before that entry, and the newest verified ledger checkpoint
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from gateway.draft import Draft
from vitaledger import chain, events
from vitaledger.compiled import compile_make
from vitaledger.content import NO_CONTEXT, Context
from vitaledger.errors import MisuseError, VitaledgerError
from vitaledger.events import ChainHead, LedgerHead
from vitaledger.merkle import leaf_hash
from vitaledger.opened import seal_entry

_SALTS = 4096  # bytes that are asked for at once: the salts of some hundred entries


class DraftError(MisuseError):
    """A draft that the collector's own code would refuse. `draft` is that one; nothing of its commit was stored."""

    def __init__(self, draft: Draft, reason: str) -> None:
        super().__init__(f"{draft.chain}: cannot be sealed: {reason}")
        self.draft = draft


@dataclass(frozen=True, slots=True)
class SealedEntry:
    """An entry ready to be stored: its bytes and the leaf hash that they gave."""

    leaf: bytes
    body: bytes
    hash: bytes


_make_head, _make_sealed = compile_make(ChainHead), compile_make(SealedEntry)


class SaltPool:
    """Random bytes, asked for many at a time; each is handed out once."""

    __slots__ = ("_at", "_bytes", "_random")

    def __init__(self, random: Callable[[int], bytes]) -> None:
        self._random = random
        self._bytes, self._at = b"", 0

    def __call__(self, count: int) -> bytes:
        """So many random bytes."""
        at, end = self._at, self._at + count
        if end > len(self._bytes):
            self._bytes, at, end = self._random(max(_SALTS, count)), 0, count
        self._at = end
        return self._bytes[at:end]


class Sealer:
    """Seals the drafts of one commit, in order. `heads` and `contexts` hold what changed, and nothing else."""

    def __init__(
        self,
        origin: str,
        heads: Mapping[str, ChainHead],
        contexts: Mapping[str, Context],
        ledger: LedgerHead | None,
        random: Callable[[int], bytes],
    ) -> None:
        self.heads: dict[str, ChainHead] = {}
        self.contexts: dict[str, Context] = {}
        self._origin = origin
        self._old_heads = heads
        self._old_contexts = contexts
        self._ledger = ledger
        self._random = random

    def seal(self, draft: Draft) -> SealedEntry:
        """Seal one draft.

        Raises:
            DraftError: what it would become is not an entry that everyone can open.
        """
        name = draft.chain
        head = self.heads.get(name) or self._old_heads.get(name) or chain.start(self._origin, name)
        event = draft.event
        try:
            leaf, body = seal_entry(
                draft.kind,
                name,
                head.next_seq,
                head.last,
                draft.began.clock,
                self._random,
                values=draft.values,
                context=self.context(name),
                waves=draft.waves,
                raw=draft.raw,
                event=event and self._completed(event),
            )
        except VitaledgerError as error:
            raise DraftError(draft, str(error)) from error
        found = leaf_hash(leaf)
        self.heads[name] = _make_head(name, head.next_seq + 1, found)
        if event is not None:
            self._note_context(name, event, head.next_seq)
        return _make_sealed(leaf, body, found)

    def context(self, name: str) -> Context:
        """Which entries hold the identity and the alarm state in force."""
        return self.contexts.get(name) or self._old_contexts.get(name) or NO_CONTEXT

    def _completed(self, event: events.Event) -> events.Event:
        if not isinstance(event, events.Heads):
            return event
        heads = {**self._old_heads, **self.heads}
        return events.Heads(tuple(heads[name] for name in sorted(heads)), event.ledger or self._ledger)

    def _note_context(self, name: str, event: events.Event, seq: int) -> None:
        if isinstance(event, events.Identity):
            self.contexts[name] = replace(self.context(name), identity=seq)
        elif isinstance(event, events.Alarm):
            self.contexts[name] = replace(self.context(name), alarm=seq)
