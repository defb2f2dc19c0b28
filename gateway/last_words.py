"""What a process that has to end while it cannot seal leaves for its next start, which seals it as an incident."""

import contextlib
import logging
import os
import sys
import threading
import traceback
from pathlib import Path
from typing import NoReturn

FILE = "last-words"
WRITE_S = 2.0  # the disk may be what stands still
MAX_BYTES = 1024

_log = logging.getLogger(__name__)


def leave(state: Path, text: str) -> None:
    """Leave a text; where the disk does not take it within two seconds, nothing is left."""
    writer = threading.Thread(target=_write, args=(state / FILE, text), daemon=True)
    writer.start()
    writer.join(WRITE_S)


def read(state: Path) -> str | None:
    """What the process before left; None where it left nothing."""
    try:
        with (state / FILE).open("rb") as file:
            return file.read(MAX_BYTES).decode("utf-8", "replace")
    except OSError:
        return None


def forget(state: Path) -> None:
    """It is sealed by now."""
    with contextlib.suppress(OSError):
        (state / FILE).unlink(missing_ok=True)


def end(state: Path, text: str) -> NoReturn:
    """End this process at once, saying why and where each thread stands: nothing in it can be trusted to stop."""
    _log.critical("%s: this process ends, to be started again\n%s", text, _stacks())
    leave(state, text)
    logging.shutdown()
    os._exit(1)


def _write(path: Path, text: str) -> None:
    try:
        with path.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        _log.warning("%s: %s", path, error)


def _stacks() -> str:
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return "\n".join(
        f"thread {names.get(number, number)}:\n{''.join(traceback.format_stack(frame))}"
        for number, frame in sys._current_frames().items()  # noqa: SLF001  the documented way to see them
    )
