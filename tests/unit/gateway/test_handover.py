"""A fork and what follows: the note, its answers, the successor's files, what is carried over."""

from hashlib import sha256
from random import Random

import pytest

from gateway import generations, keys
from gateway.actions import Alarm, Fork, Publish, Succeeded
from gateway.carry import pieces
from gateway.handover import REPEAT_S, Handover
from gateway.reader import Reader
from tests.unit.gateway.machine import Machine
from vitaledger import events, messages, succession, witness
from vitaledger.checkpoint import Checkpoint, parse_unverified, sign_checkpoint
from vitaledger.entry import (
    MAX_CONTENT,
    Clock,
    Kind,
    Part,
    PartType,
    encode_body,
    entry_hash,
    genesis,
    parse_body,
    seal,
)
from vitaledger.errors import MisuseError
from vitaledger.events import Succeeds
from vitaledger.keys import Ed25519Signer
from vitaledger.opened import open_entry

ORIGIN = "h.example/gateway/g1"
VKEY = str(Ed25519Signer("h.example/ledger", bytes(32)).vkey)


def answer(note, status, free=2):
    return messages.SuccessionAnswer(sha256(note).digest(), status, free, "because")


def test_the_contradiction_goes_first_and_both_go_again_until_answered():
    made = Handover(b"last", ORIGIN)
    both = [Publish("up/checkpoint", b"head"), Publish("up/succession", b"note")]
    assert made.offer(b"note", b"head", 0.0) == both
    assert made.send(REPEAT_S - 1) == []
    assert made.send(REPEAT_S) == both
    made.disconnected()
    assert made.send(60.0) == []
    assert made.connected(61.0) == both
    assert made.answered(answer(b"another", 200), 62.0) == []
    assert made.answered(answer(b"note", 200), 62.0) == [Succeeded(b"note")]
    assert made.send(1e6) == []


@pytest.mark.parametrize(("status", "words"), [(202, "waits for the collector's operator"), (403, "403: because")])
def test_who_waits_or_is_refused_says_so_once_and_asks_again(status, words):
    made = Handover(b"last", ORIGIN)
    made.offer(b"note", None, 0.0)
    (alarm,) = made.answered(answer(b"note", status), 1.0)
    assert isinstance(alarm, Alarm)
    assert words in alarm.text
    assert made.send(1.0 + REPEAT_S) == [Publish("up/succession", b"note")]
    assert made.answered(answer(b"note", status), 2.0) == []


def test_a_taken_name_asks_for_another():
    made = Handover(b"last", ORIGIN)
    made.offer(b"note", b"head", 0.0)
    assert made.answered(answer(b"note", 409, 7), 1.0) == [Fork(b"last", 7)]
    assert made.send(60.0) == []
    assert made.connected(61.0) == [Fork(b"last", 7)]
    assert made.offer(b"note 7", None, 62.0) == [Publish("up/succession", b"note 7")]


# -- files ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def machine(tmp_path):
    made = Machine(tmp_path / "g", VKEY, Random(3))
    made.start()
    made.seal(5)
    yield made
    made.stop()


def last(machine, size):
    signer = keys.load(machine.here.key, machine.here.origin)
    return sign_checkpoint(Checkpoint(ORIGIN, size, bytes(32)), signer)


def prepare(machine, size=3, least=0):
    return generations.prepare(
        machine.first, machine.here, machine.reader, last(machine, size), least, machine.random.randbytes
    )


def test_a_successor_is_prepared_once(machine):
    offer = prepare(machine)
    said = succession.open_succession(offer.note, keys.load(machine.here.key, ORIGIN).vkey)
    head = machine.reader.head()
    assert (said.old_origin, said.size, said.root) == (ORIGIN, head.size, head.root)
    assert said.new_vkey == str(keys.load(machine.here.state / "2" / "gateway.key", f"{ORIGIN}/2").vkey)
    machine.seal(3)
    assert prepare(machine).note == offer.note
    assert generations.newest(machine.first).generation == 1
    with pytest.raises(MisuseError, match="no log number 2"):
        generations.choose(machine.first, 2)


def test_a_kill_between_key_and_note_costs_nothing(machine):
    vkey = succession.parse_unverified(prepare(machine).note).new_vkey
    (machine.here.state / "2" / "succession.note").unlink()
    assert succession.parse_unverified(prepare(machine).note).new_vkey == vkey


def test_a_taken_name_leaves_its_candidate_and_makes_the_next(machine):
    first = prepare(machine)
    again = prepare(machine, least=5)
    assert succession.parse_unverified(again.note).new_origin == f"{ORIGIN}/5"
    assert again.note != first.note


def test_our_own_head_at_the_collectors_size_shows_the_contradiction(machine):
    request = witness.parse_request(prepare(machine, size=3).request)
    head = parse_unverified(request.checkpoint)[0]
    assert (head.size, head.root) == (3, machine.reader.root_at(3))
    assert prepare(machine, size=1000).request is None


def test_the_successor_begins_with_what_the_old_log_was_and_carries_it_on(machine):
    note = prepare(machine).note
    old = machine.entries()
    machine._succeed(note, 0.0)
    event = open_entry(*machine.reader.entries(0, 1)[0]).event
    assert isinstance(event, Succeeds)
    assert {head.chain for head in event.chains} == {"gateway", "nonin:port:bed-0", "nonin:port:bed-1"}
    for _ in range(3):
        machine.tick()
    machine.stop()
    machine.start()  # in the middle, for all that it knows
    assert machine.carry is None
    carried = [
        found.event
        for found in (open_entry(*row) for row in machine.reader.entries(0, machine.reader.size))
        if found.entry.kind is Kind.CARRIED
    ]
    assert {(each.origin, each.index): each.leaf for each in carried} == old
    with Reader.open(machine.first.state) as reader:
        assert reader.size == len(old)
    assert generations.notes(machine.first, machine.here) == [note]


def test_carrying_goes_on_where_a_kill_ended_it(machine, monkeypatch):
    monkeypatch.setattr("gateway.carry.AT_ONCE", 2)
    note = prepare(machine).note
    size = machine.store.size
    machine._succeed(note, 0.0)
    machine.tick()
    machine.stop()
    machine.start()
    left = machine.carry.left
    assert left == size - 2
    while machine.carry is not None:
        machine.tick()
    kinds = [open_entry(*row).event for row in machine.reader.entries(0, machine.reader.size)]
    assert [each.index for each in kinds if hasattr(each, "index")] == list(range(size))


def test_a_body_too_large_for_one_event_goes_in_several():
    contents = [(PartType.VALUES, b"v" * 20_000), (PartType.WAVES, b"w" * 20_000), (PartType.RAW, b"r" * 15_000)]
    clock, prev = Clock(0, bytes(16), 0, None), genesis(ORIGIN, "nonin:port:a")
    leaf, body = seal(Kind.READINGS, "nonin:port:a", 0, prev, clock, contents, [bytes(16)] * 3)
    made = list(pieces(ORIGIN, 7, leaf, body))
    assert len(made) == 2
    assert {(each.index, entry_hash(each.leaf)) for each in made} == {(7, entry_hash(leaf))}
    parts: list[Part] = [part for each in made for part in parse_body(each.body)]
    assert encode_body(parts) == body
    assert len(list(pieces(ORIGIN, 7, leaf, encode_body(parts[:1])))) == 1


def test_a_part_that_fills_an_event_by_itself_stays_behind_and_stops_nothing(caplog):
    contents = [(PartType.VALUES, b"v" * 100), (PartType.RAW, b"r" * MAX_CONTENT)]
    clock, prev = Clock(0, bytes(16), 0, None), genesis(ORIGIN, "nonin:port:a")
    leaf, body = seal(Kind.READINGS, "nonin:port:a", 0, prev, clock, contents, [bytes(16)] * 2)
    [made] = pieces(ORIGIN, 7, leaf, body)
    assert [part.type for part in parse_body(made.body)] == [PartType.VALUES]
    assert made.leaf == leaf
    assert len(events.encode(made)) <= MAX_CONTENT
    assert f"{ORIGIN} entry 7: a part of {MAX_CONTENT} bytes cannot be carried over" in caplog.text
