"""The bytes of what a field says again and again: a device's words and codes are the same all day.

Looking one up costs a third of encoding it. Few are held, so that whoever sends many different ones costs no memory.
"""

from typing import TypeVar

from vitaledger import cbor
from vitaledger.compiled import Doubt

T = TypeVar("T")
_MEMO = 256  # texts and codes that a field remembers


class Codes(dict[int, bytes]):
    """The bytes of the codes that a field had lately."""

    def __missing__(self, key: int) -> bytes:
        return _remember(self, key, cbor.pack_int(key))


class Texts(dict[str, bytes]):
    """The bytes of the texts that a field had lately: a device says the same words all day."""

    def __init__(self, least: int, most: int) -> None:
        super().__init__()
        self._least, self._most = least, most

    def __missing__(self, key: str) -> bytes:
        # what is printable has no control character; what is not is looked at again
        if type(key) is not str or not self._least <= len(key) <= self._most or not key.isprintable():
            raise Doubt
        data = key.encode()
        return _remember(self, key, cbor.pack_head(3, len(data)) + data)


def _remember(known: dict[T, bytes], key: T, data: bytes) -> bytes:
    if len(known) >= _MEMO:
        known.clear()
    known[key] = data
    return data
