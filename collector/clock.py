"""What the kernel knows of the wall clock's error: adjtimex(2), asked and never set."""

import ctypes
import struct

_TIME_ERROR = 5
_UNSYNCHRONISED = 0x0040
_HEAD = struct.Struct("@Illlli")  # modes, offset, freq, maxerror, esterror, status: the first fields of struct timex


def bound_ms() -> int | None:
    """The wall clock's error bound in ms; None where nothing keeps it, or this system cannot tell."""
    try:
        adjtimex = ctypes.CDLL(None, use_errno=True).adjtimex
    except (OSError, AttributeError):
        return None
    buffer = ctypes.create_string_buffer(512)  # more than the structure has; modes 0: nothing is set
    state = adjtimex(buffer)
    _, _, _, most_us, _, status = _HEAD.unpack_from(buffer)
    if state < 0 or state == _TIME_ERROR or status & _UNSYNCHRONISED:
        return None
    return max(0, -(-int(most_us) // 1000))
