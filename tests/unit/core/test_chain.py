"""Micro-chains: every way in which a run of entries can be broken, and what it says then."""

from dataclasses import replace

import pytest

from vitaledger.chain import ChainHead, follow, start, verify_complete, verify_run
from vitaledger.entry import Clock, Kind, PartType, entry_hash, genesis, parse_leaf, seal
from vitaledger.errors import MisuseError, VerificationError

ORIGIN, NAME, OTHER = "h.example/gateway/g1", "nonin:port:bed-1", "nonin:port:bed-2"


def make(name=NAME, count=6, origin=ORIGIN, content=b"\x80"):
    """(entry, leaf hash) of a whole micro-chain."""
    head, run = start(origin, name), []
    for seq in range(count):
        clock = Clock(1000 * seq, bytes(16), 1000 * seq, None)
        leaf, _ = seal(Kind.DEVICE_EVENT, name, seq, head.last, clock, [(PartType.EVENT, content)], [seq.to_bytes(16)])
        run.append((parse_leaf(leaf), entry_hash(leaf)))
        head = ChainHead(name, seq + 1, run[-1][1])
    return run


RUN = make()
HEAD = ChainHead(NAME, 6, RUN[5][1])


def test_the_beginning():
    assert start(ORIGIN, NAME) == ChainHead(NAME, 0, genesis(ORIGIN, NAME))
    assert genesis(ORIGIN, NAME).hex() == "e4c0ffd5fba5127e7bcaaaf5a8e2e325d22b51938064254c062eccd6deaa9877"
    assert len({genesis(o, n) for o in (ORIGIN, ORIGIN + "/2") for n in (NAME, OTHER)}) == 4


def test_a_whole_run():
    assert verify_run(start(ORIGIN, NAME), RUN) == HEAD
    assert verify_run(HEAD, []) == HEAD
    for at in range(1, 6):
        head = verify_run(start(ORIGIN, NAME), RUN[:at])
        assert verify_run(head, RUN[at:]) == HEAD


BREAKS = {
    "wrong number": (lambda run: [*run[:2], (replace(run[2][0], seq=7), run[2][1])], "expected entry 2, found entry 7"),
    "wrong prev": (
        lambda run: [*run[:2], (replace(run[2][0], prev=bytes(32)), run[2][1])],
        "entry 2: prev: expected .* found 0000000000000000",
    ),
    "wrong chain": (lambda run: [*run[:2], make(OTHER)[2]], f"{NAME}: found an entry of {OTHER}"),
    "hole": (lambda run: run[:2] + run[3:], "expected entry 2, found entry 3"),
    "twice": (lambda run: [*run[:2], run[1]], "expected entry 2, found entry 1"),
    "swapped": (lambda run: [run[0], run[2], run[1]], "expected entry 1, found entry 2"),
    "first missing": (lambda run: run[1:], "expected entry 0, found entry 1"),
    "another's tail": (
        lambda run: run[:3] + make(content=b"\x81\x00")[3:],
        "entry 3: prev: expected",
    ),
    "other origin": (lambda _: make(origin=ORIGIN + "/2"), "entry 0: prev: expected"),
    "changed leaf": (
        lambda run: [*run[:2], (run[2][0], bytes(32)), run[3]],
        "entry 3: prev: expected 0000000000000000",
    ),
}


@pytest.mark.parametrize("what", BREAKS)
def test_breaks(what):
    change, why = BREAKS[what]
    with pytest.raises(VerificationError, match=why):
        verify_run(start(ORIGIN, NAME), change(RUN))


@pytest.mark.parametrize("first", range(6))
@pytest.mark.parametrize("last", range(6))
def test_complete_from_to(first, last):
    if first > last:
        with pytest.raises(MisuseError, match="cannot show entries"):
            verify_complete(ORIGIN, NAME, RUN, first, last, HEAD)
        return
    run = RUN[max(first - 1, 0) : last + 2]
    verify_complete(ORIGIN, NAME, run, first, last, HEAD if last == 5 else None)


COMPLETE = [
    ("no entry before", (2, 4), RUN[2:6], None, "expected the run to begin with entry 1, found 2"),
    ("one too many before", (2, 4), RUN[0:6], None, "expected the run to begin with entry 1, found 0"),
    ("hole", (2, 4), [*RUN[1:3], *RUN[4:6]], None, "expected entry 3, found entry 4"),
    ("end missing", (2, 4), RUN[1:4], None, "expected entries to 5, the run ends with 3"),
    ("end missing, heads there", (2, 4), RUN[1:4], HEAD, "expected entries to 5, the run ends with 3"),
    ("nothing behind", (2, 4), RUN[1:5], None, "nothing shows that entry 4 is the last"),
    ("heads speak of more", (2, 4), RUN[1:5], HEAD, "speaks of next entry 6 .* the run ends with next entry 5"),
    ("heads speak of less", (2, 5), RUN[1:6], ChainHead(NAME, 5, RUN[4][1]), "speaks of next entry 5"),
    ("heads of another tail", (2, 5), RUN[1:6], ChainHead(NAME, 6, bytes(32)), "next entry 6 after 0000000000000000"),
    ("heads of another chain", (2, 5), RUN[1:6], ChainHead(OTHER, 6, RUN[5][1]), "the heads entry speaks"),
    ("too far", (2, 3), RUN[1:6], None, "expected entries to 4, the run ends with 5"),
    ("of another log", (0, 3), make(origin="x")[0:5], None, "entry 0: prev"),
    ("of another chain", (0, 3), make(OTHER)[0:5], None, f"found an entry of {OTHER}"),
]


@pytest.mark.parametrize(("ends", "run", "head", "why"), [case[1:] for case in COMPLETE], ids=[c[0] for c in COMPLETE])
def test_not_complete(ends, run, head, why):
    with pytest.raises(VerificationError, match=why):
        verify_complete(ORIGIN, NAME, run, *ends, head)


@pytest.mark.parametrize(("first", "last", "run"), [(-1, 2, RUN), (3, 2, RUN), (0, 0, [])])
def test_misuse(first, last, run):
    with pytest.raises(MisuseError):
        verify_complete(ORIGIN, NAME, run, first, last, None)


def test_follow_takes_one_entry():
    head = follow(start(ORIGIN, NAME), *RUN[0])
    assert head == ChainHead(NAME, 1, RUN[0][1])
