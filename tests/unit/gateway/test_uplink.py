"""The uplink's rules, one table a topic."""

from hashlib import sha256
from itertools import pairwise
from random import Random

import pytest

from gateway.ledgers import Ledgers
from gateway.outbox import next_first, sound_body
from gateway.sealing import Sealer
from gateway.uplink import ANSWER_S, RETRY_S, Alarm, Fork, Publish, SaveReceipt, ShowLedger, State, Uplink
from tests.unit.gateway.makers import KEY, LEDGER_KEY, ORIGIN, SIGNER, ModelLedger, drafts
from tests.unit.gateway.model_collector import MemoryLog, ModelCollector, Wire, World
from vitaledger import messages, witness
from vitaledger.checkpoint import Checkpoint, parse_unverified, sign_checkpoint
from vitaledger.entry import parse_body, parse_leaf, verify_body
from vitaledger.keys import Ed25519Signer
from vitaledger.merkle import EMPTY_ROOT, leaf_hash


def sealed(count, seed=1):
    sealer = Sealer(ORIGIN, {}, {}, None, Random(seed).randbytes)
    return [(entry.leaf, entry.body) for entry in map(sealer.seal, drafts(count))]


def log_of(count, seed=1):
    log = MemoryLog()
    log.grow(sealed(count, seed))
    return log


def uplink(log, **more):
    return Uplink(ORIGIN, KEY, Ledgers.pinned(LEDGER_KEY), log, **more)


def payloads(actions, leaf):
    return [action.payload for action in actions if isinstance(action, Publish) and action.leaf == leaf]


def opened(payload):
    return messages.ENTRIES.decode(messages.unpack(payload, "up/entries"), "up/entries")


def alarms(actions):
    return [action.text for action in actions if isinstance(action, Alarm)]


def answer(request, status, body=b"", last=None):
    return messages.CHECKPOINT_ANSWER.encode(messages.CheckpointAnswer(sha256(request).digest(), status, body, last))


def entries_answer(message_id, status, *ranges, origin=ORIGIN):
    stored = tuple(messages.Range(*each) for each in ranges)
    return messages.ENTRIES_ANSWER.encode(messages.EntriesAnswer(message_id, status, origin, stored, 0, "because"))


def sending(log, *ranges, **more):
    """An uplink that has learned where the collector stands; and its first entries messages."""
    made = uplink(log, **more)
    (request,) = payloads(made.connected(0.0), "up/checkpoint")
    assert made.received("down/checkpoint", answer(request, 200), 1.0) == []
    actions = made.received("down/entries", entries_answer(0, 200, *ranges), 1.0)
    return made, [opened(each) for each in payloads(actions, "up/entries")]


def test_nothing_is_sent_before_the_line_stands_and_the_log_has_entries():
    empty = uplink(MemoryLog())
    assert empty.sealed(0.0) == empty.tick(1.0) == empty.connected(2.0) == []
    full = uplink(log_of(3))
    assert full.sealed(0.0) == full.tick(1.0) == []
    assert len(payloads(full.connected(2.0), "up/checkpoint")) == 1


def test_the_first_thing_is_a_question_from_custody_on():
    log = log_of(20)
    made = uplink(log, custody=7)
    (request,) = payloads(made.connected(0.0), "up/checkpoint")
    parsed = witness.parse_request(request)
    assert (parsed.old, parse_unverified(parsed.checkpoint)[0].size) == (7, 20)
    assert made.state is State.ASKING
    assert made.tick(0.9) == made.sealed(0.9) == []


def test_a_409_is_followed_by_an_anchor_from_there_at_once():
    log = log_of(20)
    made = uplink(log)
    (request,) = payloads(made.connected(0.0), "up/checkpoint")
    last = sign_checkpoint(Checkpoint(ORIGIN, 12, log.root_at(12)), SIGNER)
    (again,) = payloads(made.received("down/checkpoint", answer(request, 409, b"12\n", last), 0.5), "up/checkpoint")
    assert witness.parse_request(again).old == 12
    assert made.state is State.SENDING


def test_a_409_of_an_empty_collector():
    made = uplink(log_of(20), custody=5)
    (request,) = payloads(made.connected(0.0), "up/checkpoint")
    actions = made.received("down/checkpoint", answer(request, 409, b"0\n"), 0.5)
    assert witness.parse_request(payloads(actions, "up/checkpoint")[0]).old == 0
    assert "had given a receipt for 5" in alarms(actions)[0]


@pytest.mark.parametrize(
    ("size", "root", "state"),
    [(20, bytes(32), State.FORKED), (25, bytes(32), State.FORKED), (12, None, State.SENDING)],
)
def test_a_log_that_lacks_what_it_signed_has_forked(size, root, state):
    log = log_of(20)
    made = uplink(log)
    (request,) = payloads(made.connected(0.0), "up/checkpoint")
    last = sign_checkpoint(Checkpoint(ORIGIN, size, root or log.root_at(size)), SIGNER)
    actions = made.received("down/checkpoint", answer(request, 409, b"%d\n" % size, last), 0.5)
    assert made.state is state
    if state is State.FORKED:
        assert payloads(actions, "up/checkpoint") == []
        assert ORIGIN in alarms(actions)[0]
        assert f"{size} entries" in alarms(actions)[0]
        assert "20 entries" in alarms(actions)[0]
        assert actions[-1] == Fork(last, 0)
        assert made.disconnected(1.0) == made.tick(2.0) == made.sealed(3.0) == []
        assert made.connected(4.0) == [Fork(last, 0)]
        assert made.tick(60.0) == made.sealed(61.0) == []


@pytest.mark.parametrize(
    "last",
    [
        sign_checkpoint(Checkpoint(ORIGIN, 0, EMPTY_ROOT), Ed25519Signer(ORIGIN, bytes(31) + b"\x09")),
        sign_checkpoint(
            Checkpoint("h.example/gateway/g2", 0, EMPTY_ROOT), Ed25519Signer("h.example/gateway/g2", bytes(32))
        ),
        b"no note",
    ],
)
def test_a_409_with_a_checkpoint_that_is_not_ours_is_no_answer(last):
    made = uplink(log_of(20))
    (request,) = payloads(made.connected(0.0), "up/checkpoint")
    actions = made.received("down/checkpoint", answer(request, 409, b"9\n", last), 0.5)
    assert len(alarms(actions)) == 1
    assert made.state is State.ASKING
    assert made.tick(RETRY_S) == []
    assert len(payloads(made.tick(RETRY_S + 0.5), "up/checkpoint")) == 1


@pytest.mark.parametrize(
    ("status", "word"), [(404, "enrol this gateway"), (403, "does not trust"), (400, "with 400"), (422, "with 422")]
)
def test_a_refusal_is_said_once_and_asked_again(status, word):
    made, now, said = uplink(log_of(20)), 0.0, []
    (request,) = payloads(made.connected(now), "up/checkpoint")
    for _ in range(3):
        actions = made.received("down/checkpoint", answer(request, status, b"why\n"), now)
        said += alarms(actions)
        assert payloads(made.tick(now + RETRY_S - 0.1), "up/checkpoint") == []
        now += RETRY_S
        (request,) = payloads(made.tick(now), "up/checkpoint")
    assert len(said) == 1
    assert word in said[0]
    assert made.progress().problem == said[0]
    made.received("down/checkpoint", answer(request, 200), now)
    assert made.progress().problem is None


def test_one_checkpoint_is_in_flight_and_goes_again_after_ten_seconds():
    log = log_of(20)
    made, _ = sending(log, (0, 20), custody=20, anchor_s=2.0)
    log.grow(sealed(30)[20:])
    (request,) = payloads(made.sealed(5.0), "up/checkpoint")
    log.grow(sealed(40)[30:])
    assert made.sealed(8.0) == made.tick(5.0 + ANSWER_S - 0.1) == []
    (again,) = payloads(made.tick(5.0 + ANSWER_S), "up/checkpoint")
    assert parse_unverified(witness.parse_request(again).checkpoint)[0].size == 40  # the newest
    assert made.received("down/checkpoint", answer(request, 200), 16.0) == []  # too late: stale
    assert made.witnessed == 20
    assert "does not answer" in alarms(made.tick(5.0 + 2 * ANSWER_S))[0]


def test_the_first_question_is_repeated_sooner():
    made, now, asked, said = uplink(log_of(20)), 0.0, [0.0], []
    made.connected(now)
    while now < 60:
        now += 0.25
        actions = made.tick(now)
        asked += [now] * len(payloads(actions, "up/checkpoint"))
        said += [(now, text) for text in alarms(actions)]
    assert asked == [0, 1, 3, 7, 15, 25, 35, 45, 55]
    assert [at for at, _ in said] == [25]
    assert "does not answer" in said[0][1]


def test_anchors_go_out_by_the_period_and_only_when_the_log_grew():
    log = log_of(20)
    made, _ = sending(log, (0, 20), custody=20, anchor_s=2.0)
    assert made.sealed(1.5) == made.tick(30.0) == []
    log.grow(sealed(25)[20:])
    (request,) = payloads(made.sealed(30.5), "up/checkpoint")
    made.received("down/checkpoint", answer(request, 200), 30.6)
    log.grow(sealed(30)[25:])
    assert payloads(made.sealed(31.0), "up/checkpoint") == []
    assert len(payloads(made.tick(32.5), "up/checkpoint")) == 1


@pytest.mark.parametrize(
    ("covered", "witnessed", "first"),
    [
        ([], 0, None),
        ([], 100, 0),
        ([(0, 100)], 100, None),
        ([(0, 90)], 100, 90),
        ([], 2000, 1792),  # live first: the newest tile
        ([(0, 300)], 2000, 1792),
        ([(0, 300), (1792, 2000)], 2000, 300),  # then the backlog from the front
        ([(0, 300), (1792, 2000)], 2010, 2000),
        ([(0, 1600)], 2000, 1600),  # near enough to go on
        ([(0, 1), *((512 * n, 512 * n + 1) for n in range(1, 7))], 9000, 3073),  # no eighth range
    ],
)
def test_which_entries_go_next(covered, witnessed, first):
    assert next_first(covered, witnessed) == first


def test_messages_hold_entries_of_one_tile_and_a_window_is_kept():
    _, sent = sending(log_of(900), (0, 10))
    assert all(each.first // 256 == (each.first + len(each.entries) - 1) // 256 for each in sent)
    assert sent[0].first == 768  # live
    starts = [each.first for each in sent]
    assert 10 in starts
    assert len(sent) <= 16
    covered = sorted((each.first, each.first + len(each.entries)) for each in sent)
    assert covered[0][0] == 10
    assert covered[-1][1] == 900
    assert all(a[1] == b[0] for a, b in pairwise(covered))


def test_a_timeout_sends_everything_in_flight_again():
    made, sent = sending(log_of(900), (0, 10))
    assert made.tick(1.0 + ANSWER_S - 0.1) == []
    again = payloads(made.tick(1.0 + ANSWER_S), "up/entries")
    ids = {opened(each).id for each in again}
    assert ids
    assert not ids & {each.id for each in sent}
    assert made.received("down/entries", entries_answer(sent[0].id, 200, (0, 900)), 12.0) == []  # stale
    assert made.progress().stored == 10


def test_a_refused_message_goes_again_at_once_and_then_ever_later():
    made, sent = sending(log_of(20), (0, 10))
    now, pauses = 1.0, []
    for _ in range(8):
        last = sent[-1].id
        made_at = now
        actions = made.received("down/entries", entries_answer(last, 409, (0, 10)), now)
        while not (found := payloads(actions, "up/entries")):
            now += 0.25
            actions = made.tick(now)
        pauses.append(now - made_at)
        sent = [opened(each) for each in found]
    assert pauses[0] == 0
    assert pauses == sorted(pauses)
    assert pauses[-1] == 10.0
    assert "refuses entries from 10 on with 409" in made.progress().problem


def test_answers_about_another_origin_and_junk_change_nothing():
    made, sent = sending(log_of(20), (0, 10))
    assert made.received("down/entries", entries_answer(sent[0].id, 200, (0, 20), origin="x/gateway/y"), 2.0) == []
    assert made.progress().stored == 10
    for leaf in ("down/checkpoint", "down/entries", "down/receipt"):
        assert len(alarms(made.received(leaf, b"junk", 2.0))) == 1
        assert made.received(leaf, b"junk", 3.0) == []
    assert made.received("down/else", b"junk", 2.0) == []


def receipt_payload(pair):
    return messages.RECEIPT.encode(messages.Receipt(*pair))


def test_a_good_receipt_is_saved_once():
    log, ledger = log_of(20), ModelLedger()
    made, _ = sending(log, (0, 20))
    payload = receipt_payload(ledger.custody(15, log.root_at(15)))
    (saved,) = made.received("down/receipt", payload, 2.0)
    assert isinstance(saved, SaveReceipt)
    assert (saved.receipt.size, saved.receipt.ledger.size, made.custody) == (15, 1, 15)
    assert made.received("down/receipt", payload, 3.0) == []


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda log: ModelLedger().custody(15, bytes(32)), "root of"),
        (lambda log: ModelLedger().custody(25, bytes(32)), "has fewer"),
        (
            lambda log: ModelLedger().custody(15, log.root_at(15), "h.example/gateway/g2"),
            "that of h.example/gateway/g2",
        ),
        (
            lambda log: ModelLedger(Ed25519Signer("h.example/ledger", bytes(31) + b"x")).custody(15, log.root_at(15)),
            "sign",
        ),
        (
            lambda log: (ModelLedger().custody(14, log.root_at(14))[0], ModelLedger().custody(15, log.root_at(15))[1]),
            "root",
        ),
        (lambda log: (b"\x80", b"junk"), "wrong receipt"),
    ],
)
def test_a_wrong_receipt_is_said_and_forgotten(make, word):
    log = log_of(20)
    made, _ = sending(log, (0, 20))
    (alarm,) = alarms_in(made.received("down/receipt", receipt_payload(make(log)), 2.0))
    assert word in alarm.text
    assert made.custody == 0


def test_a_ledger_that_goes_back_gets_no_belief():
    log, ledger = log_of(20), ModelLedger()
    made, _ = sending(log, (0, 20))
    ledger.custody(1, log.root_at(1))
    made.received("down/receipt", receipt_payload(ledger.custody(10, log.root_at(10))), 2.0)
    went_back = made.received("down/receipt", receipt_payload(ModelLedger().custody(15, log.root_at(15))), 3.0)
    (alarm,) = alarms_in(went_back)
    assert "went back from 2 to 1" in alarm.text
    assert ShowLedger() in went_back  # whoever made it sees that it was restored
    fork = ModelLedger()
    fork.custody(2, log.root_at(2))
    again = made.received("down/receipt", receipt_payload(fork.custody(15, log.root_at(15))), 3.0)
    (alarm,) = alarms_in(again)
    assert "two roots" in alarm.text
    assert ShowLedger() not in again  # it was shown just now
    assert made.custody == 10


def test_a_conflict_is_answered_with_the_ledgers_head_before_anything_else():
    log = log_of(20)
    made, _ = sending(log, (0, 20))
    (request,) = [each for each in made.tick(40.0) if each.leaf == "up/checkpoint"]
    answer = messages.CheckpointAnswer(sha256(request.payload).digest(), messages.CONFLICT, b"0\n", None)
    first, *rest = made.received("down/checkpoint", messages.CHECKPOINT_ANSWER.encode(answer), 41.0)
    assert first == ShowLedger()
    assert "up/checkpoint" in [each.leaf for each in rest if isinstance(each, Publish)]


def alarms_in(actions):
    return [each for each in actions if isinstance(each, Alarm)]


def test_a_damaged_body_goes_without_its_bad_part():
    leaf, body = sealed(10)[5]
    entry = parse_leaf(leaf)
    assert sound_body(leaf, body) == (body, None)
    flipped = body[:-1] + bytes([body[-1] ^ 1])
    good, wrong = sound_body(leaf, flipped)
    assert "damaged" in wrong
    assert len(verify_body(entry, parse_body(good))) == 1
    for bad in (b"junk", None):
        good, wrong = sound_body(leaf, bad)
        assert parse_body(good) == ()
        assert wrong
    log = log_of(10)
    log.rows[5] = (leaf, flipped)
    world = World(uplink(log), ModelCollector(), Wire(Random(1), late=0.0), Wire(Random(1), late=0.0))
    world.act(world.uplink.connected(0.0))
    world.run(30)
    assert world.uplink.custody == 10
    assert len(world.alarms) == 1
    assert "entry 5" in world.alarms[0]
    assert leaf_hash(world.collector.stored[5][0]) == leaf_hash(leaf)


def test_a_long_backlog_does_not_hold_up_what_is_live():
    log = log_of(3000)
    world = World(uplink(log), ModelCollector(), Wire(Random(1), late=0.2), Wire(Random(1), late=0.2))
    world.act(world.uplink.connected(0.0))
    world.run(1.5)
    assert 2999 in world.collector.stored or max(world.collector.stored, default=0) >= 2816
    world.run(300)
    assert world.uplink.custody == 3000
