"""What an engineer installs with works as it is shipped: configurations, units, and the broker with its rights."""

import configparser
import datetime as dt
import os
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

import collector.config
import gateway.config
from gateway.drivers.load import load
from tests.parts import program
from vitaledger import messages

DEPLOY = Path(__file__).parents[2] / "deploy"
UNITS = ("vitaledger-gateway.service", "vitaledger-collector.service")
V311, V5 = MQTTProtocolVersion.MQTTv311, MQTTProtocolVersion.MQTTv5


# -- configurations ---------------------------------------------------------------------------------------------------


def uncommented(text: str) -> str:
    """A configuration with every setting that stands there as a comment switched on, what it replaces taken out."""
    lines, seen = [], {}
    for line in text.splitlines():
        found = re.fullmatch(r"(?:# )?([a-z][a-z_-]*) = .*|(?:# )?(\[.*\])", line)
        if found is None:
            continue
        if found[2]:
            seen = {}
        elif found[1] in seen:
            lines[seen[found[1]]] = ""
        seen[found[1]] = len(lines)
        lines.append(line.removeprefix("# "))
    return "\n".join(lines)


@pytest.mark.parametrize("change", [str, uncommented], ids=["as shipped", "with all that is commented"])
def test_the_gateways_configuration_loads(change, tmp_path):
    path = tmp_path / "gateway.toml"
    path.write_text(change((DEPLOY / "gateway.toml").read_text("utf-8")), "utf-8")
    found = gateway.config.load(path)
    assert found.origin == "hospital.example/gateway/ward-3"
    assert found.state == Path("/var/lib/vitaledger-gateway")
    assert found.mqtt.user == found.gateway
    assert [port.driver for port in found.ports] == ["nonin", "contec", "masimo"]
    for port in found.ports:
        load(port.driver)(may_send=port.sends, options=port.options)
    assert (found.mqtt.ca is not None) is (change is uncommented)


@pytest.mark.parametrize("change", [str, uncommented], ids=["as shipped", "with all that is commented"])
def test_the_collectors_configuration_loads(change, tmp_path):
    path = tmp_path / "collector.toml"
    path.write_text(change((DEPLOY / "collector.toml").read_text("utf-8")), "utf-8")
    found = collector.config.load(path)
    assert found.provider == "hospital.example"
    assert found.state_dir == Path("/var/lib/vitaledger-collector/state")
    assert found.mqtt.user == "collector"
    assert (found.mqtt.ca is not None) is (change is uncommented)


def test_the_examples_name_every_setting():
    shown = (DEPLOY / "gateway.toml").read_text("utf-8")
    for of in (gateway.config.MqttConfig, gateway.config.RecordConfig, gateway.config.PortConfig):
        for name in of.__struct_fields__:
            assert re.search(rf"^(# )?{name} = |^\[port\.{name}\]", shown, re.MULTILINE), name
    shown = (DEPLOY / "collector.toml").read_text("utf-8")
    for of in (collector.config.Mqtt, collector.config.Http, collector.config.LedgerOptions):
        for name in of.__struct_fields__:
            assert re.search(rf"^(# )?{name} = ", shown, re.MULTILINE), name


# -- units ------------------------------------------------------------------------------------------------------------


def unit(name: str) -> configparser.ConfigParser:
    class Many(dict):
        def __setitem__(self, key, value):
            if isinstance(value, list) and key in self:
                value = [*self[key], *value]
            super().__setitem__(key, value)

    found = configparser.ConfigParser(strict=False, interpolation=None, dict_type=Many, comment_prefixes=("#",))
    found.optionxform = str
    found.read_string((DEPLOY / name).read_text("utf-8"))
    return found


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_starts_what_is_installed(name):
    service = unit(name)["Service"]
    which = name.removesuffix(".service")
    assert service["ExecStart"] == (
        f"/opt/vitaledger/bin/{which} --config /etc/vitaledger/{which.removeprefix('vitaledger-')}.toml run"
    )
    assert service["User"] == service["StateDirectory"] == which
    assert service["Restart"] == "always"
    assert service["Type"] == "notify"
    assert unit(name)["Unit"]["StartLimitIntervalSec"] == "0"


def test_only_who_feeds_a_watchdog_has_one():
    root = DEPLOY.parent
    for name, package in zip(UNITS, ("gateway", "collector"), strict=True):
        source = "".join(path.read_text("utf-8") for path in (root / package).rglob("*.py"))
        assert "READY=1" in source
        assert ("WATCHDOG=1" in source) is ("WatchdogSec" in unit(name)["Service"]), name


def test_the_gateways_unit_leaves_it_its_ports_and_the_kernels_clock():
    text = (DEPLOY / UNITS[0]).read_text("utf-8")
    service = unit(UNITS[0])["Service"]
    assert service["SupplementaryGroups"] == "dialout"
    assert not {"PrivateDevices", "ProtectClock"} & set(service)
    filters = re.findall(r"^SystemCallFilter=(.*)$", text, re.MULTILINE)
    assert "adjtimex" in filters[-1]  # behind the line that takes the clock's calls away


def systemd_analyze(*words: str, folder: Path) -> str:
    """Run systemd-analyze on copies whose program exists here."""
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("no systemd here, so nothing that would read the units")
    units = []
    for name in UNITS:
        text = re.sub(r"/opt/vitaledger/bin/\S+", "/bin/true", (DEPLOY / name).read_text("utf-8"))
        (folder / name).write_text(text, "utf-8")
        units.append(str(folder / name))
    done = subprocess.run([tool, *words, *units], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_systemd_takes_the_units(tmp_path):
    said = systemd_analyze("verify", folder=tmp_path)
    assert not [line for line in said.splitlines() if "vitaledger" in line], said


def test_systemd_finds_little_exposed(tmp_path):
    if int(systemd_analyze("--version", folder=tmp_path).split()[1]) < 250:
        pytest.skip("systemd-analyze judges files from version 250 on")
    systemd_analyze("security", "--offline=yes", "--threshold=25", folder=tmp_path)


# -- the broker -------------------------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Broker:
    """mosquitto as Debian starts it: a main file with persistence that includes a folder, and our files in that."""

    def __init__(self, folder: Path, ours: str) -> None:
        self.plain, self.tls = free_port(), free_port()
        (folder / "conf.d").mkdir()
        (folder / "data").mkdir()
        (folder / "vitaledger.acl").write_text((DEPLOY / "mosquitto.acl").read_text("utf-8"), "utf-8")
        ours = ours.replace("/etc/mosquitto/", f"{folder}/")
        ours = ours.replace("listener 1883", f"listener {self.plain}").replace("listener 8883", f"listener {self.tls}")
        (folder / "conf.d/vitaledger.conf").write_text(ours, "utf-8")
        main = f"persistence true\npersistence_location {folder}/data/\ninclude_dir {folder}/conf.d\n"
        if os.geteuid() == 0:
            main = f"user root\n{main}"  # else it becomes another user, who cannot read the test's files
        (folder / "mosquitto.conf").write_text(main, "utf-8")
        self.log = folder / "log"
        with self.log.open("w") as out:
            self.process = subprocess.Popen(
                [program("mosquitto"), "-c", folder / "mosquitto.conf"], stdout=out, stderr=subprocess.STDOUT
            )
        until = time.monotonic() + 10
        while not self._listens():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < until, self.log.read_text()
            time.sleep(0.05)

    def _listens(self) -> bool:
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", self.plain)) == 0

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(10)


class Client:
    """A client that notes what came of everything it asked for."""

    def __init__(self, port: int, *, client_id: str, version=V311, user: str | None = None, tls=None) -> None:
        self.came: list[str] = []
        self.said: list[bool] = []  # of each publish: whether it seemed to go well
        self.connected, self.subscribed, self._published = (threading.Event() for _ in range(3))
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=version)
        if user is not None:
            self.client.username_pw_set(user)
        if tls is not None:
            self.client.tls_set_context(tls)
        self.client.on_connect = lambda _c, _d, _f, reason, _p: reason.is_failure or self.connected.set()
        self.client.on_subscribe = lambda *_: self.subscribed.set()
        self.client.on_publish = self._on_publish
        self.client.on_message = lambda _c, _d, message: self.came.append(message.topic)
        self.client.connect("127.0.0.1" if tls is None else "localhost", port)
        self.client.loop_start()

    def _on_publish(self, _client, _data, _mid, reason, _properties) -> None:
        self.said.append(not reason.is_failure)
        self._published.set()

    def subscribe(self, *topics: str) -> None:
        assert self.connected.wait(10)
        self.client.subscribe([(topic, 1) for topic in topics])
        assert self.subscribed.wait(10)

    def publish(self, topic: str, *, retain: bool = False) -> None:
        self._published.clear()
        self.client.publish(topic, b"x", 1, retain)
        assert self._published.wait(10)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def await_that(holds, seconds: float = 5.0) -> None:
    until = time.monotonic() + seconds
    while not holds() and time.monotonic() < until:
        time.sleep(0.02)


def rights(who: Client, other: Client, server: Client, *, told: bool) -> None:
    """ward-3 speaks and hears below its own name and nowhere else; the collector hears all and answers."""
    server.subscribe("vitaledger/v1/+/up/#")
    who.subscribe("vitaledger/v1/ward-3/down/#")
    other.subscribe("vitaledger/v1/#", "#")
    for leaf in messages.UP:
        who.publish(messages.topic("ward-3", leaf))
    who.publish(messages.topic("ward-4", "up/entries"))
    who.publish(messages.topic("ward-3", "down/receipt"))
    assert who.said == [True] * len(messages.UP) + [not told] * 2
    for leaf in messages.DOWN:
        server.publish(messages.topic("ward-3", leaf))
    server.publish(messages.topic("ward-3", "up/health"))  # not even the collector speaks for a gateway
    allowed = [messages.topic("ward-3", leaf) for leaf in messages.UP]
    await_that(lambda: len(server.came) >= len(allowed) and len(who.came) >= len(messages.DOWN))
    assert server.came == allowed
    assert who.came == [messages.topic("ward-3", leaf) for leaf in messages.DOWN]
    assert other.came == []


@pytest.mark.parametrize("version", [V311, V5], ids=["3.1.1", "5"])
def test_a_first_try_on_one_machine(version, tmp_path):
    broker = Broker(tmp_path, (DEPLOY / "mosquitto.conf").read_text("utf-8"))
    names = ("ward-3", "ward-4", "collector")
    clients = [Client(broker.plain, client_id=name, user=name, version=version) for name in names]
    try:
        rights(*clients, told=version is V5)
        nobody = Client(broker.plain, client_id="nobody", version=version)
        clients.append(nobody)
        nobody.subscribe("vitaledger/#")
        before = len(clients[2].came)
        nobody.publish("vitaledger/v1/ward-3/up/health")
        clients[0].publish("vitaledger/v1/ward-3/up/health")
        await_that(lambda: len(clients[2].came) > before)
        assert len(clients[2].came) == before + 1
        assert nobody.came == []
    finally:
        for client in clients:
            client.close()
        broker.close()


class Authority:
    """A certificate authority of the test's own, which writes the files that deploy/mosquitto.conf names."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.key = Ed25519PrivateKey.generate()
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ca")])
        self.serials: dict[str, int] = {}
        self.write("vitaledger-ca", self.name, self.key.public_key(), ca=True)

    def issue(self, file: str, cn: str) -> None:
        key = Ed25519PrivateKey.generate()
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, cn)])
        self.write(file, name, key.public_key(), ca=False)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (self.folder / f"{file}-key.pem").write_bytes(pem)

    def write(self, file: str, name: x509.Name, key, *, ca: bool) -> None:
        now = dt.datetime.now(dt.UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self.name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .sign(self.key, None)
        )
        self.serials[file] = made.serial_number
        (self.folder / f"{file}.pem").write_bytes(made.public_bytes(Encoding.PEM))

    def revoke(self, file: str) -> None:
        now = dt.datetime.now(dt.UTC)
        gone = x509.RevokedCertificateBuilder().serial_number(self.serials[file]).revocation_date(now).build()
        made = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.name)
            .last_update(now - dt.timedelta(hours=1))
            .next_update(now + dt.timedelta(hours=1))
            .add_revoked_certificate(gone)
            .sign(self.key, None)
        )
        (self.folder / "vitaledger-crl.pem").write_bytes(made.public_bytes(Encoding.PEM))

    def context(self, file: str | None) -> ssl.SSLContext:
        made = ssl.create_default_context(cafile=self.folder / "vitaledger-ca.pem")
        if file is not None:
            made.load_cert_chain(self.folder / f"{file}.pem", self.folder / f"{file}-key.pem")
        return made


def enters(port: int, context: ssl.SSLContext) -> bool:
    """Whether the broker answers a CONNECT with anything. With TLS 1.3 a client is refused after its handshake."""
    try:
        with (
            socket.create_connection(("localhost", port), 5) as line,
            context.wrap_socket(line, server_hostname="localhost") as secured,
        ):
            secured.sendall(b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02xx")
            return secured.recv(4)[:2] == b"\x20\x02"
    except OSError:
        return False


def test_the_production_listener_knows_everyone_by_certificate(tmp_path):
    authority = Authority(tmp_path / "certs")
    for cn in ("broker", "ward-3", "ward-4", "ward-5", "collector"):
        authority.issue(cn, cn)
    authority.revoke("ward-5")
    ours = re.sub(r"^#(?=\S)", "", (DEPLOY / "mosquitto.conf").read_text("utf-8"), flags=re.MULTILINE)
    broker = Broker(tmp_path, ours)
    clients = []
    try:
        # whatever a client calls itself, it is who its certificate says
        for cn, claimed in (("ward-3", "ward-4"), ("ward-4", "collector"), ("collector", "x")):
            client = Client(broker.tls, client_id=claimed, user=claimed, tls=authority.context(cn), version=V5)
            assert client.connected.wait(10), broker.log.read_text()
            clients.append(client)
        rights(*clients, told=True)
        assert all(client.client.is_connected() for client in clients)  # nobody threw another one out
        assert enters(broker.tls, authority.context("ward-3"))
        assert not enters(broker.tls, authority.context(None))
        assert not enters(broker.tls, authority.context("ward-5"))
    finally:
        for client in clients:
            client.close()
        broker.close()


def test_a_gateway_may_not_be_called_collector_in_the_access_list():
    text = (DEPLOY / "mosquitto.acl").read_text("utf-8")
    assert 'no gateway may be named "collector"' in text
    assert re.findall(r"^user (.*)$", text, re.MULTILINE) == ["collector"]
