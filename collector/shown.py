"""What gateways show of the provider ledger, held against this store: a collector that was restored finds out by it.

Gateways keep the newest head of the provider ledger that they have verified, and the succession notes that led them to
it, and show both in up/ledger. Everything in it that this ledger's key signed must be in this store. What is not can
only mean that the store is an old copy: what it would sign contradicts what was signed.

    a head that is larger than the store's, or has another root at its size     this ledger went on, elsewhere or before
    a note that names a successor                                               this ledger ended, and another goes on

What this ledger's key did not sign says nothing here.
"""

from dataclasses import dataclass

from collector.reader import LEDGER, Reader
from vitaledger import fork, messages, succession
from vitaledger.checkpoint import Checkpoint, open_checkpoint
from vitaledger.errors import VitaledgerError
from vitaledger.keys import Vkey, parse_vkey, verifier_of
from vitaledger.prover import consistency_proof, root_from_tiles


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Why the store is an old copy. `note` is the head, as it was shown, where a head shows it; `head` is of it."""

    text: str
    origins: tuple[str, ...]  # of this ledger and of all successors that were shown
    head: Checkpoint | None = None
    note: bytes | None = None


def contradiction(reader: Reader, key: Vkey, payload: bytes) -> Contradiction | None:
    """What an up/ledger message shows that cannot be of this store; None where all of it can.

    Raises:
        MalformedError: not such a message.
        VerificationError: the store's own tree cannot be read.
    """
    said = messages.LEDGER_SHOWN.decode(payload, "up/ledger")
    origins = _successors(said.notes, key)
    head = None if said.checkpoint is None else _signed(said.checkpoint, key)
    if head is not None and (text := _unlike(reader, head)):
        return Contradiction(text, (key.name, *origins), head, said.checkpoint)
    if origins:
        return Contradiction(f"that {key.name} ended and goes on as {origins[0]}", (key.name, *origins))
    return None


def is_known(payload: bytes, key: Vkey) -> bool:
    """Whether an up/ledger message shows that its gateway believes this ledger; MalformedError where it is none."""
    said = messages.LEDGER_SHOWN.decode(payload, "up/ledger")
    if said.checkpoint is not None and _signed(said.checkpoint, key) is not None:
        return True
    for note in said.notes:
        try:
            if succession.parse_unverified(note).new_vkey == str(key):
                return True
        except VitaledgerError:
            continue
    return False


def fork_evidence(reader: Reader, vkey: str, found: Contradiction) -> bytes | None:
    """The file that proves that this ledger was signed on twice; None where the two heads alone do not prove it.

    The store shows what its own head says at the smaller size. Where the head that was shown is the larger one, only
    its own tree could show that, and nobody may have it any more.
    """
    own = reader.ledger_head()
    if found.head is None or found.note is None or found.head.size > own.size:
        return None
    tiles = reader.tile_reader(LEDGER, own.size)
    if found.head.size == own.size:
        return fork.build(vkey, found.note, own.checkpoint)
    root, proof = root_from_tiles(tiles, found.head.size), consistency_proof(tiles, found.head.size, own.size)
    return fork.build(vkey, found.note, own.checkpoint, root, proof)


def _unlike(reader: Reader, head: Checkpoint) -> str | None:
    size = reader.ledger_head().size
    what = f"a signed head of {head.origin} of {head.size} statements"
    if head.size > size:
        return f"{what}; this store has {size}"
    if root_from_tiles(reader.tile_reader(LEDGER, size), head.size) != head.root:
        return f"{what} with another root than here; this store has {size}"
    return None


def _signed(note: bytes, key: Vkey) -> Checkpoint | None:
    try:
        head = open_checkpoint(note, [verifier_of(key)]).checkpoint
    except VitaledgerError:
        return None
    return head if head.origin == key.name else None


def _successors(notes: tuple[bytes, ...], first: Vkey) -> tuple[str, ...]:
    """The origins that notes lead to from this ledger, each signed by a key before it: others are anybody's word."""
    known = {first.name: first}
    for note in notes:
        try:
            old = known.get(succession.parse_unverified(note).old_origin)
            if old is not None:
                named = parse_vkey(succession.open_succession(note, old).new_vkey)
                known[named.name] = named
        except VitaledgerError:
            continue
    return tuple(known)[1:]
