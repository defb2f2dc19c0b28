"""A hospital's store behind the real web server: copied for each test that changes it."""

import shutil
import sqlite3
import time
from contextlib import contextmanager
from pathlib import Path

import httpx

from collector.reader import FILE_NAME, Reader
from collector.web.app import Health, create_app
from collector.web.server import Server
from collector.web.views import Pages
from tests.browser.hospital import make_hospital

MASIMO = "masimo:sn:0000056661"
HEALTH = Health(True, 1, True, 1, 1)


def now_ms():
    return time.time_ns() // 1_000_000


def make(folder: Path):
    """A filled store, closed: (path of the store, the ledger's vkey, the time that it was filled up to)."""
    made = make_hospital(folder, now_ms())
    made.ward.close()
    return made


def copy(made, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE_NAME
    shutil.copyfile(made.ward.path, path)
    return path


@contextmanager
def serve(path: Path, vkey: str, **options):
    pages = Pages(path, vkey, **options)
    with Reader.open(path) as reader:
        server = Server(create_app(reader, lambda: HEALTH, pages=pages), "127.0.0.1", 0, pages.end)
        server.start()
        try:
            yield f"http://127.0.0.1:{server.port}"
        finally:
            server.stop()


@contextmanager
def client(path: Path, vkey: str, **options):
    """A client of the pages over a store, whose path it knows."""
    with serve(path, vkey, **options) as base, Client(path, base) as found:
        yield found


class Client(httpx.Client):
    def __init__(self, store: Path, base: str) -> None:
        super().__init__(base_url=base, trust_env=False, timeout=30)
        self.store = store


def place(path: Path, chain: str, seq: int) -> int:
    """The row of an entry."""
    with Reader.open(path) as reader:
        row = next(each for each in reader.chains() if each.name == chain)
        return (row.log << 40) + reader.positions(row.chain, seq, seq)[0].idx


def flip(path: Path, chain: str, seq: int) -> None:
    """Change one bit of the stored body of an entry."""
    row = place(path, chain, seq)
    db = sqlite3.connect(path, timeout=30)
    (body,) = db.execute("SELECT body FROM entries WHERE id = ?", (row,)).fetchone()
    at = len(body) - 5
    changed = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
    db.execute("UPDATE entries SET body = ? WHERE id = ?", (changed, row))
    db.commit()
    db.close()
