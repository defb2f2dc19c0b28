"""A mosquitto with rights of one's choice, a collector beside it, a gateway that has something to say."""

import os
import subprocess
import threading
import time
from contextlib import contextmanager

import collector.config
import collector.enrolment
import collector.service
import gateway.config
import gateway.keys
from gateway.cli.setup import _TEMPLATE
from gateway.doctor import visit
from tests.e2e.ward import free_port
from tests.parts import program
from tests.unit.gateway.makers import drafts, open_store

ALL = "pattern write vitaledger/v1/%u/up/#\npattern read vitaledger/v1/%u/down/#\n"
COLLECTOR = "user collector\ntopic read vitaledger/v1/+/up/#\ntopic write vitaledger/v1/+/down/#\n"


@contextmanager
def mosquitto(folder, acl=ALL + COLLECTOR, more="allow_anonymous true"):
    """mosquitto with an access list; its port."""
    port = free_port()
    (folder / "acl").write_text(acl)
    user = "user root\n" if os.geteuid() == 0 else ""
    (folder / "mosquitto.conf").write_text(
        f"{user}per_listener_settings true\nlistener {port} 127.0.0.1\nacl_file {folder}/acl\n{more}\n"
    )
    with (folder / "mosquitto.log").open("w") as log:
        process = subprocess.Popen([program("mosquitto"), "-c", folder / "mosquitto.conf"], stderr=log)
    try:
        yield port
    finally:
        process.kill()
        process.wait()


class Place:
    """A gateway `g1` of h.example in folder/gateway, and its collector in folder/collector."""

    def __init__(self, folder, port, protocol="auto", entries=300):
        self.folder, self.port = folder, port
        vkey = collector.enrolment.init(folder / "collector", "h.example", os.urandom(32))
        text = f'provider = "h.example"\n[mqtt]\nport = {port}\nprotocol = "{protocol}"\nuser = "collector"\n'
        text += "[http]\nport = 0\n"
        self.collector_toml = folder / "collector" / "collector.toml"
        self.collector_toml.write_text(text)
        self.collector = collector.config.load(self.collector_toml)
        self.toml = folder / "gateway" / "gateway.toml"
        self.toml.parent.mkdir()
        made = _TEMPLATE.format(provider="h.example", gateway="g1", ledger_vkey=vkey, host="127.0.0.1", port=port)
        self.toml.write_text(
            made.replace(
                "[record]",
                f'user = "g1"\nprotocol = "{protocol}"\nanchor_every_s = 0.5\n[record]\nretention_days = 36500\n',
            )
        )
        self.config = gateway.config.load(self.toml)
        self.signer = gateway.keys.create(self.config.key, self.config.origin, os.urandom(32))
        if entries:
            with open_store(self.config.state, self.signer) as store:
                store.commit(drafts(entries))

    def enrol(self):
        store, signer = collector.enrolment.open_ledger(self.collector)
        collector.enrolment.enroll(store, signer, str(self.signer.vkey), time.time_ns() // 1_000_000)
        store.close()
        return self

    @contextmanager
    def collecting(self):
        """The collector at work; the URL of its web."""
        ports, stop = [], threading.Event()
        thread = threading.Thread(
            target=collector.service.run, args=(self.collector,), kwargs={"ready": ports.append, "stop": stop}
        )
        thread.start()
        try:
            await_that(lambda: ports)
            yield f"http://127.0.0.1:{ports[0]}"
        finally:
            stop.set()
            thread.join(20)

    def visit(self):
        """The lines of the doctor, (name, state, text + advice)."""
        return said(visit(self.toml))


def said(report):
    return [(line.name, line.state.value, f"{line.text} | {line.advice}") for line in report.lines]


def of(lines, *names):
    return [(state, text) for name, state, text in lines if name in names]


def await_that(holds, seconds=15):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
