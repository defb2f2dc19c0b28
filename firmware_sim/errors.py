"""What can be wrong with what somebody asked the simulators to do."""


class SimulatorError(Exception):
    """The root of this package's errors; its text is one line that says what to change."""


class ScenarioError(SimulatorError):
    """A scenario file that cannot be read, or asks for something that does not exist."""


class PortError(SimulatorError):
    """A port that cannot be opened, or a port name of no known form."""


class CaptureError(SimulatorError):
    """A capture that is not of a form that can be replayed."""
