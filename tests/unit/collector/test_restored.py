"""A collector restored from an old copy: it finds out, signs no more, and goes on as the next ledger."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from collector import config, losses, restored, successions
from collector.alarms import ledger_alarms
from collector.cli import cli
from collector.cli.status import state_of
from collector.enrolment import enroll, open_ledger
from collector.export import export
from collector.history import Span, find_device
from collector.ingest import Message, Step
from collector.ledger import HaltedError
from collector.reader import Reader
from collector.shown import contradiction
from collector.verified import VerifiedStore
from collector.verify import verify_store
from tests.unit.collector.model_gateway import NOW, Desk, Gateway
from tests.unit.collector.restored_world import World
from vitaledger import evidence, fork, policy, statement, succession
from vitaledger.checkpoint import Checkpoint, parse_unverified, sign_checkpoint
from vitaledger.errors import MisuseError, VerificationError
from vitaledger.keys import Ed25519Signer
from vitaledger.messages import LEDGER_SHOWN, LedgerShown

FIRST, SECOND, THIRD = "h.example/ledger", "h.example/ledger/2", "h.example/ledger/3"


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    made.seal(20)
    made.run(10)
    made.backup()
    made.seal(20)
    made.run(10)
    yield made
    made.close()


def newest_head(world):
    return max((machine.uplink.ledger for machine in world.machines.values()), key=lambda head: head.size)


def shown(machine):
    return machine.uplink.shown()


def command(world, *words):
    path = world.folder / "c" / "collector.toml"
    return CliRunner().invoke(cli, ["--config", str(path), *map(str, words)], catch_exceptions=False)


# -- it finds out -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["by what is retained", "by gateways that are connected", "by a gateway that comes"])
def test_it_goes_on_as_the_next_ledger_and_gets_everything_again(world, how, caplog):
    head = newest_head(world)
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
    world.retained = {name: shown(machine) for name, machine in world.machines.items()}
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
    status = Message("g1", "up/ledger", shown(world.machines["g1"]))
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
    assert command(world, "status").output.count("signs no more") == 1
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
        assert contradiction(world.store, world.signer.vkey, shown(machine)) is None


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


# -- what is proven ---------------------------------------------------------------------------------------------------


def forked(world):
    """Signed on after it was restored, before anybody could show the newer head."""
    world.retained.clear()
    for name in world.machines:
        world.cut(name)
    size = newest_head(world).size
    world.restore()
    for n in range(size):
        enroll(world.store, world.signer, str(Ed25519Signer(f"h.example/gateway/m{n}", bytes(32)).vkey), NOW + n)
    world.step.reload()
    assert world.store.ledger_head().size > size
    return size


def test_a_ledger_that_was_signed_on_twice_is_evidence(world, tmp_path):
    size = forked(world)
    own = world.store.ledger_head().size
    world.settle()
    assert world.signer.name == SECOND
    world.check()
    listed = command(world, "forks", "--json")
    (row,) = map(json.loads, listed.output.splitlines())
    assert row["origin"] == FIRST
    assert [head["size"] for head in row["heads"]] == [size, own]
    assert "verified" in command(world, "forks", "export", row["id"], "-o", tmp_path / "fork.json").output
    found = fork.verify((tmp_path / "fork.json").read_bytes(), world.vkey)
    assert found.sizes == (size, own)
    (alarm,) = [text for text in ledger_alarms(world.store) if "contradict each other" in text]
    assert f"{size} and {own}" in alarm
    with world.store.transaction():
        world.store._db.execute("UPDATE forks SET size = size + 1")
    assert not verify_store(world.config.store_path, str(world.signer.vkey)).ok


@pytest.mark.parametrize(
    ("change", "table"),
    [
        ("INSERT INTO halted (at_ms, gateway, shown) SELECT 1, 'g1', x'82806161'", "halted"),
        ("INSERT INTO halted (at_ms, gateway, shown) SELECT 1, 'g1', x'8280f6'", "halted"),
        ("UPDATE statements SET leaf = (SELECT leaf FROM statements WHERE idx = 1) WHERE idx = 0", "statements"),
    ],
)
def test_verify_finds_what_was_changed_about_it(world, change, table):
    world.restore()
    world.settle()
    with world.store.transaction():
        world.store._db.execute(change)
    report = verify_store(world.config.store_path, str(world.signer.vkey))
    assert table in {failure.table for failure in report.failures}
    with world.store.transaction():
        world.store._db.execute("DELETE FROM halted")


def test_evidence_of_the_next_ledger_is_checked_with_the_old_policy_and_the_note(world, tmp_path):
    world.restore()
    world.settle()
    world.seal(3)
    world.run(5)
    verified = VerifiedStore(world.store, str(world.signer.vkey))
    device = find_device(verified, "g1/nonin:port:bed-0")
    made = export(verified, device, Span(first_seq=2, last_seq=6), exported="now", by="test", program="test")
    old = policy.parse(f"log {world.vkey}\nquorum none\n".encode())
    with pytest.raises(VerificationError):
        evidence.verify(made.files, old)
    assert command(world, "ledgers", "note", "2", "-o", tmp_path / "note").exit_code == 0
    note = (tmp_path / "note").read_bytes()
    found = evidence.verify(made.files, policy.follow(old, [note]))
    assert found.ledger.checkpoint.origin == SECOND
    with pytest.raises(VerificationError, match="does not know that log"):
        policy.follow(policy.parse(f"log {world.signer.vkey}\nquorum none\n".encode()), [note])
    said = command(world, "ledgers").output
    assert str(world.signer.vkey) in said
    with pytest.raises(MisuseError, match="none of that number"):
        CliRunner().invoke(cli, ["--config", str(world.folder / "c" / "collector.toml"), "ledgers", "note", "3", "-o",
                                 str(tmp_path / "x")], catch_exceptions=False, standalone_mode=False)  # fmt: skip


def test_the_old_ledger_stays_readable_and_holds(world, tmp_path):
    newest = tmp_path / "newest"
    newest.write_bytes(max((m.uplink for m in world.machines.values()), key=lambda u: u.ledger.size).ledger_note)
    world.restore()
    world.settle()
    assert command(world, "--ledger", "1", "verify").exit_code == 0
    rolled = command(world, "--ledger", "1", "verify", "--against", newest)
    assert (rolled.exit_code, "rolled back from size" in rolled.output) == (1, True)
    against = command(world, "verify", "--against", newest)
    assert (against.exit_code, "which ended" in against.output) == (0, True)
    assert command(world, "--ledger", "1", "history", "g1/nonin:port:bed-0").exit_code == 0
    with pytest.raises(MisuseError, match="no ledger number 7"):
        command(world, "--ledger", "7", "verify")
    with pytest.raises(MisuseError, match="the newest ledger"):
        command(world, "--ledger", "1", "run")


def test_a_body_that_nobody_has_any_more_is_a_finding_and_custody_goes_on_behind_it(world):
    world.retained.clear()
    machine = world.machines["g1"]
    lost = range(25, 30)
    assert machine.store.prune(40, 1 << 60) > 0
    world.restore()
    world.settle()
    row = world.store.log_of("g1")
    assert row.stored == machine.store.size == machine.uplink.custody
    found = {index for index, _ in world.store.findings(row.log)}
    assert found >= set(lost)
    assert min(found) > 20  # what the copy has is whole
    report = verify_store(world.config.store_path, str(world.signer.vkey))
    assert report.ok, report.failures


# -- making it --------------------------------------------------------------------------------------------------------


def test_a_kill_while_the_next_ledger_is_made_leaves_nothing(world, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(restored._Copy, "_log", killed)
        with pytest.raises(KeyboardInterrupt):
            world.restore()
    assert config.load(world.folder / "c" / "collector.toml").generation == 1
    world.open()
    assert world.signer.name == SECOND
    world.settle()
    world.check()


def test_nothing_is_begun_without_a_reason(world):
    with pytest.raises(MisuseError, match="nothing shows"):
        restored.begin(world.config, world.random.randbytes, NOW)
    assert not (Path(world.config.state_dir) / "2").exists()


def halted_by(desk, payload):
    """The store of a desk, halted by what a gateway shows, and the configuration that it is of."""
    desk.step.process([Message("g1", "up/ledger", payload)], desk.now)
    assert desk.step.halted
    desk.close()
    made = config.parse(b'provider = "h.example"\nstate = "."\n', desk.path.parent / "collector.toml")
    return config.newest(made)


def head_of(desk, size, root=bytes(32)):
    return sign_checkpoint(Checkpoint(FIRST, size, root), desk.signer)


def test_long_logs_holes_findings_losses_and_waiting_entries_are_taken_over(tmp_path):
    long, gap, empty = Gateway("g1").add(5000), Gateway("g2").add(700), Gateway("g3")
    long.add(1, content=b"\x80").add(200)
    desk = Desk(tmp_path, long, gap, empty)
    desk.send(long.anchor(4000))
    desk.send_all(long)
    desk.send(gap.anchor(), gap.entries(0, 100), gap.entries(512, 600))
    losses.state_loss(desk.store, desk.signer, gap.origin, "burned", NOW)
    desk.step.reload()
    before = {row.origin: (row.stored, row.witnessed, desk.store.ranges(row.log)) for row in desk.store.logs()}
    findings = desk.store.findings(1)
    assert findings
    progress = []
    settings = halted_by(desk, LEDGER_SHOWN.encode(LedgerShown((), head_of(desk, 99))))
    made = restored.begin(settings, bytes, NOW, lambda: progress.append(1))
    assert len(progress) > 3
    assert config.newest(settings) == made
    with Reader.open(made.store_path) as new, Reader.open(settings.store_path) as old:
        after = {row.origin: (row.stored, row.witnessed, new.ranges(row.log)) for row in new.logs()}
        assert after == before
        for row in new.logs():
            assert list(new.entries(row.log, 0, 9999)) == list(old.entries(row.log, 0, 9999))
        assert [index for index, _ in new.findings(1)] == [index for index, _ in findings]
        assert len(new.losses()) == 1
        key = new.ledger_vkey()
    report = verify_store(made.store_path, key)
    assert report.ok, report.failures
    store, signer = open_ledger(made)
    step = Step(store, signer, [each.note for each in restored.lineage(store)])
    step.process([gap.entries(first, end) for first, end in ((100, 256), (256, 512), (600, 700))], NOW)
    assert store.log_of("g2").stored == 700
    store.close()


def test_a_number_that_is_only_claimed_does_not_count(tmp_path):
    desk = Desk(tmp_path, Gateway("g1"))
    other = Ed25519Signer(FIRST, b"o" * 32)
    far = Ed25519Signer("h.example/ledger/999999", bytes(32))
    junk = succession.sign_succession(succession.Succession(FIRST, 0, succession.EMPTY_ROOT, str(far.vkey)), other)
    settings = halted_by(desk, LEDGER_SHOWN.encode(LedgerShown((junk, b"junk"), head_of(desk, 99))))
    assert restored.begin(settings, bytes, NOW).ledger_origin == SECOND


def test_a_gateway_is_told_the_notes_once_and_not_where_it_knows(world):
    world.restore()
    world.settle()
    (note,) = [each.note for each in restored.lineage(world.store)]
    asks = {
        LedgerShown((), None): True,
        LedgerShown((b"junk",), b"junk"): True,
        LedgerShown((note,), None): False,
        LedgerShown((), world.store.ledger_head().checkpoint): False,
    }
    for said, told in asks.items():
        answers = world.step.process([Message("g1", "up/ledger", LEDGER_SHOWN.encode(said))], world.now)
        assert [each.topic for each in answers] == ["down/ledger"] * told
