"""Checkpoints: their text, and who must have signed them."""

import pytest

from vitaledger import checkpoint, note
from vitaledger.checkpoint import Checkpoint
from vitaledger.errors import MalformedError, MisuseError, VerificationError
from vitaledger.merkle import EMPTY_ROOT, leaf_hash

LOG = note.Ed25519Signer("example.com/log", bytes(range(32)))
WITNESS = note.CosignatureSigner("witness.example", bytes(range(1, 33)))
LOG_KEY, WITNESS_KEY = note.verifier_of(LOG.vkey), note.verifier_of(WITNESS.vkey)
ROOT = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
HEAD = Checkpoint("example.com/log", 42, leaf_hash(b""))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "example.com/log\n0\n",
        f"example.com/log\n0\n{ROOT}",
        f"example.com/log\n0\n{ROOT}\n\n",
        f"example.com/log\n0\n{ROOT}\nextension\n\nmore\n",
        f"\n0\n{ROOT}\n",
        f"a b\n0\n{ROOT}\n",
        f"a+b\n0\n{ROOT}\n",
        f"log\n\n{ROOT}\n",
        f"log\n+4\n{ROOT}\n",
        f"log\n-4\n{ROOT}\n",
        f"log\n4_2\n{ROOT}\n",
        f"log\n٤\n{ROOT}\n",
        f"log\n04\n{ROOT}\n",
        f"log\n00\n{ROOT}\n",
        f"log\n 4\n{ROOT}\n",
        f"log\n4 \n{ROOT}\n",
        f"log\n4.0\n{ROOT}\n",
        f"log\n0x4\n{ROOT}\n",
        f"log\n{2**63}\n{ROOT}\n",
        f"log\n{'9' * 5000}\n{ROOT}\n",
        f"log\n4\n{ROOT[:-1]}\n",
        f"log\n4\n{ROOT[:-2]}V=\n",
        f"log\n4\n {ROOT}\n",
        f"log\n4\n{ROOT.replace('+', '-').replace('/', '_')}\n",
        "log\n4\n\n",
        "log\n4\nAAAA\n",
        f"log\n4\n{'A' * 44}\n",
    ],
)
def test_what_is_no_checkpoint(text):
    with pytest.raises(MalformedError):
        checkpoint.parse_text(text)


def test_extension_lines_are_kept():
    text = f"log\n{2**63 - 1}\n{ROOT}\none\ntwo three\n"
    head = checkpoint.parse_text(text)
    assert (head.size, head.extensions) == (2**63 - 1, ("one", "two three"))
    assert checkpoint.encode_text(head) == text


@pytest.mark.parametrize(
    ("origin", "size", "root", "extensions"),
    [("", 0, EMPTY_ROOT, ()), ("a b", 0, EMPTY_ROOT, ()), ("log", -1, EMPTY_ROOT, ()), ("log", 2**63, EMPTY_ROOT, ()),
     ("log", 0, b"", ()), ("log", 0, EMPTY_ROOT, ("",)), ("log", 0, EMPTY_ROOT, ("a\nb",))],
)  # fmt: skip
def test_checkpoints_that_cannot_be(origin, size, root, extensions):
    with pytest.raises(MisuseError):
        Checkpoint(origin, size, root, extensions)


def test_signed_and_opened():
    data = checkpoint.sign_checkpoint(HEAD, LOG)
    signed = checkpoint.open_checkpoint(data, [LOG_KEY])
    assert (signed.checkpoint, signed.raw, signed.cosignatures) == (HEAD, data, ())
    assert checkpoint.parse_unverified(data) == (HEAD, signed.note)


def test_a_log_signs_under_its_own_name_only():
    with pytest.raises(MisuseError):
        checkpoint.sign_checkpoint(HEAD, note.Ed25519Signer("example.com/other", bytes(32)))


def test_cosignatures_are_told_with_their_time():
    data = checkpoint.sign_checkpoint(HEAD, LOG)
    line = note.cosign(checkpoint.encode_text(HEAD), WITNESS, 1_700_000_000)
    data = checkpoint.add_signatures(data, [line])
    assert checkpoint.add_signatures(data, [line]) == data
    signed = checkpoint.open_checkpoint(data, [WITNESS_KEY, LOG_KEY])
    assert signed.cosignatures == (checkpoint.Cosignature("witness.example", WITNESS.key_id, 1_700_000_000),)
    assert len(signed.verified) == 2
    assert checkpoint.open_checkpoint(data, [LOG_KEY]).cosignatures == ()


def test_a_witness_alone_is_not_the_log():
    text = checkpoint.encode_text(HEAD)
    data = note.encode(note.Note(text, (note.cosign(text, WITNESS, 1),)))
    with pytest.raises(VerificationError, match="expected a signature by the log"):
        checkpoint.open_checkpoint(data, [LOG_KEY, WITNESS_KEY])
    namesake = note.CosignatureSigner("example.com/log", bytes(32))
    data = note.encode(note.Note(text, (note.cosign(text, namesake, 1),)))
    with pytest.raises(VerificationError, match="expected a signature by the log"):
        checkpoint.open_checkpoint(data, [LOG_KEY, note.verifier_of(namesake.vkey)])


def test_another_log_is_not_this_one():
    other = note.Ed25519Signer("example.com/other", bytes(32))
    data = note.encode(note.sign_note(checkpoint.encode_text(HEAD), other))
    with pytest.raises(VerificationError, match="expected a signature by the log"):
        checkpoint.open_checkpoint(data, [LOG_KEY, note.verifier_of(other.vkey)])
