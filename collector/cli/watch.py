"""What `status --watch` keeps: how far each micro-chain was verified, and the latest value of each signal."""

from collections import deque
from typing import Any

from collector.cli.times import show
from collector.history import Device, Seen, devices, run
from collector.rows import ChainRow, LogRow
from collector.verified import State, VerifiedStore
from vitaledger.rows import ReadingRow, rows

_BEGIN_BACK = 256  # entries of each micro-chain that are verified at the start; of an old store not all
_REASONS = 10


class Watch:
    """Verifies what has arrived, each entry once, as soon as it is under an anchor."""

    def __init__(self, store: VerifiedStore) -> None:
        self.store = store
        self._next: dict[int, int] = {}
        self._latest: dict[tuple[str, str], tuple[ReadingRow, State]] = {}
        self._reasons: deque[str] = deque(maxlen=_REASONS)
        self._entries = self._readings = self._samples = self._failures = self._findings = 0

    def step(self) -> None:
        """Go on to where the store stands now; call it inside a snapshot."""
        self.store.refresh()
        for device in devices(self.store.reader, gateways=True):
            for log, chain in device.chains:
                self._follow(device, log, chain)

    def _follow(self, device: Device, row: LogRow, chain: ChainRow) -> None:
        begin = self._next.setdefault(chain.chain, max(chain.next_seq - _BEGIN_BACK, 0))
        if begin >= chain.next_seq:
            return
        for seen in run(self.store.log(row), chain, begin, chain.next_seq - 1):
            if seen.verdict.state is State.STORED:
                break  # its anchor is on the way: it is looked at again
            self._next[chain.chain] = seen.seq + 1
            self._take(device, seen)

    def _take(self, device: Device, seen: Seen) -> None:
        self._entries += 1
        if seen.verdict.state is State.FAILED:
            self._failures += 1
            self._reasons.append(f"{seen.log.origin}: {seen.verdict.reason}")
            return
        if seen.verdict.state is State.FINDING:
            self._findings += 1
            self._reasons.append(f"{seen.log.origin}: {seen.verdict.reason}")
            return
        if seen.opened is None:
            return
        self._readings += seen.opened.reading_count
        self._samples += seen.opened.sample_count
        for each in rows(seen.opened):
            if isinstance(each, ReadingRow):
                self._latest[device.label, each.signal] = (each, seen.verdict.state)

    def as_json(self, now_us: int) -> dict[str, Any]:
        """The counts since the start and the latest verified values."""
        return {
            "entries_verified": self._entries - self._failures - self._findings,
            "readings_verified": self._readings,
            "wave_samples_verified": self._samples,
            "failures": self._failures,
            "findings": self._findings,
            "reasons": list(self._reasons),
            "latest": [
                {
                    "device": device,
                    "signal": signal,
                    "value": row.value,
                    "absent": row.absence.label if row.absence else None,
                    "unit": row.unit,
                    "quality": list(row.quality.labels),
                    "use": row.use.label,
                    "time": show(row.at_us),
                    "age_s": round((now_us - row.at_us) / 1e6, 1),
                    "state": state.value,
                }
                for (device, signal), (row, state) in sorted(self._latest.items())
            ],
        }
