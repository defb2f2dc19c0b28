"""One line of Masimo ASCII-1, taken apart by tag. Field sets differ by model, so nothing is found by its place.

``MM/DD/YY HH:MM:SS SN=... SPO2=nnn% BPM=nnn PI=nn.nn% ... ALARM=hhhh EXC=hhhhhh``. The lines of real devices differ:
`%` stands where it need not (``BPM=---%``) or is missing (``PI=00.55``), a model without SpCO leaves it out, newer
ones add SPHB, SPOC, RESVD, EXC1; ALARM and EXC have two to eight digits; SN can be missing or dashes; a sign may be
split off by a space. All of that is read. What is not a value, dashes or hexadecimal digits where they have to be is
an error, and then the whole line is, because no checksum says which part of it is good.

>>> line = parse(b"02/22/16 22:47:45 SN=0000056661 SPO2=098% BPM=097 PI=03.60% SPCO=--.-% ALARM=0000 EXC=000800")
>>> line.serial, line.values, f"{line.exceptions:X}"
('0000056661', {'spo2': 98, 'pulse': 97, 'pi': 360, 'spco': None}, '800')
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

# tag -> handle and exponent
TAGS: Mapping[str, tuple[str, int]] = {
    "SPO2": ("spo2", 0),
    "BPM": ("pulse", 0),
    "PI": ("pi", -2),
    "SPCO": ("spco", -1),
    "SPMET": ("spmet", -1),
    "DESAT": ("desat", 0),
    "PIDELTA": ("pidelta", 0),
    "PVI": ("pvi", 0),
}
START = re.compile(rb"\d\d/\d\d/\d\d \d\d:\d\d:\d\d(?= )")
_TAG = re.compile(r"([A-Z][A-Z0-9]*)=(.*)")
_VALUE = re.compile(r"([+-]?)(\d{1,4})(?:\.(\d{1,3}))?%?")
_DASHES = re.compile(r"[+-]?-+(?:\.-+)?%?")
_HEX = re.compile(r"[0-9A-Fa-f]{1,8}")
_SERIAL = re.compile(r"[0-9A-Za-z]{1,20}")
_ALARM, _EXCEPTIONS, _SERIAL_TAG = "ALARM", "EXC", "SN"


class BadLineError(ValueError):
    """The line is not ASCII-1, or damaged. `kind` is the word for `FrameErrors`."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Line:
    """What a line says. A value that is None is stated as unavailable; bits are told verbatim beside their number."""

    time: str
    serial: str | None
    values: Mapping[str, int | None]
    alarm: int
    alarm_text: str
    exceptions: int
    exceptions_text: str


def scaled(text: str, exponent: int) -> int | None:
    """Take a decimal number as an integer times 10**exponent, exactly; None for dashes.

    Raises:
        BadLineError: it is neither, or has more decimals than the signal.
    """
    if _DASHES.fullmatch(text):
        return None
    found = _VALUE.fullmatch(text)
    if found is None:
        raise BadLineError("field")
    sign, whole, decimals = found.group(1), found.group(2), (found.group(3) or "").rstrip("0")
    if len(decimals) > -exponent:
        raise BadLineError("field")
    value = int(whole + decimals.ljust(-exponent, "0"))
    return -value if sign == "-" else value


def local_ms(time: str) -> int | None:
    """The device's time as ms since 1970 in no zone; None for a time that does not exist. 16 means 2016."""
    try:
        century = 19 if time[6:8] >= "70" else 20  # a clock that was lost begins at 1970
        moment = datetime.strptime(f"{time[:6]}{century}{time[6:]}", "%m/%d/%Y %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    return int(moment.timestamp()) * 1000


def parse(line: bytes) -> Line:
    """Take apart one line, without its end.

    Raises:
        BadLineError: "format" where it is no ASCII-1 at all, "field" where a field is damaged, "length" where its end
            (EXC) is missing.
    """
    if not START.match(line) or not line.isascii() or b"=" not in line:
        raise BadLineError("format")
    text = line.decode("ascii")
    values: dict[str, int | None] = {}
    fields = _fields(text[17:])
    for tag, (handle, exponent) in TAGS.items():
        if tag in fields:
            values[handle] = scaled(fields[tag], exponent)
    if _EXCEPTIONS not in fields:
        raise BadLineError("length")
    alarm, exceptions = fields.get(_ALARM, "0"), fields[_EXCEPTIONS]
    serial = fields.get(_SERIAL_TAG, "-") or "-"
    told = _SERIAL.fullmatch(serial)
    if not _HEX.fullmatch(alarm) or not _HEX.fullmatch(exceptions) or not (told or _DASHES.fullmatch(serial)):
        raise BadLineError("field")
    number = serial if told else None
    return Line(text[:17], number, values, int(alarm, 16), alarm, int(exceptions, 16), exceptions)


def _fields(text: str) -> dict[str, str]:
    """Tags and their texts, each once. A text without tag belongs to a tag before it that has none yet."""
    fields: dict[str, str] = {}
    last = ""
    for token in text.split():
        found = _TAG.fullmatch(token)
        if found is None:
            if not last or fields[last]:
                raise BadLineError("field")
            fields[last] = token
        else:
            last = found.group(1)
            if last in fields:
                raise BadLineError("field")
            fields[last] = found.group(2)
    return fields
