"""Consistent rewrites by who holds the ledger's key: found by the gateways' signatures and quotes, or by a receipt."""

import os
from collections import Counter
from dataclasses import replace
from random import Random

import pytest

from collector.verify import verify_store
from tests.fault.forge import Story
from tests.fault.ward import make_ward
from vitaledger import messages
from vitaledger.keys import Ed25519Signer
from vitaledger.statement import Custody

TOTAL = int(os.environ.get("VITALEDGER_REWRITES", "100"))
CHUNKS = 5


@pytest.fixture(scope="module")
def ward(tmp_path_factory):
    made = make_ward(tmp_path_factory.mktemp("ward"), entries=90)
    made.close()
    return made


def rewrite(ward, path, random):
    """Rewrite the store in one of six ways; which one it was."""
    story = Story.read(ward.path)
    gateway = random.choice(ward.gateways)
    origin = gateway.origin
    index = random.randrange(len(story.entries[origin]))
    kind = random.choice(["leaf", "leaf, anchors re-signed", "leaf, anchors dropped", "cut", "another key", "time"])
    if kind == "cut":
        story.cut(random.randrange(3, len(story.statements)))
    elif kind == "time":
        at = random.randrange(len(story.statements))
        story.statements[at] = replace(story.statements[at], at_ms=story.statements[at].at_ms - 3_600_000)
    else:
        story.change_entry(origin, index, random)
        if kind == "leaf, anchors re-signed":
            story.resign_anchors(origin, Ed25519Signer(origin, ward.signer.sign(b"its own")[:32]))
        if kind == "leaf, anchors dropped":
            story.drop_anchors(origin, index)
        if kind == "another key":
            thief = Ed25519Signer(origin, random.randbytes(32))
            story.enrol_instead(origin, thief)
            story.resign_anchors(origin, thief)
        story.restate_custody(origin)
    story.write(path, ward.signer)
    return kind


def newest_receipt(ward):
    kept = [receipt.proof for gateway in ward.gateways for receipt in gateway.receipts[-1:]]
    return kept[-1]


def test_a_store_made_anew_without_a_change_raises_no_alarm(ward, tmp_path):
    path = tmp_path / "store.sqlite"
    Story.read(ward.path).write(path, ward.signer)
    assert verify_store(path, ward.vkey, against=newest_receipt(ward)).failures == []


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_every_rewrite_is_found(ward, chunk, tmp_path):
    found = Counter()
    for number in range(chunk, TOTAL, CHUNKS):
        path = tmp_path / "store.sqlite"
        kind = rewrite(ward, path, Random(number))
        inside = verify_store(path, ward.vkey)
        outside = verify_store(path, ward.vkey, against=newest_receipt(ward))
        assert not outside.ok, f"rewrite {number} ({kind}) was not found"
        found[kind, "inside" if not inside.ok else "only by a receipt"] += 1
    print(sorted(found.items()))


def test_a_cut_store_says_from_which_size_to_which(ward, tmp_path):
    story, path = Story.read(ward.path), tmp_path / "store.sqlite"
    whole = len(story.statements)
    last = max(at for at, said in enumerate(story.statements) if isinstance(said, Custody))
    story.cut(last)
    story.write(path, ward.signer)
    report = verify_store(path, ward.vkey, against=newest_receipt(ward))
    assert any(
        f"rolled back from size {whole}" in each.reason and f"to size {last}" in each.reason for each in report.failures
    )


def test_a_gateways_checkpoint_finds_a_log_that_was_cut(ward, tmp_path):
    story, path = Story.read(ward.path), tmp_path / "store.sqlite"
    story.cut(len(story.statements) // 2)
    story.write(path, ward.signer)
    report = verify_store(path, ward.vkey, against=ward.gateways[0].checkpoint())
    assert any("was rolled back" in failure.reason for failure in report.failures)


def test_entries_of_a_rewritten_log_are_named(ward, tmp_path):
    story, path = Story.read(ward.path), tmp_path / "store.sqlite"
    gateway = ward.gateways[1]
    story.change_entry(gateway.origin, 40, Random(1))
    story.restate_custody(gateway.origin)
    story.write(path, ward.signer)
    first = verify_store(path, ward.vkey).first_entry
    assert first.entry.gateway == "g2"
    assert first.entry.index <= 40
    assert first.entry.last_good_anchor is not None
    assert first.expected != first.found


def test_a_receipt_is_no_outside_proof_of_another_ledger(ward):
    from vitaledger.errors import VerificationError

    other = Ed25519Signer(messages.ledger_origin("ward.example"), bytes(32))
    with pytest.raises(VerificationError):
        verify_store(ward.path, str(other.vkey), against=newest_receipt(ward))
