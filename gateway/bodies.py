"""How the body of an entry stands in the store: deflated where that is worth it, because each byte is written twice.

    stored = body, as it was sealed               begins with 80 to 97, as every array of CBOR does
           | 01, CRC-32 of what follows, raw deflate of it

A deflated stream has bits that say nothing; the CRC is there so that a change of any bit is found.

>>> body = b"\\x81" + b"a body like that of many readings, all alike " * 20
>>> len(body), len(packed := pack(body)), unpack(packed) == unpack(body) == body
(901, 58, True)
"""

from zlib import crc32

from vitaledger.entry import MAX_BODY
from vitaledger.errors import MalformedError
from vitaledger.squeeze import deflate, inflate

LEAST = 384  # shorter ones are mostly salts and hashes, which nothing makes shorter
_PACKED = b"\x01"
_HEAD = 5


def pack(body: bytes) -> bytes:
    """A sealed body, as it is stored."""
    if len(body) < LEAST:
        return body
    squeezed = deflate(body)
    packed = _PACKED + crc32(squeezed).to_bytes(4) + squeezed
    return packed if len(packed) < len(body) else body


def unpack(stored: bytes) -> bytes:
    """The body as it was sealed. What cannot be read is answered as it is: it is no body, and its leaf says so."""
    if stored[:1] != _PACKED or stored[1:_HEAD] != crc32(stored[_HEAD:]).to_bytes(4):
        return stored
    try:
        return inflate(stored[_HEAD:], MAX_BODY, "body")
    except MalformedError:
        return stored
