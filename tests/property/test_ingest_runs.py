"""Whatever is sent in whatever order: what is stored is a prefix of the gateway's log and what was proven, no more."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.collector.model_gateway import Desk, Gateway, of
from vitaledger import merkle, messages, prover
from vitaledger.entry import entry_hash
from vitaledger.messages import CheckpointAnswer, EntriesAnswer, Receipt

SIZE = 600
QUIET = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


@QUIET
@given(st.lists(st.tuples(st.integers(0, SIZE - 1), st.integers(1, 256), st.booleans()), max_size=30), st.data())
def test_runs_in_any_order(runs, data):
    gateway = Gateway().add(SIZE)
    with TemporaryDirectory() as directory:
        desk = Desk(Path(directory), gateway)
        desk.send(gateway.anchor())
        for first, length, aligned in runs:
            begin = first - first % 256 if aligned else first
            end = min(begin + length, begin - begin % 256 + 256, SIZE)
            answers = desk.send(gateway.entries(begin, end))
            (answer,) = of(EntriesAnswer, answers)
            assert answer.status in {200, 409}
            check(desk, gateway, answer, answers)
        desk.send_all(gateway)
        assert desk.store.log_of("g1").stored == SIZE
        assert prover.root_from_tiles(desk.store.tile_reader(1, SIZE), SIZE) == gateway.tiles.root()
        desk.close()


def check(desk, gateway, answer, answers):
    row = desk.store.log_of("g1")
    held = {index for each in answer.stored for index in range(each.first, each.end)}
    assert held == {index for index, _, _ in desk.store.entries(1, 0, SIZE)}
    assert row.stored == (answer.stored[0].end if answer.stored and answer.stored[0].first == 0 else 0)
    for receipt in of(Receipt, answers):
        custody = desk.check_receipt(receipt)
        assert (custody.size, custody.root) == (row.stored, prover.root_from_tiles(gateway.tiles, row.stored))


@QUIET
@given(st.data())
def test_a_changed_byte_is_never_stored(data):
    gateway = Gateway().add(5)
    with TemporaryDirectory() as directory:
        desk = Desk(Path(directory), gateway)
        desk.send(gateway.anchor())
        message = gateway.entries(0, 5)
        at = data.draw(st.integers(0, len(message.payload) - 1))
        flip = data.draw(st.integers(1, 255))
        changed = bytearray(message.payload)
        changed[at] ^= flip
        desk.send(gateway.message("up/entries", bytes(changed)))
        for index, leaf, body in desk.store.entries(1, 0, 9):
            assert (leaf, body) == gateway.sealed[index]
        (answer,) = of(EntriesAnswer, desk.send(message))
        assert (answer.status, answer.stored) == (200, (messages.Range(0, 5),))
        desk.close()


@QUIET
@given(st.lists(st.tuples(st.sampled_from(messages.UP), st.binary(max_size=200)), max_size=20))
def test_junk_is_answered_or_ignored_and_changes_no_log(batch):
    gateway = Gateway().add(2)
    with TemporaryDirectory() as directory:
        desk = Desk(Path(directory), gateway)
        before = desk.store.ledger_head()
        desk.send(*(gateway.message(topic, payload) for topic, payload in batch))
        assert desk.store.ledger_head() == before
        assert desk.store.log_of("g1").stored == 0
        desk.close()


@QUIET
@given(st.lists(st.integers(0, 40), min_size=1, max_size=8), st.lists(st.integers(0, 40), max_size=8))
def test_anchors_never_go_back(sizes, olds):
    gateway = Gateway().add(40)
    with TemporaryDirectory() as directory:
        desk = Desk(Path(directory), gateway)
        highest = 0
        for at, size in enumerate(sizes):
            old = olds[at] if at < len(olds) else highest
            (answer,) = of(CheckpointAnswer, desk.send(gateway.anchor(size, old)))
            row = desk.store.log_of("g1")
            assert (answer.status == 200) == (old == highest and size >= old)
            highest = max(highest, size) if answer.status == 200 else highest
            assert row.witnessed == highest
        hashes = [entry_hash(leaf) for _, leaf in desk.store.statements(0, 999)]
        assert merkle.root(hashes) == desk.store.ledger_head().root
        desk.close()
