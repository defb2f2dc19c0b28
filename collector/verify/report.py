"""What a verification of the whole store found."""

from dataclasses import dataclass, field

MAX_KEPT = 1000  # failures that are kept; all are counted


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a gateway's log: the entry and, as far as it is known, its micro-chain and number."""

    gateway: str
    origin: str
    index: int
    chain: str | None = None
    seq: int | None = None
    last_good_anchor: int | None = None  # size of the newest anchor before it whose root holds

    def __str__(self) -> str:
        known = f", {self.chain} entry {self.seq}" if self.chain is not None else ""
        anchor = "none" if self.last_good_anchor is None else f"size {self.last_good_anchor}"
        return f"gateway {self.gateway}, {self.origin} index {self.index}{known} (last good anchor: {anchor})"


@dataclass(frozen=True, slots=True)
class Failure:
    """One thing that is not as it must be. `table` is the store's; `expected` and `found` are hex where known."""

    table: str
    reason: str
    gateway: str | None = None
    entry: Place | None = None
    expected: str | None = None
    found: str | None = None

    def __str__(self) -> str:
        where = f"{self.entry}: " if self.entry else ""
        both = f": expected {self.expected}, found {self.found}" if self.expected or self.found else ""
        return f"{self.table}: {where}{self.reason}{both}"


@dataclass(slots=True)
class Counts:
    """How much was checked."""

    statements: int = 0
    anchors: int = 0
    entries: int = 0
    readings: int = 0
    wave_samples: int = 0
    tiles: int = 0


@dataclass(slots=True)
class Report:
    """What was found. `untouched` names the gateways of which nothing failed."""

    failures: list[Failure] = field(default_factory=list)
    failed: int = 0
    remarks: list[str] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    untouched: list[str] = field(default_factory=list)
    ledger_size: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return not self.failed

    @property
    def first_entry(self) -> Failure | None:
        """The first failure that is about an entry of a gateway."""
        return next((failure for failure in self.failures if failure.entry is not None), None)

    def fail(
        self,
        table: str,
        reason: str,
        *,
        gateway: str | None = None,
        entry: Place | None = None,
        expected: bytes | None = None,
        found: bytes | None = None,
    ) -> None:
        """Add a failure."""
        self.failed += 1
        if len(self.failures) < MAX_KEPT:
            of = entry.gateway if entry else gateway
            texts = [None if each is None else each.hex() for each in (expected, found)]
            self.failures.append(Failure(table, reason, of, entry, *texts))
