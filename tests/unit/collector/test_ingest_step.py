"""The ledger step with gateways in memory: what is accepted and what is refused."""

import shutil
from dataclasses import replace
from hashlib import sha256

import pytest

from collector.enrolment import enroll
from collector.ingest import Step
from collector.store import Store
from tests.unit.collector.model_gateway import NOW, PROVIDER, Desk, Gateway, of
from vitaledger import cbor, merkle, messages, prover
from vitaledger.checkpoint import Checkpoint, sign_checkpoint
from vitaledger.entry import PartType, encode_body, entry_hash, parse_body
from vitaledger.errors import ForkError
from vitaledger.messages import CheckpointAnswer, EntriesAnswer, Range, Receipt
from vitaledger.statement import Anchor, Custody, Enrolment
from vitaledger.tiles import TileBuilder
from vitaledger.witness import encode_request

# -- what is taken -----------------------------------------------------------------------------------------------------


def test_a_log_is_anchored_stored_and_receipted(desk, gateway):
    gateway.add(3).add(2, "masimo:sn:1")
    anchor = gateway.anchor()
    answers = desk.send(anchor, *gateway.runs())
    (witnessed,) = of(CheckpointAnswer, answers)
    assert (witnessed.status, witnessed.request) == (200, sha256(anchor.payload).digest())
    assert witnessed.last == gateway.checkpoint()
    (stored,) = of(EntriesAnswer, answers)
    assert (stored.id, stored.status, stored.stored, stored.witnessed) == (1, 200, (Range(0, 5),), 5)
    (receipt,) = of(Receipt, answers)
    custody = desk.check_receipt(receipt)
    assert custody == Custody(desk.now, gateway.origin, 5, gateway.tiles.root())
    assert [type(each) for each in desk.statements()] == [Enrolment, Anchor, Custody]
    assert desk.store.entry(1, 4) == gateway.sealed[4]
    assert [(row.name, row.next_seq, row.broken) for row in desk.store.chains(1)] == [
        ("nonin:port:bed-1", 3, None),
        ("masimo:sn:1", 2, None),
    ]
    assert [each.idx for each in desk.store.positions(2, 0, 9)] == [3, 4]
    assert [each.seq for each in desk.store.positions_between(1, NOW + 1000, NOW + 2000)] == [1]


def test_several_tiles_and_the_tree_of_the_mirror(desk, gateway):
    gateway.add(700)
    desk.send_all(gateway)
    row = desk.store.log_of(gateway.origin)
    assert row.stored == 700
    for size in (1, 256, 511, 512, 700):
        reader = desk.store.tile_reader(1, size)
        assert prover.root_from_tiles(reader, size) == prover.root_from_tiles(gateway.tiles, size)


def test_an_anchor_of_the_same_head_is_answered_and_not_anchored_twice(desk, gateway):
    gateway.add(1)
    desk.send(gateway.anchor())
    assert of(CheckpointAnswer, desk.send(gateway.anchor()))[0].status == 200
    assert len(desk.statements(Anchor)) == 1


def test_entries_under_any_checkpoint_that_was_witnessed(desk, gateway):
    gateway.add(10)
    desk.send(gateway.anchor(4), gateway.anchor(10))
    assert of(EntriesAnswer, desk.send(gateway.entries(0, 3, size=4)))[0].stored == (Range(0, 3),)
    assert of(EntriesAnswer, desk.send(gateway.entries(3, 10)))[0].stored == (Range(0, 10),)


def test_a_checkpoint_is_followed_by_state_and_receipt(desk, gateway):
    gateway.add(2)
    desk.send_all(gateway)
    gateway.add(1)
    answers = desk.send(gateway.anchor())
    (state,) = of(EntriesAnswer, answers)
    assert (state.id, state.status, state.stored, state.witnessed) == (0, 200, (Range(0, 2),), 3)
    assert desk.check_receipt(of(Receipt, answers)[0]).size == 2


def test_duplicates_are_harmless(desk, gateway):
    gateway.add(6)
    desk.send(gateway.anchor(), gateway.entries(0, 4))
    statements = desk.store.ledger_head().size
    (again,) = of(EntriesAnswer, desk.send(gateway.entries(0, 4)))
    assert (again.status, again.stored) == (200, (Range(0, 4),))
    assert desk.store.ledger_head().size == statements
    (overlapping,) = of(EntriesAnswer, desk.send(gateway.entries(2, 6)))
    assert (overlapping.status, overlapping.stored) == (200, (Range(0, 6),))
    assert (desk.step.counts.duplicates, desk.step.counts.stored) == (6, 6)
    without = [(leaf, encode_body(())) for leaf, _ in gateway.sealed]
    assert of(EntriesAnswer, desk.send(gateway.entries(0, 6, sealed=without)))[0].status == 200
    assert desk.store.entry(1, 3) == gateway.sealed[3]  # never overwritten


def test_runs_out_of_order_and_closing_holes(desk, gateway):
    gateway.add(1000)
    desk.send(gateway.anchor())
    (answer,) = of(EntriesAnswer, desk.send(gateway.entries(512, 600)))
    assert answer.stored == (Range(512, 600),)
    assert not desk.statements(Custody)
    assert desk.store.chains() == []
    desk.send(gateway.entries(600, 768), gateway.entries(768, 1000))
    answers = desk.send(gateway.entries(0, 256))
    assert of(EntriesAnswer, answers)[0].stored == (Range(0, 256), Range(512, 1000))
    assert desk.check_receipt(of(Receipt, answers)[0]).size == 256
    answers = desk.send(gateway.entries(256, 512))
    assert of(EntriesAnswer, answers)[0].stored == (Range(0, 1000),)
    assert desk.check_receipt(of(Receipt, answers)[0]).root == gateway.tiles.root()
    assert desk.store.ranges(1) == []
    assert [(row.next_seq, row.broken) for row in desk.store.chains(1)] == [(1000, None)]


def test_at_most_seven_ranges_beyond_a_hole_and_the_front_can_always_be_closed(desk, gateway):
    gateway.add(256 * 17)
    desk.send(gateway.anchor())
    for tile in range(1, 15, 2):
        assert of(EntriesAnswer, desk.send(gateway.entries(tile * 256, tile * 256 + 1)))[0].status == 200
    (refused,) = of(EntriesAnswer, desk.send(gateway.entries(15 * 256, 15 * 256 + 1)))
    assert (refused.status, len(refused.stored)) == (409, 7)
    (answer,) = of(EntriesAnswer, desk.send(gateway.entries(0, 10)))
    assert (answer.status, len(answer.stored)) == (200, 8)


def test_a_long_backlog_is_moved_over_step_by_step(desk, gateway, monkeypatch):
    monkeypatch.setattr("collector.mirror.Mirror.advance.__defaults__", (100,))
    gateway.add(300)
    desk.send(gateway.anchor(), *gateway.runs())
    assert desk.step.more
    assert desk.store.log_of(gateway.origin).stored == 100
    again = Step(desk.store, desk.signer)  # as after a restart: taken up where it stood
    assert again.more
    while again.more:
        again.process([], desk.now)
    assert [each.size for each in desk.statements(Custody)] == [100, 200, 300]
    desk.step.reload()
    assert not desk.step.more


# -- what is refused ---------------------------------------------------------------------------------------------------


def checkpoint_status(desk, message):
    (answer,) = of(CheckpointAnswer, desk.send(message))
    return answer.status


def test_404_for_an_origin_that_is_not_this_gateways(desk, gateway):
    stranger = Gateway("g9").add(1)
    assert checkpoint_status(desk, stranger.anchor()) == 404
    gateway.add(1)
    message = replace(gateway.anchor(), gateway="g9")
    assert checkpoint_status(desk, message) == 404
    assert of(EntriesAnswer, desk.send(replace(gateway.entries(0, 1), gateway="g9")))[0].status == 404
    assert [(each.status, each.gateway) for each in desk.store.refusals()] == [(404, "g9")] * 3


def test_403_for_another_key(desk, gateway):
    gateway.add(1)
    gateway.signer = type(gateway.signer)(gateway.origin, bytes(32))
    assert checkpoint_status(desk, gateway.anchor()) == 403


@pytest.mark.parametrize("payload", [b"", b"old 0\n", b"old 0\n\nnonsense", b"\xff" * 100, b"old x\n\n"])
def test_400_for_what_is_no_request(desk, gateway, payload):
    assert checkpoint_status(desk, gateway.message("up/checkpoint", payload)) == 400


def test_400_for_a_note_that_no_statement_can_hold(desk, gateway):
    gateway.add(1)
    head = Checkpoint(gateway.origin, 1, gateway.tiles.root(), ("x" * 17_000,))
    request = encode_request(0, [], sign_checkpoint(head, gateway.signer))
    assert checkpoint_status(desk, gateway.message("up/checkpoint", request)) == 400
    assert desk.store.log_of(gateway.origin).checkpoint is None


def test_409_tells_the_size_and_the_last_checkpoint(desk, gateway):
    gateway.add(3)
    desk.send(gateway.anchor())
    last = gateway.checkpoint()
    gateway.add(1)
    (answer,) = of(CheckpointAnswer, desk.send(gateway.anchor(old=2)))
    assert (answer.status, answer.body, answer.last) == (409, b"3\n", last)


def test_422_and_a_fork_is_kept_as_evidence(desk, gateway):
    gateway.add(3)
    desk.send(gateway.anchor())
    clone = Gateway().add(2).add(1, "masimo:sn:2").add(2)
    clone.witnessed = 3
    anchor = clone.anchor()
    assert checkpoint_status(desk, anchor) == 422
    assert desk.step.counts.forks == 1
    assert desk.store.refusals()[0].message == anchor.payload
    assert desk.store.log_of(gateway.origin).witnessed == 3


def test_409_with_another_root_at_a_size_that_is_stored_is_a_fork(desk, gateway):
    gateway.add(5)
    desk.send_all(gateway)
    clone = Gateway().add(2).add(1, "masimo:sn:2")
    assert checkpoint_status(desk, clone.anchor()) == 409
    assert desk.step.counts.forks == 1
    honest = Gateway().add(3)
    assert checkpoint_status(desk, honest.anchor()) == 409
    assert desk.step.counts.forks == 1


@pytest.mark.parametrize("what", ["leaf", "proof", "order", "missing"])
def test_422_for_bytes_that_are_not_under_the_checkpoint(desk, gateway, what):
    gateway.add(5)
    desk.send(gateway.anchor())
    sealed, hashes = list(gateway.sealed[:4]), prover.subtree_consistency_proof(gateway.tiles, 0, 4, 5)
    if what == "leaf":
        sealed[2] = (sealed[2][0][:-1] + b"\x00", sealed[2][1])
    elif what == "proof":
        hashes[0] = bytes(32)
    elif what == "order":
        sealed.reverse()
    else:
        sealed.pop()
    (answer,) = of(EntriesAnswer, desk.send(gateway.entries(0, 4, sealed=sealed, hashes=hashes)))
    assert answer.status == 422
    assert answer.detail
    assert desk.store.entry(1, 0) is None
    assert [each.status for each in desk.store.refusals()] == [422]


def test_422_for_a_body_that_is_not_the_leafs(desk, gateway):
    gateway.add(1)
    desk.send(gateway.anchor())
    leaf, body = gateway.sealed[0]
    (part,) = parse_body(body)
    other = encode_body([replace(part, content=part.content + b"x")])
    surplus = encode_body([part, replace(part, type=PartType.RAW + 1 + 1)])
    for wrong in (other, surplus, b"", b"\xff"):
        (answer,) = of(EntriesAnswer, desk.send(gateway.entries(0, 1, sealed=[(leaf, wrong)])))
        assert answer.status == 422, wrong
    assert of(EntriesAnswer, desk.send(gateway.entries(0, 1)))[0].status == 200


def test_409_where_the_run_hangs_in_the_air_or_the_checkpoint_was_never_witnessed(desk, gateway):
    gateway.add(9)
    desk.send(gateway.anchor(6))
    (answer,) = of(EntriesAnswer, desk.send(gateway.entries(3, 6)))
    assert (answer.status, answer.stored) == (409, ())
    (answer,) = of(EntriesAnswer, desk.send(gateway.entries(0, 6, size=9)))
    assert "no checkpoint of size 9" in answer.detail
    assert desk.store.refusals() == []


def test_malformed_entries_are_answered_by_what_can_be_read(desk, gateway):
    payload = cbor.encode([77, gateway.origin, "nonsense" * 9])
    assert messages.pack(payload) != payload
    for malformed in (payload, messages.pack(payload)):
        (answer,) = of(EntriesAnswer, desk.send(gateway.message("up/entries", malformed)))
        assert (answer.id, answer.status, answer.origin) == (77, 400, gateway.origin)
    bomb = messages.pack(bytes(messages.MAX_MESSAGE + 1))
    for junk in (b"", b"\xff\x00", cbor.encode(["a", 3]), cbor.encode([]), b"\x00" * 70_000, b"\x01junk", bomb):
        (answer,) = of(EntriesAnswer, desk.send(gateway.message("up/entries", junk)))
        assert (answer.id, answer.status) == (0, 400)


def test_packed_entries_are_stored_as_they_were_sealed(desk, gateway):
    gateway.add(20)
    desk.send(gateway.anchor())
    plain = gateway.entries(0, 20).payload
    packed = messages.pack(plain)
    assert len(packed) < len(plain)
    (answer,) = of(EntriesAnswer, desk.send(gateway.message("up/entries", packed)))
    assert (answer.status, answer.stored) == (200, (messages.Range(0, 20),))
    assert desk.store.refusals() == []


def test_entries_beyond_what_a_log_can_hold(desk, gateway):
    gateway.add(1)
    far = 1 << 40
    head = Checkpoint(gateway.origin, far + 1, bytes(32))
    request = encode_request(0, [], sign_checkpoint(head, gateway.signer))
    assert checkpoint_status(desk, gateway.message("up/checkpoint", request)) == 200
    (answer,) = of(EntriesAnswer, desk.send(gateway.entries(0, 1, size=far + 1, hashes=[bytes(32)] * 40)))
    assert answer.status == 422
    made = messages.Entries(5, gateway.origin, far + 1, far, (messages.Sealed(*gateway.sealed[0]),), ())
    (answer,) = of(EntriesAnswer, desk.send(gateway.message("up/entries", messages.ENTRIES.encode(made))))
    assert answer.status == 422
    assert "at most" in answer.detail


# -- one beside another ------------------------------------------------------------------------------------------------


def test_junk_of_one_gateway_does_not_stop_another(tmp_path):
    good, bad = Gateway("good").add(20), Gateway("bad").add(5)
    desk = Desk(tmp_path, good, bad)
    junk = [bad.message(topic, b"\xa1\x00\xff") for topic in messages.UP]
    answers = desk.send(bad.anchor(), *junk, good.anchor(), *junk, *good.runs(), *bad.runs(), *junk)
    assert {each.origin: each.size for each in map(desk.check_receipt, of(Receipt, answers))} == {
        good.origin: 20,
        bad.origin: 5,
    }
    desk.close()


def test_what_breaks_a_step_names_its_gateway_and_is_set_aside(tmp_path, monkeypatch):
    good, bad = Gateway("good").add(3), Gateway("bad").add(3)
    desk = Desk(tmp_path, good, bad)
    desk.send(good.anchor(), bad.anchor())
    opened = Step._entries

    def broken(self, message, turn):
        if message.gateway == "bad":
            raise RuntimeError
        opened(self, message, turn)

    monkeypatch.setattr(Step, "_entries", broken)
    batch = [*good.runs(), *bad.runs()]
    with pytest.raises(RuntimeError):
        desk.send(*batch)
    assert desk.step.culprit == "bad"
    assert desk.store.log_of(good.origin).stored == 0  # nothing of the step is stored
    desk.step.set_aside("bad", desk.now)
    assert [each.size for each in map(desk.check_receipt, of(Receipt, desk.send(*batch)))] == [3]
    monkeypatch.undo()
    desk.now += 60_000
    assert of(EntriesAnswer, desk.send(*bad.runs()))[0].status == 200
    desk.close()


def test_custody_is_never_signed_on_a_root_that_is_not_the_anchored_one(desk, gateway):
    gateway.add(2)
    desk.send(gateway.anchor())
    wrong = TileBuilder()
    wrong.extend([bytes(32)])
    desk.step._mirrors[1]._builder = wrong  # as a memory error would have it
    with pytest.raises(ForkError, match="no custody is signed"):
        desk.send(*gateway.runs())
    assert desk.step.culprit == "g1"
    assert desk.statements(Custody) == []
    assert desk.check_receipt(of(Receipt, desk.send(*gateway.runs()))[0]).size == 2  # loaded again from the store


# -- durability --------------------------------------------------------------------------------------------------------


def test_two_processes_cannot_fork_the_ledger(desk, gateway):
    gateway.add(4)
    desk.send(gateway.anchor())
    other = Store.open(desk.path)
    rival = Step(other, desk.signer)
    late = Gateway("late")
    assert enroll(other, desk.signer, late.vkey, NOW) == 2  # `enroll` beside `run`
    out = desk.send(*gateway.runs())
    assert desk.step.counts.lost_swaps == 1
    assert desk.check_receipt(of(Receipt, out)[0]).size == 4
    late.add(1)
    answers = rival.process([late.anchor(), *late.runs()], NOW)
    assert rival.counts.lost_swaps == 1
    assert len(answers) == 3
    assert [type(each) for each in desk.statements()] == [Enrolment, Anchor, Enrolment, Custody, Anchor, Custody]
    leaves = [entry_hash(leaf) for _, leaf in desk.store.statements(0, 99)]
    assert merkle.root(leaves) == desk.store.ledger_head().root
    other.close()


def test_a_copy_between_any_two_steps_is_whole(desk, gateway, tmp_path):
    heads = []
    for _ in range(4):
        gateway.add(70)
        desk.send_all(gateway)
        desk.store._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        copy = tmp_path / f"copy-{gateway.size}"
        copy.mkdir()
        shutil.copy(desk.path, copy / "collector.sqlite")
        shutil.copy(desk.path.parent / "ledger.key", copy)
        heads.append((gateway.size, copy))
    for size, copy in heads:
        again = Desk(copy)
        assert again.store.log_of(gateway.origin).stored == size
        if size == gateway.size:
            continue
        answers = again.send(gateway.anchor(old=size), *gateway.runs(size))  # the gateway sends what is not receipted
        assert again.check_receipt(of(Receipt, answers)[0]).root == gateway.tiles.root()
        again.close()


def test_presence_is_kept_for_enrolled_gateways_only(desk, gateway):
    status = messages.STATUS.encode(messages.Status(1, bytes(16), bytes(16), "0.1", 3, 4))
    health = messages.HEALTH.encode(messages.Health(1, None, 2, 3, None))
    stranger = Gateway("g9")
    assert (
        desk.send(
            gateway.message("up/status", status),
            gateway.message("up/health", health),
            gateway.message("up/status", b"junk"),
            gateway.message("up/status", b""),
            stranger.message("up/status", status),
        )
        == []
    )
    assert [(each.gateway, each.status, each.health) for each in desk.store.presence()] == [("g1", status, health)]


def test_refusals_are_bounded(desk, gateway, monkeypatch):
    monkeypatch.setattr("collector.store.MAX_REFUSALS", 10)
    monkeypatch.setattr("collector.store.MAX_REFUSAL_BYTES", 400)
    for n in range(30):
        desk.send(gateway.message("up/checkpoint", b"%03d" % n))
    assert [each.message for each in desk.store.refusals()] == [b"%03d" % n for n in range(29, 19, -1)]
    desk.send(gateway.message("up/checkpoint", b"x" * 390), gateway.message("up/checkpoint", b"y" * 50))
    assert sum(len(each.message) for each in desk.store.refusals()) <= 400


def test_provider_is_in_every_origin(desk):
    assert desk.store.provider() == PROVIDER
