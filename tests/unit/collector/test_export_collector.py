"""Evidence out of the store: complete, verified, the same bytes for the same evidence, and never of a bad entry."""

import shutil
import sqlite3

import pytest

from collector.export import export, pack
from collector.history import Device, Span, find_device
from collector.reader import Reader
from collector.verified import VerifiedStore
from tests.fault.ward import Gateway, Ward, make_ward
from vitaledger import evidence, policy
from vitaledger.cli.verify import read_zip
from vitaledger.entry import PartType
from vitaledger.errors import MisuseError, VerificationError


@pytest.fixture(scope="module")
def ward(tmp_path_factory):
    made = make_ward(tmp_path_factory.mktemp("ward"), entries=200)
    made.close()
    return made


def make(path, vkey, device="56661", span=None, **options):
    with Reader.open(path) as reader:
        store = VerifiedStore(reader, vkey)
        found = find_device(store, device)
        return export(
            store, found, span or Span(), exported="2026-01-01T00:00:00Z", by="Ada", program="test", **options
        )


def test_a_run_is_proven_complete_and_dated_on_both_sides(ward):
    made = make(ward.path, ward.vkey, span=Span(first_seq=50, last_seq=60))
    assert (made.verified.claim.first, made.verified.claim.last) == (50, 60)
    assert len(made.verified.entries) == 11
    assert made.verified.after_ms is not None
    assert made.verified.after_ms < made.verified.anchored_ms
    assert made.remarks == ()


def test_raw_bytes_and_waves_are_left_out_unless_asked_for(ward):
    span = Span(first_seq=5, last_seq=9)
    assert set(make(ward.path, ward.vkey, span=span).verified.withheld) == {PartType.WAVES, PartType.RAW}
    assert make(ward.path, ward.vkey, span=span, raw=True, waves=True).verified.withheld == ()


def test_the_end_is_shown_by_a_heads_entry_or_else_cut_by_one(ward):
    assert make(ward.path, ward.vkey, "56661").remarks == ()
    cut = make(ward.path, ward.vkey, "bed-2")
    assert "is the newest" in cut.remarks[0]


def test_the_same_evidence_is_the_same_bytes_and_verifies_offline(ward, tmp_path):
    for name in ("a.zip", "b.zip"):
        (tmp_path / name).write_bytes(pack(make(ward.path, ward.vkey, span=Span(first_seq=5, last_seq=9)).files))
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    trusted = policy.parse(f"log {ward.vkey}\nquorum none\n".encode())
    assert evidence.verify(read_zip(tmp_path / "a.zip"), trusted).claim.last == 9


def test_nothing_is_exported_over_an_entry_that_fails(ward, tmp_path):
    path = tmp_path / "changed.sqlite"
    shutil.copyfile(ward.path, path)
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("DELETE FROM entries WHERE id IN ((2 << 40) + 41, (2 << 40) + 42)")
    db.close()
    with pytest.raises(VerificationError, match="cannot be evidence"):
        make(path, ward.vkey, span=Span(first_seq=0, last_seq=60))


def changed(ward, tmp_path, how, *args):
    """A copy of the store in which `how` was done to entry 20 of the first device."""
    path = tmp_path / "changed.sqlite"
    shutil.copyfile(ward.path, path)
    with Reader.open(path) as reader:
        (_, chain) = find_device(VerifiedStore(reader, ward.vkey), "56661").chains[0]
        index = reader.positions(chain.chain, 20, 20)[0].idx
        row = (chain.log << 40) + index
        leaf, body = reader.entry(chain.log, index)
    db = sqlite3.connect(path, isolation_level=None)
    db.execute(f"UPDATE entries SET {how} WHERE id = ?", (*[each(leaf, body) for each in args], row))
    db.close()
    return path


def without(part):
    return lambda _, body: evidence.withhold(body, [part])


@pytest.mark.parametrize(
    ("how", "change", "why"),
    [
        ("leaf = ?", lambda leaf, _: leaf[:-1] + bytes([leaf[-1] ^ 1]), "entry [0-9]+: expected leaf hash"),
        ("body = ?", lambda _, body: body[:-1] + bytes([body[-1] ^ 1]), "entry 20: part raw: commitment"),
        (
            "body = ?",
            lambda _, body: body[:40] + bytes([body[40] ^ 1]) + body[41:],
            "entry 20: part values: commitment",
        ),
        ("body = ?", lambda _, body: body[:-1], "entry [0-9]+: body: "),
        ("body = ?", lambda leaf, _: leaf.hex(), "is missing in the store, or not stored as bytes"),
        ("body = ?", without(PartType.RAW), "entry 20: its part raw is missing in the store"),
        ("body = ?", without(PartType.VALUES), "entry 20: its part values is missing in the store"),
    ],
)
@pytest.mark.parametrize("whole", [False, True])
def test_an_entry_that_does_not_hold_is_named_and_either_side_of_it_is_evidence(
    ward, tmp_path, how, change, why, whole
):
    """Whatever part of it was changed: also one that the file leaves out."""
    path = changed(ward, tmp_path, how, change)
    for first, last in ((5, 30), (20, 20), (21, 30), (5, 19)):
        with pytest.raises(VerificationError, match=f"cannot be evidence: .*{why}"):
            make(path, ward.vkey, span=Span(first_seq=first, last_seq=last), raw=whole, waves=whole)
    for first, last in ((5, 18), (22, 30)):
        made = make(path, ward.vkey, span=Span(first_seq=first, last_seq=last), raw=whole, waves=whole)
        assert (made.verified.claim.first, made.verified.claim.last) == (first, last)


def test_a_span_of_time_is_the_entries_that_reach_into_it(ward):
    with Reader.open(ward.path) as reader:
        device = find_device(VerifiedStore(reader, ward.vkey), "56661")
        clocks = [each.wall_ms for each in reader.positions(device.chains[0][1].chain, 30, 40)]
    span = Span(clocks[0] * 1000 + 1_400_000, clocks[-1] * 1000 - 1)  # its readings end 1.33 s after its clock
    assert make(ward.path, ward.vkey, span=span).verified.claim.first == 31
    assert make(ward.path, ward.vkey, span=span).verified.claim.last == 39
    span = Span(clocks[0] * 1000 + 1_300_000, clocks[-1] * 1000)
    claim = make(ward.path, ward.vkey, span=span).verified.claim
    assert (claim.first, claim.last) == (30, 40)


def test_an_empty_span_is_said(ward):
    with pytest.raises(MisuseError, match="no entry"):
        make(ward.path, ward.vkey, span=Span(from_us=0, to_us=1))


def test_other_logs_of_the_same_device_are_named(tmp_path):
    """The same serial number on two gateways and on two ports of one; a port of the same name elsewhere is no such."""
    ward = Ward(tmp_path)
    chains = (("m:sn:7", "nonin:port:bed-1"), ("m:sn:7@bed-2", "nonin:port:bed-1", "m:sn:70", "m:sn:7"))
    for number, names in enumerate(chains):
        gateway = Gateway(f"g{number + 1}", number)
        ward.enroll(gateway)
        gateway.state_heads()
        for name in names:
            gateway.identity(name)
            gateway.readings(name)
        gateway.state_heads()
        ward.process([gateway.anchor(), *gateway.entries()])
    ward.close()
    g2 = ward.gateways[1].origin
    with Reader.open(ward.path) as reader:
        store = VerifiedStore(reader, ward.vkey)
        device = find_device(store, "m:sn:7")
        device = Device(device.label, device.chains[:1])
        found = export(store, device, Span(), exported="", by="", program="").verified.claim
    assert found.elsewhere == (f"{g2} m:sn:7", f"{g2} m:sn:7@bed-2")
    assert make(ward.path, ward.vkey, "g2/nonin").verified.claim.elsewhere == ()
