"""When a stage is at rest: every line is down, and all that was sealed is under a receipt."""

import json

import pytest

from vitaledger.cli.stage import Stage


def down(chain, age_s):
    return {"chain": chain, "age_s": age_s, "line": "down"}


def up(chain, age_s):
    return {"chain": chain, "age_s": age_s, "line": None}


CASES = {
    "nothing sealed yet": ([], 0, False),
    "down": ([down("a:port:1", 1.0), down("b:port:2", 1.0)], 0, True),
    "down and not receipted": ([down("a:port:1", 1.0)], 1, False),
    "one is up": ([down("a:port:1", 1.0), up("b:port:2", 9.0)], 0, False),
    "the chain before a kill ended without a word": ([up("a:port:1", 9.0), down("a:sn:7", 1.0)], 0, True),
    "the chain before this one is down": ([down("a:port:1", 9.0), up("a:sn:7", 1.0)], 0, False),
    "a chain whose device has not told who it is": ([down("a:port:1", 1.0), up("new", 9.0)], 0, False),
}


class FakeStage(Stage):
    def __init__(self, folder, devices, backlog):
        super().__init__(folder, 1)
        self.state = {"devices": devices, "backlog": backlog}

    def run(self, program, *words, ok=(0,)):
        if program == "vitaledger-gateway":
            return json.dumps(self.state)
        ports = {"a:port:1": "1", "a:sn:7": "1", "b:port:2": "2", "new": None}
        told = [
            {"chain": each["chain"], "identity": port and {"port": port}}
            for each in self.state["devices"]
            for port in [ports[each["chain"]]]
        ]
        return "".join(json.dumps(each) + "\n" for each in told)


@pytest.mark.parametrize("case", CASES)
def test_a_stage_is_at_rest_when_the_newest_chain_of_every_port_is_down(tmp_path, case):
    devices, backlog, rests = CASES[case]
    assert FakeStage(tmp_path / "stage", devices, backlog).at_rest() is rests
