"""docs/evidence.md: its script checks what the product checks, without the product."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.evidence_world import BED_1, LEDGER_KEY, Ed25519Signer, World
from vitaledger.csvform import COLUMNS
from vitaledger.evidence import RAW_AND_WAVES
from vitaledger.evidence_text import TEMPLATES

PAGE = (Path(__file__).parents[3] / "docs" / "evidence.md").read_text("utf-8")
(SCRIPT,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
WORLD = World()


def run(folder, files, key=LEDGER_KEY):
    for name, data in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, str(key.vkey)], cwd=folder, capture_output=True, text=True, encoding="utf-8",
        check=False,
    )  # fmt: skip


@pytest.mark.parametrize("withheld", [(), RAW_AND_WAVES])
def test_the_script_agrees(tmp_path, withheld):
    done = run(tmp_path, WORLD.files(0, 5, withheld=withheld))
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) == 8
    assert (
        f"entry 2 of {BED_1}: proven, sealed before 1750000060000 ms, parts {[1] if withheld else [1, 2, 3]}" in lines
    )


def test_the_script_needs_the_ledgers_key(tmp_path):
    assert run(tmp_path, WORLD.files(0, 5), Ed25519Signer(LEDGER_KEY.name, bytes(32))).returncode == 1


@pytest.mark.parametrize(
    "name",
    ["entries/000000000004.leaf", "entries/000000000004.body", "entries/000000000004.tlog-proof",
     "ledger/anchor.statement", "ledger/enrolment.tlog-proof"],
)  # fmt: skip
def test_the_script_refuses_what_was_changed(tmp_path, name):
    files = WORLD.files(0, 5)
    at = len(files[name]) - 5
    changed = files[name][:at] + bytes([files[name][at] ^ 1]) + files[name][at + 1 :]
    assert run(tmp_path, {**files, name: changed}).returncode == 1


def test_every_file_of_the_page_is_one():
    told = set(re.findall(r"`((?:entries|ledger)/[^`]+|[A-Za-z]+\.(?:json|csv|txt))`", PAGE))
    stems = {re.sub(r"\d{12}", "<index>", name) for name in WORLD.files(0, 5)}
    assert {name for name in told if "." in name} - {"ledger/predecessor-<n>.statement"} <= stems
    assert {"readings.csv", "README.txt", "manifest.json"} <= told
    for table in ("manifest", "table", "texts"):
        assert f"### The {table}" in PAGE


def test_the_columns_and_fields_of_the_page_are_those_of_the_code():
    part = PAGE.partition("### The table")[2].partition("### The texts")
    assert re.findall(r"^\| \d+ \| `(\w+)`", part[0], re.MULTILINE) == list(COLUMNS)
    rows = re.findall(r"^\| (`[^|]+) \|", part[2].partition("## How")[0], re.MULTILINE)
    told = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    used = {name for template in TEMPLATES.values() for name in re.findall(r"\{(\w+)\}", template)}
    assert told == used
