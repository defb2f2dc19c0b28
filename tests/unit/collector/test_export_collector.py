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
