"""The example of docs/life-of-a-reading.md, made by the real code: one packet of a Nonin oximeter on its whole way.

Keys, salts and clocks are fixed, so the same code gives the same text. `python -m tests.docs` writes it into the page.
"""

import textwrap
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from collector.enrolment import enroll
from collector.export import export, pack
from collector.generations import history
from collector.history import Span, find_device
from collector.inbox import Message
from collector.ingest import Step
from collector.ledger import empty_head
from collector.reader import FILE_NAME
from collector.reader import Reader as CollectorReader
from collector.store import Store as CollectorStore
from collector.verified import VerifiedStore
from gateway.chains import Chains
from gateway.draft import Draft, Instant
from gateway.drivers.api import Reading
from gateway.drivers.nonin import NoninDriver
from gateway.ledgers import Ledgers
from gateway.placement import Subject
from gateway.reader import Reader
from gateway.receipts import verify_receipt
from gateway.recorder import Limits, Recorder
from gateway.store import Store
from gateway.uplink import Publish, SaveReceipt, Uplink
from vitaledger import cbor, events, evidence, messages, policy, statement
from vitaledger.cli.verify import read_zip, words
from vitaledger.entry import GATEWAY_CHAIN, Kind, PartType, entry_hash, parse_body, parse_leaf
from vitaledger.keys import Ed25519Signer, Ed25519Verifier, verifier_of
from vitaledger.marks import Direction, Use
from vitaledger.rows import ReadingRow, rows

PROVIDER, GATEWAY, PORT = "hospital.example", "ward-3", "bed-1"
WALL_MS = 1_767_254_400_000  # 2026-01-01 08:00 UTC
BOOT_ID = bytes(range(16))
# The DATA byte of each of a packet's 25 frames: pulse 72, SpO2 97, in the device's different averages; firmware 48
DATA = {1: 72, 2: 97, 3: 48, 8: 97, 9: 96, 10: 97, 14: 72, 15: 97, 16: 97, 20: 72, 22: 72}
WIDTH = 100
NOTE = 74  # where remarks stand


def packet() -> bytes:
    """25 frames of five bytes: 01, STATUS, PLETH, DATA, sum."""
    out = b""
    for n in range(25):
        frame = bytes((0x01, 0x81 if n == 0 else 0x80, 100 + n, DATA.get(n, 0)))
        out += frame + bytes((sum(frame) & 0xFF,))
    return out


def at(seconds: float) -> Instant:
    """Both clocks, so many seconds into the example."""
    return Instant(int((600 + seconds) * 1e6), WALL_MS + int(seconds * 1000), 4, BOOT_ID)


def diagnostic(item: object, indent: int = 0, names: dict[int, str] | None = None, most: int = 16) -> str:
    """CBOR diagnostic notation, long byte strings cut; an array that fits a line stands on it."""
    flat = _flat(item, most)
    if not isinstance(item, list) or indent + len(flat) <= (NOTE if names else WIDTH):
        return flat
    lines = []
    for n, child in enumerate(item):
        text = diagnostic(child, indent + 2, most=most) + ("," if n < len(item) - 1 else "")
        note = f"/ {names[n]} /" if names and n in names else ""
        first, *rest = text.split("\n")
        lines.append(f"{'  ' + first:<{NOTE - indent}} {note}".rstrip() if note else "  " + first)
        lines += ["  " + line for line in rest]
    return "[\n" + "\n".join(lines) + "\n]"


def _flat(item: object, most: int) -> str:
    match item:
        case None:
            return "null"
        case bytes() if len(item) > most:
            return f"h'{item[:6].hex()}…' /{len(item)} bytes/"
        case bytes():
            return f"h'{item.hex()}'"
        case str():
            return f'"{item}"'
        case list():
            return "[" + ", ".join(_flat(child, most) for child in item) + "]"
        case int():
            return str(item)
        case _:  # a typed array
            return f"{item.tag}({_flat(item.value, most)})"


def hexdump(data: bytes, width: int = 32) -> str:
    """Rows of bytes."""
    return "\n".join(data[i : i + width].hex(" ") for i in range(0, len(data), width))


def example() -> dict[str, str]:
    """Every block of the page, by name."""
    with TemporaryDirectory() as folder:
        return _Example(Path(folder)).blocks()


class _Example:
    def __init__(self, folder: Path) -> None:
        random = Random(1)
        self.folder = folder
        self.key = Ed25519Signer(messages.gateway_origin(PROVIDER, GATEWAY), random.randbytes(32))
        self.ledger_key = Ed25519Signer(messages.ledger_origin(PROVIDER), random.randbytes(32))
        self.out: dict[str, str] = {}
        self.log = Store.open(folder / "gateway", self.key, random=random.randbytes)
        self.collector = CollectorStore.create(
            folder / FILE_NAME, PROVIDER, str(self.ledger_key.vkey), empty_head(self.ledger_key)
        )
        enroll(self.collector, self.ledger_key, str(self.key.vkey), WALL_MS - 3_600_000)

    def blocks(self) -> dict[str, str]:
        drafts = self.device()
        self.gateway(drafts)
        self.travel()
        self.history()
        self.evidence()
        return self.out

    # -- device, driver, recorder -------------------------------------------------------------------------------------

    def device(self) -> list[Draft]:
        data = packet()
        rows_ = [data[i : i + 5].hex(" ") for i in range(0, 20, 5)]
        said = ("SYNC, pulse, high bits", "pulse 72", "SpO2 97", "firmware 48")
        self.out["bytes"] = "\n".join(
            f"{row}    frame {n}: {what}" for n, (row, what) in enumerate(zip(rows_, said, strict=True))
        )
        self.out["bytes"] += "\n…                 to frame 24"
        driver = NoninDriver(may_send=False, options={"model": "Xpod"})
        subject = Subject(
            PORT, driver.NAME, driver.VERSION, driver.CHECK, Use.CLINICAL, driver.signals, driver.waves, None
        )
        chains = Chains({}, clean=True)
        recorder = Recorder(subject, chains, Limits())
        driver.opened(at(0).mono_us)
        recorder.opened(at(0))
        now = at(0.5)  # a USB adapter hands a packet over in one piece or in many: the recorder takes both
        recorder.chunk(Direction.RECEIVED, data, now)
        found = driver.receive(data, now.mono_us)
        self.out["event"] = next(repr(each) for each in found if isinstance(each, Reading) and each.handle == "spo2")
        recorder.events(found, now)
        for quarter in range(3, 24):
            recorder.tick(at(quarter / 4))
        return chains.take()

    # -- store --------------------------------------------------------------------------------------------------------

    def gateway(self, drafts: list[Draft]) -> None:
        def own(event: events.Event, when: float) -> Draft:
            return Draft(Kind.GATEWAY_EVENT, GATEWAY_CHAIN, at(when), event=event)

        begin = [own(events.Boot("0.1.0", BOOT_ID, 1, "first start"), 0), own(events.Heads((), None), 0)]
        self.log.commit(begin)
        self.log.commit([*drafts, own(events.Heads((), None), 6)])
        with Reader.open(self.folder / "gateway") as reader:
            stored = reader.entries(0, self.log.size)
        lines = []
        for n, (leaf, body) in enumerate(stored):
            entry = parse_leaf(leaf)
            kinds = ", ".join(PartType(part.type).name.lower() for part in entry.parts)
            lines.append(f"{n}  {entry.chain:<17} {entry.seq}  {kinds:<18} {len(leaf)} + {len(body)} bytes")
            if entry.kind is Kind.READINGS and PartType.VALUES in {part.type for part in entry.parts}:
                self.entry(leaf, body)
        self.out["log"] = "\n".join(lines)
        self.out["checkpoint"] = self.log.checkpoint.decode().rstrip("\n")

    def entry(self, leaf: bytes, body: bytes) -> None:
        self.seq = parse_leaf(leaf).seq
        names = dict(enumerate(("version", "kind: readings", "micro-chain", "seq", "prev", "clock", "parts")))
        self.out["leaf-hex"] = hexdump(leaf)
        self.out["leaf"] = diagnostic(cbor.decode(leaf), names=names)
        self.out["leaf-hash"] = entry_hash(leaf).hex()
        parts = {part.type: part for part in parse_body(body)}
        self.out["body"] = diagnostic(cbor.decode(body))
        values = cbor.decode(parts[PartType.VALUES].content)
        series = values[7]
        named = [series[[each[0] for each in series].index(handle)] for handle in ("pulse", "spo2")]
        names = dict(
            enumerate(
                ("driver", "its version", "live", "clinical", "checksum", "context", "times, µs", "series", "stored")
            )
        )
        cut = diagnostic([*values[:7], [*named, "…"], values[8]], names=names)
        self.out["values"] = cut.replace('"…"', f"… {len(series) - 2} more")
        self.out["waves"] = diagnostic(cbor.decode(parts[PartType.WAVES].content))
        self.out["raw"] = diagnostic(cbor.decode(parts[PartType.RAW].content))
        self.out["content-sizes"] = ", ".join(
            f"{PartType(p.type).name.lower()} {len(p.content)}" for p in parts.values()
        )

    # -- uplink, collector, receipt -----------------------------------------------------------------------------------

    def travel(self) -> None:
        reader = Reader.open(self.folder / "gateway")
        uplink = Uplink(
            self.key.name, verifier_of(self.key.vkey), Ledgers.pinned(Ed25519Verifier(self.ledger_key.vkey)), reader
        )
        step = Step(self.collector, self.ledger_key)
        actions, now = uplink.connected(0.0), 0.0
        while actions:
            now += 1
            sent = [each for each in actions if isinstance(each, Publish)]
            self.sent(sent)
            answers = step.process(
                [Message(GATEWAY, each.leaf, each.payload) for each in sent], WALL_MS + 10_000 + int(now * 250)
            )
            actions = []
            for answer in answers:
                self.answered(answer.topic, answer.payload)
                actions += uplink.received(answer.topic, answer.payload, now)
            for each in actions:
                if isinstance(each, SaveReceipt):
                    self.log.add_receipt(each.receipt, WALL_MS + 11_000)
        reader.close()
        with CollectorReader.open(self.folder / FILE_NAME) as stored:
            leaves = [leaf for _, leaf in stored.statements(0, stored.ledger_head().size)]
        found = [(n, type(statement.decode(leaf)).__name__.lower(), leaf) for n, leaf in enumerate(leaves)]
        self.out["statements"] = "\n".join(
            f"{n}  {name:<10} {diagnostic(cbor.decode(leaf), most=8) if n else _flat(cbor.decode(leaf), 8)[:80] + '…'}"
            for n, name, leaf in found
        )

    def sent(self, actions: list[Publish]) -> None:
        for each in actions:
            if each.leaf == "up/checkpoint" and "request" not in self.out:
                self.out["request"] = each.payload.decode().rstrip("\n")
            if each.leaf == "up/entries":
                item = cbor.decode(messages.unpack(each.payload, each.leaf))
                names = dict(enumerate(("id", "origin", "checkpoint size", "first", "[leaf, body] …", "proof")))
                item[4] = [*item[4][:1], "…"]
                self.out["entries"] = diagnostic(item, names=names).replace('"…"', f"… {self.log.size - 1} more")

    def answered(self, topic: str, payload: bytes) -> None:
        if topic == "down/receipt":
            receipt = messages.RECEIPT.decode(payload, topic)
            root_at = {self.log.size: self.root()}.get
            verify_receipt(receipt.statement, receipt.proof, self.key.name, verifier_of(self.ledger_key.vkey), root_at)
            self.out["receipt"] = receipt.proof.decode().rstrip("\n")
            self.out["custody"] = diagnostic(cbor.decode(receipt.statement))
        elif topic == "down/entries":
            self.out["down-entries"] = diagnostic(cbor.decode(payload))

    def root(self) -> bytes:
        with Reader.open(self.folder / "gateway") as reader:
            return reader.root_at(self.log.size)

    # -- history, evidence --------------------------------------------------------------------------------------------

    def history(self) -> None:
        with CollectorReader.open(self.folder / FILE_NAME) as reader, reader.snapshot():
            store = VerifiedStore(reader, str(self.ledger_key.vkey))
            device = find_device(store, PORT)
            lines = [
                f"{row.signal} {row.value} {row.unit}, MDC {row.mdc}, {row.provenance.label}: "
                f"{seen.verdict.state.value}, entry {seen.look.index} of {seen.log.origin}"
                for seen in history(store, device, Span())
                for row in rows(seen.opened)
                if isinstance(row, ReadingRow) and row.signal == "spo2"
            ]
            self.out["history"] = "\n".join(lines)

    def evidence(self) -> None:
        path = self.folder / "evidence.zip"
        with CollectorReader.open(self.folder / FILE_NAME) as reader, reader.snapshot():
            store = VerifiedStore(reader, str(self.ledger_key.vkey))
            device = find_device(store, PORT)
            span = Span(first_seq=self.seq, last_seq=self.seq)
            exported, program = "2026-01-02T09:00:00.000000Z", "vitaledger-collector 0.1.0"
            made = export(store, device, span, exported=exported, by="Ada, records", program=program)
        path.write_bytes(pack(made.files))
        files = read_zip(path)
        self.out["evidence"] = "\n".join(f"{name:<34} {len(files[name])} bytes" for name in sorted(files))
        trusted = policy.parse(f"log {self.ledger_key.vkey}\nquorum none\n".encode())
        said = "\n".join(words(evidence.verify(files, trusted), trusted)).splitlines()
        self.out["verified"] = "\n".join(textwrap.fill(line, 112, subsequent_indent=" " * 15) for line in said)
