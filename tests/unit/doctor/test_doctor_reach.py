"""What the doctor says of broker, rights and enrolment, on a mosquitto with real access lists."""

import os
import socket
import threading
import time
from urllib.request import urlopen

import pytest

from collector import doctor as collector_doctor
from gateway import agent
from tests.unit.doctor.places import ALL, COLLECTOR, Place, await_that, mosquitto, of, said
from tests.unit.gateway.makers import drafts, open_store

REACH = ("broker", "rights", "enrolment", "history")


@pytest.fixture(autouse=True)
def sooner(monkeypatch):
    """On this machine an answer takes milliseconds: nobody waits for the ones that do not come."""
    monkeypatch.setattr("gateway.doctor.reach.ANSWER_S", 3.0)
    monkeypatch.setattr("vitaledger.cli.doctor.broker.STEP_S", 3.0)
    monkeypatch.setattr("collector.doctor.STATUS_S", 0.5)


def well(url):
    try:
        with urlopen(f"{url}/healthz", timeout=2) as response:
            return response.status == 200
    except OSError:
        return False


def test_all_is_well_before_and_after_the_gateway_ran(tmp_path):
    with mosquitto(tmp_path) as port:
        place = Place(tmp_path, port).enrol()
        with place.collecting() as url:
            await_that(lambda: well(url))
            first = of(place.visit(), *REACH)
            assert [state for state, _ in first] == ["ok"] * 3, first
            assert "up/checkpoint was answered" in first[1][1]
            stop = threading.Event()
            running = threading.Thread(target=agent.run, args=(place.config,), kwargs={"stop": stop})
            running.start()
            try:
                await_that(lambda: any("custody of all" in text for _, text in of(place.visit(), "receipts")), 30)
                beside = place.visit()
            finally:
                stop.set()
                running.join(30)
            assert "client id g1-doctor" in of(beside, "broker")[0][1]
            assert "a gateway runs on it" in of(beside, "store")[0][1]
            for lines in (beside, place.visit()):
                found = of(lines, *REACH)
                assert {state for state, _ in found} == {"ok"}, found
                assert any("up/entries was answered on vitaledger/v1/g1/down/entries" in text for _, text in found)
                assert any("and they agree" in text for _, text in found)
            lines = said(collector_doctor.visit(place.collector_toml))
            assert "a collector runs and is well" in of(lines, "http")[0][1]
            assert {state for state, _ in of(lines, "broker", "rights", "gateways")} == {"ok"}
            assert any("messages came" in text for _, text in of(lines, "rights"))


def test_an_unenrolled_gateway_a_foreign_key_and_a_gateway_that_never_ran(tmp_path):
    with mosquitto(tmp_path) as port:
        place = Place(tmp_path, port, entries=0)
        with place.collecting() as url:
            await_that(lambda: well(url))
            [(state, text)] = of(place.visit(), "enrolment")
            assert state == "error"
            assert f"vitaledger-collector enroll '{place.signer.vkey}'" in text
            place.enrol()
            assert of(place.visit(), "enrolment")[0][0] == "ok"
            place.config.key.unlink()
            place.signer = agent.keys.create(place.config.key, place.config.origin, os.urandom(32))
            [(state, text)] = of(place.visit(), "enrolment")
            assert (state, "enrolled with another key" in text) == ("error", True)


def test_a_store_that_was_restored_is_told_from_one_that_is_behind(tmp_path):
    with mosquitto(tmp_path) as port:
        place = Place(tmp_path, port, entries=0).enrol()
        with open_store(place.config.state, place.signer, seed=1) as store:
            store.commit(drafts(20))
        with place.collecting() as url:
            await_that(lambda: well(url))
            stop = threading.Event()
            running = threading.Thread(target=agent.run, args=(place.config,), kwargs={"stop": stop})
            running.start()
            await_that(lambda: any("custody of all" in text for _, text in of(place.visit(), "receipts")), 30)
            stop.set()
            running.join(30)
            for path in place.config.state.iterdir():
                path.unlink()
            with open_store(place.config.state, place.signer, seed=2) as store:
                store.commit(drafts(40))
            found = of(place.visit(), "history")
            assert found[0][0] == "error"
            assert "restored or copied" in found[0][1]


@pytest.mark.parametrize(
    ("acl", "said_of"),
    [
        (ALL.replace("pattern write vitaledger/v1/%u/up/#\n", "") + COLLECTOR, "write vitaledger/v1/g1/up/checkpoint"),
        (ALL.replace("pattern read vitaledger/v1/%u/down/#\n", "") + COLLECTOR, "read vitaledger/v1/g1/down/#"),
        (ALL.replace("up/#", "up/checkpoint") + COLLECTOR, "write vitaledger/v1/g1/up/health"),
    ],
    ids=["no write", "no read", "only checkpoints"],
)
def test_what_the_broker_refuses_is_named_with_topic_identity_and_reason(tmp_path, acl, said_of):
    with mosquitto(tmp_path, acl) as port:
        place = Place(tmp_path, port).enrol()
        with place.collecting() as url:
            await_that(lambda: well(url))
            began = time.monotonic()
            found = [text for state, text in of(place.visit(), "rights", "broker") if state == "error"]
            assert time.monotonic() - began < 30
            assert any(said_of in text and "user g1" in text for text in found), found
            if "write" in said_of:
                assert "Not authorized" in found[0]


def test_nobody_listens_and_nobody_is_there(tmp_path):
    with mosquitto(tmp_path) as port:
        place = Place(tmp_path, port)
        found = [text for state, text in of(place.visit(), "rights") if state == "error"]
        assert "nobody listens" in found[0]
        lines = said(collector_doctor.visit(place.collector_toml))
        assert {state for state, _ in of(lines, "broker", "rights")} == {"ok"}
        assert of(lines, "gateways")[0][0] == "warning"
    [(state, text)] = of(place.visit(), "broker")
    assert (state, "refused" in text) == ("error", True)
    [(state, text)] = of(said(collector_doctor.visit(place.collector_toml)), "broker")
    assert (state, "refused" in text) == ("error", True)


def test_a_collector_without_rights_is_told(tmp_path):
    with mosquitto(tmp_path, ALL + "user collector\ntopic read vitaledger/v1/+/up/#\n") as port:
        place = Place(tmp_path, port).enrol()
        found = of(said(collector_doctor.visit(place.collector_toml)), "rights")
        assert found[0][0] == "error"
        assert "not write vitaledger/v1/g1/down/checkpoint: Not authorized" in found[0][1]


def test_a_wrong_password_is_the_brokers_word_and_never_shown(tmp_path):
    (tmp_path / "passwords").write_text("g1:$7$101$AAAAAAAAAAAAAAAA$" + "A" * 86 + "==\n")
    more = f"allow_anonymous false\npassword_file {tmp_path}/passwords"
    with mosquitto(tmp_path, more=more) as port:
        place = Place(tmp_path, port)
        secret = place.toml.parent / "secret"
        secret.write_text("hunter2-marker\n")
        secret.chmod(0o600)
        place.toml.write_text(place.toml.read_text().replace('user = "g1"', 'user = "g1"\npassword_file = "secret"', 1))
        lines = place.visit()
        [(state, text)] = of(lines, "broker")
        assert state == "error"
        assert "refuses client id g1, user g1: Not authorized" in text
        assert "hunter2" not in str(lines)


def test_a_broker_that_says_nothing_and_one_that_binds_the_client_id(tmp_path):
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen(5)
        place = Place(tmp_path, mute.getsockname()[1])
        began = time.monotonic()
        [(state, text)] = of(place.visit(), "broker")
        assert (state, "no answer to CONNECT" in text) == ("error", True)
        assert time.monotonic() - began < 30
    folder = tmp_path / "bound"
    folder.mkdir()
    with mosquitto(folder, more="allow_anonymous true\nuse_username_as_clientid true") as port:
        place = Place(folder, port).enrol()
        with place.collecting() as url:
            await_that(lambda: well(url))
            stop = threading.Event()
            running = threading.Thread(target=agent.run, args=(place.config,), kwargs={"stop": stop})
            running.start()
            try:
                await_that(lambda: any("custody of all" in text for _, text in of(place.visit(), "receipts")), 30)
                # one of them throws the other out now and then, and both come back: in the end no visit is an error
                await_that(lambda: {state for state, _ in of(place.visit(), *REACH)} <= {"ok", "warning"}, 60)
            finally:
                stop.set()
                running.join(30)
