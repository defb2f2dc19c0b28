import pytest

from gateway import config
from tests.unit.gateway.makers import LEDGER
from vitaledger.errors import MalformedError
from vitaledger.keys import Ed25519Signer
from vitaledger.marks import Use

BASE = f'provider = "h.example"\ngateway = "g1"\nledger_vkey = "{LEDGER.vkey}"\n'


def load(tmp_path, text):
    path = tmp_path / "gateway.toml"
    path.write_text(text)
    return config.load(path)


def test_defaults_and_paths(tmp_path):
    found = load(tmp_path, BASE)
    assert (found.origin, found.state, found.key) == (
        "h.example/gateway/g1",
        tmp_path / "state",
        tmp_path / "gateway.key",
    )
    assert (found.mqtt.host, found.mqtt.port, found.mqtt.anchor_every_s) == ("127.0.0.1", 1883, 10)
    assert (found.record.entry_seconds, found.record.entry_readings, found.record.keep_raw) == (5, 1000, True)
    assert found.ports == ()
    assert found.ledger_verifier.name == "h.example/ledger"
    assert len(found.digest) == 32


def test_everything(tmp_path):
    found = load(
        tmp_path,
        BASE
        + """
state = "/var/lib/x"
[mqtt]
host = "broker"
port = 8883
protocol = "3.1.1"
user = "g1"
password_file = "pw"
ca = "ca.pem"
cert = "c.pem"
key = "k.pem"
anchor_every_s = 2
[record]
retention_days = 0.5
[[port]]
name = "bed-1"
device = "socket://127.0.0.1:4000"
driver = "nonin"
use = "demo"
[port.options]
format = "2"
[port.declared]
make = "Nonin"
serial = "12"
[[port]]
name = "bed-2"
device = "/dev/ttyUSB0"
""",
    )
    one, two = found.ports
    assert (one.options, one.declared.serial, one.use_mark, one.sends) == ({"format": "2"}, "12", Use.DEMO, True)
    assert (two.driver, two.use_mark, two.sends) == (None, Use.CLINICAL, False)
    assert str(found.state) == "/var/lib/x"
    assert found.mqtt.ca == str(tmp_path / "ca.pem")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BASE + "stat = 'x'\n", "line 4: unknown key 'stat'; did you mean 'state'"),
        (BASE + "[mqtt]\nhots = 'x'\n", "line 5: unknown key 'hots' in [mqtt]; did you mean 'host'"),
        (BASE + "[record]\nzzz = 1\n", "unknown key 'zzz' in [record]; known are entry_seconds"),
        (
            BASE + "[[port]]\nname = 'a'\ndevice = 'x'\ndrver = 'n'\n",
            "line 7: unknown key 'drver' in [port]; did you mean 'driver'",
        ),
        (BASE + "[mqtt]\nport = 'x'\n", "line 5: Expected `int`, got `str`"),
        (BASE + "[mqtt]\nport = 70000\n", "<= 65535"),
        (BASE + "[[port]]\nname = 'a'\n", "missing required field `device`"),
        (BASE + "[[port]]\nname = 'a'\ndevice = 'x'\nuse = 'other'\n", "Invalid enum value 'other'"),
        (BASE + "[[port]]\nname='a'\ndevice='x'\n[[port]]\nname='a'\ndevice='y'\n", "two ports have the name 'a'"),
        (BASE + "[[port]]\nname='a'\ndevice='x'\n[[port]]\nname='b'\ndevice='x'\n", "two ports have the device 'x'"),
        (BASE + "[mqtt]\ncert = 'c'\n", "cert and key belong together"),
        (BASE + "[mqtt]\npassword_file = 'c'\n", "without user"),
        (BASE.replace('"g1"', '"G 1"'), "gateway name 'G 1'"),
        (BASE.replace("ledger_vkey = ", 'ledger_vkey = "x" #'), "ledger_vkey: vkey 'x'"),
        (
            BASE.replace(str(LEDGER.vkey), str(Ed25519Signer("else/ledger", bytes(32)).vkey)),
            "expected an Ed25519 key named",
        ),
        ("a = [", "not TOML"),
        ("", "missing required field"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, message):
    with pytest.raises(MalformedError) as caught:
        load(tmp_path, text)
    assert message in str(caught.value)
    assert "gateway.toml" in str(caught.value)


def test_no_file(tmp_path):
    with pytest.raises(MalformedError, match="no configuration"):
        config.find(tmp_path / "none.toml")
