"""A recorder under test: a driver's tables, a clock that is set by hand, and the entries that come out."""

from dataclasses import replace
from fractions import Fraction

from gateway.chains import Chains
from gateway.draft import Instant
from gateway.drivers import api
from gateway.recorder import Limits, Recorder, Subject
from gateway.sealing import Sealer
from vitaledger.marks import Check, Direction, GapReason, Use
from vitaledger.opened import open_entry

BOOT = bytes(range(16))
SUBJECT = Subject(
    "bed-1",
    "fake",
    "3",
    Check.CHECKSUM,
    Use.DEMO,
    {"spo2": api.Signal("spo2", 150456, 262688), "pulse": api.Signal("pulse", 149530, 264864)},
    {"pleth": api.Wave("pleth", 150452, 262656, Fraction(75))},
)


def at(seconds, shift_ms=0):
    us = round((1000 + seconds) * 1e6)
    return Instant(us, 1_700_000_000_000 + us // 1000 + shift_ms, 3, BOOT)


def serial(number, model="One"):
    return api.Identity("Acme", model, number)


class Rig:
    """Feeds one recorder; `entries` are sealed and opened as store and collector do it."""

    def __init__(self, chains=None, port="bed-1", limits=None, clean=True, known=None, **subject):
        self.chains = chains or Chains(known or {}, clean=clean)
        self.subject = replace(SUBJECT, port=port, **subject)
        self.recorder = Recorder(self.subject, self.chains, limits or Limits())
        self.sealer = Sealer("h.example/gateway/g1", {}, {}, None, bytes)
        self.entries = []

    def frame(self, seconds, *events, data=b"frame", shift_ms=0):
        now = at(seconds, shift_ms)
        self.recorder.chunk(Direction.RECEIVED, data, now)
        self.recorder.events([self._timed(event, now) for event in events], now)

    def values(self, seconds, *values, who=None, shift_ms=0):
        told = [who] if who is not None else []
        self.frame(seconds, *told, *(api.Reading("spo2", 0, value) for value in values), shift_ms=shift_ms)

    def tick(self, seconds, shift_ms=0):
        self.recorder.tick(at(seconds, shift_ms))
        return self

    def ticks(self, begin, end, step=0.25):
        n = begin
        while n <= end:
            self.tick(n)
            n += step
        return self

    def close(self, seconds, reason=GapReason.UNPLUGGED, detail="pulled"):
        self.recorder.tick(at(seconds))
        self.recorder.closed(reason, detail)
        return self.taken()

    @staticmethod
    def _timed(event, now):
        return replace(event, at_us=now.mono_us) if hasattr(event, "at_us") else event

    def taken(self):
        """What came out since the last call, opened."""
        new = []
        for draft in self.chains.take():
            sealed = self.sealer.seal(draft)
            new.append(open_entry(sealed.leaf, sealed.body))
        self.entries += new
        return new

    def told(self):
        """What came out, as (chain, what): events by name and what matters in them, readings by their values."""
        return [(entry.entry.chain, what(entry)) for entry in self.taken()]


def what(entry):
    event = entry.event
    if event is None:
        values = [value for series in entry.values.series for value in series.values] if entry.values else []
        return values or "raw"
    name = type(event).__name__.lower()
    match name:
        case "gap":
            return f"gap {event.reason.label}"
        case "line":
            return f"line {event.state.label}" + (f" -> {event.next_chain}" if event.next_chain else "")
        case "identity":
            return f"identity {event.serial}"
        case _:
            return name


def values_in(entries):
    return [value for entry in entries if entry.values for series in entry.values.series for value in series.values]
