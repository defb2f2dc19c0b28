"""Devices for tests, demos and CI, written from the protocols; standard library only.

Nothing here is shared with the drivers that read these devices: a common codec would hide a driver's mistakes. The
library is pure (time and seed are arguments); only ``line``, ``plugs``, ``serve``, ``rig``, ``replay`` and ``cli``
touch ports and clocks, and only ``pytest_plugin`` needs pytest.
"""
