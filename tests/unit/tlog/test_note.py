"""Signed notes and keys: the published check value, and what is refused."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from vitaledger import note
from vitaledger.errors import MalformedError, MisuseError, VerificationError
from vitaledger.text import base64_encode

VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
LINE = (
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
TEXT = "This is an example message.\n"
NOTE = f"{TEXT}\n{LINE}"
KEY = note.Ed25519Verifier.from_vkey(VKEY)
SIGNER = note.Ed25519Signer("example.com/log", bytes(range(32)))
SIGNER_KEY = note.verifier_of(SIGNER.vkey)
COSIGNER = note.CosignatureSigner("witness.example", bytes(range(1, 33)))
COSIGNER_KEY = note.verifier_of(COSIGNER.vkey)


def test_published_check_value():
    found = note.parse(NOTE.encode())
    assert found.text == TEXT
    assert note.verify_note(found, [KEY]) == found.signatures
    assert note.encode(found) == NOTE.encode()
    assert str(note.parse_vkey(VKEY)) == VKEY


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        TEXT.encode(),
        f"{TEXT}\n".encode(),
        f"\n{LINE}".encode(),
        f"{TEXT}{LINE}".encode(),
        f"{TEXT}\n{LINE[:-1]}".encode(),
        f"{TEXT}\n{LINE}\n".encode(),
        f"{TEXT}\n{LINE} \n".encode(),
        f"{TEXT}\n{LINE}junk\n".encode(),
        f"{TEXT}\r\n{LINE}".encode(),
        NOTE.replace("\n", "\r\n").encode(),
        NOTE.replace("This", "Th\tis").encode(),
        NOTE.replace("This", "Th\x00is").encode(),
        NOTE.encode().replace(b"This", b"Th\xffis"),
        NOTE.encode().replace(b"This", b"Th\xc0\xafis"),
        NOTE.encode().replace(b"This", b"Th\xed\xa0\x80is"),
        NOTE.replace("— ", "- ").encode(),
        NOTE.replace("— ", "—").encode(),
        NOTE.replace("— ", "—  ").encode(),
        NOTE.replace("foo ", "foo  ").encode(),
        NOTE.replace("example.com/foo Uw", "example.com/f+o Uw").encode(),
        NOTE.replace("example.com/foo Uw", "example.com/\u00a0 Uw").encode(),
        NOTE.replace("example.com/foo Uw", "example.com/\u2028 Uw").encode(),
        NOTE.replace("example.com/foo Uw", " Uw").encode(),
        NOTE.replace("aQM=", "aQM").encode(),
        NOTE.replace("aQM=", "aQN=").encode(),
        NOTE.replace("aQM=", "aQM==").encode(),
        NOTE.replace("aQM=", "aQ M=").encode(),
        NOTE.replace("Uw2Q", "Uw-_").encode(),
        f"{TEXT}\n— name Uw2QOg==\n".encode(),
        f"{TEXT}\n— name \n".encode(),
        f"{TEXT}\n{LINE * 101}".encode(),
        f"{'x' * 65_500}\n\n{LINE}".encode(),
    ],
)
def test_what_is_no_note(data):
    with pytest.raises(MalformedError):
        note.parse(data)


def test_text_may_hold_empty_lines_and_names_any_letters():
    text = "a\n\n\nb — c\n\n— not a signature\n"
    signer = note.Ed25519Signer("пример.example/журнал", bytes(32))
    data = note.encode(note.sign_note(text, signer))
    found = note.parse(data)
    assert found.text == text
    note.verify_note(found, [note.verifier_of(signer.vkey)])


def test_unknown_lines_are_passed_over_and_a_hundred_read():
    other = note.Signature("example.com/foo", b"\x01\x02\x03\x04", b"x")
    twin = note.Signature("example.com/bar", KEY.key_id, b"y" * 64)
    found = note.Note(TEXT, (other, twin, *note.parse(NOTE.encode()).signatures, *([other] * 97)))
    assert note.parse(note.encode(found)) == found
    assert len(note.verify_note(found, [KEY, SIGNER_KEY])) == 1


def test_a_wrong_signature_by_a_known_key_refuses_the_note():
    wrong = note.Signature(SIGNER.name, SIGNER.key_id, bytes(64))
    found = note.Note(TEXT, (*note.parse(NOTE.encode()).signatures, wrong))
    assert note.verify_note(found, [KEY])
    with pytest.raises(VerificationError, match=r"example\.com/log"):
        note.verify_note(found, [KEY, SIGNER_KEY])
    doubled = note.Note(TEXT, (*note.sign_note(TEXT, SIGNER).signatures, wrong))
    with pytest.raises(VerificationError):
        note.verify_note(doubled, [SIGNER_KEY])


def test_no_known_key_refuses_the_note():
    found = note.parse(NOTE.encode())
    for keys in ([], [SIGNER_KEY]):
        with pytest.raises(VerificationError, match="expected a signature by"):
            note.verify_note(found, keys)


def test_two_keys_of_one_name_and_id():
    class Twin:
        name, key_id, type = KEY.name, KEY.key_id, 1

        def verify(self, message, signature):
            raise AssertionError

    with pytest.raises(MisuseError):
        note.verify_note(note.parse(NOTE.encode()), [KEY, Twin()])
    assert note.verify_note(note.parse(NOTE.encode()), [KEY, note.Ed25519Verifier.from_vkey(VKEY)])


@pytest.mark.parametrize("text", ["", "no line end", "a\n\n\x01\n", "\ud800\n", "x" * 70_000 + "\n"])
def test_texts_that_cannot_be_written(text):
    with pytest.raises(MisuseError):
        note.encode(note.Note(text, (note.Signature("name", b"1234", b"x"),)))


@pytest.mark.parametrize(
    "signature",
    [note.Signature("a b", b"1234", b"x"), note.Signature("a+b", b"1234", b"x"), note.Signature("", b"1234", b"x"),
     note.Signature("a", b"123", b"x"), note.Signature("a", b"12345", b"x"), note.Signature("a", b"1234", b"")],
)  # fmt: skip
def test_signatures_that_cannot_be_written(signature):
    with pytest.raises(MisuseError):
        note.encode(note.Note(TEXT, (signature,)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "example.com/foo",
        VKEY + "\n",
        " " + VKEY,
        VKEY.replace("530d903a", "530D903A"),
        VKEY.replace("530d903a", "530d903b"),
        VKEY.replace("530d903a", "30d903a"),
        VKEY.replace("foo+", "fo+"),
        VKEY.replace("foo+", "fo o+"),
        VKEY.replace("+Ae", "+Be"),
        VKEY.replace("U2k", "U2l"),
        VKEY.replace("example.com/foo", "\udc80"),
        VKEY + "AAA=",
        "a+00000000+AQ==",
        "a+00000000+BQAA",
        "a+00000000+Ag==",
        "a+00000000+BgAA",
    ],
)
def test_what_is_no_vkey(text):
    with pytest.raises(MalformedError):
        note.parse_vkey(text)


def test_ml_dsa_keys_are_read_and_not_verified():
    key = note.vkey_of("witness.example", note.KeyType.MLDSA44, bytes(1312))
    assert note.parse_vkey(str(key)) == key
    assert not note.is_verifiable(key)
    with pytest.raises(MisuseError):
        note.verifier_of(key)


def test_ecdsa_key_id_and_signature():
    private = ec.derive_private_key(7, ec.SECP256R1())
    spki = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    key = note.vkey_of("log.example", note.KeyType.ECDSA, spki)
    assert note.parse_vkey(str(key)) == key
    verifier = note.verifier_of(key)
    signature = private.sign(TEXT.encode(), ec.ECDSA(SHA256()))
    found = note.Note(TEXT, (note.Signature(key.name, key.key_id, signature),))
    assert note.verify_note(note.parse(note.encode(found)), [verifier]) == found.signatures
    for wrong in (b"", b"\x30", signature[:-1], signature + b"\x00"):
        with pytest.raises(VerificationError):
            verifier.verify(TEXT.encode(), wrong)
    other = ec.derive_private_key(7, ec.SECP384R1()).public_key()
    with pytest.raises(MisuseError, match="P-256"):
        note.vkey_of("log.example", 2, other.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def test_cosignatures_hold_their_time():
    signature = note.cosign(TEXT, COSIGNER, 1_700_000_000)
    assert note.cosignature_time(signature) == 1_700_000_000
    COSIGNER_KEY.verify(TEXT.encode(), signature.signature)
    later = (1_700_000_001).to_bytes(8) + signature.signature[8:]
    for wrong in (later, signature.signature[:-1], signature.signature + b"\x00", b""):
        with pytest.raises(VerificationError):
            COSIGNER_KEY.verify(TEXT.encode(), wrong)
    with pytest.raises(MisuseError):
        COSIGNER.sign(TEXT.encode(), -1)


def test_a_cosignature_is_no_signature_of_the_text():
    """The same seed under both types: neither signature passes for the other."""
    plain, cosigner = note.Ed25519Signer("x", bytes(32)), note.CosignatureSigner("x", bytes(32))
    with pytest.raises(VerificationError):
        note.verifier_of(plain.vkey).verify(TEXT.encode(), cosigner.sign(TEXT.encode(), 1)[8:])
    with pytest.raises(VerificationError):
        note.verifier_of(cosigner.vkey).verify(TEXT.encode(), bytes(8) + plain.sign(TEXT.encode()))


def test_keys_do_not_show_their_secret():
    assert repr(SIGNER) == f"Ed25519Signer({SIGNER.vkey})"
    assert base64_encode(bytes(range(32)))[:20] not in repr(SIGNER)
    for seed in (b"", bytes(31), bytes(33)):
        with pytest.raises(MisuseError):
            note.Ed25519Signer("x", seed)
    for name in ("", "a b", "a+b", "\ud800"):
        with pytest.raises(MisuseError):
            note.Ed25519Signer(name, bytes(32))


def test_a_vkey_of_another_type():
    with pytest.raises(MisuseError):
        note.CosignatureVerifier.from_vkey(VKEY)
