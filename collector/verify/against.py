"""A checkpoint from outside, against the store: finds one that was rolled back to an earlier, consistent state.

The file may be a checkpoint note of the ledger or of a gateway's log, or a `.tlog-proof`, such as a receipt.
"""

from collector.reader import LEDGER, Reader
from collector.verify.facts import Facts
from collector.verify.report import Report
from vitaledger import proof, prover
from vitaledger.checkpoint import SignedCheckpoint, open_checkpoint, parse_unverified
from vitaledger.errors import MalformedError, MisuseError, VerificationError
from vitaledger.keys import parse_vkey, verifier_of


def checkpoint_in(data: bytes) -> bytes:
    """The checkpoint note in a file's bytes; MalformedError where there is none."""
    if data.startswith(proof.HEADER.encode()):
        return proof.parse(data).checkpoint
    try:
        parse_unverified(data)
    except MalformedError as error:
        raise MalformedError(f"neither a checkpoint nor a .tlog-proof: {error}") from error
    return data


def check_against(reader: Reader, data: bytes, vkey: str, ledger_size: int, facts: Facts, report: Report) -> None:
    """Hold the store against a checkpoint; what differs is a failure.

    Raises:
        MalformedError: not a checkpoint.
        VerificationError: its signature is wrong, or by a key that this ledger does not know.
    """
    note = checkpoint_in(data)
    origin = parse_unverified(note)[0].origin
    if origin == parse_vkey(vkey).name:
        _check(reader, open_checkpoint(note, [verifier_of(parse_vkey(vkey))]), LEDGER, ledger_size, report)
        return
    if any(said.old_origin == origin for said in facts.ledgers):
        report.remarks.append(f"the checkpoint is of {origin}, which ended: hold it against its own store (--ledger)")
        return
    row, enrolled = reader.log_of(origin), facts.enrolled(origin)
    if enrolled is None or row is None:
        raise VerificationError(f"the checkpoint is of {origin}, which is not in this ledger")
    signed = open_checkpoint(note, [verifier_of(parse_vkey(enrolled.vkey))])
    if signed.checkpoint.size > row.witnessed:
        report.fail(
            "logs",
            f"{origin} was rolled back: it had size {signed.checkpoint.size}, size {row.witnessed} is anchored here",
            gateway=row.gateway,
        )
    elif signed.checkpoint.size > row.stored:
        report.remarks.append(f"{origin}: its entries up to {signed.checkpoint.size} are not all here yet")
    else:
        _check(reader, signed, row.log, row.stored, report)


def _check(reader: Reader, signed: SignedCheckpoint, log: int, size: int, report: Report) -> None:
    head = signed.checkpoint
    if head.size > size:
        report.fail(
            "ledger", f"{head.origin} was rolled back from size {head.size}, as the checkpoint says, to size {size}"
        )
        return
    try:
        found = prover.root_from_tiles(reader.tile_reader(log, size), head.size)
    except (VerificationError, MisuseError) as error:
        report.fail("tiles", f"the checkpoint of {head.origin} at size {head.size} cannot be compared: {error}")
        return
    if found != head.root:
        report.fail(
            "ledger",
            f"{head.origin} is another log than the checkpoint's at size {head.size}",
            expected=head.root,
            found=found,
        )
