"""The configuration file."""

import pytest

from collector import config
from vitaledger.errors import MisuseError


def parse(text, tmp_path):
    return config.parse(text.encode(), tmp_path / "collector.toml")


def test_the_least_and_the_defaults(tmp_path):
    found = parse('provider = "h.example"', tmp_path)
    assert (found.mqtt.port, found.http.port, found.ledger.step_ms) == (1883, 8080, 250)
    assert found.store_path == tmp_path / "state" / "collector.sqlite"
    assert found.ledger_origin == "h.example/ledger"


def test_the_template_is_a_configuration(tmp_path):
    text = config.TEMPLATE.format(provider="h.example")
    assert parse(text, tmp_path) == parse('provider = "h.example"\n[http]\npages = true', tmp_path)
    uncommented = "\n".join(line.removeprefix("# ") if " = " in line else line for line in text.splitlines())
    assert parse(uncommented, tmp_path).mqtt.user == "collector"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("provder = 'h'", "did you mean 'provider'"),
        ("provider = 'h'\n[mqtt]\nhots = 'x'", "[mqtt]: unknown key 'hots'; did you mean 'host'"),
        ("provider = 'h'\nbase = '/'", "unknown key 'base'"),
        ("provider = 'h'\n[mqtt]\nport = 'x'", "mqtt.port"),
        ("provider = 'h'\n[mqtt]\nport = 70000", "mqtt.port"),
        ("provider = 'h'\n[mqtt]\nprotocol = '6'", "mqtt.protocol"),
        ("provider = 'h'\nmqtt = 3", "mqtt"),
        ("provider = 'h'\n[mqtt]\ncert = 'x'", "belong together"),
        ("provider = 'h'\n[mqtt]\ncert = 'x'\nkey = 'y'", "needs ca"),
        ("provider = 'H Example'", "provider"),
        ("", "provider"),
        ("=", "not TOML"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, text, says):
    with pytest.raises(MisuseError) as error:
        parse(text, tmp_path)
    assert says in str(error.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(MisuseError, match="cannot read"):
        config.load(tmp_path / "none.toml")
