"""The source of plain fields: how numbers, codes, texts, byte strings and members are read from bytes and written.

>>> number(0, 9).read.splitlines()[0]
'{x} = data[at]'
"""

from collections.abc import Mapping
from dataclasses import replace
from enum import IntEnum

from vitaledger import cbor
from vitaledger.cbor import INT_MAX, INT_MIN
from vitaledger.compiled import Doubt, Inline
from vitaledger.remembered import Codes, Said, Texts
from vitaledger.strict import four_at, integer_at, number_at, text_end

_BLOB_HEADS = tuple(cbor.pack_head(2, count) for count in range(256))


def number(least: int, most: int) -> Inline:
    """An integer in [least, most]."""
    read = (
        "{x} = data[at]\nif {x} < 24:\n    at += 1\nelif {x} == 0x1A:\n    {x} = {four_at}(data, at + 1)[0]; at += 5\n"
        "    if {x} < 65536:\n        raise {Doubt}\nelse:\n    {x}, at = {number_at}(data, at)"
    )
    if (least, most) not in {(0, INT_MAX), (INT_MIN, INT_MAX)}:
        read += f"\nif not {least} <= {{x}} <= {most}:\n    raise {{Doubt}}"
    names = {
        "small": cbor.SMALL,
        "pack": cbor.pack_int,
        "number_at": number_at if least >= 0 else integer_at,
        "four_at": four_at,
        "Doubt": Doubt,
    }
    fit = f"type({{x}}) is int and {least} <= {{x}} <= {most}"
    return Inline(read, names=names, fit=fit, packed="({small}[{x}] if 0 <= {x} < 256 else {pack}({x}))")


def code() -> Inline:
    """An unsigned integer of 32 bits, whose bytes are remembered when it is written."""
    plain = number(0, 2**32 - 1)
    return replace(plain, names={**plain.names, "known": Codes()}, packed="{known}[{x}]")


def text(least: int, most: int) -> Inline:
    """Text of `least` to `most` characters that are printable."""
    read = (
        "{x} = data[at] - 0x5F\nif 1 <= {x} <= 24:\n    {x} += at\nelse:\n    {x} = {text_end}(data, at)\n"
        "{x}, at = {said}[data[at:{x}]], {x}"
    )
    known = Texts(least, most)
    return Inline(read, names={"known": known, "said": Said(known), "text_end": text_end}, packed="{known}[{x}]")


def blob(least: int, most: int) -> Inline:
    """A byte string of `least` to `most` bytes."""
    fit = f"type({{x}}) is bytes and {least} <= len({{x}}) <= {most}"
    if least == most:
        head = cbor.pack_head(2, most)
        end = len(head) + most
        read = (
            f"if data[at : at + {len(head)}] != {{head}}:\n    raise {{Doubt}}\n"
            f"{{x}} = data[at + {len(head)} : at + {end}]; at += {end}"
        )
        return Inline(read, names={"head": head, "Doubt": Doubt}, fit=fit, packed="({head} + {x})")
    read = (
        f"{{x}}, at = {{number_at}}(data, at, 2)\nif not {least} <= {{x}} <= {most}:\n    raise {{Doubt}}\n"
        "{x}, at = data[at : at + {x}], at + {x}"
    )
    names = {"heads": _BLOB_HEADS, "pack_head": cbor.pack_head, "number_at": number_at, "Doubt": Doubt}
    packed = "(({heads}[len({x})] if len({x}) < 256 else {pack_head}(2, len({x}))) + {x})"
    return Inline(read, names=names, fit=fit, packed=packed)


def enum(of: type[IntEnum], members: Mapping[int, IntEnum]) -> Inline:
    """A member of an enumeration."""
    packs = {value: cbor.pack_int(value) for value in members}
    names: dict[str, object] = {"of": of, "packs": packs}
    if all(len(data) == 1 for data in packs.values()):
        read = "{x} = {bytes}[data[at]]; at += 1"
        names["bytes"] = {packs[value][0]: member for value, member in members.items()}
    else:
        read = "{x}, at = {number_at}(data, at)\n{x} = {members}[{x}]"
        names |= {"members": members, "number_at": integer_at}
    return Inline(read, "+{x}", names, "type({x}) is {of}", "{packs}[+{x}]")
