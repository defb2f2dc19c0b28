"""Where the benchmark writes: on the disk that the checkout is on, because /tmp may be memory."""

from pathlib import Path


def scratch() -> Path:
    """The folder build/bench of the checkout."""
    folder = Path(__file__).parents[1] / "build" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
