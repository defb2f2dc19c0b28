"""A collector restored from a backup, as real processes: it never signs the old ledger again, and nothing is lost."""

import shutil
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from collector import config
from collector.enrolment import enroll, open_ledger
from tests.e2e.compare import compare, truth_of
from tests.e2e.ward import SHORT_ENTRIES, Ward
from vitaledger import fork
from vitaledger.checkpoint import open_checkpoint
from vitaledger.cli.stage import json_lines
from vitaledger.keys import Ed25519Signer, parse_vkey, verifier_of

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
FIRST, SECOND = "demo.example/ledger", "demo.example/ledger/2"


class Bench(Ward):
    """A ward whose collector can be put back, and everything that its ledgers ever showed outside."""

    settings = SHORT_ENTRIES

    def __init__(self, folder, broker):
        super().__init__(folder, broker)
        self.devices = {"bed-1": self.devices["bed-1"], "bed-3": self.devices["bed-3"]}
        self.heads = {}

    @property
    def state(self):
        return self.folder / "collector" / "state"

    def backup(self, to):
        """The size of the ledger in it."""
        return json_lines(self.collector("backup", str(to), "--with-key", "--json"))[0]["ledger_size"]

    def restore(self, copy):
        """As it is written in docs/copies.md: the store is lost, the backup is put in its place."""
        shutil.rmtree(self.state)
        self.collector("restore", str(copy))

    def sealed(self):
        lines = json_lines(self.gateway("status", "--json", ok=(0, 2)))  # 2: it has just begun
        return lines[-1]["size"] if lines else 0

    def grow(self, entries):
        start = self.sealed()
        self.await_condition("the gateway seals", 60, lambda: self.sealed() >= start + entries)

    def receipted(self):
        """Wait until all that is sealed now has a receipt."""
        size = self.sealed()

        def covered():
            return json_lines(self.gateway("status", "--json"))[-1]["custody_size"] >= size

        self.await_condition("the gateway has receipts", 60, covered)

    def history(self):
        """In the order of the one log: a busy machine reads many values at one moment."""
        return {port: sorted(lines, key=lambda line: line["index"]) for port, lines in super().history().items()}

    def goes_on(self):
        return json_lines(self.collector("status", "--json"))[0]["ledger_origin"] == SECOND

    def look(self):
        """Take the head that the collector publishes now; two of one size must be the same."""
        try:
            port = (self.state / "http-port").read_text().strip()
            with urlopen(f"http://127.0.0.1:{port}/ledger/checkpoint", timeout=2) as answer:
                data = answer.read()
        except (OSError, URLError):
            return
        first, second = self.vkey(1), self.vkey(2)
        keys = [verifier_of(parse_vkey(each)) for each in (first, second) if each]
        head = open_checkpoint(data, keys).checkpoint
        assert self.heads.setdefault((head.origin, head.size), head.root) == head.root, head

    def vkey(self, number):
        if number == 1:
            return self.gateway_config.read_text().split('ledger_vkey = "')[1].split('"')[0]
        if not (self.state / "2").is_dir():
            return None
        return json_lines(self.collector("ledgers", "--json"))[-1]["vkey"]


@pytest.fixture
def ward(request, tmp_path):
    made = Bench(tmp_path / "ward", request.param)
    try:
        made.start()
        yield made
    finally:
        made.stop_all()


@contextmanager
def gateway_away(ward, away, statements):
    """A gateway that is not there when the collector starts, and comes later; meanwhile the ledger is signed on."""
    if away:
        ward.stop("gateway")
        ward.kill("broker")  # which forgets what was retained
        ward.start_broker()
    yield
    if away:
        ward.await_condition("the collector serves", 20, (ward.state / "http-port").exists)
        sign_on(ward, statements)
        ward.start_gateway()


def sign_on(ward, statements):
    """An operator enrols other gateways beside the restored collector, which cannot know better yet."""
    store, signer = open_ledger(config.load(ward.collector_config))
    with store:
        for n in range(statements):
            key = Ed25519Signer(f"demo.example/gateway/other-{n}", bytes(32))
            enroll(store, signer, str(key.vkey), 0)


@pytest.mark.parametrize(("ward", "away"), [("mosquitto", False), ("amqtt", True)], indirect=["ward"])
def test_a_collector_restored_from_a_backup(ward, away, tmp_path):
    ward.grow(4)
    ward.receipted()
    copy = tmp_path / "copy"
    saved = ward.backup(copy)
    ward.grow(8)
    ward.receipted()
    newest = tmp_path / "newest"
    ward.gateway("receipt", "-o", str(newest))
    known = open_checkpoint(newest.read_bytes(), [verifier_of(parse_vkey(ward.vkey(1)))]).checkpoint
    assert known.size > saved
    ward.kill("collector")
    ward.restore(copy)
    assert "rolled back" in ward.collector("verify", "--against", str(newest), ok=(1,))
    with gateway_away(ward, away, known.size - saved + 30):
        ward.start_collector()
    ward.await_condition("the next ledger goes on", 40, lambda: ward.look() or ward.goes_on())
    ward.grow(4)
    ward.receipted()
    ward.drain()
    for words in (("verify",), ("--ledger", "1", "verify")):
        ward.collector(*words)
    ward.gateway("verify")

    # the old ledger: nothing was signed after the newer head was seen, and what was before is evidence
    old = json_lines(ward.collector("--ledger", "1", "status", "--json"))[0]
    assert any("signs no more" in alarm for alarm in old["ledger_alarms"])
    if away:
        assert old["ledger_size"] == known.size + 30
        (row,) = json_lines(ward.collector("forks", "--json"))
        evidence = tmp_path / "fork.json"
        ward.collector("forks", "export", str(row["id"]), "-o", str(evidence))
        assert "FORKED" in ward.run("vitaledger", "fork", str(evidence))
        assert fork.verify(evidence.read_bytes(), ward.vkey(1)).origin == FIRST
    else:
        assert old["ledger_size"] == saved  # not one statement

    # people are told, on both sides, with origin and sizes
    (told, now) = json_lines(ward.collector("ledgers", "--json"))
    assert (told["ended"], told["goes_on"], now["origin"]) == (FIRST, SECOND, SECOND)
    assert told["restored_to"] == old["ledger_size"]
    assert saved < told["shown"]  # the first head that it was shown: maybe not the newest that the gateway had by then
    log = Path(ward.folder / "log" / "gateway.log").read_text()
    assert f"the provider ledger {FIRST} had " in log
    assert f"restored from an old copy of {old['ledger_size']}; it goes on as {SECOND}" in log

    # nothing is lost, nothing is there twice
    for device, lines in ward.history().items():
        assert compare(truth_of(ward.truth, device), lines).readings > 0

    # the chain from the old ledger's key to new evidence
    note, policy, file = tmp_path / "note", tmp_path / "policy.txt", tmp_path / "evidence.zip"
    policy.write_text(f"log {ward.vkey(1)}\nquorum none\n")
    ward.collector("ledgers", "note", "2", "-o", str(note))
    ward.collector("export", "bed-1", "--seq", "1-3", "-o", str(file))
    ward.run("vitaledger", "verify", str(file), "--policy", str(policy), ok=(1,))
    said = ward.run("vitaledger", "verify", str(file), "--policy", str(policy), "--succession", str(note))
    assert f"ledger       {SECOND}" in said
