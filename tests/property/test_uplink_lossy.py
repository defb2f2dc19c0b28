from functools import cache
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.ledgers import Ledgers
from gateway.sealing import Sealer
from gateway.uplink import State, Uplink
from tests.unit.gateway.makers import KEY, LEDGER_KEY, ORIGIN, drafts
from tests.unit.gateway.model_collector import MemoryLog, ModelCollector, Wire, World

TOTAL = 1500


@cache
def entries():
    sealer = Sealer(ORIGIN, {}, {}, None, Random(5).randbytes)
    return [(sealed.leaf, sealed.body) for sealed in map(sealer.seal, drafts(TOTAL))]


def uplink(log, **more):
    return Uplink(ORIGIN, KEY, Ledgers.pinned(LEDGER_KEY), log, **more)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    loss=st.sampled_from([0.0, 0.05, 0.2, 0.4]),
    repeat=st.sampled_from([0.0, 0.3]),
    late=st.sampled_from([0.01, 0.3, 3.0]),
    start=st.integers(1, TOTAL),
    tell_state=st.booleans(),
)
def test_everything_comes_into_custody(seed, loss, repeat, late, start, tell_state):
    random, log = Random(seed), MemoryLog()
    log.grow(entries()[:start])
    collector = ModelCollector(tell_state=tell_state)
    world = World(
        uplink(log, first_id=seed + 1), collector, Wire(random, loss, repeat, late), Wire(random, loss, repeat, late)
    )
    world.act(world.uplink.connected(0.0))
    for _ in range(60):  # a live log, a line that breaks, a gateway that restarts
        world.run(2)
        if len(log.rows) < TOTAL:
            log.grow(entries()[len(log.rows) : len(log.rows) + random.randrange(30)])
            world.act(world.uplink.sealed(world.now))
        if random.random() < 0.05:
            world.act(world.uplink.disconnected(world.now))
            world.up.cut()
            world.down.cut()
            world.act(world.uplink.connected(world.now))
        if random.random() < 0.03:
            saved = world.receipts[-1].size if world.receipts else 0
            world.uplink = uplink(log, custody=saved, first_id=random.randrange(1, 2**40))
            world.act(world.uplink.connected(world.now))
    world.up.loss = world.down.loss = 0.0
    world.run(600)
    assert world.uplink.state is State.SENDING
    assert world.uplink.custody == len(log.rows) == len(collector.stored)
    assert [collector.stored[n] for n in range(len(log.rows))] == log.rows
    assert "fork" not in " ".join(world.alarms)


@pytest.mark.parametrize("loss", [0.0, 0.1])
def test_a_clean_line_is_not_spoken_to_needlessly(loss):
    random, log = Random(3), MemoryLog()
    log.grow(entries())
    collector = ModelCollector()
    world = World(uplink(log), collector, Wire(random, loss, late=0.0), Wire(random, loss, late=0.0))
    world.act(world.uplink.connected(0.0))
    world.run(300)
    assert world.uplink.custody == TOTAL
    if not loss:
        assert collector.twice == 0
        assert not collector.refused
        assert not world.alarms
        assert len(world.published) < 40
        before = len(world.published)
        world.run(300)
        assert len(world.published) == before  # nothing new: nothing is sent
