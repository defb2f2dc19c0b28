"""The ledger over HTTP, read by a client that knows nothing but the C2SP documents."""

import base64
import hashlib
import socket

import httpx
import pytest

from collector.reader import Reader
from collector.web.app import Health, create_app
from collector.web.server import Server
from tests.unit.collector.model_gateway import NOW, Desk, Gateway
from vitaledger.checkpoint import open_checkpoint
from vitaledger.errors import MisuseError
from vitaledger.keys import verifier_of
from vitaledger.statement import Finding

SIZE = 600


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    desk = Desk(tmp_path_factory.mktemp("web"), Gateway())
    with desk.store.transaction():
        for n in range(SIZE - 1):
            desk.step.ledger.append(Finding(NOW, "o", n, "a statement"))
        desk.step.ledger.seal()
    healths = [Health(True, SIZE, True, 3, None)]
    reader = Reader.open(desk.path)
    server = Server(create_app(reader, lambda: healths[0]), "127.0.0.1", 0)
    server.start()
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", trust_env=False) as client:
        yield client, desk, healths
    assert server.alive
    server.stop()
    assert not server.alive
    reader.close()
    desk.close()


def naive_root(hashes):
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return hashlib.sha256(b"\x01" + naive_root(hashes[:split]) + naive_root(hashes[split:])).digest()


def test_an_independent_reader_rebuilds_the_root(served):
    client, desk, _ = served
    answer = client.get("/ledger/checkpoint")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert "immutable" not in answer.headers["cache-control"]
    open_checkpoint(answer.content, [verifier_of(desk.signer.vkey)])
    origin, size, root = answer.text.split("\n")[:3]
    assert (origin, size) == ("h.example/ledger", "600")
    leaves, rows = [], b""
    for name in ("000", "001", "002.p/88"):
        bundle = client.get(f"/ledger/tile/entries/{name}").content
        while bundle:
            length = int.from_bytes(bundle[:2], "big")
            leaves.append(hashlib.sha256(b"\x00" + bundle[2 : 2 + length]).digest())
            bundle = bundle[2 + length :]
        rows += client.get(f"/ledger/tile/0/{name}").content
    assert b"".join(leaves) == rows
    assert naive_root(leaves) == base64.b64decode(root)
    level1 = client.get("/ledger/tile/1/000.p/2").content
    assert level1 == naive_root(leaves[:256]) + naive_root(leaves[256:512])


@pytest.mark.parametrize("path", ["0/000", "0/000.p/7", "0/002.p/1", "0/002.p/88", "1/000.p/1", "entries/001.p/255"])
def test_every_published_width_is_there_for_ever(served, path):
    answer = served[0].get(f"/ledger/tile/{path}")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["content-type"] == "application/octet-stream"


@pytest.mark.parametrize(
    "path",
    [
        "0/002",
        "0/002.p/89",
        "0/003.p/1",
        "1/000",
        "1/000.p/3",
        "2/000.p/1",
        "0/0",
        "0/000.p/0",
        "0/000.p/256",
        "0/000.p/01",
        "00/000",
        "entries/002",
        "entries/x000/000",
        "0/000/",
        "",
        "0/..%2f..%2fcheckpoint",
        "0/%2e%2e/0/000",
        "0/٠٠٠",
        "63/000",
    ],
)
def test_nothing_else_is_there(served, path):
    answer = served[0].get(f"/ledger/tile/{path}")
    assert answer.status_code == 404


def test_only_reading_and_with_security_headers(served):
    client = served[0]
    assert client.post("/ledger/checkpoint").status_code == 405
    assert client.head("/ledger/checkpoint").status_code == 200
    for path in ("/ledger/checkpoint", "/ledger/tile/0/000", "/healthz", "/none"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"]


def test_health(served):
    client, _, healths = served
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()["ledger_size"], answer.json()["ok"]) == (200, SIZE, True)
    healths[0] = Health(False, SIZE, False, 40_000, 40_000)
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()["broker_connected"]) == (503, False)
    assert answer.headers["cache-control"] == "no-store"


def test_a_port_that_is_taken_is_said(served):
    with pytest.raises(MisuseError, match="cannot listen"):
        Server(create_app(None, None), "127.0.0.1", served[0].base_url.port)


def test_an_answer_is_not_held_back_for_an_acknowledgement():
    # asyncio switches Nagle's algorithm off only where the socket says that it is TCP
    server = Server(create_app(None, None), "127.0.0.1", 0)
    assert server._socket.proto == socket.IPPROTO_TCP
    server._socket.close()
