"""A copy of a store at work is whole and verified, holds no key unless asked, and comes back only into nothing."""

import json
import os
import sqlite3
import threading

import pytest
from click.testing import CliRunner

from collector import config, keys
from collector.backup import backup, restore
from collector.cli import cli
from collector.enrolment import enroll, init, open_ledger
from collector.reader import Reader
from collector.service import run
from collector.verify import verify_store
from tests.unit.collector.model_gateway import NOW, PROVIDER, Desk, Gateway
from tests.unit.collector.test_service_collector import _Line, broker, healthy, wait_for  # noqa: F401  a fixture
from vitaledger.errors import MisuseError, VerificationError


class Site:
    """A collector in a directory: configuration, key, store with two gateways' entries."""

    def __init__(self, directory, port=1, entries=300):
        self.vkey = init(directory, PROVIDER, b"k" * 32)
        self.path = directory / "collector.toml"
        self.path.write_text(f'provider = "{PROVIDER}"\n[mqtt]\nport = {port}\n[http]\nport = 0\n')
        self.config = config.load(self.path)
        if entries:
            desk = Desk(self.config.state_dir, one := Gateway("g1").add(entries), two := Gateway("g2").add(7))
            desk.send_all(one)
            desk.send_all(two)
            desk.close()


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path / "here")


def another(tmp_path, name="there", provider=PROVIDER):
    directory = tmp_path / name
    directory.mkdir()
    path = directory / "collector.toml"
    path.write_text(f'provider = "{provider}"\n[http]\nport = 0\n')
    return config.load(path)


def content(path):
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        return list(db.iterdump())


def test_there_and_back(site, tmp_path):
    copy = tmp_path / "copy"
    done = backup(site.config, copy, site.vkey, with_key=False)
    assert (done.key, done.report.counts.entries) == (None, 307)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["copy", "here"]
    assert copy.stat().st_mode & 0o777 == 0o600
    assert content(copy) == content(site.config.store_path)
    secret = site.config.key_path.read_bytes()
    assert secret not in copy.read_bytes()
    assert keys.load(site.config.key_path, f"{PROVIDER}/ledger")
    there = another(tmp_path)
    done = restore(there, copy, None)
    assert content(there.store_path) == content(site.config.store_path)
    assert done.key is None
    with pytest.raises(MisuseError, match=r"ledger\.key"):
        open_ledger(there)
    there.key_path.write_bytes(secret)
    there.key_path.chmod(0o600)
    store, _ = open_ledger(there)
    store.close()


def test_the_key_only_where_it_is_asked_for(site, tmp_path):
    copy = tmp_path / "copy"
    done = backup(site.config, copy, site.vkey, with_key=True)
    assert done.key == tmp_path / "copy.key"
    assert done.key.read_bytes() == site.config.key_path.read_bytes()
    assert done.key.stat().st_mode & 0o777 == 0o600
    there = another(tmp_path)
    assert restore(there, copy, None).key == there.key_path
    store, signer = open_ledger(there)
    assert str(signer.vkey) == site.vkey
    enroll(store, signer, Gateway("g9").vkey, NOW)  # it goes on
    store.close()
    assert verify_store(there.store_path, site.vkey).ok


def test_nothing_is_overwritten(site, tmp_path):
    copy = tmp_path / "copy"
    (tmp_path / "copy.key").write_text("mine")
    with pytest.raises(MisuseError, match=r"copy\.key is there already"):
        backup(site.config, copy, site.vkey, with_key=True)
    assert not copy.exists()
    backup(site.config, copy, site.vkey, with_key=False)
    before = copy.read_bytes()
    with pytest.raises(MisuseError, match="there already"):
        backup(site.config, copy, site.vkey, with_key=False)
    assert copy.read_bytes() == before
    (tmp_path / "copy.key").unlink()
    with pytest.raises(MisuseError, match=r"not empty \(collector\.sqlite"):
        restore(site.config, copy, None)
    there = another(tmp_path)
    there.state_dir.mkdir()
    (there.state_dir / "note").write_text("")
    with pytest.raises(MisuseError, match="not empty"):
        restore(there, copy, None)
    with pytest.raises(MisuseError, match="no such directory"):
        backup(site.config, tmp_path / "none" / "copy", site.vkey, with_key=False)


def test_a_store_that_does_not_hold_is_not_copied_and_a_spoilt_copy_not_restored(site, tmp_path):
    copy = tmp_path / "copy"
    backup(site.config, copy, site.vkey, with_key=False)
    for path in (site.config.store_path, copy):
        db = sqlite3.connect(path)
        db.execute("UPDATE entries SET body = zeroblob(9) WHERE id = (SELECT id FROM entries LIMIT 1 OFFSET 70)")
        db.commit()
        db.close()
    with pytest.raises(VerificationError, match="not kept: entries: gateway g1"):
        backup(site.config, tmp_path / "second", site.vkey, with_key=True)
    there = another(tmp_path)
    with pytest.raises(VerificationError, match="index 70"):
        restore(there, copy, site.vkey)
    assert list(there.state_dir.iterdir()) == []
    assert sorted(each.name for each in tmp_path.iterdir()) == ["copy", "here", "there"]


def test_what_is_not_ours_is_refused(site, tmp_path):
    copy = tmp_path / "copy"
    backup(site.config, copy, site.vkey, with_key=False)
    with pytest.raises(MisuseError, match="the configuration of other"):
        restore(another(tmp_path, "a", "other"), copy, None)
    there = another(tmp_path, "b")
    there.state_dir.mkdir()
    keys.create(there.key_path, there.ledger_origin, os.urandom(32))
    with pytest.raises(MisuseError, match="is of the key"):
        restore(there, copy, None)
    assert [each.name for each in there.state_dir.iterdir()] == ["ledger.key"]
    (tmp_path / "junk").write_bytes(b"x" * 5000)
    with pytest.raises(MisuseError, match="not a collector's store"):
        restore(another(tmp_path, "c"), tmp_path / "junk", None)


def command(path, *words):
    return CliRunner().invoke(cli, ["--config", str(path), *map(str, words)], catch_exceptions=False)


def test_a_copy_of_a_collector_at_work(tmp_path, broker):  # noqa: F811
    site = Site(tmp_path / "here", broker, entries=0)
    gateway = Gateway("g1").add(2000)
    store, signer = open_ledger(site.config)
    enroll(store, signer, gateway.vkey, NOW)
    stop, ports = threading.Event(), []
    thread = threading.Thread(target=run, args=(site.config,), kwargs={"ready": ports.append, "stop": stop})
    thread.start()
    try:
        wait_for(lambda: ports and healthy(f"http://127.0.0.1:{ports[0]}"))
        line = _Line(broker, gateway)
        line.send(gateway.anchor())
        sizes = []
        for n, part in enumerate(gateway.runs(most=64)):
            line.send(part)
            if n in {4, 12, 20}:
                wait_for(lambda n=n: store.log_of("g1").stored >= 64 * (n - 2))
                done = command(site.path, "backup", tmp_path / f"copy{n}", "--json")
                assert done.exit_code == 0, done.output
                sizes.append(json.loads(done.stdout)["entries"])
        wait_for(lambda: store.log_of("g1").stored == 2000)
        line.close()
        assert sizes == sorted(sizes)
        assert sizes[0] > 0
    finally:
        stop.set()
        thread.join(20)
        store.close()
    for n in (4, 12, 20):
        assert verify_store(tmp_path / f"copy{n}", site.vkey).ok
    there = another(tmp_path)
    done = command(there.base / "collector.toml", "restore", tmp_path / "copy20", "--vkey", site.vkey)
    assert done.exit_code == 0
    assert "VERIFIED" in done.stdout
    assert "There is no key" in done.stdout
    with Reader.open(there.store_path) as reader:
        assert reader.log_of("g1").stored == sizes[-1]
    said = command(site.path, "backup", tmp_path / "last").stdout
    assert "The ledger's key is not in it" in said
