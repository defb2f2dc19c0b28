"""Fixtures that several files share."""

import pytest

from tests.unit.collector.model_gateway import Desk, Gateway
from tests.unit.collector.restored_world import World


@pytest.fixture
def world(tmp_path):
    """A collector with a backup that ends before what its gateways know."""
    made = World.with_backup(tmp_path)
    yield made
    made.close()


@pytest.fixture
def gateway():
    """A gateway in memory."""
    return Gateway()


@pytest.fixture
def desk(tmp_path, gateway):
    """A collector's step in a folder of its own, at which that gateway is enrolled."""
    made = Desk(tmp_path, gateway)
    yield made
    made.close()
