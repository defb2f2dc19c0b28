"""What the store holds of a device's interval, as it stands there: for a browser that checks it all by itself.

Nothing is verified here and no entry is opened, so a changed byte reaches whoever checks, who finds it by their own
arithmetic and can name it. Answers are CBOR:

    answer  = [1, checkpoint, [* log]]              checkpoint: of the ledger, a note
    log     = [origin, chain, anchor / null, [* proven], after / null, [* [first, last]], waiting, [* apart], [* tile]]
    proven  = [index, statement, [* hash]]          a statement with its inclusion proof; first the log's enrolment or
                                                    succession, then those of the logs before it
    after   = [proven, root, [* hash], entry]       the ledger head that a heads entry before the run had quoted
    apart   = [from, to]                            µs since 1970 UTC: shown, and out of the order of this micro-chain
    page    = [1, [* entry], [* tile], next / null] entries by number; next: the number to go on with
    entry   = [seq, index, leaf / null, body / null]
    tile    = [level, n, hashes]                    as in c2sp.org/tlog-tiles

`first` to `last` are the numbers that the index names, with a neighbour on either side; `waiting` counts those behind
the anchor. A log's tiles are those of its right edge; a page brings the full ones above its entries.
"""

from collections.abc import Iterable, Iterator

from collector.carried import carried_history
from collector.heads import heads_before
from collector.history import Device, Seen, Span, out_of_order, runs_of
from collector.reader import LEDGER, Reader
from collector.rows import ChainRow, LogRow
from collector.verified import VerifiedLog, VerifiedStore
from vitaledger import cbor, merkle, prover, statement
from vitaledger.errors import MalformedError, MisuseError, VerificationError
from vitaledger.evidence import Proven
from vitaledger.merkle import HASH_SIZE, TILE_HEIGHT, TILE_WIDTH, leaf_hash
from vitaledger.statement import Succession
from vitaledger.tiles import partial_width

VERSION = 1
MAX_SPAN_US = 86_400_000_000  # of one answer
PAGE_ENTRIES = 1024
PAGE_BYTES = 2 * 1024 * 1024
_TILE_BYTES = TILE_WIDTH * HASH_SIZE
Item = cbor.Item


def overview(store: VerifiedStore, device: Device, from_us: int, to_us: int) -> bytes:
    """What there is of a device in [from, to), and the statements that prove whose it is: an `answer`.

    Raises:
        MisuseError: the interval is longer than a day, or empty.
        VerificationError: a statement or tile of the ledger is missing, or the ledger is not the one that was quoted.
    """
    if not 0 <= from_us < to_us <= from_us + MAX_SPAN_US:
        raise MisuseError("expected an interval of at most a day, in µs since 1970 UTC")
    span = Span(from_us, to_us - 1)
    found = (_log(store, row, chain, span) for row, chain in device.chains)
    logs: list[Item] = [log for log in found if log is not None]
    return cbor.dumps([VERSION, store.ledger.head.raw, logs])


def page(store: VerifiedStore, device: Device, origin: str, size: int, first: int, last: int) -> bytes:
    """Entries first to last of a device's micro-chain on a log, under its tree of `size` leaves: a `page`.

    Raises:
        MisuseError: no such log, size or run.
    """
    row, chain = next((pair for pair in device.chains if pair[0].origin == origin), (None, None))
    if row is None or chain is None:
        raise MisuseError(f"{device.label} is not on {origin}")
    if not (0 <= first <= last < chain.next_seq and 0 < size <= row.stored):
        raise MisuseError(f"{origin}: no entries {first} to {last} of {device.label} at size {size}")
    entries: list[Item] = []
    tiles: set[tuple[int, int]] = set()
    room, following = PAGE_BYTES, None
    for place, leaf, body in store.reader.sealed(chain, first, last):
        if place.idx >= size:
            continue
        if len(entries) == PAGE_ENTRIES or room <= 0:
            following = place.seq
            break
        stored = [_bytes(leaf), _bytes(body)]
        entries.append([place.seq, place.idx, *stored])
        tiles.update(_above(place.idx, size))
        room -= sum(len(each) for each in stored if each is not None)
    return cbor.dumps([VERSION, entries, list(_tiles(store.reader, row.log, tiles)), following])


def _log(store: VerifiedStore, row: LogRow, chain: ChainRow, span: Span) -> Item:
    reader, log = store.reader, store.log(row)
    runs = runs_of(log, chain, span)
    apart = [_extent(seen) for seen in _apart(store, log, chain, span)]
    if not runs and not apart:
        return None
    covered = reader.anchor_at_or_below(row.log, row.stored)
    size, anchor = (0, None) if covered is None else (covered[0], _proven(store, covered[1]))
    shown, waiting = _shown(reader, chain, runs, size)
    begins = reader.positions(chain.chain, shown[0][0], shown[0][0])[0].idx if shown else size
    heads, after = heads_before(store, log, begins) if shown else (None, None)
    quoted: Item = None
    tiles: list[Item] = list(_edge(reader, row.log, size))
    if heads is not None and after is not None:
        leaf, body = reader.entry(row.log, heads) or (None, None)
        quoted = [_plain(after.last), after.root, list(after.consistency), [0, heads, _bytes(leaf), _bytes(body)]]
        tiles += _tiles(reader, row.log, set(_above(heads, size)))
    key: list[Item] = [_plain(each) for each in _lineage(store, row)]
    by: Item = None if anchor is None else _plain(anchor)
    return [row.origin, chain.name, by, key, quoted, _plainly(shown), waiting, _plainly(apart), tiles]


def _shown(reader: Reader, chain: ChainRow, runs: list[tuple[int, int]], size: int) -> tuple[list[list[int]], int]:
    """The runs as far as they are anchored, each with its neighbours, apart; and how many entries wait."""
    found: list[list[int]] = []
    waiting = 0
    for first, last in runs:
        places = reader.positions(chain.chain, max(first - 1, 0), min(last + 1, chain.next_seq - 1))
        inside = [place.seq for place in places if place.idx < size]
        waiting += sum(first <= place.seq <= last for place in places if place.idx >= size)
        if inside and found and inside[0] <= found[-1][1] + 1:
            found[-1][1] = max(found[-1][1], inside[-1])
        elif inside:
            found.append([inside[0], inside[-1]])
    return found, waiting


def _apart(store: VerifiedStore, log: VerifiedLog, chain: ChainRow, span: Span) -> Iterator[Seen]:
    yield from out_of_order(log, chain, span)
    yield from carried_history(store, log.row, chain.name, span)


def _plainly(pairs: list[list[int]]) -> Item:
    return [[*pair] for pair in pairs]


def _extent(seen: Seen) -> list[int]:
    return [seen.at_us, seen.at_us + (seen.opened.last_us if seen.opened else 0)]


# -- statements -------------------------------------------------------------------------------------------------------


def _proven(store: VerifiedStore, index: int) -> Proven:
    said = store.reader.statement(index)
    if type(said) is not bytes:
        raise VerificationError(f"statement {index}: missing in the store")
    tiles = store.reader.tile_reader(LEDGER, store.ledger.size)
    return Proven(said, index, tuple(prover.inclusion_proof(tiles, index, store.ledger.size)))


def _plain(proven: Proven) -> Item:
    return [proven.index, proven.statement, list(proven.hashes)]


def _lineage(store: VerifiedStore, row: LogRow) -> Iterator[Proven]:
    """The statement that tells a log's key, and of a successor's those before it, as far as they can be followed."""
    while True:
        proven = _proven(store, row.enrolled)
        yield proven
        try:
            said = statement.decode(proven.statement)
        except MalformedError:
            return
        before = store.reader.log_of(said.old_origin) if isinstance(said, Succession) else None
        if before is None or before.enrolled >= row.enrolled:
            return
        row = before


# -- hashes -----------------------------------------------------------------------------------------------------------


def _above(index: int, size: int) -> Iterator[tuple[int, int]]:
    """The full tiles on the way from a leaf to the right edge of a tree."""
    level, n = 0, index // TILE_WIDTH
    while n < size >> (TILE_HEIGHT * (level + 1)):
        yield level, n
        level, n = level + 1, n // TILE_WIDTH


def _tiles(reader: Reader, log: int, which: Iterable[tuple[int, int]]) -> Iterator[Item]:
    for level, n in sorted(which):
        yield [level, n, _full(reader, log, level, n)]


def _full(reader: Reader, log: int, level: int, n: int) -> bytes:
    """A full tile as it is stored; zeros where it is none."""
    found = reader.tile(log, level, n)
    return found if type(found) is bytes and len(found) == _TILE_BYTES else bytes(_TILE_BYTES)


def _edge(reader: Reader, log: int, size: int) -> Iterator[Item]:
    """The partial tile of each level: of the leaves, above them of the stored edge, or else of full tiles."""
    for level in range(-(-size.bit_length() // TILE_HEIGHT)):
        width, n = partial_width(size, level), size >> (TILE_HEIGHT * (level + 1))
        below = range(n * TILE_WIDTH, n * TILE_WIDTH + width)
        if not width:
            continue
        if level:
            known = reader.roots(log, level - 1, below.start, below.stop)
            hashes = [known.get(child) or _root(reader, log, level - 1, child) for child in below]
        else:
            held = dict(reader.leaves(log, below.start, below.stop))
            found = [_bytes(held.get(index)) for index in below]
            hashes = [bytes(HASH_SIZE) if leaf is None else leaf_hash(leaf) for leaf in found]
        yield [level, n, b"".join(hashes)]


def _root(reader: Reader, log: int, level: int, n: int) -> bytes:
    return merkle.tile_root(_full(reader, log, level, n))


def _bytes(cell: object) -> bytes | None:
    """What is stored, where it is bytes: SQLite stores what it is given."""
    return cell if isinstance(cell, bytes) else None
