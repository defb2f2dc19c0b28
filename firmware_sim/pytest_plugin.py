"""Fixtures for tests of software that reads medical devices: `simulated_device` and `scenario`.

Installed with this package, pytest finds them by itself; what they need is imported when a test first uses them::

    def test_my_reader(simulated_device):
        device = simulated_device("masimo", seed=3, faults=[{"kind": "sensor-off", "from_s": 2, "until_s": 4}])
        values = my_reader(serial.serial_for_url(device.url), count=7)
        device.stop()
        assert values == [record.value for record in device.readings("spo2")[:7]]

    def test_without_real_time(simulated_device):
        device = simulated_device("nonin-df2", virtual_time=True)
        for time, data in device.play(seconds=3600):
            my_decoder.feed(data)

    @pytest.mark.scenario("ward.toml")
    def test_a_ward(scenario):
        assert my_discovery(scenario["spo2-1"].url)
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, overload

import pytest

if TYPE_CHECKING:
    from firmware_sim.rig import Rig, SimulatedDevice, VirtualDevice

_MARKER = (
    "scenario(path, virtual_time=False, wait=True): the firmware-sim scenario that the fixture of this name runs; the "
    "path is relative to the test's file or to the root of the project"
)


class DeviceFactory(Protocol):
    """What the fixture `simulated_device` gives.

    Args:
        model: as `firmware-sim list` names it.
        name: the device's name; by default the model's, with a number where there are several.
        seed: equal seeds give equal bytes.
        faults: each as in a scenario file: kind, from_s, until_s and the rest.
        kind: of port, "pty" or "tcp".
        virtual_time: no port and no waiting; the test pumps the bytes.
        wait: the device's time begins when its port is opened, so that nothing is lost before.
        attended: in virtual time, a device that waits to be asked behaves as if a host had asked.
        keys: any other key of a scenario's device: patient, serial, start_s, …
    """

    @overload
    def __call__(
        self,
        model: str,
        *,
        name: str | None = ...,
        seed: int = ...,
        faults: Iterable[Mapping[str, Any]] = ...,
        kind: str = ...,
        virtual_time: Literal[False] = ...,
        wait: bool = ...,
        **keys: Any,  # noqa: ANN401
    ) -> "SimulatedDevice": ...

    @overload
    def __call__(
        self,
        model: str,
        *,
        name: str | None = ...,
        seed: int = ...,
        faults: Iterable[Mapping[str, Any]] = ...,
        virtual_time: Literal[True],
        attended: bool = ...,
        **keys: Any,  # noqa: ANN401
    ) -> "VirtualDevice": ...


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture
def simulated_device(tmp_path: Path) -> Iterator[DeviceFactory]:
    """Make simulated devices, see `DeviceFactory`; all are stopped when the test ends."""
    from firmware_sim import rig  # noqa: PLC0415 - costs nothing where it is not used
    from firmware_sim.errors import PortError  # noqa: PLC0415
    from firmware_sim.scenario import from_table  # noqa: PLC0415

    running: list[Rig] = []
    made: list[str] = []

    def make(
        model: str,
        *,
        name: str | None = None,
        seed: int = 0,
        faults: Iterable[Mapping[str, Any]] = (),
        kind: str = "pty",
        virtual_time: bool = False,
        wait: bool = True,
        attended: bool = True,
        **keys: Any,  # noqa: ANN401
    ) -> "SimulatedDevice | VirtualDevice":
        name = name or (model if model not in made else f"{model}-{len(made) + 1}")
        made.append(name)
        if kind not in {"pty", "tcp"}:
            raise PortError(f"the kind of port is pty or tcp, not {kind!r}")
        port = f"pty:/{name}" if kind == "pty" else "tcp://127.0.0.1:0"
        parsed = from_table(rig.describe(model, name, seed, port=port, fault=[dict(each) for each in faults], **keys))
        if virtual_time:
            return rig.VirtualDevice(parsed, attended=attended)
        one = rig.Rig(rig.relocate(parsed, tmp_path / "ports"), wait=wait)
        one.start()
        running.append(one)
        return one[name]

    try:
        yield make  # type: ignore[misc]  # one function for both overloads
    finally:
        for one in running:
            one.stop()


@pytest.fixture
def scenario(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """Run the scenario of the test's marker: a `rig.Rig`, or by name a `rig.VirtualDevice` each.

    Its terminals are moved under the test's own folder, and its TCP ports to free ones.
    """
    from firmware_sim import rig  # noqa: PLC0415 - costs nothing where it is not used
    from firmware_sim.scenario import load  # noqa: PLC0415

    marker = request.node.get_closest_marker("scenario")
    if marker is None or len(marker.args) != 1 or not set(marker.kwargs) <= {"virtual_time", "wait"}:
        raise pytest.UsageError('the fixture needs the marker @pytest.mark.scenario("FILE.toml")')
    places = [request.path.parent / marker.args[0], request.config.rootpath / marker.args[0]]
    parsed = load(next((place for place in places if place.exists()), places[0]))
    if marker.kwargs.get("virtual_time", False):
        yield {spec.name: rig.VirtualDevice(parsed, spec.name) for spec in parsed.devices}
        return
    with rig.Rig(rig.relocate(parsed, tmp_path / "ports"), wait=marker.kwargs.get("wait", True)) as running:
        yield running
