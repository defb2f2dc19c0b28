"""How fast this machine is at this moment, so that figures of two hours can be compared.

A fixed piece of Python that will stay as it is: small records out of some megabytes are cut, hashed, looked up and
counted, as most of what is measured here does. On shared cores it differs by half from one hour to the next, and every
figure with it.
"""

import time
from hashlib import sha256

from bench.figure import Figure, of_runs

_RECORDS, _SIZE, _RUNS = 20_000, 200, 7


def yardstick() -> Figure:
    """µs for one of its steps, now."""
    data = b"".join(sha256(b"%d" % n).digest() * 7 for n in range(_RECORDS))
    return of_runs(
        "yardstick: a fixed piece of Python", [_step_us(data) for _ in range(_RUNS)], "µs", None, "before what follows"
    )


def _step_us(data: bytes) -> float:
    began = time.perf_counter()
    seen: dict[bytes, tuple[int, bytes]] = {}
    total = 0
    for at in range(0, _RECORDS * _SIZE, _SIZE):
        record = data[at : at + _SIZE]
        key, kind = record[:8], record[8] & 15
        digest = sha256(b"\x00" + record).digest()
        if key not in seen:
            seen[key] = (kind, digest)
        total += sum([byte for byte in record[16:32] if byte > kind])
    return (time.perf_counter() - began) * 1e6 / _RECORDS
