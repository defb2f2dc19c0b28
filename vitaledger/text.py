"""What the text formats of a log share: strict base64, decimals, key names.

Each decoder takes one spelling only, so that what it accepts is the same bytes when it is encoded again:

    >>> parse_decimal("42", "size"), base64_decode("AAE=", "root")
    (42, b'\\x00\\x01')
    >>> parse_decimal("4_2", "size")
    Traceback (most recent call last):
    vitaledger.errors.MalformedError: size: expected a decimal number, found '4_2'
    >>> base64_decode("AAF=", "root")
    Traceback (most recent call last):
    vitaledger.errors.MalformedError: root: expected canonical base64, found 'AAF='
"""

import re
from binascii import a2b_base64, b2a_base64

from vitaledger.errors import MalformedError

MAX_NUMBER = 2**63 - 1
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_BARRED = re.compile(r"[\s+\x00-\x1f\ud800-\udfff]")


def check_key_name(name: str) -> None:
    """Raise MalformedError unless the text can be a key's name."""
    if not name or _BARRED.search(name):
        raise MalformedError(f"key name {name[:60]!r}: expected UTF-8 without spaces and without '+'")


def base64_encode(data: bytes) -> str:
    """Standard base64 with padding."""
    return b2a_base64(data, newline=False).decode("ascii")


def base64_decode(text: str, what: str) -> bytes:
    """The bytes of standard, padded, canonical base64; MalformedError, naming `what`, for anything else."""
    try:
        written = text.encode("ascii")
        data = a2b_base64(written, strict_mode=True)
    except ValueError as error:
        raise MalformedError(f"{what}: expected base64, found {text[:60]!r}") from error
    if b2a_base64(data, newline=False) != written:
        raise MalformedError(f"{what}: expected canonical base64, found {text[:60]!r}")
    return data


def parse_decimal(text: str, what: str) -> int:
    """A decimal of ASCII digits without sign or leading zero, below 2^63; MalformedError for anything else."""
    if not _DECIMAL.fullmatch(text) or int(text) > MAX_NUMBER:
        raise MalformedError(f"{what}: expected a decimal number, found {text[:60]!r}")
    return int(text)
