"""Collectors restored at any moment, gateways away at any moment: nothing that a gateway has is lost or there twice."""

import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.collector.restored_world import World

STEP = st.sampled_from(["seal", "seal", "run", "run", "backup", "restore", "cut", "come", "forget", "restart"])


def step(world, what, which):
    name = ("g1", "g2")[which]
    machine = world.machines[name]
    match what:
        case "seal":
            machine.seal(world.random.randrange(1, 9))
        case "run":
            world.run(world.random.randrange(1, 12))
        case "backup":
            world.backup()
        case "restore" if world.backups:
            world.restore(world.random.randrange(world.backups) + 1)
        case "cut":
            world.cut(name)
        case "come":
            world.connect(name)
        case "forget":
            world.retained.clear()
        case "restart":
            machine.stop()
            machine.start()
            world.connect(name)


def pin(world):
    """What a person does where one copy was restored twice: each gateway is told which ledger goes on."""
    for machine in world.machines.values():
        if machine.uplink.ledgers.newest.vkey != world.signer.vkey:
            machine.stop()
            machine.pin(str(world.signer.vkey))
            machine.start()


def play(folder, seed, steps):
    world = World(folder, seed=seed)
    try:
        for what, which in steps:
            step(world, what, which)
        world.seal(2)
        world.settle(30)
        pin(world)
        world.settle(60)
        world.check()
    finally:
        world.close()


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(seed=st.integers(0, 2**32), steps=st.lists(st.tuples(STEP, st.integers(0, 1)), min_size=4, max_size=14))
def test_restored_at_any_moment(seed, steps):
    folder = Path(tempfile.mkdtemp())
    try:
        play(folder, seed, steps)
    finally:
        shutil.rmtree(folder)
