"""The row of the store that is signed, and which log's store it is: read at the opening, replaced by each commit.

`head` holds the newest checkpoint of the log, and the seal (`gateway.seal`) on what no leaf covers.
"""

import sqlite3

from gateway.reader import Rows
from gateway.seal import Seal, parse_seal
from vitaledger import note, proof
from vitaledger.checkpoint import parse_unverified
from vitaledger.errors import MisuseError, VerificationError
from vitaledger.events import LedgerHead
from vitaledger.keys import Ed25519Signer, verifier_of


def check_owner(db: sqlite3.Connection, signer: Ed25519Signer) -> None:
    """Write down whose store a new one is; MisuseError where it is another's."""
    expected = {"origin": signer.name, "vkey": str(signer.vkey)}
    found = Rows(db).meta()
    if not found:
        db.execute("BEGIN IMMEDIATE")
        db.executemany("INSERT INTO meta (key, value) VALUES (?, ?)", expected.items())
        db.execute("COMMIT")
        return
    for key, value in expected.items():
        if found.get(key) != value:
            raise MisuseError(f"the store's {key} is {found.get(key)!r}, expected {value!r}: it is another gateway's")


def read_seal(rows: Rows, signer: Ed25519Signer) -> Seal:
    """The stored seal, by this key and of this log; that of an empty store where there is none.

    Raises:
        VerificationError: it is not this key's, or of another log.
        MalformedError: it is no seal.
    """
    found = rows.seal_note()
    if found is None:
        return Seal(signer.name, 0, bytes(32), 0)
    note.verify_note(found, [verifier_of(signer.vkey)])
    seal = parse_seal(found.text)
    if seal.origin != signer.name:
        raise VerificationError(f"the store's seal is of {seal.origin}, expected {signer.name}")
    return seal


def write_seal(db: sqlite3.Connection, seal: Seal, signer: Ed25519Signer) -> None:
    """Sign a seal and store it in place of the one before."""
    db.execute("UPDATE head SET seal = ? WHERE id = 1", (_signed(seal, signer),))


def replace_checkpoint(
    db: sqlite3.Connection, before: bytes | None, checkpoint: bytes, seal: Seal, signer: Ed25519Signer
) -> None:
    """Store a signed checkpoint in place of the one that this process signed before; the first one, with a seal.

    Raises:
        VerificationError: another one is stored.
    """
    if before is None:
        row = (checkpoint, _signed(seal, signer))
        db.execute("INSERT INTO head (id, checkpoint, seal) VALUES (1, ?, ?)", row)
        return
    done = db.execute("UPDATE head SET checkpoint = ? WHERE id = 1 AND checkpoint = ?", (checkpoint, before))
    if done.rowcount != 1:
        raise VerificationError("the stored checkpoint is not the one that this process signed last")


def newest_receipt(rows: Rows, size: int) -> tuple[int, LedgerHead | None]:
    """Up to where the newest receipt goes, and the head of the ledger that it tells; `size` is that of the log.

    Raises:
        VerificationError: it goes further than the log.
    """
    newest = rows.newest_receipt()
    if newest is None:
        return 0, None
    if newest.size > size:
        raise VerificationError(
            f"the newest receipt is for {newest.size} entries, the store holds {size}: it was cut or restored"
        )
    ledger, _ = parse_unverified(proof.parse(newest.proof).checkpoint)
    return newest.size, LedgerHead(ledger.origin, ledger.size, ledger.root)


def _signed(seal: Seal, signer: Ed25519Signer) -> bytes:
    return note.encode(note.sign_note(seal.text, signer))
