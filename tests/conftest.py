"""What every test has: the repository's root on the path, so that `tests.…` can be imported."""

from itertools import groupby

import pytest
from hypothesis import settings

settings.register_profile("default", deadline=None)
settings.load_profile("default")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Spread the files with real processes, which mostly wait, among the others, which keep the processor busy.

    Each worker begins with its share of the list: so none is left with all that waits when the others have done.
    """
    waiting = [item for item in items if item.get_closest_marker("e2e")]
    files = [list(group) for _, group in groupby(waiting, key=lambda item: item.path)]
    busy = [item for item in items if not item.get_closest_marker("e2e")]
    step = len(busy) // (len(files) or 1)
    items[:] = busy[step * len(files) :]
    for at, file in enumerate(files):
        items += [*file, *busy[step * at : step * (at + 1)]]
