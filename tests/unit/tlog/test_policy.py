"""Policies: the grammar line by line, and what a quorum is."""

import pytest

from vitaledger import merkle, note, policy
from vitaledger.checkpoint import Checkpoint, add_signatures, encode_text, sign_checkpoint
from vitaledger.errors import MalformedError, VerificationError

LOG = note.Ed25519Signer("example.com/log", bytes(32))
HEAD = Checkpoint("example.com/log", 0, merkle.EMPTY_ROOT)
NAMES = ("x1", "x2", "x3", "y1", "y2")
WITNESSES = {name: note.CosignatureSigner(f"{name}.example", bytes([i]) * 32) for i, name in enumerate(NAMES, 1)}
LINES = "".join(f"witness {name} {key.vkey} https://{name}.example/\n" for name, key in WITNESSES.items())
NESTED = (
    f"# two organisations\n\n log\t{LOG.vkey} https://example.com/log\n{LINES}"
    "group x 2 x1 x2 x3\n  group y any y1 y2  \n\t# both\ngroup both all x y\nquorum both\n"
)
W1 = f"witness w {WITNESSES['x1'].vkey}\n"
MLDSA = note.vkey_of("pq.example", note.KeyType.MLDSA44, bytes(1312))


def signed_by(*names):
    lines = [note.cosign(encode_text(HEAD), WITNESSES[name], 1_700_000_000) for name in names]
    return add_signatures(sign_checkpoint(HEAD, LOG), lines)


def test_what_a_policy_says():
    rules = policy.parse(NESTED.encode())
    assert rules.logs == (policy.Log(LOG.vkey, "https://example.com/log"),)
    assert [each.name for each in rules.witnesses] == list(NAMES)
    assert rules.groups[0] == policy.Group("x", 2, ("x1", "x2", "x3"))
    assert [(each.name, each.threshold) for each in rules.groups] == [("x", 2), ("y", 1), ("both", 2)]
    assert rules.quorum == "both"
    assert policy.parse(NESTED.rstrip("\n").encode()) == rules


@pytest.mark.parametrize(
    ("names", "good"),
    [((), False), (("x1", "x2"), False), (("x1", "y1"), False), (("y1", "y2"), False), (("x1", "x3", "y2"), True),
     (NAMES, True)],
)  # fmt: skip
def test_quorum(names, good):
    rules = policy.parse(NESTED.encode())
    if good:
        assert len(rules.verify_checkpoint(signed_by(*names)).cosignatures) == len(names)
    else:
        with pytest.raises(VerificationError, match="quorum 'both'"):
            rules.verify_checkpoint(signed_by(*names))


def test_a_single_witness_as_quorum():
    rules = policy.parse(f"log {LOG.vkey}\n{LINES}quorum x2\n".encode())
    rules.verify_checkpoint(signed_by("x2"))
    with pytest.raises(VerificationError, match="found those of 'x1'"):
        rules.verify_checkpoint(signed_by("x1"))


def test_the_log_must_have_signed_whatever_the_witnesses_say():
    text = encode_text(HEAD)
    lines = tuple(note.cosign(text, key, 1) for key in WITNESSES.values())
    rules = policy.parse(NESTED.encode())
    with pytest.raises(VerificationError, match="by the log"):
        rules.verify_checkpoint(note.encode(note.Note(text, lines)))
    with pytest.raises(VerificationError):
        policy.parse(b"quorum none\n").verify_checkpoint(signed_by())


def test_one_cosigner_counts_once():
    text = encode_text(HEAD)
    lines = [note.cosign(text, WITNESSES["x1"], when) for when in (1, 2, 3)]
    rules = policy.parse(f"log {LOG.vkey}\n{LINES}group x 2 x1 x2\nquorum x\n".encode())
    with pytest.raises(VerificationError):
        rules.verify_checkpoint(add_signatures(sign_checkpoint(HEAD, LOG), lines))


def test_a_wrong_cosignature_refuses_the_checkpoint():
    wrong = note.Signature("y2.example", WITNESSES["y2"].key_id, bytes(72))
    rules = policy.parse(NESTED.encode())
    with pytest.raises(VerificationError, match="y2"):
        rules.verify_checkpoint(add_signatures(signed_by("x1", "x2", "y1"), [wrong]))


def test_a_witness_whose_signatures_cannot_be_verified_never_counts():
    rules = policy.parse(f"log {LOG.vkey}\nwitness pq {MLDSA}\nquorum pq\n".encode())
    line = note.Signature("pq.example", MLDSA.key_id, bytes(2428))
    with pytest.raises(VerificationError):
        rules.verify_checkpoint(add_signatures(signed_by(), [line]))


def test_names_are_opaque_octets():
    rules = policy.parse(b"witness \xff " + str(WITNESSES["x1"].vkey).encode() + b"\nquorum \xff\n")
    assert rules.quorum == rules.witnesses[0].name
    with pytest.raises(MalformedError, match="defined above"):
        policy.parse(b"witness \xff " + str(WITNESSES["x1"].vkey).encode() + b"\nquorum \xfe\n")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "policy: expected a quorum line"),
        (f"log {LOG.vkey}\n", "policy: expected a quorum line"),
        ("quorum\n", "line 1: expected quorum"),
        ("quorum none none\n", "line 1: expected quorum"),
        ("quorum none\n\nquorum none\n", "line 3: expected one quorum"),
        ("Quorum none\n", "line 1: expected log, witness, group or quorum"),
        ("quorum none # comment\n", "line 1: expected quorum"),
        ("quorum none\r\n", "line 1: expected no control"),
        ("quorum none\n\x00\n", "line 2: expected no control"),
        ("quorum none\n\x7f\n", "line 2: expected no control"),
        ("quorum\u00a0none\n", "line 1: expected log, witness"),
        ("log\n", "line 1: expected log"),
        (f"log {LOG.vkey} url more\n", "line 1: expected log"),
        ("log junk\n", "line 1: vkey"),
        (f"log {WITNESSES['x1'].vkey}\n", "another type, found type 0x04"),
        (f"log {LOG.vkey}\nlog {LOG.vkey}\n", "line 2: expected each key once"),
        ("witness w\n", "line 1: expected witness"),
        ("witness\n", "line 1: expected witness"),
        (f"witness w {LOG.vkey}\n", "another type, found type 0x01"),
        (f"witness none {WITNESSES['x1'].vkey}\n", "line 1: expected a new name"),
        (W1 + f"witness w {WITNESSES['x2'].vkey}\n", "line 2: expected a new name"),
        (W1 + f"witness v {WITNESSES['x1'].vkey}\n", "line 2: expected each key once"),
        (W1 + f"witness v {note.CosignatureSigner('other', bytes([1]) * 32).vkey}\n", "line 2: expected each key once"),
        ("quorum w\n" + W1, "line 1: expected a witness or group defined above"),
        (W1 + "group g 1\n", "line 2: expected group"),
        (W1 + "group g 0 w\n", "line 2: expected a threshold of 1 to 1, found 0"),
        (W1 + "group g 2 w\n", "line 2: expected a threshold of 1 to 1, found 2"),
        (W1 + "group g 01 w\n", "line 2: group threshold"),
        (W1 + "group g some w\n", "line 2: group threshold"),
        (W1 + "group g any v\n", "line 2: expected a witness or group defined above"),
        (W1 + "group g any none\n", "line 2: expected a witness or group defined above"),
        (W1 + "group g any g\n", "line 2: expected a witness or group defined above"),
        (W1 + "group g any w w\n", "line 2: expected each name in one group only"),
        (W1 + "group g any w\ngroup h any w\n", "line 3: expected each name in one group only"),
        (W1 + "group w any w\n", "line 2: expected a new name"),
        (W1 + "group none any w\n", "line 2: expected a new name"),
        ("#" * 300_000, "policy: expected at most"),
    ],
)
def test_what_is_no_policy(text, why):
    with pytest.raises(MalformedError, match=why):
        policy.parse(text.encode())
