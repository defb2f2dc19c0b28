"""The command line: what is printed, for people and as JSON, and the exit codes."""

import json
import shutil
import sqlite3
from hashlib import sha256

import pytest
from click.testing import CliRunner

from collector import cli
from collector.cli.times import parse_time, show
from collector.cli.watch import Watch
from collector.reader import FILE_NAME, Reader
from collector.verified import VerifiedStore
from tests.fault.ward import add_oddities, make_ward
from vitaledger.errors import MisuseError

NOW = 1_700_000_000_000_000


@pytest.fixture(scope="module")
def ward(tmp_path_factory):
    made = make_ward(tmp_path_factory.mktemp("ward"), entries=120)
    add_oddities(made)
    made.close()
    return made


@pytest.fixture
def folder(ward, tmp_path):
    return shutil.copytree(ward.config.parent, tmp_path / "collector")


@pytest.fixture
def call(folder, monkeypatch, capsys):
    """Run the program as it is installed; (exit code, standard output, standard error)."""

    def run(*words):
        monkeypatch.setattr("sys.argv", ["vitaledger-collector", "--config", str(folder / "collector.toml"), *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return (ended.value.code or 0, *capsys.readouterr())

    return run


def objects(text):
    return [json.loads(line) for line in text.splitlines()]


def test_history_prints_rows_and_a_summary(call):
    code, out, _ = call("history", "bed-1", "--limit", "5")
    assert code == 0
    lines = out.splitlines()
    assert len(lines) == 7
    assert "proven" in lines[1]
    assert lines[-1].startswith("g1/nonin:port:bed-1: ")


def test_history_as_json_gives_exact_times_and_counts_waves_apart(call, ward):
    code, out, _ = call("history", "56661", "--json", "--waves")
    *rows, last = objects(out)
    summary = last["summary"]
    readings = [row for row in rows if "signal" in row]
    assert code == 0
    assert summary["readings"] == len(readings) == summary["readings_proven"]
    assert summary["wave_samples"] == sum(len(row["samples"]) for row in rows if "wave" in row)
    assert {row["offset_us"] for row in readings} == {n * 333_333 for n in range(5)}
    assert {row["absent"] for row in readings if row["value"] is None} == {"sensor-off"}
    assert {"time", "wall_ms", "device", "unit", "quality", "origin", "index", "chain", "seq", "state"} <= set(
        readings[0]
    )
    assert [row["event"] for row in rows if "event" in row] == ["identity"]
    assert summary["failed"] == 0


def test_signals_and_times_narrow_the_rows(call):
    _, out, _ = call("history", "bed-1", "--json", "--signals", "pulse")
    assert len(objects(out)) == 1
    code, out, err = call("history", "bed-1", "--json", "--from", "2023-11-14T22:14:00", "--to", "2023-11-14T22:14:30Z")
    assert code == 0
    assert "taken as UTC" in err
    times = [row["time"] for row in objects(out)[:-1]]
    assert times
    assert min(times) >= "2023-11-14T22:14:00"
    assert max(times) <= "2023-11-14T22:14:30.000Z"


def test_a_failed_row_is_shown_and_the_exit_code_is_1(call, folder):
    with sqlite3.connect(folder / FILE_NAME) as db:
        db.execute("UPDATE entries SET body = zeroblob(length(body)) WHERE id = (1 << 40) + 20")
    code, out, _ = call("history", "bed-1", "--json")
    failed = [row for row in objects(out) if row.get("state") == "failed"]
    assert code == 1
    assert len(failed) == 1
    assert failed[0]["index"] == 20
    assert objects(out)[-1]["summary"]["failed"] == 1
    code, out, _ = call("history", "bed-1")
    assert code == 1
    assert "FAILED" in out


def test_verify_names_the_first_bad_entry(call, folder):
    assert call("verify")[0] == 0
    with sqlite3.connect(folder / FILE_NAME) as db:
        db.execute("UPDATE entries SET leaf = zeroblob(length(leaf)) WHERE id = (1 << 40) + 20")
    code, out, _ = call("verify")
    assert code == 1
    for word in (
        "gateway           g1",
        "index             20",
        "nonin:port:bed-1",
        "last good anchor",
        "untouched: g2, g3",
    ):
        assert word in out
    code, out, _ = call("verify", "--json")
    found = objects(out)[0]
    assert code == 1
    assert found["first_bad_entry"]["entry"]["index"] == 20
    assert found["first_bad_entry"]["expected"] != found["first_bad_entry"]["found"]


def test_verify_against_a_receipt(call, ward, tmp_path):
    receipt = tmp_path / "newest.tlog-proof"
    receipt.write_bytes(ward.gateways[1].receipts[-1].proof)
    assert call("verify", "--against", str(receipt))[0] == 0
    receipt.write_bytes(b"nothing of that kind")
    code, _, err = call("verify", "--against", str(receipt))
    assert code == 2
    assert err.count("\n") == 1


def test_a_file_that_is_no_database_is_one_clear_line(call, folder):
    (folder / FILE_NAME).write_bytes(b"SQLite format 3\0" + bytes(5000))
    code, out, _ = call("verify")
    assert code == 1
    assert "SQLite" in out
    code, _, err = call("history", "bed-1")
    assert code in {1, 2}
    assert err.count("\n") == 1


def test_devices_and_gateways(call):
    _, out, _ = call("devices", "--json")
    found = {row["device"]: row for row in objects(out)}
    assert found["masimo:sn:0000056661"]["identity"]["sureness"] == "protocol"
    assert {row["use"] for row in found.values()} == {"demo", None}
    _, out, _ = call("gateways", "--json")
    assert [(row["gateway"], row["online"]) for row in objects(out)] == [("g1", None), ("g2", True), ("g3", None)]
    for words in (("devices",), ("gateways",), ("status",)):
        assert call(*words)[0] == 0


def test_export_writes_a_file_that_verify_takes(call, tmp_path):
    code, out, _ = call("export", "56661", "--seq", "20-30", "-o", str(tmp_path / "evidence.zip"))
    assert code == 0
    assert "entries 20 to 30" in out
    assert (tmp_path / "evidence.zip").is_file()
    assert f"SHA-256 {sha256((tmp_path / 'evidence.zip').read_bytes()).hexdigest()}" in out.splitlines()
    assert call("export", "56661", "--origin", "other", "-o", str(tmp_path / "no.zip"))[0] == 2
    assert call("export", "56661", "-o", str(tmp_path))[0] == 2


@pytest.mark.parametrize("form", ["fhir", "hl7", "csv"])
def test_export_in_other_forms(call, tmp_path, form):
    file = tmp_path / "file"
    code, out, _ = call("export", "56661", "--seq", "20-30", "--format", form, "--by", "Ada", "-o", str(file))
    assert code == 0
    assert "entries 20 to 30, as" in out
    assert f"SHA-256 {sha256(file.read_bytes()).hexdigest()}" in out.splitlines()
    assert "NOT CLINICAL: use is stated as demo" in out
    assert "quorum" not in out
    code, _, err = call("export", "56661", "--format", form, "--waves", "-o", str(file))
    assert code == 2
    assert "--raw and --waves are for evidence" in err


def test_status_has_the_sizes(call, ward):
    _, out, _ = call("status", "--json")
    found = objects(out)[0]
    assert found["ledger_size"] > 40
    assert {"gateway", "origin", "witnessed_size", "stored", "custody_size"} <= set(found["logs"][0])


def test_watch_verifies_each_entry_once_and_goes_on(tmp_path):
    made = make_ward(tmp_path, entries=60)
    with Reader.open(made.path) as reader:
        with reader.snapshot():
            watch = Watch(VerifiedStore(reader, made.vkey))
        counts = []
        for _ in range(2):
            with reader.snapshot():
                watch.step()
            counts.append(watch.as_json(NOW)["entries_verified"])
        assert counts[0] == counts[1] == sum(gateway.size for gateway in made.gateways)
        made.gateways[0].readings("nonin:port:bed-1")
        made.process([made.gateways[0].anchor(), *made.gateways[0].entries()])
        with reader.snapshot():
            watch.step()
        found = watch.as_json(NOW)
        assert found["entries_verified"] == counts[0] + 1
        assert found["failures"] == 0
        assert {row["signal"] for row in found["latest"]} == {"spo2"}
    made.close()


def test_init_makes_a_collector_and_enroll_takes_a_gateway(tmp_path, ward):
    runner = CliRunner()
    made = runner.invoke(cli.cli, ["init", str(tmp_path / "new"), "--provider", "ward.example"])
    assert made.exit_code == 0
    assert "ward.example/ledger+" in made.output
    config = ["--config", str(tmp_path / "new" / "collector.toml")]
    enrolled = runner.invoke(cli.cli, [*config, "enroll", str(ward.gateways[0].signer.vkey)])
    assert "enrolled g1" in enrolled.output
    assert runner.invoke(cli.cli, [*config, "verify"]).exit_code == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("history", "nobody"), "no device"),
        (("history", "bed-1", "--from", "yesterday"), "expected ISO 8601"),
        (("history", "bed-1", "--from", "now", "--to", "-1h"), "is after"),
        (("history", "bed-1", "--seq", "x"), "expected N"),
    ],
)
def test_misuse_is_one_line_and_exit_code_2(call, words, says):
    code, _, err = call(*words)
    assert code == 2
    assert says in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", NOW),
        ("-90s", NOW - 90_000_000),
        ("-7d", NOW - 7 * 86_400_000_000),
        ("2023-11-14", 1_699_920_000_000_000),
        ("2023-11-14T01:00:00+01:00", 1_699_920_000_000_000),
        ("2023-11-14T00:00:00.000001Z", 1_699_920_000_000_001),
    ],
)
def test_times(text, expected):
    assert parse_time(text, NOW) == expected


@pytest.mark.parametrize("text", ["", "tomorrow", "-1y", "-", "12:00", "-٣m", "9999-99-99"])
def test_what_is_no_time(text):
    with pytest.raises(MisuseError):
        parse_time(text, NOW)


def test_a_time_that_no_calendar_has_is_shown_all_the_same():
    assert show(2**62) == "4611686018427.388 s"
