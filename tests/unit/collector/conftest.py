"""Fixtures that several files share."""

import pytest

from tests.unit.collector.restored_world import World


@pytest.fixture
def world(tmp_path):
    """A collector with a backup that ends before what its gateways know."""
    made = World.with_backup(tmp_path)
    yield made
    made.close()
