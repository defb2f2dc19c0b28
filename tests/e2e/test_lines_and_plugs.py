"""What happens to lines and plugs, each a scenario file: all of them through one real gateway at once."""

import pytest

from tests.e2e.fault_bench import Pulse, once_more
from tests.e2e.lines import Chain, Lines, check, explain, truth

PLAYED_S = 40  # what matters in these files is over by then
SCENARIOS = [
    "unplug",
    "replug",
    "swapped-ports",
    "swap",
    "wrong-baud",
    "noise",
    "alarm-storm",
    "frozen",
    "stored-twice",
    "clocks",
]
# A device whose line is whole at the end: its last readings tell when the scenario began.
WHOLE = {
    "unplug": ("spo2-1", "masimo:sn:0000070011"),
    "replug": ("rad-1", "masimo:sn:0000061001"),
    "swapped-ports": ("rad-1", "masimo:sn:0000062001"),
    "swap": ("spo2-1", "masimo:sn:0000010002"),
    "wrong-baud": ("masimo-2", "masimo:sn:0000063002"),
    "noise": ("masimo-1", "masimo:sn:0000064001"),
    "alarm-storm": ("rad-1", "masimo:sn:0000065001"),
    "frozen": ("masimo-1", "masimo:sn:0000066001"),
    "stored-twice": ("dated", "contec:port:stored-twice.dated"),
    "clocks": ("right", "masimo:sn:0000068000"),
}


class Seen:
    """The ward after all was played."""

    def __init__(self, ward: Lines) -> None:
        self.chains = ward.chains()
        self._ward = ward
        self._began = {scenario: self._begin(scenario, *whole) for scenario, whole in WHOLE.items()}

    def _begin(self, scenario: str, device: str, chain: str) -> float:
        said = [line["time"] for line in self.said(scenario, device) if line.get("signal") == "spo2"]
        rows = self.chains[chain].readings("spo2")
        heard = [row["wall_ms"] / 1000 + row["offset_us"] / 1e6 for row in rows]
        return float(min(at - sent for at, sent in zip(heard[-8:], said[-8:], strict=True)))

    def held(self, scenario: str, device: str, chain: str) -> Chain:
        """A chain that was held against what its device said."""
        found = self.chains[chain]
        assert check(truth(self._ward.truth_file(scenario), device), found, self._began[scenario]) > 0
        return found

    def said(self, scenario: str, device: str) -> list:
        return truth(self._ward.truth_file(scenario), device)


def unplug(seen):
    """The same device, because it tells its serial number; a gap between."""
    chain = seen.held("unplug", "spo2-1", "masimo:sn:0000070011")
    assert chain.gaps() == ["start", "unplugged", "unplugged"]
    assert [fields["state"] for fields in chain.events("line")][:5] == ["up", "down", "up", "down", "up"]


def replug(seen):
    """Under another name: the same by its serial number, or by the adapter's own link."""
    rad = seen.held("replug", "rad-1", "masimo:sn:0000061001")
    ports = [fields["port"] for fields in rad.events("identity")]
    assert ports == ["replug.ttyUSB0", "replug.ttyUSB2", "replug.ttyUSB0"]
    assert rad.gaps() == ["start", "unplugged", "unplugged"]
    (name,) = [name for name in seen.chains if name.startswith("nonin:port:replug")]
    assert "unplugged" in seen.held("replug", "nonin-1", name).gaps()


def swapped_ports(seen):
    """Each goes on in its own chain on the other's port."""
    for device, serial, first, second in (("rad-1", "0000062001", "0", "1"), ("rad-2", "0000062002", "1", "0")):
        chain = seen.held("swapped-ports", device, f"masimo:sn:{serial}")
        ports = [fields["port"][-1] for fields in chain.events("identity")]
        assert ports == [first, second, first]
        assert chain.gaps() == ["start", "unplugged", "unplugged"]


def swap(seen):
    """Another unit on the same port: a chain of its own, and the first says which one follows."""
    first, second = (seen.chains[f"masimo:sn:000001000{n}"] for n in (1, 2))
    ends = first.events("line")[-1]
    assert (ends["state"], ends["next_chain"]) == ("closed", second.name)
    told = [line for line in seen.said("swap", "spo2-1") if line.get("signal") == "spo2"]
    assert len(first.readings("spo2")) + len(second.readings("spo2")) == len(told)
    assert len(first.readings("spo2")) == sum(line["time"] < 20 for line in told)


def wrong_baud(seen):
    """No readings but "line unreadable", and a gap behind it; every device reads well once its line is set right."""
    for device, chain in (
        ("nonin-1", "nonin:port:wrong-baud.nonin-1"),
        ("contec-1", "contec:port:wrong-baud.contec-1"),
        ("masimo-1", "masimo:port:wrong-baud.masimo-1"),
    ):
        found = seen.chains[chain]
        assert any("unreadable" in fields["text"] for fields in found.events("notice")), device
        assert found.events("frame-errors")
    for device, chain in (("nonin-1", "nonin:port:wrong-baud.nonin-1"), ("masimo-1", "masimo:sn:0000063001")):
        assert "unreadable" in seen.held("wrong-baud", device, chain).gaps()
    seen.held("wrong-baud", "masimo-2", "masimo:sn:0000063002")
    seen.held("wrong-baud", "nonin-2", "nonin:port:wrong-baud.nonin-2")


def noise(seen):
    """Resynchronised, errors counted, no value out of a bad frame."""
    for device, chain in (
        ("nonin-1", "nonin:port:noise.nonin-1"),
        ("contec-1", "contec:port:noise.contec-1"),
        ("masimo-1", "masimo:sn:0000064001"),
    ):
        assert seen.held("noise", device, chain).events("frame-errors"), device


def alarm_storm(seen):
    """Every alarm is there, as the device told it."""
    for device, chain in (("rad-1", "masimo:sn:0000065001"), ("contec-1", "contec:port:alarm-storm.contec-1")):
        words = [int(line["alarm"], 16) for line in seen.said("alarm-storm", device) if "alarm" in line]
        onsets = sum(word != 0 and before == 0 for before, word in zip([0, *words], words, strict=False))
        told = [fields["phase"] for fields in seen.held("alarm-storm", device, chain).events("alarm")]
        assert told.count("onset") == onsets >= 4, device


def frozen(seen):
    """Marked stale from ten seconds on where the wave stands still; values are as they were sent."""
    for device, chain in (("nonin-1", "nonin:port:frozen.nonin-1"), ("contec-1", "contec:port:frozen.contec-1")):
        found = seen.held("frozen", device, chain)
        assert any("marked stale" in fields["text"] for fields in found.events("notice"))
        marked = ["stale" in row["quality"] for row in found.readings("spo2") if row["value"] is not None]
        assert not marked[0]
        assert marked[-1]


def stored_twice(seen):
    """What is stored is there once, true repetitions are left out and counted."""
    for device, chain, count in (
        ("dated", "contec:port:stored-twice.dated", 600),
        ("undated", "contec:port:stored-twice.undated", 100),
    ):
        found = seen.chains[chain]
        stored = [row for row in found.readings("spo2") if row["provenance"] == "device-stored"]
        assert len(stored) == count, device
        assert any("again" in fields["text"] for fields in found.events("notice")), device


def clocks(seen):
    """Whatever a device shows: ordered as it came, and the offset of its clock told whenever it changed."""
    offsets = {}
    for number, device in enumerate(("right", "fast", "forgetful", "stepping", "autumn", "spring")):
        chain = seen.held("clocks", device, f"masimo:sn:000006800{number}")
        offsets[device] = [round(fields["offset_ms"] / 1000) for fields in chain.events("clock-offset")]
    right = offsets["right"][0]

    def ahead(device):
        return [offset - right for offset in offsets[device]]

    def near(found, expected):
        return len(found) == len(expected) and all(
            abs(one - other) <= 2 for one, other in zip(found, expected, strict=True)
        )

    assert near(ahead("right"), [0])
    assert near(ahead("fast"), [1440])
    assert offsets["forgetful"][1] < ahead("forgetful")[0] - 50 * 365 * 86_400  # 1970
    assert near(ahead("stepping"), [0, 90, -3510, -3600])
    assert near(ahead("autumn"), [0, -3600])


@pytest.mark.parametrize("got", ["ab", "abcd", "aabbcd", "abc", "abbcc", "axbbcd", "abbcddd"])
def test_what_the_check_must_see(got):
    """Said a, b, b, c, d; the second b and the first d may be missing."""
    said = [("a", False), ("b", False), ("b", True), ("c", False), ("d", True), ("d", False)]
    if got == "abcd":
        explain("spo2", list(got), said)
    else:
        with pytest.raises(AssertionError):
            explain("spo2", list(got), said)


CASES = (unplug, replug, swapped_ports, swap, wrong_baud, noise, alarm_storm, frozen, stored_twice, clocks)


@pytest.mark.e2e
@pytest.mark.timeout(400)
def test_each_scenario_ends_in_verified_history_as_it_should(tmp_path):
    once_more(tmp_path, play)


def play(folder):
    with Pulse():
        run(folder)


def run(folder):
    ward = Lines(folder, "amqtt", SCENARIOS)
    try:
        ward.start()
        ward.await_condition("all is played", 180, lambda: all(ward.played(each) > PLAYED_S for each in SCENARIOS))
        ward.stop_devices()
        ward.drain()
        ward.gateway("verify")
        ward.collector("verify")
        seen = Seen(ward)
    finally:
        ward.stop_devices()
        ward.stop_all()
    failed = {}
    for case in CASES:
        try:
            case(seen)
        except (AssertionError, KeyError) as error:
            failed[case.__name__] = f"{type(error).__name__}: {error}"
    assert not failed, "\n".join(f"{name}: {text}" for name, text in failed.items())
