"""Which ledgers a gateway believes: the first successor of the newest, a person's pin, nothing else."""

import pytest

from gateway import config, ledgers
from gateway.ledgers import Ledgers
from vitaledger.errors import MalformedError, VerificationError
from vitaledger.keys import Ed25519Signer, verifier_of
from vitaledger.merkle import EMPTY_ROOT
from vitaledger.succession import Succession, sign_succession

ONE, TWO, THREE, OTHER = (
    Ed25519Signer(name, bytes([seed]) * 32)
    for name, seed in (
        ("h.example/ledger", 1),
        ("h.example/ledger/2", 2),
        ("h.example/ledger/3", 3),
        ("h.example/ledger/2", 4),
    )
)


def note(old, new, signer=None):
    return sign_succession(Succession(old.name, 5, EMPTY_ROOT, str(new.vkey)), signer or old)


def names(found):
    return [str(key.vkey) for key in found.keys]


@pytest.fixture
def first():
    return Ledgers.pinned(verifier_of(ONE.vkey))


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "state").mkdir()
    text = f'provider = "h.example"\ngateway = "g1"\nledger_vkey = "{ONE.vkey}"\n'
    return config.parse(text.encode(), tmp_path / "gateway.toml")


def test_notes_are_followed_in_order_and_once(first):
    notes = [note(ONE, TWO), note(TWO, THREE)]
    found = first.follow(notes)
    assert names(found) == [str(each.vkey) for each in (ONE, TWO, THREE)]
    assert found.follow(notes) is found
    assert first.follow(notes[1:]) is first  # leads from nowhere that is known
    assert found.notes == tuple(notes)


@pytest.mark.parametrize(
    ("notes", "error", "word"),
    [
        ([note(ONE, TWO, Ed25519Signer("h.example/ledger", bytes(32)))], VerificationError, "sign"),
        ([note(ONE, TWO), note(ONE, THREE)], VerificationError, "second successor"),
        ([note(ONE, TWO), note(ONE, OTHER)], VerificationError, "second successor"),
        ([b"junk"], MalformedError, "note"),
    ],
)
def test_what_is_not_believed(first, notes, error, word):
    with pytest.raises(error, match=word):
        first.follow(notes)


def test_a_pinned_key_is_the_newest_and_leads_on(first):
    found = first.follow([note(ONE, TWO)]).pin(verifier_of(OTHER.vkey))
    assert found.newest.vkey == OTHER.vkey
    assert found.pin(verifier_of(ONE.vkey)) is found  # what was believed before does not come back by itself
    assert found.follow([note(OTHER, THREE)]).newest.vkey == THREE.vkey


def test_they_are_kept(settings):
    assert names(ledgers.load(settings)) == [str(ONE.vkey)]
    found = ledgers.load(settings).follow([note(ONE, TWO)]).pin(verifier_of(OTHER.vkey)).follow([note(OTHER, THREE)])
    ledgers.save(settings, found)
    again = ledgers.load(settings)
    assert (names(again), again.named_by) == (names(found), found.named_by)


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("junk", "line 2"),
        (f"{TWO.vkey} !!", "line 2"),
        (f"{TWO.vkey} bm90ZQ==", "line 2"),
        (None, "does not lead to"),
    ],
)
def test_a_damaged_file_is_named_with_its_line(settings, line, word):
    ledgers.save(settings, ledgers.load(settings).follow([note(ONE, TWO)]))
    path = settings.state / ledgers.FILE_NAME
    one, two = path.read_text().splitlines()
    path.write_text(f"{one}\n{line or two.replace(str(TWO.vkey), str(THREE.vkey))}\n")
    with pytest.raises((MalformedError, VerificationError), match=word):
        ledgers.load(settings)
