"""What the ledger step finds in entries that are stored: they cannot be read, or break their micro-chain."""

from dataclasses import replace

from vitaledger import cbor, chain, events
from vitaledger.entry import Clock, Kind, PartType, encode_body, seal
from vitaledger.statement import Custody, Finding


def newer(gateway, version=1, kind=1):
    """An entry that only a newer version can read; its micro-chain goes on behind it."""
    item = [version, kind, "nonin:port:bed-1", 0, bytes(32), [0, bytes(16), 0, None], [], "new"][: 7 if kind > 1 else 8]
    return cbor.encode(item), b"\x80"


def test_unknown_version_and_kind_are_stored_and_found_and_nothing_waits(desk, gateway):
    gateway.add(1)
    gateway.append(*newer(gateway, version=2))
    gateway.append(*newer(gateway, kind=9))
    gateway.append(b"", b"anything")
    gateway.append(b"\xff\xff", b"")
    gateway.add(2)
    desk.send_all(gateway)
    assert desk.store.log_of(gateway.origin).stored == 7
    assert [(each.origin, each.index) for each in desk.statements(Finding)] == [
        (gateway.origin, i) for i in (1, 2, 3, 4)
    ]
    assert [index for index, _ in desk.store.findings(1)] == [1, 2, 3, 4]
    assert desk.statements(Custody)[-1].root == gateway.tiles.root()
    assert desk.store.chains(1)[0].broken is None


def test_a_malformed_content_and_a_reserved_kind_are_findings(desk, gateway):
    gateway.add(1)
    gateway.add(1, content=b"\x81\x18\x63")  # an event that nobody knows
    gateway.add(1, content=b"\xff")
    gateway.add(1, kind=Kind.ASSOCIATION)
    gateway.add(1)
    desk.send_all(gateway)
    assert [each.index for each in desk.statements(Finding)] == [1, 2, 3]
    assert (desk.store.chains(1)[0].next_seq, desk.store.chains(1)[0].broken) == (5, None)


def test_a_withheld_part_is_a_finding(desk, gateway):
    gateway.add(2)
    gateway.sealed[1] = (gateway.sealed[1][0], encode_body(()))
    desk.send_all(gateway)
    (finding,) = desk.statements(Finding)
    assert (finding.index, finding.reason) == (1, "withheld: part event")


def test_a_broken_micro_chain_is_one_finding_and_goes_on(desk, gateway):
    gateway.add(3)
    name = "nonin:port:bed-1"
    gateway.heads[name] = replace(gateway.heads[name], next_seq=9)  # 3 … 8 are missing
    gateway.add(2)
    old = gateway.heads[name]
    gateway.heads[name] = chain.start(gateway.origin, name)  # an old number comes again
    gateway.add(1)
    gateway.heads[name] = old
    gateway.add(1)
    desk.send_all(gateway)
    assert [each.index for each in desk.statements(Finding)] == [3, 5]
    (row,) = desk.store.chains(1)
    assert (row.broken, row.next_seq) == (3, 12)
    assert [(each.seq, each.idx) for each in desk.store.positions(row.chain, 0, 99)] == [
        (0, 0),
        (1, 1),
        (2, 2),
        (9, 3),
        (10, 4),
        (11, 6),
    ]


def test_the_largest_numbers_do_no_harm(desk, gateway):
    most = 2**63 - 1
    clock = Clock(-(2**63), bytes(16), most, most)
    for name in ("nonin:sn:1", "gateway"):
        data = [(PartType.EVENT, events.encode(events.Notice("n")))]
        gateway.append(*seal(Kind.DEVICE_EVENT, name, most, bytes(32), clock, data, [bytes(16)]))
    desk.send_all(gateway)
    assert len(desk.statements(Finding)) == 2


def test_reasons_fit_a_statement(desk, gateway):
    gateway.append(cbor.encode([1, "\u0001" * 20, "x" * 900]), b"")
    gateway.append(b"\xff" * 4000, b"")
    desk.send_all(gateway)
    assert all(len(each.reason) <= 512 and each.reason.isprintable() for each in desk.statements(Finding))
