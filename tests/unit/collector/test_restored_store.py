"""What a restored collector goes on with: what is proven, how it is made, and what is not believed."""

import json
import shutil
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from collector import config, losses, restored
from collector.alarms import ledger_alarms
from collector.cli import cli
from collector.enrolment import enroll, open_ledger
from collector.export import export
from collector.history import Span, find_device
from collector.inbox import Inbox
from collector.ingest import Message, Step
from collector.metrics import Metrics, Sources
from collector.reader import Reader
from collector.verified import VerifiedStore
from collector.verify import verify_store
from tests.unit.collector.model_gateway import NOW, Desk, Gateway
from vitaledger import evidence, fork, policy, succession
from vitaledger.checkpoint import Checkpoint, sign_checkpoint
from vitaledger.errors import MisuseError, VerificationError
from vitaledger.keys import Ed25519Signer
from vitaledger.messages import LEDGER_SHOWN, LedgerShown

FIRST, SECOND, THIRD = "h.example/ledger", "h.example/ledger/2", "h.example/ledger/3"


# -- what is proven ---------------------------------------------------------------------------------------------------


def forked(world):
    """Signed on after it was restored, before anybody could show the newer head."""
    world.retained.clear()
    for name in world.machines:
        world.cut(name)
    size = world.newest_head().size
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
    listed = world.command("forks", "--json")
    (row,) = map(json.loads, listed.output.splitlines())
    assert row["origin"] == FIRST
    assert [head["size"] for head in row["heads"]] == [size, own]
    assert "verified" in world.command("forks", "export", row["id"], "-o", tmp_path / "fork.json").output
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
    assert world.command("ledgers", "note", "2", "-o", tmp_path / "note").exit_code == 0
    note = (tmp_path / "note").read_bytes()
    found = evidence.verify(made.files, policy.follow(old, [note]))
    assert found.ledger.checkpoint.origin == SECOND
    with pytest.raises(VerificationError, match="does not know that log"):
        policy.follow(policy.parse(f"log {world.signer.vkey}\nquorum none\n".encode()), [note])
    said = world.command("ledgers").output
    assert str(world.signer.vkey) in said
    with pytest.raises(MisuseError, match="none of that number"):
        CliRunner().invoke(cli, ["--config", str(world.folder / "c" / "collector.toml"), "ledgers", "note", "3", "-o",
                                 str(tmp_path / "x")], catch_exceptions=False, standalone_mode=False)  # fmt: skip


def test_the_old_ledger_stays_readable_and_holds(world, tmp_path):
    newest = tmp_path / "newest"
    newest.write_bytes(max((m.uplink for m in world.machines.values()), key=lambda u: u.ledger.size).ledger_note)
    world.restore()
    world.settle()
    assert world.command("--ledger", "1", "verify").exit_code == 0
    rolled = world.command("--ledger", "1", "verify", "--against", newest)
    assert (rolled.exit_code, "rolled back from size" in rolled.output) == (1, True)
    against = world.command("verify", "--against", newest)
    assert (against.exit_code, "which ended" in against.output) == (0, True)
    assert world.command("--ledger", "1", "history", "g1/nonin:port:bed-0").exit_code == 0
    with pytest.raises(MisuseError, match="no ledger number 7"):
        world.command("--ledger", "7", "verify")
    with pytest.raises(MisuseError, match="the newest ledger"):
        world.command("--ledger", "1", "run")


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


def test_a_backup_of_the_next_ledger_comes_back_to_its_place(world, tmp_path):
    world.restore()
    world.settle()
    copy, state = tmp_path / "copy", world.folder / "c" / "state"
    assert world.command("backup", copy, "--with-key").exit_code == 0
    vkey, secret = str(world.signer.vkey), world.config.key_path.read_bytes()
    world.seal(3)
    world.run(10)
    world.store.close()
    shutil.rmtree(state)
    state.mkdir()
    (state / "ledger.key").write_bytes(b"of another ledger")
    with pytest.raises(MisuseError, match="not empty"):
        world.command("restore", copy)
    (state / "ledger.key").unlink()
    assert "VERIFIED" in world.command("restore", copy, "--vkey", vkey).output
    assert (state / "2" / "ledger.key").read_bytes() == secret
    shutil.rmtree(state)
    copy.with_name("copy.key").unlink()
    assert f"put the ledger's key at {state / '2' / 'ledger.key'}" in world.command("restore", copy).output
    (state / "2" / "ledger.key").write_bytes(secret)
    (state / "2" / "ledger.key").chmod(0o600)
    world.open()
    assert world.signer.name == THIRD
    world.settle()
    world.check()


def test_doctor_and_metrics_tell_which_ledger_goes_on(world):
    world.restore()
    world.settle()
    assert f"{SECOND} goes on in its place" in world.command("doctor", "--json").output
    with Reader.open(world.config.store_path) as reader:
        page = Metrics(Sources(reader, world.step.counts, Inbox(time.monotonic), _NoLink())).page()
    assert b"vitaledger_collector_ledger_number 2.0" in page


class _NoLink:
    connected = False


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
