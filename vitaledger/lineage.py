"""Whose key an origin's is: the statements of the ledger that lead to it, and the notes that the keys before it signed.

    [Enrolment]                                the origin was enrolled itself
    [Succession, …, Succession, Enrolment]     a successor: its own succession first, then those of the logs before it,
                                               back to the one that was enrolled

A succession statement alone would be the provider's word; the note in it is the old key's. So whoever follows a
lineage trusts the provider for the first key and for none of those that came after.

>>> from vitaledger.keys import Ed25519Signer
>>> from vitaledger.merkle import EMPTY_ROOT
>>> from vitaledger.succession import sign_succession
>>> one, two = (Ed25519Signer(f"h.example/gateway/g1{n}", bytes([len(n)]) * 32) for n in ("", "/2"))
>>> first = Enrolment(0, "g1", one.name, str(one.vkey))
>>> note = sign_succession(succession.Succession(one.name, 0, EMPTY_ROOT, str(two.vkey)), one)
>>> then = Succession(1, one.name, b"old head", two.name, str(two.vkey), note)
>>> follow_lineage(two.name, [then, first]).vkey == str(two.vkey)
True
>>> follow_lineage(two.name, [first])
Traceback (most recent call last):
vitaledger.errors.VerificationError: enrols h.example/gateway/g1, expected h.example/gateway/g1/2
"""

from collections.abc import Sequence
from dataclasses import dataclass

from vitaledger import succession
from vitaledger.errors import VerificationError
from vitaledger.keys import parse_vkey
from vitaledger.statement import Enrolment, Statement, Succession


@dataclass(frozen=True, slots=True)
class Lineage:
    """A gateway's key, and the origins before it, the newest first."""

    gateway: str
    vkey: str
    predecessors: tuple[str, ...]


def follow_lineage(origin: str, statements: Sequence[Statement]) -> Lineage:
    """The key of `origin` by statements that were proven to be in the ledger; the origin's own first.

    Raises:
        VerificationError: they do not lead from an enrolment to that origin, or a note is not of the key before it.
        MalformedError: a note or a key cannot be read.
    """
    wanted, predecessors = origin, []
    for said in statements[:-1]:
        if not isinstance(said, Succession) or said.new_origin != wanted:
            raise VerificationError(f"{wanted}: expected the succession to it, found another statement")
        wanted = said.old_origin
        predecessors.append(wanted)
    first = statements[-1] if statements else None
    if not isinstance(first, Enrolment):
        raise VerificationError(f"{wanted}: expected an enrolment, found {type(first).__name__.lower()}")
    if first.origin != wanted:
        raise VerificationError(f"enrols {first.origin}, expected {wanted}")
    vkey = str(parse_vkey(first.vkey))
    for said in reversed(statements[:-1]):
        if isinstance(said, Succession):
            note = succession.open_succession(said.note, parse_vkey(vkey))
            if (note.old_origin, note.new_origin, note.new_vkey) != (said.old_origin, said.new_origin, said.new_vkey):
                raise VerificationError(f"{said.new_origin}: the note of its succession names {note.new_vkey}")
            vkey = said.new_vkey
    return Lineage(first.gateway, vkey, tuple(predecessors))
