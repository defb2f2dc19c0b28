"""Raw deflate (RFC 1951), bounded when it is read: a few bytes from outside cannot become many.

>>> data = b"97 98 97 98 " * 40
>>> len(squeezed := deflate(data)), inflate(squeezed, 480, "example") == data
(13, True)
"""

import zlib

from vitaledger.errors import MalformedError

_LEVEL = 6
# With its usual 256 KB of memory zlib takes six times as long for a kilobyte: the system clears all of it each time.
# What is no longer than the window loses nothing by a smaller one.
_SHORT = 8192
_WINDOW_SHORT, _MEMORY_SHORT = -13, 6
_WINDOW, _MEMORY = -15, 8


def deflate(data: bytes) -> bytes:
    """Deflate; the answer may be longer than `data`."""
    window, memory = (_WINDOW_SHORT, _MEMORY_SHORT) if len(data) <= _SHORT else (_WINDOW, _MEMORY)
    squeezer = zlib.compressobj(_LEVEL, zlib.DEFLATED, window, memory)
    return squeezer.compress(data) + squeezer.flush()


def inflate(data: bytes, most: int, where: str) -> bytes:
    """Inflate to at most `most` bytes.

    Raises:
        MalformedError: not deflated bytes, more than `most`, or not all of `data`; begins with `where`.
    """
    inflater = zlib.decompressobj(-15)
    try:
        out = inflater.decompress(data, most + 1)
    except zlib.error as error:
        raise MalformedError(f"{where}: not deflated bytes: {error}") from None
    if len(out) > most or not inflater.eof or inflater.unused_data:
        raise MalformedError(f"{where}: its deflated bytes do not end where it ends, or are more than {most}")
    return out
