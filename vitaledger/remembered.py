"""The bytes of what a field says again and again: a device's words and codes are the same all day.

Looking one up costs a third of encoding it. Few are held, so that whoever sends many different ones costs no memory.
"""

from typing import TypeVar

from vitaledger import cbor
from vitaledger.compiled import Doubt

K = TypeVar("K")
V = TypeVar("V")
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


class Said(dict[bytes, str]):
    """The texts of the bytes, head and all, that a field had lately."""

    def __init__(self, texts: Texts) -> None:
        super().__init__()
        self._texts = texts

    def __missing__(self, key: bytes) -> str:
        head = 1 if len(key) < 25 else 2 if len(key) < 258 else 3
        text = key[head:].decode()
        if self._texts[text] != key:  # too long or too short, not printable, or another spelling
            raise Doubt
        return _remember(self, key, text)


def _remember(known: dict[K, V], key: K, data: V) -> V:
    if len(known) >= _MEMO:
        known.clear()
    known[key] = data
    return data
