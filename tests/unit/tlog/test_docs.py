"""The worked example in each module's docstring is true."""

import doctest
import importlib

import pytest

MODULES = (
    "checkpoint",
    "fork",
    "keys",
    "lineage",
    "merkle",
    "note",
    "policy",
    "proof",
    "succession",
    "text",
    "tiles",
    "witness",
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    result = doctest.testmod(importlib.import_module(f"vitaledger.{name}"))
    assert result.attempted > 0
    assert result.failed == 0
