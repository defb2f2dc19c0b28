"""A collector restored from an old copy: it finds out, signs no more, and goes on as the next ledger."""

import re

import pytest

from collector import config, restored, successions
from collector.alarms import ledger_alarms
from collector.cli.status import state_of
from collector.enrolment import enroll
from collector.ingest import Message, Step
from collector.ledger import HaltedError
from collector.reader import Reader
from collector.shown import contradiction
from collector.verified import VerifiedStore
from collector.verify import verify_store
from tests.unit.collector.model_gateway import NOW
from vitaledger import statement
from vitaledger.checkpoint import parse_unverified
from vitaledger.keys import Ed25519Signer
from vitaledger.messages import LEDGER_SHOWN, LedgerShown

FIRST, SECOND, THIRD = "h.example/ledger", "h.example/ledger/2", "h.example/ledger/3"


# -- it finds out -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["by what is retained", "by gateways that are connected", "by a gateway that comes"])
def test_it_goes_on_as_the_next_ledger_and_gets_everything_again(world, how, caplog):
    head = world.newest_head()
    if how != "by what is retained":
        world.retained.clear()
    if how == "by a gateway that comes":
        world.cut("g1")
        world.cut("g2")
    world.restore()
    if how == "by what is retained":
        assert world.signer.name == SECOND
    else:
        assert world.signer.name == FIRST
    world.seal(5)
    if how == "by a gateway that comes":
        world.connect()
    before = world.store.ledger_head().size
    world.run(40)
    assert world.signer.name == SECOND
    with Reader.open(config.choose(world.config, 1).store_path) as old:
        assert how == "by what is retained" or old.ledger_head().size == before  # nothing was signed before it was seen
    first = world.statements(statement.Record)[0]
    assert (first.old_origin, first.new_origin) == (FIRST, SECOND)
    assert parse_unverified(first.old_checkpoint)[0].size == head.size
    assert f"of {head.size} statements" in caplog.text
    remarks = world.check().remarks
    assert any(f"{SECOND} goes on in the place of {FIRST}" in remark for remark in remarks)
    for machine in world.machines.values():
        (said,) = [text for text in machine.alarms if f"goes on as {SECOND}" in text]
        assert re.search(rf"ledger {FIRST} had \d+ statements when .* old copy of \d+;", said)
        machine.stop()
        machine.start()
    world.seal(1)
    world.settle(10)
    world.check()
    for machine in world.machines.values():
        assert machine.store.newest_ledger().origin == SECOND


def test_the_largest_of_several_heads_is_quoted(world):
    world.cut("g1")
    small = world.machines["g1"].uplink.ledger.size
    world.seal(10)
    world.run(10)
    large = world.machines["g2"].uplink.ledger.size
    assert small < large
    world.retained = {name: machine.uplink.shown() for name, machine in world.machines.items()}
    world.restore()
    first = world.statements(statement.Record)[0]
    assert parse_unverified(first.old_checkpoint)[0].size == large
    world.settle()
    world.check()


def test_the_old_ledger_is_never_signed_on_again(world):
    world.retained.clear()
    world.restore()
    before = world.store.ledger_head()
    other = Step(world.store, world.signer)
    status = Message("g1", "up/ledger", world.machines["g1"].uplink.shown())
    assert world.step.process([Message("g2", "up/checkpoint", b""), status], NOW) == []
    assert world.step.halted
    assert world.step.process([Message("g2", "up/health", b"")], NOW) == []
    world.machines["g2"].act(world.machines["g2"].uplink.sealed(99.0), 99.0)
    with pytest.raises(HaltedError):  # also who had begun before
        other.process([Message("g2", "up/checkpoint", b"junk")], NOW)
    with pytest.raises(HaltedError, match="signs no more"):
        enroll(world.store, world.signer, str(Ed25519Signer("h.example/gateway/g9", bytes(32)).vkey), NOW)
    with pytest.raises(HaltedError):
        successions.refuse(world.store, world.signer, 1)
    with pytest.raises(HaltedError):
        Step(world.store, world.signer)
    assert world.store.ledger_head() == before
    assert "signs no more" in state_of(VerifiedStore(world.store, world.vkey))["ledger_alarms"][0]
    report = verify_store(world.config.store_path, world.vkey)
    assert report.ok, report.failures
    assert any("never signed on again: gateway g1 shows" in remark for remark in report.remarks)
    assert world.command("status").output.count("signs no more") == 1
    world.store.close()
    world.open()


@pytest.mark.parametrize("junk", ["no message", "no note", "of another key", "changed"])
def test_what_the_ledger_did_not_sign_says_nothing(world, junk):
    world.restore()
    assert world.signer.name == SECOND  # whatever is shown of ledger 1 from here on is not about this one
    world.settle()
    note = world.machines["g1"].uplink.ledger_note
    payload = {
        "no message": b"junk",
        "no note": LEDGER_SHOWN.encode(LedgerShown((b"junk",), b"junk")),
        "of another key": LEDGER_SHOWN.encode(LedgerShown((), world.machines["g1"].store.checkpoint)),
        "changed": LEDGER_SHOWN.encode(LedgerShown((), note.replace(b"\n", b"\r\n"))),
    }[junk]
    refused = world.step.counts.refused
    world.step.process([Message("g1", "up/ledger", payload)], world.now)
    assert not world.step.halted
    assert world.step.counts.refused == refused + (junk == "no message")
    world.check()


def test_a_head_of_this_ledger_says_nothing_however_old(world):
    for machine in world.machines.values():
        assert contradiction(world.store, world.signer.vkey, machine.uplink.shown()) is None


# -- several times ----------------------------------------------------------------------------------------------------


def test_the_next_ledger_restored_goes_on_as_the_third(world):
    world.restore()
    world.settle()
    number = world.backup()
    world.seal(5)
    world.run(10)
    world.restore(number)
    world.settle()
    assert world.signer.name == THIRD
    remarks = world.check().remarks
    assert sum("goes on in the place of" in remark for remark in remarks) == 2
    assert [each.new_origin for each in restored.lineage(world.store)] == [SECOND, THIRD]
    assert len(ledger_alarms(world.store)) == 2
    for machine in world.machines.values():
        assert [key.name for key in machine.uplink.ledgers.keys] == [FIRST, SECOND, THIRD]


def test_the_same_copy_restored_twice_waits_for_a_person_at_the_gateways(world):
    world.restore()
    world.settle()
    world.seal(3)
    world.run(10)
    world.restore()  # the same copy: of the second ledger it has neither key nor store
    assert world.signer.name == THIRD  # a number that somebody uses is not used again
    world.seal(3)
    world.settle()
    for machine in world.machines.values():
        assert machine.uplink.ledgers.newest.name == SECOND
        (said,) = {text for text in machine.alarms if "second successor" in text}
        assert f"ledger_vkey = {world.signer.vkey}" in said
        assert machine.uplink.custody < machine.store.size
        assert machine.uplink.witnessed == machine.store.size  # it sends, and believes no receipt
    for machine in world.machines.values():
        machine.stop()
        machine.pin(str(world.signer.vkey))
        machine.start()
    world.settle()
    world.check()
    for machine in world.machines.values():
        assert [key.name for key in machine.uplink.ledgers.keys] == [FIRST, SECOND, THIRD]


def test_gateways_that_were_away_at_both_restores_follow_all_notes(world):
    world.cut("g1")
    world.restore()
    world.settle_one("g2")
    number = world.backup()
    world.seal(2)
    world.run(10)
    world.restore(number)
    world.settle_one("g2")
    assert world.signer.name == THIRD
    world.settle()
    world.check()
