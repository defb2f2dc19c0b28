"""`vitaledger-collector doctor`: everything that a collector needs, looked at in the order in which it needs it.

It only reads, but for a small file with which it measures the disk, and what it says to the broker: one answer to a
request that no gateway made, which every gateway ignores. It works beside a collector that runs, whose place at the
broker it does not take.
"""

import json
import socket
import time
from datetime import UTC, datetime
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

from collector import clock, config, keys
from collector.alarms import ledger_alarms
from collector.config import Config
from collector.mqtt import CLIENT_ID
from collector.reader import Reader
from vitaledger import __version__, messages
from vitaledger.checkpoint import open_checkpoint
from vitaledger.cli.doctor import Report, machine
from vitaledger.cli.doctor.broker import BrokerError, Door, Visit
from vitaledger.errors import VerificationError, VitaledgerError
from vitaledger.keys import parse_vkey, verifier_of
from vitaledger.messages import CHECKPOINT_ANSWER, CheckpointAnswer
from vitaledger.prover import root_from_tiles

PROGRAM = "vitaledger-collector"
REACH_S = 25.0
STATUS_S = 1.0  # how long retained states of gateways may take to come
LATE_S = 300.0
BUILT = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
_LOCAL = ("127.0.0.1", "localhost", "::1")
_NO_REQUEST = bytes(32)  # the hash of no request: who gets an answer to it takes it for a stale one


def visit(path: Path) -> Report:
    """Look at everything that belongs to a configuration file."""
    report = Report(PROGRAM, __version__)
    machine.versions(report)
    machine.shadowed(report)
    try:
        found = config.load(path)
    except VitaledgerError as error:
        report.error("config", str(error), "nothing that it names can be looked at before it is mended")
        machine.clock(report, clock.bound_ms(), time.time(), BUILT)
        return report
    report.ok("config", f"{path.absolute()}: {found.ledger_origin}")
    vkey = _key(report, found)
    machine.state_directory(report, found.state_dir)
    machine.space(report, found.state_dir)
    running = _web(report, found)
    gateways: list[str] = []
    advice = "keep the disk as it is; `vitaledger-collector verify` names what does not hold"
    with report.guard("store", advice), Reader.open(found.store_path) as reader, reader.snapshot():
        _store(report, found, reader, vkey)
        gateways = sorted({row.gateway for row in reader.logs()})
        _gateways(report, reader, gateways)
    machine.last_verify(report, found.state_dir, "`vitaledger-collector verify`", time.time())
    machine.clock(report, clock.bound_ms(), time.time(), BUILT)
    _broker(report, found, gateways, running=running)
    return report


def _key(report: Report, found: Config) -> str | None:
    if not machine.secret_file(report, "key", found.key_path):
        return None
    try:
        return str(keys.load(found.key_path, found.ledger_origin).vkey)
    except VitaledgerError:
        # what a library says of a file that it cannot read may quote the file
        report.error("key", f"{found.key_path}: no unencrypted Ed25519 key in PEM", "restore it from your safe place")
        return None


def _web(report: Report, found: Config) -> bool:
    """Whether a collector serves there, and how it says that it is; answers whether one runs."""
    host, port = found.http.host, found.http.port
    if port == 0:
        port = _announced(found)
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}/healthz"
    try:
        with urlopen(url, timeout=3) as response:
            health = json.load(response)
    except HTTPError as error:
        with error:
            try:
                health = json.load(error)
            except ValueError:
                health = None
    except (OSError, ValueError):
        return _nobody(report, host, port)
    if not isinstance(health, dict) or "ledger_size" not in health:
        report.error("http", f"{url}: something else answers there", "set [http] port to a free one")
        return False
    if health.get("ok"):
        report.ok("http", f"a collector runs and is well, {url}")
    elif not health.get("broker_connected"):
        report.error("http", f"a collector runs, and is not connected to the broker, {url}", "see the lines below")
    else:
        report.error("http", f"a collector runs, and its ledger stands still, {url}", "look at its log and the disk")
    return True


def _announced(found: Config) -> int:
    try:
        return int((found.state_dir / "http-port").read_text("ascii"))
    except (OSError, ValueError):
        return 0


def _nobody(report: Report, host: str, port: int) -> bool:
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        report.error("http", f"{host}:{port}: cannot listen: {error.strerror}", "set [http] host and port")
    else:
        report.ok("http", f"no collector runs; {host}:{port} is free")
    return False


def _store(report: Report, found: Config, reader: Reader, vkey: str | None) -> None:
    if reader.provider() != found.provider:
        advice = "is this the right configuration? A provider's name never changes"
        report.error("store", f"it is of {reader.provider()}, the configuration of {found.provider}", advice)
        return
    if vkey is not None and reader.ledger_vkey() != vkey:
        report.error("store", f"it is of the key {reader.ledger_vkey()}, the key file holds {vkey}", "restore the key")
        return
    head = reader.ledger_head()
    signed = open_checkpoint(head.checkpoint, [verifier_of(parse_vkey(vkey or reader.ledger_vkey()))]).checkpoint
    if (signed.size, signed.root) != (head.size, head.root):
        raise VerificationError("the ledger's stored head is not that of its signed checkpoint")
    if head.size and root_from_tiles(reader.tile_reader(0, head.size), head.size) != head.root:
        raise VerificationError(f"the root of the {head.size} stored statements is not the signed one")
    report.ok("store", f"{head.size} statements under a checkpoint that holds")
    for text in ledger_alarms(reader):
        if reader.halted():
            report.warn("ledger", text, "see docs/copies.md")
        else:
            report.ok("ledger", text)


def _gateways(report: Report, reader: Reader, gateways: list[str]) -> None:
    if not gateways:
        report.warn("gateways", "none is enrolled", "vitaledger-collector enroll VKEY, with what a gateway's init said")
        return
    heard = {each.gateway: each.at_ms / 1000 for each in reader.presence()}
    never = [each for each in gateways if each not in heard]
    late = [each for each in gateways if each in heard and time.time() - heard[each] > LATE_S]
    text = f"{len(gateways)} enrolled"
    if never:
        text += f"; never heard: {_some(never)}"
    if late:
        text += f"; silent for more than {LATE_S / 60:.0f} minutes: {_some(late)}"
    if late or never:
        report.warn("gateways", text, "run the doctor on those gateways")
    else:
        report.ok("gateways", f"{text}, all heard in the last {LATE_S / 60:.0f} minutes")


def _some(names: list[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _broker(report: Report, found: Config, gateways: list[str], *, running: bool) -> None:
    mqtt = found.mqtt
    named = (mqtt.password_file, mqtt.ca, mqtt.cert, mqtt.key)
    password, ca, cert, key = (None if name is None else found.path(name) for name in named)
    client_id = (mqtt.user or CLIENT_ID) + ("-doctor" if running else "")
    door = Door(mqtt.host, mqtt.port, mqtt.user, password, ca, cert, key, client_id)
    for name, secret in (("password", password), ("TLS key", key)):
        if secret is not None:
            machine.secret_file(report, name, secret, machine.GROUP_READS)
    there = Visit(door, time.monotonic() + REACH_S)
    try:
        there.open()
        text = f"{door.where} takes {door.identity}, {there.protocol}{', TLS' if ca else ''}"
        if ca is None and mqtt.host not in _LOCAL:
            report.warn("broker", f"{text}, not encrypted", "set [mqtt] ca, and cert and key")
        else:
            report.ok("broker", text)
        _rights(report, there, gateways)
    except BrokerError as error:
        if running and there.lost is not None and there.protocol:
            why = f"{error}: this broker binds the client id to the name, so the running collector took its place"
            report.warn("rights", why, "judge by what the running collector says, or stop it and look again")
        else:
            report.error("broker", str(error), error.advice)
    finally:
        there.close()


def _rights(report: Report, there: Visit, gateways: list[str]) -> None:
    who = there.door.identity
    up = f"{messages.ROOT}/+/up/#"
    if (refused := there.subscribe(up)) is not None:
        report.error("rights", f"the broker lets {who} not read {up}: {refused}", f"grant it: read {up}")
        return
    # any gateway's topic would do; the one of a gateway that exists is what a narrow access list has
    down = messages.topic(gateways[0] if gateways else "doctor", "down/checkpoint")
    answer = CheckpointAnswer(_NO_REQUEST, messages.CONFLICT, b"", None)
    refused, _ = there.publish(down, CHECKPOINT_ANSWER.encode(answer))
    if refused is not None:
        report.error("rights", f"the broker lets {who} not write {down}: {refused}", f"grant it: write {down}")
    elif there.tells_why:
        report.ok("rights", f"{who} may write {down}")
    else:
        told = "MQTT 3.1.1 does not tell a refusal"
        report.ok("rights", f"{down} was acknowledged; {told}: a gateway's doctor proves it, end to end")
    _heard(report, there, up, gateways)


def _heard(report: Report, there: Visit, up: str, gateways: list[str]) -> None:
    """Retained states of gateways, which come at once, prove that topics may be read: a subscription alone does not."""
    there.await_that(lambda: bool(there.came), STATUS_S)
    if there.came:
        report.ok("rights", f"{there.door.identity} reads {up}: {len(there.came)} messages came")
    else:
        advice = "where gateways run, grant it: read " + up
        report.ok("rights", f"{up} was subscribed; no gateway has left a status there", advice if gateways else "")
