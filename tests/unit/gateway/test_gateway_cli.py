import json
import sqlite3

import pytest
from click.testing import CliRunner

from gateway import config, keys, schema
from gateway.cli import main
from tests.unit.gateway.makers import LEDGER, ModelLedger, chain_of, drafts, line_event, open_store
from vitaledger.keys import parse_vkey
from vitaledger.marks import LineState


def invoke(*args):
    return CliRunner().invoke(main, [str(arg) for arg in args], catch_exceptions=False)


def init(path):
    return invoke("init", path, "--gateway", "g1", "--provider", "h.example", "--ledger-vkey", LEDGER.vkey)


@pytest.fixture
def ward(tmp_path):
    """A gateway with 100 entries of which 60 are receipted; the path of its configuration."""
    assert init(tmp_path).exit_code == 0
    path = tmp_path / "gateway.toml"
    found = config.load(path)
    with open_store(found.state, keys.load(found.key, found.origin)) as store:
        store.commit(drafts(100))
        store.add_receipt(ModelLedger().receipt(60, store._rows.root_at(60)), 1_700_000_009_000)
    return path


def test_init_makes_what_load_reads_and_never_overwrites(tmp_path):
    done = init(tmp_path)
    assert done.exit_code == 0
    vkey = next(word.strip("'") for word in done.stdout.split() if "h.example/gateway/g1+" in word)
    found = config.load(tmp_path / "gateway.toml")
    assert str(keys.load(found.key, found.origin).vkey) == str(parse_vkey(vkey))
    again = init(tmp_path)
    assert (again.exit_code, again.stdout) == (2, "")
    assert "never overwritten" in again.stderr


@pytest.mark.parametrize(
    "wrong", [["--gateway", "G!"], ["--ledger-vkey", "x"], ["--broker", "nowhere"], ["--provider", "else.example"]]
)
def test_init_refuses_and_leaves_nothing(tmp_path, wrong):
    args = {"--gateway": "g1", "--provider": "h.example", "--ledger-vkey": str(LEDGER.vkey)} | {wrong[0]: wrong[1]}
    done = invoke("init", tmp_path / "new", *(word for pair in args.items() for word in pair))
    assert done.exit_code == 2
    assert not (tmp_path / "new").exists()


def test_status(ward):
    done = invoke("--config", ward, "status", "--json")
    assert done.exit_code == 0
    now = json.loads(done.stdout)
    wanted = {
        "gateway": "g1",
        "origin": "h.example/gateway/g1",
        "size": 100,
        "entries": 100,
        "custody_size": 60,
        "backlog": 40,
        "running": False,
        "receipts": 1,
        "ledger_size": 1,
    }
    assert {key: now[key] for key in wanted} == wanted
    assert 0 < now["receipt_ms_p50"] < now["receipt_ms_p99"] < 9000
    assert [device["chain"] for device in now["devices"]] == [chain_of(n) for n in range(3)]
    assert all(device["values"]["spo2"] for device in now["devices"])
    assert "100 entries, 40 not yet receipted" in invoke("--config", ward, "status").stdout


def test_status_tells_which_line_is_down(ward):
    states = (LineState.DOWN, LineState.UP, LineState.CLOSED)
    found = config.load(ward)
    with open_store(found.state, keys.load(found.key, found.origin), seed=2) as store:
        store.commit([line_event(chain_of(n), 20_000, state) for n, state in enumerate(states)])
    now = json.loads(invoke("--config", ward, "status", "--json").stdout)
    assert [device["line"] for device in now["devices"]] == ["down", None, "closed"]
    assert "line down" in " ".join(invoke("--config", ward, "status").stdout.split())


def test_status_before_the_first_run(tmp_path):
    init(tmp_path)
    now = json.loads(invoke("--config", tmp_path / "gateway.toml", "status", "--json").stdout)
    assert (now["size"], now["running"], now["devices"]) == (0, False, [])
    assert invoke("--config", tmp_path / "gateway.toml", "verify").exit_code == 2


def test_verify_while_it_runs_and_after_a_change(ward):
    found = config.load(ward)
    with open_store(found.state, keys.load(found.key, found.origin)):
        done = invoke("--config", ward, "verify")
        assert (done.exit_code, "Everything holds" in done.stdout) == (0, True)
        assert json.loads(invoke("--config", ward, "status", "--json").stdout)["running"]
    db = sqlite3.connect(found.state / schema.DATABASE)
    db.execute("UPDATE entries SET body = (SELECT body FROM entries WHERE idx = 70) WHERE idx = 71")
    db.commit()
    db.close()
    done = invoke("--config", ward, "verify")
    assert done.exit_code == 1
    assert "entry 71 (nonin:port:bed-2, number 23)" in done.stderr
    assert "last good: receipt for 60 entries" in done.stderr
    done = invoke("--config", ward, "verify", "--json")
    assert (done.exit_code, json.loads(done.stdout)["failure"]["index"]) == (1, 71)
    done = invoke("--config", ward, "history", "bed-2", "--json")
    assert done.exit_code == 1
    assert [row["index"] for row in map(json.loads, done.stdout.splitlines()) if row["proof"] == "failed"] == [71]


@pytest.mark.parametrize("name", [chain_of(1), "bed-1"])
def test_history(ward, name):
    done = invoke("--config", ward, "history", name, "--json")
    assert done.exit_code == 0
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len([row for row in rows if row.get("signal") == "spo2"]) == 4 * 31
    assert rows[0]["event"] == "identity"
    assert {row["proof"] for row in rows} == {"custody", "sealed"}
    assert all(row["proof"] == ("custody" if row["index"] < 60 else "sealed") for row in rows)
    last = invoke("--config", ward, "history", name, "--limit", "3", "--json").stdout.splitlines()
    assert last == done.stdout.splitlines()[-3:]
    middle = invoke(
        "--config",
        ward,
        "history",
        name,
        "--json",
        "--from",
        "2023-11-14T22:13:21Z",
        "--to",
        "2023-11-14T22:13:22+00:00",
    )
    assert all(json.loads(line)["at"].startswith("2023-11-14T22:13:21") for line in middle.stdout.splitlines())
    assert "DEMO" in invoke("--config", ward, "history", name).stdout


@pytest.mark.parametrize(
    "args",
    [["history", "nobody"], ["history", "bed-1", "--from", "yesterday"], ["receipt", "-x"], ["capture", "bed-1"]],
)
def test_misuse(ward, args):
    assert invoke("--config", ward, *args).exit_code == 2


def test_receipt(ward, tmp_path):
    done = invoke("--config", ward, "receipt", "-o", tmp_path / "r")
    assert done.exit_code == 0
    assert (tmp_path / "r").read_text().startswith("h.example/ledger\n1\n")
    assert invoke("--config", ward, "receipt").stdout == (tmp_path / "r").read_text()


def test_no_configuration(tmp_path):
    done = invoke("--config", tmp_path / "none", "status")
    assert done.exit_code == 2
    assert "no configuration" in done.stderr
