"""`vitaledger verify`: exit codes, and the words that a person reads."""

import contextlib
import random
import zipfile
from hashlib import sha256

import pytest
from click.testing import CliRunner

from tests.evidence_world import BED_1, GATEWAY_KEY, POLICY, POLICY_TEXT, Ed25519Signer, World
from vitaledger import cli, events, statement
from vitaledger.cli.verify import CANNOT, read_zip, words
from vitaledger.cli.verify import verify as command
from vitaledger.entry import Clock, Kind, PartType
from vitaledger.errors import MalformedError
from vitaledger.evidence import MANIFEST, RAW_AND_WAVES, verify
from vitaledger.marks import GapReason

WORLD = World()
FILES = WORLD.files(2, 4)


def pack(path, files, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items() if isinstance(files, dict) else files:
            archive.writestr(name, data)
    return path


@pytest.fixture
def trusted(tmp_path):
    path = tmp_path / "policy"
    path.write_bytes(POLICY_TEXT)
    return path


@pytest.fixture
def run(trusted, monkeypatch, capsys):
    """Run the command as a shell would: (exit code, what it printed, what it complained)."""

    def call(path, policy=trusted):
        monkeypatch.setattr("sys.argv", ["vitaledger", "verify", str(path), "--policy", str(policy)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return ended.value.code, out, err

    return call


WORDS = f"""\
VERIFIED
  device       {BED_1}
               identity: told before the entries shown
  NOT CLINICAL use is stated as demo
  origin       device-live
  entries      2 to 4 of that micro-chain: 3, complete, linked, none between
  readings     7, of which 1 are stated absences
  wave samples 6
  gaps         0
  signed by    gateway g1: {GATEWAY_KEY.vkey}
  sealed       before 2025-06-15 15:07:40.000 UTC, by the collector's clock: anchored at 14
               after 2025-06-15 14:06:40.000 UTC, by the collector's clock: the gateway had quoted a ledger head of that time
  gateway time 2025-06-15 15:06:45.000 UTC to 2025-06-15 15:06:50.000 UTC (a claim of the gateway's clock, error at most 3 ms, as it said)
  ledger       h.example/ledger, size 5
  table        readings.csv and the texts are what the entries say
  exported     2025-06-15T15:06:40Z by Ada, records, with vitaledger 0.1.0 (not proven)
"""  # noqa: E501


def test_what_is_good(run, tmp_path):
    code, out, err = run(pack(tmp_path / "evidence.zip", FILES))
    assert (code, err) == (0, "")
    assert out.startswith(WORDS)
    digest = sha256((tmp_path / "evidence.zip").read_bytes()).hexdigest()
    assert out == WORDS + CANNOT + "\n" + (
        "  that the provider shows everybody the same ledger: no witness's cosignature was asked for by the policy.\n"
        f"SHA-256 of the file: {digest}\n"
    )


def test_stored_without_deflating(run, tmp_path):
    assert run(pack(tmp_path / "evidence.zip", FILES, zipfile.ZIP_STORED))[0] == 0


def told(found):
    return "\n".join(words(found, POLICY))


def test_what_was_left_out_is_said():
    text = told(verify(WORLD.files(0, 5, withheld=RAW_AND_WAVES, after=False), POLICY))
    assert "  left out     waves, raw: not in this file; the rest verifies without them" in text
    assert "after: nothing says; the gateway had quoted no ledger head before" in text
    assert "Nonin Xpod, tells no serial number, on bed-1; identity by port, use demo" in text
    assert "  gaps         2\n" in text
    assert "2025-06-15 15:06:44.000 UTC: gap, its beginning unknown: start" in text
    assert "2025-06-15 15:06:51.000 UTC: gap of 1.0 s: unplugged; 7 bytes not kept" in text
    assert "  wave samples 0" in text


def test_a_clock_that_is_off_every_calendar():
    """A gateway may claim any time; it is shown, and nothing breaks."""
    for wall in (2**63 - 1, -(2**63), 253_402_300_800_000):
        world = World()
        world.gateway.clock = lambda ticks=None, wall=wall: Clock(wall, bytes(16), 0, None)
        gap = events.Gap(GapReason.START, Clock(0, b"\x01" * 16, 0, None), "", None)
        index = world.gateway.event("odd:port:x", gap)
        heads = world.gateway.heads()
        world.anchored = world.ledger.add(statement.Anchor(2**63 - 1, world.gateway.checkpoint()))
        text = told(verify(world.files(0, 0, "odd:port:x", indices=[index, heads]), POLICY))
        assert f"{wall} ms since 1970 UTC" in text
        assert f"before {2**63 - 1} ms since 1970 UTC" in text
        assert "not always synchronised" in text


def test_a_finding_is_told():
    world = World(extra=[(BED_1, Kind.READINGS, [(PartType.VALUES, b"\x80")])])
    text = told(verify(world.files(5, 6), POLICY))
    assert f"  FINDING      {BED_1} entry 6: values part: expected an array of 9 items" in text
    only = told(verify(world.files(6, 6), POLICY))
    assert only.startswith("VERIFIED")
    assert "gateway time" not in only


# -- exit 1 -----------------------------------------------------------------------------------------------------------


def test_a_changed_body(run, tmp_path):
    name = "entries/000000000006.body"
    code, out, err = run(pack(tmp_path / "e.zip", {**FILES, name: FILES[name].replace(b"nonin", b"nonix")}))
    assert (code, out) == (1, "")
    assert err.startswith(f"vitaledger: {name}: {BED_1} entry 3: part values: commitment expected ")


def test_a_changed_table(run, tmp_path):
    table = FILES["readings.csv"].replace(b",spo2,97,", b",spo2,79,", 1)
    code, out, err = run(pack(tmp_path / "e.zip", {**FILES, "readings.csv": table}))
    assert (code, out) == (1, "")
    assert err.startswith("vitaledger: readings.csv: line 3 is not what the entries say: expected '2025-06-15T15:06:45")


def test_a_changed_text(run, tmp_path):
    text = FILES["certification.txt"].replace(b"2 to 4", b"2 to 5", 1)
    code, out, err = run(pack(tmp_path / "e.zip", {**FILES, "certification.txt": text}))
    assert (code, out) == (1, "")
    assert err.startswith("vitaledger: certification.txt: line 13 is not what the entries say: expected ")


def test_another_policy(run, tmp_path):
    other = tmp_path / "other"
    other.write_text(f"log {Ed25519Signer('h.example/ledger', bytes(32)).vkey}\nquorum none\n")
    code, out, err = run(pack(tmp_path / "e.zip", FILES), other)
    assert (code, out) == (1, "")
    assert err.startswith("vitaledger: ledger/anchor.tlog-proof: note: expected a signature by")


def test_a_hole(run, tmp_path):
    holed = {name: data for name, data in FILES.items() if "000000000006" not in name}
    code, out, err = run(pack(tmp_path / "e.zip", holed))
    assert (code, out, err) == (1, "", f"vitaledger: {BED_1}: expected entry 3, found entry 4\n")


# -- exit 2 -----------------------------------------------------------------------------------------------------------


def test_a_file_that_is_missing(run, tmp_path):
    code, out, err = run(tmp_path / "nowhere.zip")
    assert (code, out) == (2, "")
    assert "nowhere.zip: cannot be read: No such file or directory" in err


def test_a_policy_that_is_missing_or_none(run, tmp_path):
    path = pack(tmp_path / "e.zip", FILES)
    assert run(path, tmp_path / "nowhere")[0] == 2
    (tmp_path / "none").write_text("trust everybody\n")
    code, _, err = run(path, tmp_path / "none")
    assert (code, err) == (2, "vitaledger: policy line 1: expected log, witness, group or quorum, found 'trust'\n")


def test_a_folder(run, tmp_path):
    assert run(tmp_path)[0] == 2


@pytest.mark.parametrize("data", [b"", b"no zip", b"PK\x05\x06" + bytes(18), b"PK\x03\x04" + bytes(30)])
def test_what_is_no_zip(run, tmp_path, data):
    (tmp_path / "e.zip").write_bytes(data)
    code, out, err = run(tmp_path / "e.zip")
    assert (code, out) == (2, "")
    assert err


def test_a_name_twice(run, tmp_path):
    with pytest.warns(UserWarning, match="Duplicate name"):
        pack(tmp_path / "e.zip", [*FILES.items(), (MANIFEST, FILES[MANIFEST])])
    code, _, err = run(tmp_path / "e.zip")
    assert code == 2
    assert "manifest.json: twice" in err


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packed_in_another_way(run, tmp_path, method):
    code, _, err = run(pack(tmp_path / "e.zip", FILES, method))
    assert code == 2
    assert "packed in a way that evidence is not" in err


def test_a_file_that_is_too_large(run, tmp_path):
    code, _, err = run(pack(tmp_path / "e.zip", {**FILES, "entries/bomb": bytes(50_000_000)}))
    assert code == 2
    assert "larger than evidence can be" in err


def test_a_file_too_many_and_one_too_few(run, tmp_path):
    code, _, err = run(pack(tmp_path / "e.zip", {**FILES, "README": b""}))
    assert (code, err) == (
        2, "vitaledger: README: no file of an evidence file; expected only those that are verified\n"
    )  # fmt: skip
    code, _, err = run(pack(tmp_path / "f.zip", {k: v for k, v in FILES.items() if k != MANIFEST}))
    assert (code, err) == (2, "vitaledger: manifest.json: missing from the evidence file\n")
    code, _, err = run(pack(tmp_path / "g.zip", {k: v for k, v in FILES.items() if k != "readings.csv"}))
    assert (code, err) == (2, "vitaledger: readings.csv: missing from the evidence file\n")


def test_a_file_of_the_first_format(run, tmp_path):
    core = {k: v for k, v in FILES.items() if not k.endswith((".csv", ".txt"))}
    old = core[MANIFEST].replace(b'evidence": 2', b'evidence": 1').replace(b' "rendering": 1,\n', b"")
    code, _, err = run(pack(tmp_path / "e.zip", {**core, MANIFEST: old}))
    assert code == 2
    assert "manifest.json: vitaledger-evidence 1; version 0.1.0 of this program knows 2: export it again" in err


@pytest.mark.parametrize("name", ["x\x1b[2J", "é", "a\nb", "\x7f"])
def test_names_that_could_forge_a_line(run, tmp_path, name):
    code, _, err = run(pack(tmp_path / "e.zip", {**FILES, name: b""}))
    assert code == 2
    assert err.isascii()
    assert err.rstrip("\n").isprintable()
    assert "no name of an evidence file" in err


def test_damaged_zips_are_refused_in_words(tmp_path):
    path, rng = tmp_path / "e.zip", random.Random(7)
    good = pack(path, FILES).read_bytes()
    refused = 0
    for _ in range(600):
        at = rng.randrange(len(good))
        damaged = rng.choice(
            [
                good[:at],
                good[:at] + good[at + rng.randrange(1, 9) :],
                good[:at] + rng.randbytes(rng.randrange(1, 9)) + good[at:],
                *[good[:at] + bytes([good[at] ^ 1 << rng.randrange(8)]) + good[at + 1 :]] * 5,
            ]
        )
        path.write_bytes(damaged)
        try:
            found = read_zip(path)
        except MalformedError:
            refused += 1
        else:  # such as the date of a file
            assert found == FILES or set(found) != set(FILES)
    assert refused > 400


def test_the_central_directory_bit_by_bit(tmp_path):
    """Where the zip's own structure stands, every byte with several values."""
    path = pack(tmp_path / "e.zip", {"a": b"1" * 40, "b/c": b"2"})
    good = path.read_bytes()
    start = good.index(b"PK\x01\x02")
    for at in [*range(40), *range(start, len(good))]:
        for value in {good[at] ^ 1, good[at] ^ 0x80, 0, 255, 8, 14, 99} - {good[at]}:
            path.write_bytes(good[:at] + bytes([value]) + good[at + 1 :])
            with contextlib.suppress(MalformedError):
                read_zip(path)


def test_wrong_use():
    runner = CliRunner()
    assert runner.invoke(cli.cli, ["verify"]).exit_code == 2
    assert runner.invoke(cli.cli, ["verify", "x.zip"]).exit_code == 2
    assert runner.invoke(cli.cli, ["verify", "x.zip", "--policy", "p", "--trust-me"]).exit_code == 2
    told = runner.invoke(command, ["--help"])
    assert told.exit_code == 0
    assert "Exit 0: it holds. 1: verification failed. 2: malformed file or wrong use." in told.output
