"""What people do with a ledger: replay a capture into it, read its tiles, take evidence away, find a changed byte."""

import contextlib
import json
import sqlite3
import subprocess
import urllib.request
from pathlib import Path
from typing import ClassVar

import pytest

from tests.e2e.ward import Ward
from tests.parts import REQUIRED
from vitaledger import merkle, tiles
from vitaledger.checkpoint import open_checkpoint
from vitaledger.cli.stage import command, json_lines
from vitaledger.keys import verifier_of
from vitaledger.note import parse_vkey

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
SHARED = Path(__file__).parents[3] / "shared"
LINE = (
    "11/22/26 08:00:{second:02} SN=0000012345 SPO2={spo2:03}% BPM={pulse:03} PI=03.{pi:02}% SPCO=--.-% SPMET=--.-% "
    "DESAT=-- PIDELTA=+-- ALARM=0000 EXC=000800\r\n"
)
RAD8 = {
    "spo2": ["98"] * 5,
    "pulse": ["97", "96", "96", "96", "97"],
    "pi": ["3.60", "3.95", "4.25", "3.19", "2.41"],
    "spco": [None] * 5,
    "spmet": [None] * 5,
}


class Line(Ward):
    """A ward with one port, on which a capture is replayed."""

    devices: ClassVar = {"bed-9": ("masimo", 'model = "masimo"')}

    def __init__(self, folder: Path, capture: Path) -> None:
        super().__init__(folder, "amqtt")
        self._capture = capture

    def start_devices(self) -> None:
        port = f"pty:{self.folder}/bed-9"
        self._spawn("devices", "firmware-sim", "replay", str(self._capture), "--port", port, "--line-interval", "1")

    def heard(self) -> bool:
        return True  # by the end; a replay writes no truth

    def check(self) -> None:
        """A replay ends by itself."""


def made_capture(folder: Path) -> tuple[Path, dict[str, list[str | None]]]:
    rows = [(95 + n % 3, 60 + n, 10 + n) for n in range(6)]
    path = folder / "made.bin"
    path.write_text(
        "".join(LINE.format(second=n, spo2=a, pulse=b, pi=c) for n, (a, b, c) in enumerate(rows)), newline=""
    )
    return path, {
        "spo2": [str(a) for a, _, _ in rows],
        "pulse": [str(b) for _, b, _ in rows],
        "pi": [f"3.{c:02}" for _, _, c in rows],
        "spco": [None] * 6,
        "spmet": [None] * 6,
    }


CAPTURES = ["made"] + (["rad-8"] if SHARED.exists() else [])


@pytest.mark.parametrize("which", CAPTURES)
def test_a_capture_replayed_arrives_with_its_values(tmp_path, which):
    path, expected = (SHARED / "captures" / "masimo-rad8.bin", RAD8) if which == "rad-8" else made_capture(tmp_path)
    ward = Line(tmp_path / "ward", path)
    try:
        ward.start()
        ward._processes["devices"].wait(60)
        ward.drain()
        history = ward.history()["bed-9"]
    finally:
        ward.stop_all()
    found: dict[str, list[str | None]] = {}
    for row in history:
        if "signal" in row:
            assert row["state"] == "proven"
            found.setdefault(row["signal"], []).append(row["value"])
    assert {signal: found.get(signal) for signal in expected} == expected
    assert not [row for row in history if row.get("event") == "alarm"]
    identity = next(row["fields"] for row in history if row.get("event") == "identity")
    assert identity["serial"] == ("0000056661" if which == "rad-8" else "0000012345")


def test_where_shared_captures_are_required_they_are_there():
    assert not REQUIRED or not SHARED.exists() or (SHARED / "captures" / "masimo-rad8.bin").exists()


@pytest.fixture(scope="module")
def ward(tmp_path_factory):
    """A ward that has run for a while; its collector still serves."""
    ward = Ward(tmp_path_factory.mktemp("tools") / "ward", "amqtt")
    try:
        ward.start()
        ward.await_condition("a ledger of some size", 60, lambda: ledger_size(ward) >= 8)
        ward.stop("devices")
        ward.await_condition("everything receipted", 60, ward.at_rest)
        ward.stop("gateway")
        yield ward
    finally:
        ward.stop_all()


def ledger_size(ward: Ward) -> int:
    return int(json_lines(ward.collector("status", "--json"))[-1]["ledger_size"])


def ledger_vkey(ward: Ward) -> str:
    line = next(row for row in ward.gateway_config.read_text().splitlines() if row.startswith("ledger_vkey"))
    return line.split('"')[1]


def test_the_ledger_is_served_as_tiles(ward):
    port = int((ward.collector_store.parent / "http-port").read_text())

    def get(path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ledger/{path}", timeout=10) as answer:
            return answer.read()

    head = open_checkpoint(get("checkpoint"), [verifier_of(parse_vkey(ledger_vkey(ward)))]).checkpoint
    assert head.size >= 8
    leaves = []
    for level, n, width in tiles.tiles_of(head.size):
        if level == 0:
            bundle = tiles.decode_bundle(get(tiles.entries_path(n, width)))
            hashes = [merkle.leaf_hash(entry) for entry in bundle]
            assert b"".join(hashes) == get(tiles.tile_path(0, n, width))
            leaves += hashes
    assert merkle.root(leaves) == head.root
    assert json.loads(urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=10).read())


def verify_offline(file: Path, policy: Path) -> subprocess.CompletedProcess[str]:
    words = [command("vitaledger"), "verify", str(file), "--policy", str(policy)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_evidence_is_taken_away_and_verified_offline(ward, tmp_path):
    policy = tmp_path / "policy"
    policy.write_text(f"log {ledger_vkey(ward)}\nquorum none\n")
    for options, left_out in (((), True), (("--raw", "--waves"), False)):
        file = tmp_path / f"evidence{len(options)}.zip"
        ward.collector("export", "bed-3", "-o", str(file), *options)
        found = verify_offline(file, policy)
        assert found.returncode == 0, found.stderr
        assert "VERIFIED" in found.stdout
        assert "serial 0000056661" in found.stdout
        assert ("left out" in found.stdout) == left_out
        assert "What it cannot prove" in found.stdout
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    assert verify_offline(file, policy).returncode in {1, 2}
    policy.write_text("quorum\n")
    assert verify_offline(file, policy).returncode == 2


def test_a_changed_byte_is_named_by_verify(ward):
    ward.stop("collector")
    ward.collector("verify")
    with contextlib.closing(sqlite3.connect(ward.collector_store)) as db:
        row, body = db.execute("SELECT id, body FROM entries ORDER BY length(body) DESC LIMIT 1").fetchone()
        changed = body[:40] + bytes([body[40] ^ 4]) + body[41:]
        db.execute("UPDATE entries SET body = ? WHERE id = ?", (changed, row))
        db.commit()
    said = ward.collector("verify", ok=(1,))
    assert "FIRST BAD ENTRY" in said
    assert f"index             {row % 2**40}" in said
    assert "ward-1" in said
    shown = [json_lines(ward.collector("history", f"bed-{n}", "--json", ok=(0, 1))) for n in (1, 2, 3)]
    failed = [line for lines in shown for line in lines if line.get("state") == "failed"]
    assert [line["index"] for line in failed] == [row % 2**40]
