"""Make `core.json` again: `python tests/vectors/core_generate.py` prints it. See core.md for what it holds.

Only the standard library is used: the CBOR writer below knows what docs/entry.cddl needs and is not the one that it
tests. Everything in the vectors follows from the constants here.
"""

import hashlib
import json
import struct
import sys

ORIGIN, LEDGER = "h.example/gateway/g1", "h.example/ledger"
BED = "nonin:port:bed-1"
BOOT, RUN = b"\x0b" * 16, b"\x0a" * 16
HASH = hashlib.sha256(b"some hash").digest()
WALL = 1_750_000_000_000


class Tagged:
    """An RFC 8746 typed array: JSON sees the numbers."""

    def __init__(self, tag, form, numbers):
        self.tag, self.numbers = tag, numbers
        self.data = struct.pack(f"<{len(numbers)}{form}", *numbers)


def head(major, number):
    if number < 24:
        return bytes([major << 5 | number])
    for extra, form, bits in ((24, ">B", 8), (25, ">H", 16), (26, ">I", 32), (27, ">Q", 64)):
        if number < 1 << bits:
            return bytes([major << 5 | extra]) + struct.pack(form, number)
    raise OverflowError(number)


def cbor(item):
    """Deterministic CBOR; a dict is an array of its values: the names are for people."""
    if item is None:
        return b"\xf6"
    if isinstance(item, int):
        return head(0, item) if item >= 0 else head(1, -1 - item)
    if isinstance(item, bytes):
        return head(2, len(item)) + item
    if isinstance(item, str):
        return head(3, len(item.encode())) + item.encode()
    if isinstance(item, Tagged):
        return head(6, item.tag) + cbor(item.data)
    values = list(item.values()) if isinstance(item, dict) else item
    return head(4, len(values)) + b"".join(map(cbor, values))


def plain(item):
    """The same for JSON."""
    if isinstance(item, bytes):
        return {"hex": item.hex()}
    if isinstance(item, Tagged):
        return item.numbers
    if isinstance(item, dict):
        return {name: plain(value) for name, value in item.items()}
    return [plain(each) for each in item] if isinstance(item, (list, tuple)) else item


def clock(second, bound=3):
    return {"wall_ms": WALL + 1000 * second, "boot_id": BOOT, "boot_ms": 60_000 + 1000 * second, "bound_ms": bound}


def event(number, **fields):
    return 4, cbor([number, *fields.values()]), {"event": fields}


HEADS = [{"chain": BED, "next_seq": 3, "last": HASH}, {"chain": "gateway", "next_seq": 1, "last": bytes(32)}]
DEVICE_EVENTS = {
    "identity": event(1, make="Nonin", model="3012", serial="501", firmware=None, port="bed-1", sureness=0,
                      driver="nonin", driver_version="1", use=0, check=2),
    "line closed": event(2, state=2, port="bed-1", detail="", next_chain="nonin:sn:501"),
    "gap after a start": event(3, reason=1, since=None, detail="", dropped_bytes=None),
    "gap": event(3, reason=3, since=clock(1), detail="device not found", dropped_bytes=7),
    "silence": event(4, since=clock(2, None)),
    "frame errors": event(5, counts=[{"kind": "checksum", "count": 3}, {"kind": "sync", "count": 1}]),
    "alarm": event(6, bits="0x04", code=None, kind=0, phase=0, priority=3, silenced=0, text="SpO₂ low",
                   limits=[{"handle": "spo2", "low": 85, "high": None, "exponent": 0}]),
    "clock offset": event(7, device_time="2025-06-15 15:06:40", offset_ms=-7040),
    "notice": event(13, text="set the clock"),
}  # fmt: skip
GATEWAY_EVENTS = {
    "boot": event(32, version="0.1.0", run_id=RUN, clean=1, detail=""),
    "heads": event(37, chains=HEADS, ledger={"origin": LEDGER, "size": 42, "root": HASH}),
    "heads without a ledger": event(37, chains=[], ledger=None),
    "clock step": event(34, delta_ms=-3_600_000, bound_ms=None),
    "config": event(35, digest=HASH),
    "disk": event(36, free=1, total=2**40, detail="below 5 %"),
    "incident": event(38, part="uplink", detail="restarted"),
    "stop": event(33, detail="asked to"),
    "succeeds": event(48, checkpoint=b"a note\n", chains=HEADS),
}
CARRIED = event(49, origin=ORIGIN, index=7, leaf=b"\x01", body=b"")


def values(**changed):
    spo2 = {"handle": "spo2", "code": 150456, "unit": 262688, "category": 0, "exponent": 0, "times": 0,
            "values": [97, None, 95], "absences": [[1, 1, 3]], "quality": [[2, 1, 65536]]}  # fmt: skip
    index = {"handle": "perfusion-index", "code": 150448, "unit": 262688, "category": 1, "exponent": -2, "times": 1,
             "values": [345], "absences": [], "quality": []}  # fmt: skip
    return {"driver": "nonin", "driver_version": "1", "provenance": 0, "use": 2, "check": 2,
            "context": {"identity": 0, "alarm": None, "settings": None}, "times": [[0, 333_333, 666_667], [5]],
            "series": [spo2, index], "stored": None, **changed}  # fmt: skip


def wave(samples):
    return {"handle": "pleth", "code": 150452, "unit": 262656, "rate": [75, 1], "scale": [1, 2], "offset": -5,
            "first_us": 0, "last_us": 40_000, "samples": samples, "absences": [[0, 1, 1]],
            "quality": [[1, 2, 3]]}  # fmt: skip


STORED = {"device_clock": "2025-06-15 17:06", "first_ordinal": 12, "device_times": ["2025-06-14 03:00", None, ""]}
SAMPLES = [
    Tagged(64, "B", [0, 1, 255]),
    Tagged(72, "b", [-1, 0, 127]),
    Tagged(69, "H", [0, 1, 256]),
    Tagged(77, "h", [-1, 0, 32_767]),
    Tagged(70, "I", [0, 1, 65_536]),
    Tagged(78, "i", [-1, 0, 32_768]),
]
LINE = bytes.fromhex("018061000100")
CHUNKS = [{"direction": 0, "at_us": 0, "data": LINE}, {"direction": 1, "at_us": 9, "data": b"?"}]
TABLE = [[chunk["direction"], chunk["at_us"], len(chunk["data"])] for chunk in CHUNKS]
BYTES = LINE + b"?"
STORED_BLOCK = b"\x01" + struct.pack("<HH", len(BYTES), len(BYTES) ^ 0xFFFF) + BYTES  # RFC 1951 §3.2.4
READINGS = {
    "values": [(1, cbor(values()), {"values": values()})],
    "stored values": [(1, cbor(values(provenance=1, stored=STORED)), {"values": values(provenance=1, stored=STORED)})],
    "waves of every width": [
        (2, cbor([wave(samples) for samples in SAMPLES]), {"waves": [wave(samples) for samples in SAMPLES]})
    ],
    "raw bytes": [(3, cbor([0, TABLE, BYTES]), {"raw": CHUNKS})],
    "raw bytes, deflated": [(3, cbor([1, TABLE, STORED_BLOCK]), {"raw": CHUNKS})],
    "all three": [
        (1, cbor(values()), {"values": values()}),
        (2, cbor([]), {"waves": []}),
        (3, cbor([0, [], b""]), {"raw": []}),
    ],
}
# proven and linked like any other, and cannot be read: a finding
FINDINGS = {
    "an event of a newer version": (2, BED, [event(99, whatever=1)]),
    "a reserved event": (2, BED, [event(12, site="finger", who="somebody")]),
    "a gateway's event on a device's chain": (2, BED, [GATEWAY_EVENTS["stop"]]),
    "a device's event on the gateway's chain": (3, "gateway", [DEVICE_EVENTS["silence"]]),
    "carried over in an entry of another kind": (3, "gateway", [CARRIED]),
    "readings on the gateway's chain": (1, "gateway", READINGS["values"]),
    "readings without a part": (1, BED, []),
    "an event without its part": (2, BED, READINGS["raw bytes"]),
    "a part of an unknown type": (1, BED, [*READINGS["values"], (9, b"", {})]),
    "a kind that is reserved": (4, BED, []),
    "values cut short": (1, BED, [(1, cbor(values())[:-1], {})]),
    "raw bytes that are fewer than their table says": (1, BED, [(3, cbor([0, [[0, 0, 2]], b"x"]), {})]),
    "deflated bytes that are more than their table says": (1, BED, [(3, cbor([1, [[0, 0, 6]], STORED_BLOCK]), {})]),
}


class Log:
    """Seals entries and links each micro-chain."""

    def __init__(self):
        self.chains = {}

    def seal(self, kind, chain, parts):
        genesis = hashlib.sha256(f"{ORIGIN}\n{chain}".encode()).digest()
        seq, prev = self.chains.get(chain, (0, genesis))
        salts = [hashlib.sha256(f"{chain} {seq} {part}".encode()).digest()[:16] for part, _, _ in parts]
        commitments = [
            {"type": part, "digest": hashlib.sha256(salt + content).digest()}
            for salt, (part, content, _) in zip(salts, parts, strict=True)
        ]
        entry = {"kind": kind, "chain": chain, "seq": seq, "prev": prev, "clock": clock(seq), "parts": commitments}
        leaf = cbor([1, *entry.values()])
        body = cbor([[part, salt, content] for salt, (part, content, _) in zip(salts, parts, strict=True)])
        leaf_hash = hashlib.sha256(b"\x00" + leaf).digest()
        self.chains[chain] = seq + 1, leaf_hash
        return {"leaf": leaf.hex(), "body": body.hex(), "hash": leaf_hash.hex(), "entry": plain(entry)}


def entries():
    log = Log()
    for what, found in DEVICE_EVENTS.items():
        parts = [READINGS["raw bytes"][0], found] if what == "alarm" else [found]
        yield {"what": what, **log.seal(2, BED, parts), **plain(found[2])}
    for what, parts in READINGS.items():
        sealed = log.seal(1, BED, parts)
        yield {"what": what, **sealed, **{name: plain(v) for _, _, told in parts for name, v in told.items()}}
    for what, found in GATEWAY_EVENTS.items():
        yield {"what": what, **log.seal(3, "gateway", [found]), **plain(found[2])}
    yield {"what": "carried over", **log.seal(5, "gateway", [CARRIED]), **plain(CARRIED[2])}


def findings():
    log = Log()
    for what, (kind, chain, parts) in FINDINGS.items():
        yield {"what": what, **log.seal(kind, chain, parts)}


def statement(what, kind, **fields):
    at = {"at_ms": WALL, **fields}
    return {"what": what, "hex": cbor([1, kind, *at.values()]).hex(), "fields": plain(at)}


def statements():
    note = b"a note\n\n\xe2\x80\x94 a signature\n"
    yield statement("anchor", 1, checkpoint=note)
    yield statement("custody", 2, origin=ORIGIN, size=600, root=HASH)
    yield statement("enrolment", 3, gateway="g1", origin=ORIGIN, vkey=f"{ORIGIN}+00000000+AQ==")
    yield statement("revocation", 4, origin=ORIGIN, last_trusted_size=2**63 - 1, reason="stolen")
    yield statement("succession", 5, old_origin=ORIGIN, old_checkpoint=note, new_origin=f"{ORIGIN}/2",
                    new_vkey=f"{ORIGIN}/2+00000000+AQ==", note=note)  # fmt: skip
    yield statement("loss", 6, origin=ORIGIN, first=5, end=9, reason="disk replaced")
    yield statement("finding", 7, origin=ORIGIN, index=11, reason="unknown event 99; a newer version may know it")


def message(topic, **fields):
    return {"topic": topic, "hex": cbor(fields).hex(), "fields": plain(fields)}


def messages():
    sealed = [{"leaf": b"leaf", "body": b"body"}, {"leaf": b"", "body": b""}]
    yield message("down/checkpoint", request=HASH, status=409, body=b"600\n", last=b"a note")
    yield message("down/checkpoint", request=HASH, status=404, body=b"", last=None)
    yield message("up/entries", id=1, origin=ORIGIN, size=600, first=510, entries=sealed, proof=[HASH, bytes(32)])
    yield message("down/entries", id=1, status=200, origin=ORIGIN, stored=[{"first": 0, "end": 512}], witnessed=600,
                  detail="")  # fmt: skip
    yield message("down/receipt", statement=b"\x01", proof=b"c2sp.org/tlog-proof@v1\n")
    yield message("up/status", online=1, run_id=RUN, boot_id=BOOT, version="0.1.0", size=600, ledger_size=42)
    yield message("up/ledger", notes=[b"a note"], checkpoint=b"another")
    yield message("up/ledger", notes=[], checkpoint=None)
    yield message("up/health", backlog=0, oldest_unreceipted_ms=None, disk_free=2**40, commit_p99_ms=12,
                  clock_bound_ms=3)  # fmt: skip


CLOCK = list(clock(0).values())
LEAF = [1, 1, BED, 0, HASH, CLOCK, [[1, HASH]]]
CUSTODY = [1, 2, WALL, ORIGIN, 600, HASH]
HEALTH = [0, None, 0, 0, None]


def with_item(items, at, item):
    return [*items[:at], item, *items[at + 1 :]]


def refused():
    def case(of, what, data):
        return {"of": of, "what": what, "hex": (data if isinstance(data, bytes) else cbor(data)).hex()}

    good = cbor(LEAF)
    yield case("leaf", "nothing", b"")
    yield case("leaf", "a byte left over", good + b"\x00")
    yield case("leaf", "cut short", good[:-1])
    yield case("leaf", "version 1 in two bytes", good.replace(b"\x87\x01", b"\x87\x18\x01", 1))
    yield case("leaf", "array of unknown length", b"\x9f" + good[1:] + b"\xff")
    yield case("leaf", "length of the array in two bytes", b"\x98\x07" + good[1:])
    yield case("leaf", "text in two chunks", good.replace(cbor(BED), b"\x7f" + cbor(BED[:3]) + cbor(BED[3:]) + b"\xff"))
    yield case("leaf", "a tag before it", b"\xd9\xd9\xf7" + good)
    yield case("leaf", "a map", b"\xa0")
    yield case("leaf", "version 2", with_item(LEAF, 0, 2))
    yield case("leaf", "unknown kind", with_item(LEAF, 1, 6))
    yield case("leaf", "a float for the kind", good.replace(b"\x87\x01\x01", b"\x87\x01\xf9\x3c\x00", 1))
    yield case("leaf", "true for the kind", good.replace(b"\x87\x01\x01", b"\x87\x01\xf5", 1))
    yield case("leaf", "a name that is none", with_item(LEAF, 2, "bed-1"))
    yield case("leaf", "a name with a space", with_item(LEAF, 2, "nonin:port:bed 1"))
    yield case("leaf", "a name of 97 bytes", with_item(LEAF, 2, "nonin:sn:" + "1" * 88))
    yield case("leaf", "a negative number", with_item(LEAF, 3, -1))
    yield case("leaf", "number 2⁶³", with_item(LEAF, 3, 2**63))
    yield case("leaf", "a bignum", good.replace(b"\x00" + cbor(HASH), b"\xc2\x41\x01" + cbor(HASH), 1))
    yield case("leaf", "a hash of 31 bytes", with_item(LEAF, 4, HASH[1:]))
    yield case("leaf", "a clock of three", with_item(LEAF, 5, CLOCK[:3]))
    yield case("leaf", "a boot id of 15 bytes", with_item(LEAF, 5, with_item(CLOCK, 1, BOOT[1:])))
    yield case("leaf", "a wall clock of 2⁶³", with_item(LEAF, 5, with_item(CLOCK, 0, 2**63)))
    yield case("leaf", "a part twice", with_item(LEAF, 6, [[1, HASH], [1, HASH]]))
    yield case("leaf", "parts that descend", with_item(LEAF, 6, [[3, HASH], [1, HASH]]))
    yield case("leaf", "nine parts", with_item(LEAF, 6, [[n, HASH] for n in range(1, 10)]))
    yield case("leaf", "a part of type 0", with_item(LEAF, 6, [[0, HASH]]))
    yield case("leaf", "a shared value in itself", b"\xd8\x1c\x81\xd8\x1d\x00")
    yield case("leaf", "arrays 600 deep", b"\x81" * 600 + b"\x80")
    yield case("leaf", "2⁶³ items", b"\x9b\x80" + bytes(7))
    yield case("body", "a salt of 15 bytes", [[1, bytes(15), b""]])
    yield case("body", "parts that descend", [[2, bytes(16), b""], [1, bytes(16), b""]])
    yield case("body", "text for a content", [[1, bytes(16), ""]])
    for what, changed in {
        "an absence that covers a value": {"absences": [[0, 2, 3]]},
        "a null without a reason": {"absences": []},
        "an unknown reason": {"absences": [[1, 1, 9]]},
        "a run of nothing": {"quality": [[0, 0, 1]]},
        "a run without a mark": {"quality": [[0, 1, 0]]},
        "a run that leaves the values": {"quality": [[2, 2, 1]]},
        "runs that overlap": {"quality": [[0, 2, 1], [1, 1, 2]]},
        "two runs for one": {"quality": [[0, 1, 1], [1, 1, 1]]},
        "fewer values than times": {"values": [97, None]},
        "times that are not there": {"times": 2},
        "an exponent of 19": {"exponent": 19},
        "a value of 2⁶³": {"values": [2**63, None, 95]},
        "a unit of 2³²": {"unit": 2**32},
    }.items():
        series = {**values()["series"][0], **changed}
        yield case("values", what, values(series=[series]))
    yield case("values", "a handle twice", values(series=values()["series"][:1] * 2))
    yield case("values", "times that fall", values(times=[[0, 2, 1], [5]]))
    yield case("values", "a time before the entry", values(times=[[-1, 0, 1], [5]]))
    yield case("values", "stored rows of a live device", values(stored=STORED))
    yield case("values", "a stored reading without rows", values(provenance=1))
    yield case("values", "a driver without a name", values(driver=""))
    yield case("values", "a control character", values(driver="non\nin"))
    yield case("values", "text that runs backwards", values(driver="non\u202ein"))
    yield case("values", "text that is not UTF-8", cbor(values()).replace(b"nonin", b"non\xffn"))
    for what, changed in {
        "a rate not in lowest terms": {"rate": [150, 2]},
        "a rate of nothing": {"rate": [0, 1]},
        "a denominator of 0": {"rate": [1, 0]},
        "a last arrival before the first": {"first_us": 40_001},
        "numbers for samples": {"samples": [0, 1, 255]},
        "16 bits where 8 hold them": {"samples": Tagged(69, "H", [0, 1, 255])},
        "signed where none is negative": {"samples": Tagged(72, "b", [0, 1, 127])},
        "big-endian samples": {"samples": Tagged(65, "H", [0, 1, 256])},
        "64-bit samples": {"samples": Tagged(71, "Q", [0, 1, 2**32])},
    }.items():
        yield case("waves", what, [{**wave(SAMPLES[0]), **changed}])
    half = cbor([wave(SAMPLES[0])]).replace(cbor(SAMPLES[0]), b"\xd8\x45\x43\x00\x01\xff")
    yield case("waves", "half a sample", half)
    yield case("raw", "more bytes than the table says", [0, [], b"x"])
    yield case("raw", "an unknown coding", [2, [], b""])
    yield case("raw", "a chunk of no bytes", [0, [[0, 0, 0]], b""])
    yield case("raw", "bytes behind the deflated ones", [1, TABLE, STORED_BLOCK + b"\x00"])
    yield case("raw", "deflated bytes cut short", [1, TABLE, STORED_BLOCK[:-1]])
    yield case("raw", "no deflated bytes", [1, TABLE, b"\x07" + STORED_BLOCK])
    yield case("event", "a number that nobody knows", [99])
    yield case("event", "a number that is reserved", [9, "spo2", ""])
    yield case("event", "a field too many", [33, "", 0])
    yield case("event", "a field too few", [33])
    yield case("event", "counts of nothing", [5, []])
    yield case("event", "a count of 0", [5, [["sync", 0]]])
    yield case("event", "an unknown reason", [3, 9, None, "", None])
    yield case("event", "silenced twice", [6, "", None, 0, 0, 0, 2, "", []])
    yield case("event", "129 heads", [37, [[BED, 0, HASH]] * 129, None])
    yield case("statement", "version 2", with_item(CUSTODY, 0, 2))
    yield case("statement", "a kind that is reserved", with_item(CUSTODY, 1, 8))
    yield case("statement", "a time before 1970", with_item(CUSTODY, 2, -1))
    yield case("statement", "no origin", with_item(CUSTODY, 3, ""))
    yield case(
        "statement",
        "a bignum of 4,000 bytes",
        cbor(CUSTODY).replace(b"\x86\x01", b"\x86\xc2\x59\x0f\xa0" + b"\x01" * 4000),
    )
    yield case("up/health", "a negative backlog", with_item(HEALTH, 0, -1))
    yield case("up/ledger", "an empty note", [[b""], None])
    yield case("up/status", "neither here nor away", [2, RUN, BOOT, "1", 0, 0])
    yield case("up/entries", "entries of two tiles", [1, ORIGIN, 600, 255, [[b"", b""]] * 2, []])
    yield case("up/entries", "entries beyond the checkpoint", [1, ORIGIN, 600, 600, [[b"", b""]], []])
    yield case("up/entries", "no entry", [1, ORIGIN, 600, 0, [], []])
    yield case("down/entries", "nine ranges", [1, 200, ORIGIN, [[0, 1]] * 9, 0, ""])
    yield case("down/receipt", "no proof", [b"\x01", b""])
    yield case("down/checkpoint", "a status of two digits", [HASH, 20, b"", None])


def packed():
    """Messages of entries as they travel; "plain" is null where they are to be refused. One block that stores."""

    def case(what, hexed, plain):
        return {"what": what, "hex": hexed.hex(), "plain": plain}

    def stored(data, length=None):
        count = len(data) if length is None else length
        return b"\x01\x01" + count.to_bytes(2, "little") + (count ^ 0xFFFF).to_bytes(2, "little") + data

    good = next(bytes.fromhex(each["hex"]) for each in messages() if each["topic"] == "up/entries")
    yield case("as it is", good, good.hex())
    yield case("deflated", stored(good), good.hex())
    yield case("cut short", stored(good)[:-1], None)
    yield case("a byte left over", stored(good) + b"\x00", None)
    yield case("no end", stored(good).replace(b"\x01\x01", b"\x01\x00", 1), None)
    yield case("not deflated", b"\x01\xff" + good, None)
    yield case("nothing", b"\x01", None)


def generate():
    """The text of core.json, one case a line."""
    parts = {"entries": entries(), "findings": findings(), "statements": statements(), "messages": messages(),
             "refused": refused(), "packed": packed()}  # fmt: skip
    texts = []
    for name, cases in parts.items():
        lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
        texts.append(f'"{name}": [\n{lines}\n]')
    return "{\n" + ",\n".join(texts) + "\n}\n"


if __name__ == "__main__":
    sys.stdout.buffer.write(generate().encode())
