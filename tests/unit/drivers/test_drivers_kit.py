"""Loading by entry point, the conformance kit itself, the example of the document, and the table of signs."""

import doctest
import re
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from device_frames import NOW, contec_live

import gateway.drivers.contec
import gateway.drivers.masimo_line
import gateway.drivers.nonin_frames
import vitaledger.vitals
from gateway.drivers import load
from gateway.drivers.api import Reading
from gateway.drivers.conformance import RULES, ConformanceError, check_driver
from gateway.drivers.contec import ContecDriver
from vitaledger.errors import MisuseError
from vitaledger.vitals import SIGNS, UNITS, by_code, by_loinc, by_name, describe, unit

DOCUMENT = Path(__file__).parents[3] / "docs" / "write-a-driver.md"
FRAMES = [contec_live(pulse=60 + i) for i in range(4)]


@pytest.mark.parametrize(
    "module",
    [vitaledger.vitals, gateway.drivers.contec, gateway.drivers.masimo_line, gateway.drivers.nonin_frames],
    ids=lambda module: module.__name__,
)
def test_examples_in_the_docstrings(module):
    result = doctest.testmod(module)
    assert result.attempted
    assert not result.failed


@pytest.mark.parametrize("name", ["nonin", "contec", "masimo"])
def test_shipped_drivers_load(name):
    assert name == load.load(name).NAME


def test_an_unknown_driver_names_the_nearest():
    with pytest.raises(MisuseError, match="did you mean 'masimo'"):
        load.load("massimo")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("no_such_module:X", "cannot be loaded"),
        ("json:loads", "is not a driver"),
        ("gateway.drivers.contec:ContecDriver", "calls itself"),
    ],
)
def test_what_is_no_driver_is_refused(monkeypatch, value, text):
    point = EntryPoint("odd", value, load.GROUP)
    monkeypatch.setattr(load, "entry_points", lambda group: [point])
    with pytest.raises(MisuseError, match=text):
        load.load("odd")


def test_two_drivers_of_one_name_are_refused(monkeypatch):
    points = [EntryPoint("odd", value, load.GROUP) for value in ("a:A", "b:B")]
    monkeypatch.setattr(load, "entry_points", lambda group: points)
    with pytest.raises(MisuseError, match="two drivers are called 'odd'"):
        load.available()


def test_the_document_runs():
    blocks = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 3
    names = {"__name__": "thermo"}
    for block in blocks:
        exec(compile(block, str(DOCUMENT), "exec"), names)


class Shouting(ContecDriver):
    NAME = "Shouting"


class Raising(ContecDriver):
    def receive(self, data, now_us):
        if b"\xff" in data:
            raise ValueError("what is this")
        return super().receive(data, now_us)


class Undeclared(ContecDriver):
    @property
    def signals(self):
        return {}


class Late(ContecDriver):
    def receive(self, data, now_us):
        return super().receive(data, now_us - 1)


class Piecewise(ContecDriver):
    def receive(self, data, now_us):
        return super().receive(data[:7] if len(data) > 100 else data, now_us)


class Remembering(ContecDriver):
    def opened(self, now_us):
        if not self._opened:
            super().opened(now_us)


class Deaf(ContecDriver):
    bad = 0

    def receive(self, data, now_us):
        events = super().receive(data, now_us)
        self.bad += any(type(event).__name__ == "FrameErrors" for event in events)
        return [] if self.bad else events


class Talking(ContecDriver):
    def to_send(self, now_us):
        self._may_send = True
        return super().to_send(now_us)


class Floating(ContecDriver):
    def receive(self, data, now_us):
        super().receive(data, now_us)
        return [Reading("pulse", now_us, 60.0)]


@pytest.mark.parametrize(
    ("driver", "rule"),
    [
        (Shouting, "declares"),
        (Undeclared, "decodes"),
        (Late, "decodes"),
        (Floating, "decodes"),
        (Piecewise, "chunks"),
        (Raising, "noise"),
        (Remembering, "reopened"),
        (Deaf, "resync"),
        (Talking, "listens"),
    ],
)
def test_the_kit_names_the_rule_that_is_broken(driver, rule):
    frames = [contec_live(pulse=60 + i, pi=360 + i) for i in range(12)]
    broken = set()
    for name, check in RULES.items():
        from gateway.drivers.conformance import Subject

        try:
            check(Subject(driver, frames, rounds=60))
        except (ConformanceError, ValueError) as error:
            broken.add(getattr(error, "rule", name))
    assert rule in broken


def test_the_kit_reports_the_first_broken_rule():
    with pytest.raises(ConformanceError, match="made with may_send=False") as caught:
        check_driver(Talking, FRAMES)
    assert caught.value.rule == "listens"
    with pytest.raises(MisuseError, match="three good frames"):
        check_driver(ContecDriver, FRAMES[:2])


def test_a_driver_is_not_asked_for_more_than_the_contract():
    driver = ContecDriver(may_send=False)
    assert isinstance(driver.receive(b"", NOW), list)


def test_codes_of_the_table_are_unique_and_whole():
    codes = [sign.code for sign in SIGNS if sign.code]
    assert len(codes) == len(set(codes))
    assert len({sign.name for sign in SIGNS}) == len(SIGNS)
    for sign in SIGNS:
        assert sign.unit in UNITS
        assert sign.chart[0] < sign.chart[1]
        assert sign.plausible[0] <= sign.chart[0]
        assert sign.chart[1] <= sign.plausible[1]


@pytest.mark.parametrize(
    ("code", "loinc", "ucum"),
    [
        (150456, "59408-5", "%"),
        (149530, "8889-8", "/min"),
        (147842, "8867-4", "/min"),
        (150448, "61006-3", "%"),
        (150021, "8480-6", "mm[Hg]"),
        (150022, "8462-4", "mm[Hg]"),
        (150023, "8478-0", "mm[Hg]"),
        (150344, "8310-5", "Cel"),
        (151562, "9279-1", "/min"),
        (151708, "19891-1", "mm[Hg]"),
        (160184, "41653-7", "mg/dL"),
        (188736, "29463-7", "kg"),
        (151980, "76222-9", "mL"),
        (151868, "75958-9", "mL"),
        (152004, "76009-0", "L/min"),
        (152000, "76008-2", "L/min"),
        (151976, "76248-4", "cm[H2O]"),
        (151973, "76531-3", "cm[H2O]"),
        (152196, "3150-0", "%"),
    ],
)
def test_codes(code, loinc, ucum):
    sign = by_code(code)
    assert (sign.loinc[0], sign.ucum) == (loinc, ucum)
    assert str(code) in describe(code)


def test_lookups():
    assert by_code(0) is None
    assert by_code(150457) is None
    assert by_loinc("59408-5").name == "spo2"
    assert by_loinc("41653-7").name == "glucose-whole-blood"
    assert unit(262656).ucum == "1"
    assert unit(1) is None
    assert describe(266048) == "cm[H2O] (266048 MDC_DIM_CM_H2O)"
    assert by_name("body-weight").is_plausible(8, 1)
    assert not by_name("body-weight").is_plausible(8, 2)
    with pytest.raises(KeyError):
        by_name("spo3")
