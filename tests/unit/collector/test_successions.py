"""Copies and rollbacks at the collector: forks kept as evidence, successions taken or waiting, losses stated."""

import sqlite3
from hashlib import sha256

import pytest

from collector import ingest, losses, successions
from collector.alarms import alarms
from collector.export import export
from collector.history import Device, Span, find_device
from collector.store import Store
from collector.verified import VerifiedStore
from collector.verify import verify_store
from tests.unit.collector.model_gateway import NOW, Gateway, of
from vitaledger import evidence, fork, messages, policy, statement, succession
from vitaledger.errors import MalformedError, MisuseError, VerificationError
from vitaledger.keys import Ed25519Signer
from vitaledger.messages import SuccessionAnswer


def successor(old, number=2, seed=1):
    """(the next log of a gateway, the note that names it)."""
    new = Gateway(old.name, messages.gateway_origin("h.example", old.name, number))
    new.signer = Ed25519Signer(new.origin, bytes([seed]) * 32)
    new.vkey = str(new.signer.vkey)
    said = succession.Succession(old.origin, old.size, old.tiles.root(), new.vkey)
    return new, succession.sign_succession(said, old.signer)


def ask(desk, gateway, note):
    (answer,) = of(SuccessionAnswer, desk.send(gateway.message("up/succession", note)))
    assert answer.note == sha256(note).digest()
    return answer


def texts(desk):
    return [alarm.text for alarm in alarms(desk.store)]


def holds(desk):
    report = verify_store(desk.path, str(desk.signer.vkey))
    assert report.ok, report.failures
    return report


# -- forks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [3, 5])
def test_heads_that_disagree_are_kept_once_and_prove_it(desk, gateway, size):
    gateway.add(5)
    desk.send_all(gateway)
    clone = Gateway().add(2).add(size - 2, "masimo:sn:2")
    for _ in range(2):
        clone.witnessed = 0
        desk.send(clone.anchor())
    (row,) = desk.store.forks()
    shown = fork.verify(row.evidence, gateway.vkey)
    assert (shown.origin, shown.sizes) == (gateway.origin, (size, 5))
    assert {shown.smaller.root, shown.larger.root} >= {clone.tiles.root()}
    assert f"{size} and 5 entries" in texts(desk)[0]
    holds(desk)


def test_the_nearest_anchor_is_the_witness_against_a_head_where_the_newest_tree_is_not_here(desk, gateway):
    gateway.add(5)
    desk.send_all(gateway)
    gateway.add(5)
    desk.send(gateway.anchor())  # its entries never came
    clone = Gateway().add(2).add(2, "masimo:sn:2")
    desk.send(clone.anchor())
    assert fork.verify(desk.store.forks()[0].evidence).sizes == (4, 5)
    holds(desk)


def test_a_head_that_cannot_be_compared_accuses_nobody(desk, gateway):
    gateway.add(5)
    desk.send_all(gateway)
    gateway.add(5)
    desk.send(gateway.anchor())
    clone = Gateway().add(5).add(3, "masimo:sn:2")
    clone.witnessed = 5
    desk.send(clone.anchor())
    assert desk.store.forks() == []


def test_forks_are_bounded(desk, gateway, monkeypatch):
    monkeypatch.setattr("collector.store.MAX_FORKS", 2)
    gateway.add(9)
    desk.send_all(gateway)
    for n in range(4):
        desk.send(Gateway().add(3 + n, f"masimo:sn:{n}").anchor())
    assert len(desk.store.forks()) == 2


# -- successions ------------------------------------------------------------------------------------------------------


def test_the_first_succession_is_taken_with_an_alarm(desk, gateway, monkeypatch):
    said_aloud = []
    monkeypatch.setattr(ingest._log, "error", lambda text, *words: said_aloud.append(text % words))
    gateway.add(5)
    desk.send_all(gateway)
    new, note = successor(gateway)
    assert ask(desk, gateway, note).status == 200
    assert ask(desk, gateway, note).status == 200  # the answer was lost, say
    (said,) = desk.statements(statement.Succession)
    assert (said.old_origin, said.new_origin, said.new_vkey, said.note) == (gateway.origin, new.origin, new.vkey, note)
    assert said.old_checkpoint == gateway.checkpoint()
    assert sum(text.startswith("ALARM") for text in said_aloud) == 1
    assert new.origin in texts(desk)[0]
    new.add(3)
    desk.send_all(new)
    row = desk.store.log_of("g1")
    assert (row.origin, row.stored) == (new.origin, 3)
    holds(desk)


def test_only_so_many_wait_for_the_operator(desk, gateway, monkeypatch):
    monkeypatch.setattr("collector.successions.MAX_WAITING", 1)
    gateway.add(5)
    desk.send_all(gateway)
    ask(desk, gateway, successor(gateway)[1])
    assert ask(desk, gateway, successor(gateway, 3, seed=2)[1]).status == 202
    assert ask(desk, gateway, successor(gateway, 4, seed=3)[1]).status == 403


def test_a_second_succession_waits_for_the_operator(desk, gateway):
    gateway.add(5)
    desk.send_all(gateway)
    _, first = successor(gateway)
    ask(desk, gateway, first)
    taken, note = successor(gateway, 2, seed=2)
    answer = ask(desk, gateway, note)
    assert (answer.status, answer.free) == (409, 3)
    assert taken.origin in answer.detail
    new, note = successor(gateway, 3, seed=2)
    assert ask(desk, gateway, note).status == 202
    assert desk.store.log_of(new.origin) is None
    (waiting,) = [alarm for alarm in alarms(desk.store) if alarm.open]
    assert "waiting" in waiting.text
    number = desk.store.successions()[1].id
    successions.refuse(desk.store, desk.signer, number)
    assert ask(desk, gateway, note).status == 403
    successions.accept(desk.store, desk.signer, number, NOW)
    assert ask(desk, gateway, note).status == 200
    new.add(2)
    desk.send_all(new)
    assert desk.store.log_of(new.origin).stored == 2
    with pytest.raises(MisuseError, match="taken already"):
        successions.accept(desk.store, desk.signer, number, NOW)
    holds(desk)


def test_the_copy_that_lives_goes_on_under_the_old_origin_and_is_told_of(desk, gateway):
    gateway.add(5)
    desk.send_all(gateway)
    _, note = successor(gateway)
    ask(desk, gateway, note)
    assert not any("a copy of it lives" in text for text in texts(desk))
    gateway.add(1)
    desk.send_all(gateway)
    assert any("still grows, to 6 entries" in text for text in texts(desk))
    holds(desk)


@pytest.mark.parametrize(
    "what", ["junk", "another gateway's", "unknown origin", "another key", "too large", "backwards"]
)
def test_what_is_no_succession_of_this_gateway_is_refused(desk, gateway, what):
    gateway.add(2)
    desk.send_all(gateway)
    _, note = successor(gateway)
    sender, expected = gateway, 403
    if what == "junk":
        note, expected = b"junk", 400
    elif what == "too large":
        note, expected = note + b"x" * 20_000, 400
    elif what == "another gateway's":
        sender, expected = Gateway("g2"), 404
    elif what == "unknown origin":
        other = Gateway("g9")
        note, expected = successor(other)[1], 404
    elif what == "another key":
        gateway.signer = Ed25519Signer(gateway.origin, bytes(32))
        note = successor(gateway)[1]
    else:
        new, first = successor(gateway)
        ask(desk, gateway, first)
        with pytest.raises(MisuseError):
            succession.Succession(new.origin, 0, bytes(32), gateway.vkey)
        return
    assert ask(desk, sender, note).status == expected
    assert desk.store.successions() == []
    assert desk.store.refusals()[0].status == expected
    holds(desk)


def test_evidence_of_a_successor_leads_back_to_the_enrolment(desk, gateway):
    gateway.add(5)
    desk.send_all(gateway)
    second, note = successor(gateway)
    ask(desk, gateway, note)
    second.add(2)
    desk.send_all(second)
    third, note = successor(second, 3)
    ask(desk, second, note)
    third.add(6)
    desk.send_all(third)
    vkey = str(desk.signer.vkey)
    store = VerifiedStore(desk.store, vkey)
    device = find_device(store, "bed-1")
    assert [row.origin for row, _ in device.chains] == [gateway.origin, second.origin, third.origin]
    device = Device(device.label, device.chains[2:])
    files = dict(export(store, device, Span(1, 0, 1, 3), exported="", by="", program="").files)
    trusted = policy.parse(f"log {vkey}\nquorum none\n".encode())
    found = evidence.verify(files, trusted)
    assert (found.claim.origin, found.gateway, found.gateway_vkey) == (third.origin, "g1", third.vkey)
    assert found.predecessors == (second.origin, gateway.origin)
    for name in [name for name in files if "predecessor" in name]:
        with pytest.raises((VerificationError, MalformedError)):
            evidence.verify({key: data for key, data in files.items() if key != name}, trusted)


# -- losses -----------------------------------------------------------------------------------------------------------


def test_a_loss_is_stated_once_and_of_what_is_missing(desk, gateway):
    gateway.add(5)
    desk.send_all(gateway)
    with pytest.raises(MisuseError, match="nothing is lost"):
        losses.state_loss(desk.store, desk.signer, gateway.origin, "?", NOW)
    gateway.add(3)
    desk.send(gateway.anchor())
    said = losses.state_loss(desk.store, desk.signer, gateway.origin, "the card burned", NOW)
    assert (said.first, said.end) == (5, 8)
    with pytest.raises(MisuseError, match="stated already"):
        losses.state_loss(desk.store, desk.signer, gateway.origin, "again", NOW)
    with pytest.raises(MisuseError, match="no log"):
        losses.state_loss(desk.store, desk.signer, "h.example/gateway/none", "?", NOW)
    assert any("[5, 8) are lost: the card burned" in text for text in texts(desk))
    report = holds(desk)
    assert any("loss of" in remark for remark in report.remarks)
    desk.send_all(gateway)  # they turn up after all
    assert desk.store.log_of(gateway.origin).stored == 8
    holds(desk)


# -- the store --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE forks SET evidence = x'7b7d'",
        "UPDATE forks SET size = 2",
        "UPDATE successions SET state = 'waiting'",
        "UPDATE successions SET note = x'00'",
        "DELETE FROM successions",
        "UPDATE losses SET last = 9",
        "DELETE FROM losses",
        "UPDATE logs SET vkey = (SELECT vkey FROM logs WHERE log = 1) WHERE log = 2",
    ],
)
def test_verify_finds_what_was_changed(desk, gateway, change):
    gateway.add(5)
    desk.send_all(gateway)
    desk.send(Gateway().add(2).add(1, "masimo:sn:2").anchor())
    gateway.add(1)
    desk.send(gateway.anchor())
    losses.state_loss(desk.store, desk.signer, gateway.origin, "gone", NOW)
    ask(desk, gateway, successor(gateway)[1])
    holds(desk)
    desk.store._db.execute(change)
    assert not verify_store(desk.path, str(desk.signer.vkey)).ok


def test_a_store_of_the_first_schema_is_brought_up(desk, gateway):
    gateway.add(5)
    desk.send_all(gateway)
    desk.close()
    with sqlite3.connect(desk.path) as old:
        for table in ("forks", "successions", "losses", "carried", "halted", "edge"):
            old.execute(f"DROP TABLE {table}")
        old.execute("DROP INDEX positions_by_time")
        old.execute("UPDATE meta SET value = ? WHERE key = 'schema'", (b"1",))
    old.close()
    desk.store = Store.open(desk.path)
    holds(desk)
