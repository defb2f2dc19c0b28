"""Evidence out of the store: one run of a device's entries, with all that somebody who trusts nobody needs.

The run is entries a − 1 … b + 1 of one micro-chain, each with its inclusion proof under the anchored checkpoint of its
gateway; that anchor and the enrolment of the gateway's key with theirs under the ledger's checkpoint; a heads entry
behind the last entry where there is none after it, and one before the first, whose quoted ledger head shows after
which time the run was sealed. Everything is verified while it is collected, and once more as a whole, by the code that
its reader will run, before a file is written.
"""

import io
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from collector.history import Device, Seen, Span, chain_history, devices
from collector.reader import ChainRow, LogRow
from collector.verified import State, VerifiedLog, VerifiedStore
from vitaledger import evidence, merkle, policy
from vitaledger.entry import GATEWAY_CHAIN, PartType
from vitaledger.errors import MisuseError, VerificationError
from vitaledger.events import Heads, LedgerHead
from vitaledger.evidence import After, Claim, Proven, Shown, Verified
from vitaledger.statement import Succession

_ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # the files carry no time of their own: same evidence, same bytes
_LOOK_ROUND = 512  # how many of the gateway's own entries are searched for a heads entry; there is one a minute


@dataclass(frozen=True, slots=True)
class Exported:
    """What was collected: the files, what they prove, and what the person who exports has to know."""

    files: Mapping[str, bytes]
    verified: Verified
    remarks: tuple[str, ...]


def export(
    store: VerifiedStore,
    device: Device,
    span: Span,
    *,
    exported: str,
    by: str,
    program: str,
    raw: bool = False,
    waves: bool = False,
) -> Exported:
    """Collect the evidence for the entries of a device in a span.

    `exported` (when), `by` (whom) and `program` (with its version) are claims for its manifest.

    Raises:
        MisuseError: the span holds no proven entry, or entries of several logs.
        VerificationError: an entry in it does not hold, or is missing.
    """
    log, chain, seen = one_log(store, device, span)
    _must_hold(seen)
    remarks = []
    proven = [each for each in seen if each.verdict.state in {State.PROVEN, State.FINDING} and is_anchored(log, each)]
    if not proven:
        raise MisuseError(f"{device.label}: no entry in this span is anchored yet: try again in some seconds")
    if len(proven) < len(seen):
        remarks.append(f"{len(seen) - len(proven)} entries that are not anchored yet were left out")
    first, last = proven[0].seq, proven[-1].seq
    if [each.seq for each in proven] != list(range(first, last + 1)):
        raise MisuseError(
            f"{device.label}: this span is no one run of entries (the gateway's clock ran back): use --seq"
        )
    shown = [*_neighbour(log, chain, first - 1), *proven, *_neighbour(log, chain, last + 1)]
    _must_hold(shown)
    heads_after = None
    if shown[-1].seq == last:
        heads_after = _heads_after(log, chain, shown[-1])
        if heads_after is None:
            if first == last:
                raise MisuseError(
                    f"{chain.name} entry {last}: nothing shows yet that it is the last one: try again later"
                )
            last -= 1
            remarks.append(f"entry {last + 1} is the newest: it shows that the run is complete up to entry {last}")
    withheld = [int(PartType.RAW)] * (not raw) + [int(PartType.WAVES)] * (not waves)
    before, after = heads_before(store, log, shown[0].look.index)
    entries = [each for each in (before, *(seen.look.index for seen in shown), heads_after) if each is not None]
    files = evidence.build(
        Claim(log.row.origin, chain.name, first, last, exported, by, program, elsewhere(store, log.row, chain)),
        _shown(log, list(dict.fromkeys(entries)), withheld),
        _proven(store, log.anchor_statement),
        _proven(store, log.row.enrolled),
        store.ledger.head.raw,
        after,
        _predecessors(store, log.row),
    )
    trusted = policy.parse(f"log {store.ledger.vkey}\nquorum none\n".encode())
    return Exported(*evidence.complete(files, trusted), tuple(remarks))


def elsewhere(store: VerifiedStore, row: LogRow, chain: ChainRow) -> tuple[str, ...]:
    """The other micro-chains that the ledger knows of the same device, each "<origin> <chain>".

    The same device is the same serial number, on whatever port; one known only by its port, the same port of its
    gateway.
    """
    return tuple(
        sorted(
            {
                f"{other.origin} {found.name}"
                for device in devices(store.reader)
                for other, found in device.chains
                if _same_device(row, chain.name, other, found.name)
                and (other.origin, found.name) != (row.origin, chain.name)
            }
        )
    )


def _same_device(row: LogRow, name: str, other: LogRow, found: str) -> bool:
    if ":sn:" in name:
        return found.partition("@")[0] == name.partition("@")[0]
    return found == name and other.gateway == row.gateway


def pack(files: Mapping[str, bytes]) -> bytes:
    """An evidence file's bytes; the same evidence gives the same bytes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in sorted(files):
            info = zipfile.ZipInfo(name, _ZIP_TIME)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            archive.writestr(info, files[name])
    return packed.getvalue()


def one_log(store: VerifiedStore, device: Device, span: Span) -> tuple[VerifiedLog, ChainRow, list[Seen]]:
    """The entries of a device in a span, those that do not hold as well; MisuseError where they are not of one log."""
    found = []
    for row, chain in device.chains:
        log = store.log(row)
        if seen := list(chain_history(log, chain, span)):
            found.append((log, chain, seen))
    if not found:
        raise MisuseError(f"{device.label}: no entry in this span")
    if len(found) > 1:
        origins = ", ".join(log.row.origin for log, _, _ in found)
        raise MisuseError(
            f"{device.label}: entries of several logs ({origins}): evidence is of one, name it by --origin"
        )
    return found[0]


def _neighbour(log: VerifiedLog, chain: ChainRow, seq: int) -> list[Seen]:
    """The entry of that number, where there is an anchored one."""
    if seq < 0:
        return []
    found = chain_history(log, chain, Span(first_seq=seq, last_seq=seq))
    return [each for each in found if each.verdict.state is State.FAILED or is_anchored(log, each)][:1]


def _must_hold(seen: list[Seen]) -> None:
    for each in seen:
        if each.verdict.state is State.FAILED:
            raise VerificationError(f"cannot be evidence: {each.verdict.reason}")


def is_anchored(log: VerifiedLog, seen: Seen) -> bool:
    """Whether an entry lies under the anchored checkpoint that evidence is proven by."""
    return 0 <= seen.look.index < log.anchored


def _shown(log: VerifiedLog, indices: list[int], withheld: list[int]) -> list[Shown]:
    if log.tiles is None:
        raise VerificationError(f"{log.row.origin}: no anchor covers what is stored")
    found = []
    for index, path in zip(indices, merkle.inclusion_proofs(log.tiles, indices, log.anchored), strict=True):
        row = log.reader.entry(log.row.log, index)
        if row is None or log.tiles.leaf_hash(index) != merkle.leaf_hash(row[0]):
            raise VerificationError(f"{log.row.origin}: entry {index} changed while it was exported")
        leaf, body = row
        found.append(Shown(index, leaf, evidence.withhold(body, withheld), tuple(path)))
    return found


def _proven(store: VerifiedStore, index: int) -> Proven:
    return Proven(store.ledger.leaf(index), index, store.ledger.inclusion(index))


def _predecessors(store: VerifiedStore, row: LogRow) -> list[Proven]:
    """The statements that enrolled the logs before a successor's, back to the first."""
    found: list[Proven] = []
    while isinstance(said := store.ledger.statement(row.enrolled), Succession):
        before = store.reader.log_of(said.old_origin)
        if before is None or before.enrolled >= row.enrolled:
            raise VerificationError(f"statement {row.enrolled}: {said.old_origin} was not enrolled before")
        row = before
        found.append(_proven(store, row.enrolled))
    return found


# -- heads entries of the gateway's own micro-chain -------------------------------------------------------------------


def _heads(log: VerifiedLog, index: int, step: int) -> Iterator[tuple[int, Heads]]:
    """The proven heads entries behind an index of the log (step 1) or before it (step −1), nearest first."""
    chain = next((row for row in log.reader.chains(log.row.log) if row.name == GATEWAY_CHAIN), None)
    if chain is None:
        return
    low, high = 0, chain.next_seq
    while low < high:  # the first of the gateway's own entries at or behind the index
        middle = (low + high) // 2
        place = log.reader.positions(chain.chain, middle, middle)
        low, high = (middle + 1, high) if place and place[0].idx < index else (low, middle)
    seqs = (
        range(low, min(low + _LOOK_ROUND, chain.next_seq))
        if step > 0
        else range(low - 1, max(low - _LOOK_ROUND, -1), -1)
    )
    for seq in seqs:
        place = log.reader.positions(chain.chain, seq, seq)
        look = log.look(place[0].idx) if place else None
        if look and look.verdict.state is State.PROVEN and look.opened and isinstance(look.opened.event, Heads):
            yield look.index, look.opened.event


def _heads_after(log: VerifiedLog, chain: ChainRow, last: Seen) -> int | None:
    for index, heads in _heads(log, last.look.index, 1):
        head = next((each for each in heads.chains if each.chain == chain.name), None)
        if head is not None:
            return index if (head.next_seq, head.last) == (last.seq + 1, last.look.hash) else None
    return None


def heads_before(store: VerifiedStore, log: VerifiedLog, first: int) -> tuple[int | None, After | None]:
    """The newest heads entry before index `first` of a log that quotes this ledger, and the proof of what it quotes.

    Raises:
        VerificationError: the ledger that it quotes is not the one in this store.
    """
    ledger = store.ledger
    for index, heads in _heads(log, first, -1):
        quoted = heads.ledger
        if quoted is None or quoted.origin != ledger.head.checkpoint.origin or not quoted.size:
            continue
        must_hold_quote(store, log, index, quoted)
        path = merkle.consistency_proof(ledger.tiles, quoted.size, ledger.size)
        return index, After(_proven(store, quoted.size - 1), quoted.root, tuple(path))
    return None, None


def must_hold_quote(store: VerifiedStore, log: VerifiedLog, index: int, quoted: LedgerHead) -> None:
    """Check that a ledger head that a gateway had verified and quoted is one of this ledger.

    Raises:
        VerificationError: the ledger that the gateway was shown is not the one in this store.
    """
    ledger = store.ledger
    where = f"{log.row.origin} entry {index} quotes the ledger at size {quoted.size}"
    if quoted.size > ledger.size:
        raise VerificationError(f"{where}; the store's ledger has size {ledger.size}: it was rolled back")
    found = merkle.root_from_tiles(ledger.tiles, quoted.size)
    if found != quoted.root:
        raise VerificationError(f"{where}: expected root {quoted.root.hex()[:16]}…, found {found.hex()[:16]}…")
