"""The faults of a scenario file: read, checked, and the moves of plugs worked out.

Swapped ports become two moves, one for each device, and no port is ever promised to two devices at a time.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from firmware_sim.errors import ScenarioError
from firmware_sim.faults import KEYS, MODELS, USUAL_STORM, Fault, FaultKind, of_kind
from firmware_sim.table import Table, nearest
from firmware_sim.wire import FRAMINGS

Plugs = Mapping[str, tuple[str | None, tuple[Fault, ...]]]
"""By name: the port that a device begins on, and its faults."""

_ANY_KEYS = ("kind", "from_s", "until_s")
_BAUDS = (300, 230_400)
_MOST_ALARMS = 900.0
_MOST_NOISE = 10_000.0


def parse_fault(item: object, model: str, where: str) -> Fault:
    """One fault of a device; raises ScenarioError."""
    where = f"{where}, fault"
    # The kind says which keys there may be, so it is read before them.
    kind = _kind(item, where)
    table = Table(item, where, _ANY_KEYS + KEYS.get(kind, ()))
    if model not in MODELS.get(kind, (model,)):
        raise ScenarioError(f"{where}: {kind} is for {', '.join(MODELS[kind])} only")
    fault = Fault(kind, *table.window())
    for key in KEYS.get(kind, ()):
        fault = _READERS[key](fault, table, where)
    return fault


def _kind(item: object, where: str) -> FaultKind:
    kinds = tuple(kind.value for kind in FaultKind)
    name = item.get("kind", "") if isinstance(item, Mapping) else None
    if name not in kinds:
        # Whatever else is wrong with the table is said first.
        every = {key for keys in KEYS.values() for key in keys}
        name = Table(item, where, (*_ANY_KEYS, *sorted(every))).take("kind", str)
        raise ScenarioError(f"{where}: no such fault: {name!r}{nearest(name, kinds)}")
    return FaultKind(name)


def _framing(fault: Fault, table: Table, where: str) -> Fault:
    framing = table.take("framing", str, "8E1")
    if not FRAMINGS.fullmatch(framing):
        raise ScenarioError(f"{where}: framing is to be as 8E1, 7O1 or 8N2, not {framing!r}")
    return replace(fault, framing=framing)


_READERS: Mapping[str, Callable[[Fault, Table, str], Fault]] = {
    "probability": lambda fault, table, _: replace(fault, probability=table.number("probability", 0, 1)),
    "bytes_per_s": lambda fault, table, _: replace(fault, bytes_per_s=table.number("bytes_per_s", 0, _MOST_NOISE)),
    "baud": lambda fault, table, _: replace(fault, baud=round(table.number("baud", *_BAUDS))),
    "framing": _framing,
    "per_hour": lambda fault, table, _: replace(fault, per_hour=table.number("per_hour", 1, _MOST_ALARMS, USUAL_STORM)),
    "by_s": lambda fault, table, _: replace(fault, by_us=table.shift("by_s")),
    "port": lambda fault, table, where: replace(fault, port=_terminal(table.take("port", str), where)),
    "with": lambda fault, table, _: replace(fault, other=table.take("with", str)),
    "serial": lambda fault, table, _: replace(fault, serial=table.optional("serial", str)),
}


def _terminal(port: str | None, where: str) -> str:
    if port is None or not re.fullmatch(r"pty:.+", port):
        raise ScenarioError(f"{where}: a plug moves between ports of the form pty:PATH, not {port!r}")
    return port


def _port_at(port: str | None, faults: tuple[Fault, ...], time_us: int) -> str | None:
    moved = [fault.port for fault in of_kind(faults, FaultKind.REPLUG) if fault.until_us <= time_us]
    return moved[-1] if moved else port


def resolve_swaps(plugs: Plugs) -> dict[str, tuple[Fault, ...]]:
    """The faults of each device with moves in place of swapped ports.

    Raises:
        ScenarioError: the other device does not exist, or is the same, or either is not on a terminal.
    """
    known = tuple(plugs)
    faults = {name: own for name, (_, own) in plugs.items()}
    swaps = [(fault, name) for name, own in faults.items() for fault in own if fault.kind is FaultKind.SWAP_PORTS]
    for swap, name in sorted(swaps, key=lambda each: each[0].from_us):
        other = str(swap.other)
        where = f"device {name}, fault"
        if other not in faults or other == name:
            others = tuple(each for each in known if each != name)
            raise ScenarioError(f"{where}: no other device {other!r}{nearest(other, others)}")
        ports = {each: _terminal(_port_at(plugs[each][0], faults[each], swap.from_us), where) for each in (name, other)}
        for each, new in ((name, ports[other]), (other, ports[name])):
            move = Fault(FaultKind.REPLUG, swap.from_us, swap.until_us, port=new)
            faults[each] = (*(fault for fault in faults[each] if fault is not swap), move)
    return faults


@dataclass(frozen=True, slots=True)
class _Stay:
    """A time during which a port is a device's own, plugged in or not."""

    device: str
    port: str
    from_us: int
    until_us: float


def _stays(name: str, port: str | None, faults: tuple[Fault, ...]) -> list[_Stay]:
    stays, since, now = list[_Stay](), 0, port
    moves = of_kind(faults, FaultKind.REPLUG)
    for move in moves:
        if move.from_us < since:
            raise ScenarioError(f"device {name}: it is moved again before it is plugged in")
        if now is not None:
            stays.append(_Stay(name, now, since, move.from_us))
        since, now = move.until_us, move.port
    return [*stays, _Stay(name, now, since, float("inf"))] if now is not None else stays


def check_ports(plugs: Plugs) -> None:
    """Make sure that no two devices have one port at a time; raises ScenarioError."""
    stays = [stay for name, (port, faults) in plugs.items() for stay in _stays(name, port, faults)]
    for number, one in enumerate(stays):
        for other in stays[:number]:
            together = one.from_us < other.until_us and other.from_us < one.until_us
            if together and one.port == other.port and one.device != other.device and not one.port.endswith(":0"):
                raise ScenarioError(f"two devices have the port {one.port!r}: {other.device} and {one.device}")
