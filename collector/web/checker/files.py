"""Files that are exported from a page: first what they are, as JSON, then their bytes in pieces.

They are made by the code of the command line (`collector.exports`), in one go: so a process of its own makes them.
"""

from collections.abc import Iterator
from typing import Any

from collector.exports import FORMATS, make
from collector.exports.extract import Request
from collector.history import Device, Span
from collector.web.checker.desk import Desk
from vitaledger import __version__
from vitaledger.errors import MisuseError

MAX_EXPORT_US = 86_400_000_000  # what a page exports at once; the command line has no such limit
_PIECE = 256 * 1024


def export(
    desk: Desk, device: Device, from_us: int, to_us: int, form: str, origin: str | None, at_us: int
) -> Iterator[dict[str, Any] | bytes]:
    """A file of a form; raises as `collector.exports.make`."""
    if form not in FORMATS:
        raise MisuseError(f"{form}: expected one of {', '.join(FORMATS)}")
    if to_us - from_us > MAX_EXPORT_US:
        raise MisuseError("a page exports a day at most: `vitaledger-collector export` has no such limit")
    if origin is not None:
        chains = tuple(pair for pair in device.chains if pair[0].origin == origin)
        if not chains:
            raise MisuseError(f"{device.label} is not on {origin}")
        device = Device(device.label, chains)
    request = Request(at_us, "", f"vitaledger-collector {__version__}")
    made = make(desk.store, device, Span(from_us, to_us - 1), request, form)
    yield {
        "name": made.file_name,
        "media_type": made.format.media_type,
        "sha256": made.sha256,
        "size": len(made.data),
        "told": made.told,
        "remarks": list(made.remarks),
    }
    for at in range(0, len(made.data), _PIECE):
        yield made.data[at : at + _PIECE]
