"""Which micro-chains a gateway writes, which port each is on, and the drafts that wait to be sealed.

A device's micro-chain is named by its serial number once that was told by three equal frames, else by its port:

    "<driver>:sn:<serial>"            the device told it
    "<driver>:sn:<serial>@<port>"     the same serial number was live on another port: one of them is false
    "<driver>:port:<name>"            only the port is known

All recorders of a gateway share one `Chains`. Because they put their drafts into one queue, the order of a micro-chain
that moves from one port to another is the order in which its entries were made. Its methods are atomic: one lock,
held for no I/O. What belongs together (the drafts of one call and how far they go) is done under `together`.

Bounds: 64 device chains; 512 waiting drafts a port, and for each chain one record of a few hundred bytes.
"""

from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from threading import RLock

from gateway.draft import Draft
from vitaledger.entry import Clock, chain_name
from vitaledger.events import Identity
from vitaledger.marks import GapReason

MAX_CHAINS = 64
MAX_WAITING = 512


@dataclass(frozen=True, slots=True)
class Claim:
    """A micro-chain that a port may write to; `also_on` is the port where the same serial number is live, too."""

    chain: str
    also_on: str | None


@dataclass(slots=True)
class _Known:
    last: Clock | None  # of the last byte or reading that was handed over to be sealed
    last_reading: Clock | None
    stored: bool  # by a run before
    begun: bool = False  # whether this run has written to it
    identity: Identity | None = None


class Chains:
    """The micro-chains of a gateway.

    `known` has each device chain in the store with the time of the last datum sealed in it; `clean` tells whether the
    run before stopped on purpose.
    """

    def __init__(
        self,
        known: Mapping[str, Clock | None],
        *,
        clean: bool,
        max_chains: int = MAX_CHAINS,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        self._clean = clean
        self._max_chains, self._max_waiting = max_chains, max_waiting
        self._known = {chain: _Known(last, last, stored=True) for chain, last in known.items()}
        self._owners: dict[str, str] = {}
        self._waiting: list[tuple[str, Draft]] = []
        self._waiting_of: Counter[str] = Counter()
        self._lock = RLock()

    def together(self) -> AbstractContextManager[bool]:
        """The lock: what one thread does inside is seen by others as one step."""
        return self._lock

    def clocks(self) -> dict[str, Clock | None]:
        """The time of the last datum of every device chain."""
        with self._lock:
            return {chain: known.last for chain, known in self._known.items()}

    def claim(self, driver: str, port: str, serial: str | None) -> Claim | None:
        """Take the chain for a device on a port; None where there is no room for another chain.

        What the port held before is released.

        Raises:
            MisuseError: the serial number makes no chain name (too long).
        """
        name = chain_name(driver, "port", port) if serial is None else chain_name(driver, "sn", serial)
        with self._lock:
            self._release(port)
            also_on = self._owners.get(name)
            if also_on is not None and serial is not None:
                name = chain_name(driver, "sn", serial, at_port=port)
            if name not in self._known:
                if len(self._known) >= self._max_chains:
                    return None
                self._known[name] = _Known(None, None, stored=False)
            self._owners[name] = port
            return Claim(name, also_on)

    def keep(self, chain: str, port: str) -> bool:
        """Take a chain that the port had before; False where another port has it by now."""
        with self._lock:
            self._release(port)
            return self._owners.setdefault(chain, port) == port

    def release(self, port: str) -> None:
        """The line of a port is down: its device may turn up on another one."""
        with self._lock:
            self._release(port)

    def _release(self, port: str) -> None:
        for chain in [chain for chain, owner in self._owners.items() if owner == port]:
            del self._owners[chain]

    def begin(self, chain: str) -> GapReason | None:
        """Why the chain has a gap before its first entry in this run; None where this is not the first."""
        with self._lock:
            known = self._known[chain]
            if known.begun:
                return None
            known.begun = True
            return GapReason.CRASH if known.stored and not self._clean else GapReason.START

    def last(self, chain: str, *, reading: bool = False) -> Clock | None:
        """The time of the last byte or reading (`reading`: only of readings) sealed or on its way to be sealed."""
        with self._lock:
            known = self._known[chain]
            return known.last_reading if reading else known.last

    def is_forgotten(self, chain: str) -> bool:
        """Whether the chain is in the store, and when its last datum was is not known."""
        with self._lock:
            return self._known[chain].stored and self._known[chain].last is None

    def advance(self, chain: str, clock: Clock, *, reading: bool) -> None:
        """Bytes or readings up to `clock` were put. Within a boot the time never goes back."""
        with self._lock:
            known = self._known[chain]
            known.last = _later(known.last, clock)
            if reading:
                known.last_reading = _later(known.last_reading, clock)

    def is_news(self, chain: str, identity: Identity) -> bool:
        """Whether the chain's newest identity entry of this run says something else, or there is none."""
        with self._lock:
            return self._known[chain].identity != identity

    def renew_identity(self, chain: str, identity: Identity) -> None:
        """An identity entry was put."""
        with self._lock:
            self._known[chain].identity = identity

    def has_identity(self, chain: str) -> bool:
        """Whether the chain has an identity entry of this run."""
        with self._lock:
            return self._known[chain].identity is not None

    def has_room(self, port: str, drafts: int = 1) -> bool:
        """Whether so many drafts of the port could be put now."""
        with self._lock:
            return self._waiting_of[port] + drafts <= self._max_waiting

    def put(self, port: str, draft: Draft) -> bool:
        """Queue a draft; False, and nothing is queued, where too many of the port wait already."""
        with self._lock:
            if self._waiting_of[port] >= self._max_waiting:
                return False
            self._waiting_of[port] += 1
            self._waiting.append((port, draft))
            return True

    def waiting(self) -> int:
        """How many drafts wait to be sealed."""
        return len(self._waiting)

    @property
    def known(self) -> int:
        """How many device chains there are."""
        return len(self._known)

    def take(self) -> list[Draft]:
        """All drafts, in the order in which they were put. Who takes them seals them or ends the process."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
            self._waiting_of.clear()
            return [draft for _, draft in waiting]


def _later(one: Clock | None, other: Clock) -> Clock:
    return one if one is not None and one.boot_id == other.boot_id and one.boot_ms > other.boot_ms else other
