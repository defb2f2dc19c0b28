"""The history of a day: 24 hours of one device, as the page asks for it, every entry verified for that view.

Three signals at 1 Hz in entries of 5 s: 17,280 entries of 15 readings, sealed as a gateway does and taken in by the
collector's ingest step, which anchors and states custody as it always does. Asked for over HTTP from the web server,
which asks the process that verifies. *Cold*: the process has just started and knows nothing but the ledger's head.
*Again*: it knows what each block of entries said, and holds the bytes that are in the store at that moment against what
it verified. The day is long ago, so that the process does not verify it by itself before it is asked for.
"""

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import msgspec

from bench.figure import Effort, Figure, Goal, of_runs
from bench.scratch import scratch
from tests.browser import shop
from tests.browser.hospital import CODES, ENTRY_S, Site
from tests.fault.ward import T0, Ward
from vitaledger import events
from vitaledger.content import NO_CONTEXT, VALUES, Series, Values
from vitaledger.entry import Kind, PartType
from vitaledger.marks import Category, Check, LineState, Provenance, Use

ENTRIES = 17_280
CHAIN = "masimo:sn:0000056661"
_VALUES = {"spo2": (94, 5), "pulse": (70, 11), "pi": (250, 90)}  # lowest, how many above it
_HEADS_EVERY, _ANCHOR_EVERY = 12, 240  # entries: a minute, 20 minutes
_TIMES = (tuple(n * 1_000_000 for n in range(ENTRY_S)),)
_COLD, _AGAIN = Goal(most=700), Goal(most=300)


@dataclass(frozen=True, slots=True)
class Day:
    """A collector's store with one device, `entries` entries of it; the interval that holds them all, in µs."""

    path: Path
    vkey: str
    entries: int
    from_us: int
    to_us: int


def make_day(folder: Path, entries: int) -> Day:
    """Fill a store."""
    folder.mkdir(parents=True, exist_ok=True)
    ward, site = Ward(folder), Site("ward-3", 7)
    ward.enroll(site)
    site.seal(
        Kind.DEVICE_EVENT, CHAIN, [(int(PartType.EVENT), events.encode(events.Line(LineState.UP, "bed-1", "", None)))]
    )
    for n in range(entries - 1):
        site.seal(Kind.READINGS, CHAIN, [(int(PartType.VALUES), VALUES.encode(values(n)))])
        site.now_ms += ENTRY_S * 1000
        if n % _HEADS_EVERY == 0:
            site.state_heads()
        if n % _ANCHOR_EVERY == 0:
            ward.process([site.anchor(), *site.entries()])
    site.state_heads()
    ward.process([site.anchor(), *site.entries()])
    ward.close()
    return Day(ward.path, ward.vkey, entries, T0 * 1000, site.now_ms * 1000)


def values(n: int) -> Values:
    """What the n-th entry says."""
    series = []
    for handle, (lowest, above) in _VALUES.items():
        code, unit, exponent = CODES[handle]
        found = tuple([lowest + (n * k + n // 7) % above for k in range(1, ENTRY_S + 1)])
        series.append(Series(handle, code, unit, Category.MEASURED, exponent, 0, found, (), ()))
    return Values(
        "masimo", "1", Provenance.DEVICE_LIVE, Use.DEMO, Check.CHECKSUM, NO_CONTEXT, _TIMES, tuple(series), None
    )


def measure(effort: Effort) -> Iterator[Figure]:
    """Cold, and again, and what of it an entry costs."""
    with tempfile.TemporaryDirectory(prefix="vitaledger-bench-", dir=scratch()) as name:
        day = make_day(Path(name), effort.of(ENTRIES))
        cold, again = [], []
        for _ in range(effort.runs):
            with (
                shop.serve(day.path, day.vkey) as base,
                httpx.Client(base_url=base, trust_env=False, timeout=60) as client,
            ):
                client.get("/devices/none/data?from=0&to=1")  # the process is there, its ledger is verified
                cold.append(_asked(client, day))
                again.append(_asked(client, day))
    at = f"{day.entries:,} entries of 15 readings, asked for over HTTP"
    yield of_runs("24 hours of a device, cold", cold, "ms", _COLD, at)
    yield of_runs("24 hours of a device, again", again, "ms", _AGAIN, at)
    yield of_runs("cold, an entry", [ms * 1000 / day.entries for ms in cold], "µs", None, at)


def _asked(client: httpx.Client, day: Day) -> float:
    """ms to the last byte; every entry of the day must be in the answer, and proven."""
    began = time.perf_counter()
    answer = client.get(f"/devices/{CHAIN}/data?from={day.from_us}&to={day.to_us}")
    took = (time.perf_counter() - began) * 1000
    lines = [msgspec.json.decode(line) for line in answer.content.splitlines()]
    states = {run["state"] for line in lines if "part" in line for run in line["part"]["runs"]}
    if lines[-1]["done"]["entries"] != day.entries or states != {"proven"}:
        raise SystemExit(f"history: expected {day.entries} proven entries, got {lines[-1]} that are {states}")
    return took
