"""The worked examples of all modules are true."""

import doctest
import importlib
import pkgutil

import pytest

import vitaledger

MODULES = sorted(module.name for module in pkgutil.walk_packages(vitaledger.__path__, "vitaledger."))
# formats: each docstring holds a worked example
WITH_EXAMPLES = {
    f"vitaledger.{name}"
    for name in ("authentic", "cbor", "chain", "content", "entry", "events", "marks", "messages", "opened", "rows",
                 "shape", "statement", "vitals")
}  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0
    assert result.attempted > 0 or name not in WITH_EXAMPLES


def test_all_formats_are_there():
    assert set(MODULES) >= WITH_EXAMPLES
