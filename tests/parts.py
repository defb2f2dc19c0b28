"""Optional parts of the tests: skipped where missing, except where everything is required (in CI)."""

import os
import shutil

import pytest

REQUIRED = os.environ.get("VITALEDGER_REQUIRE_ALL") == "1"


def missing(what: str) -> None:
    """Skip the test because an optional part is missing; where every part is required, fail."""
    if REQUIRED:
        pytest.fail(f"{what} is missing and VITALEDGER_REQUIRE_ALL=1 requires it")
    pytest.skip(f"{what} is missing")


def program(name: str) -> str:
    """The path of an optional program."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + os.pathsep + "/usr/sbin")
    if found is None:
        missing(name)
    assert found is not None
    return found
