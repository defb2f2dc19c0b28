"""The simulated devices, one module for each protocol."""

from firmware_sim.devices.base import Absence, Device, Emission, Reading, Sensor
from firmware_sim.devices.contec import Contec
from firmware_sim.devices.masimo import Masimo
from firmware_sim.devices.nonin import Nonin

__all__ = ["Absence", "Contec", "Device", "Emission", "Masimo", "Nonin", "Reading", "Sensor"]
