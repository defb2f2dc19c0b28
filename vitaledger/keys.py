"""The keys that sign notes and checkpoints, and how they are written down (C2SP signed-note, tlog-cosignature).

A verifier key (vkey) is `<name>+<key ID in hex>+<base64 of type and public key>`, where the key ID is the first four
bytes of SHA-256(name ‖ LF ‖ type ‖ public key):

    >>> key = parse_vkey("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k")
    >>> key.name, key.key_id.hex(), key.type, len(key.public_key)
    ('example.com/foo', '530d903a', 1, 32)
    >>> str(key)
    'example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k'

Types: 01 Ed25519 over the text; 02 ECDSA on P-256, whose key ID is of SHA-256(DER SPKI); 04 cosignature of a
checkpoint with a time; 06 ML-DSA-44, whose keys are read and whose signatures nothing here verifies.

A cosignature is a big-endian u64 of POSIX seconds and then an Ed25519 signature over

    cosignature/v1
    time <decimal seconds>
    <the checkpoint's text>

    >>> witness = CosignatureSigner("witness.example", bytes(range(32)))
    >>> signature = witness.sign(b"an.example/log\\n0\\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\\n", 1_700_000_000)
    >>> len(signature), int.from_bytes(signature[:8])
    (72, 1700000000)

Private keys are 32-byte seeds that the caller brings; nothing here makes or stores one.
"""

import re
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256
from typing import Protocol, Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from vitaledger.errors import MalformedError, MisuseError, VerificationError
from vitaledger.text import MAX_NUMBER, base64_decode, base64_encode, check_key_name

KEY_ID_SIZE = 4
TIME_SIZE = 8
_ED25519_KEY = 32
_ED25519_SIGNATURE = 64
_MLDSA44_KEY = 1312
_VKEY = re.compile(r"([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})", re.ASCII)


class KeyType(IntEnum):
    """The signature types whose vkeys are understood."""

    ED25519 = 0x01
    ECDSA = 0x02
    COSIGNATURE = 0x04
    MLDSA44 = 0x06


class _Named(Protocol):
    """What every key has."""

    @property
    def name(self) -> str:
        """The key's name; a log's is its origin."""
        ...

    @property
    def key_id(self) -> bytes:
        """The 4 bytes that tell keys of one name apart."""
        ...


class Signer(_Named, Protocol):
    """A key that signs notes."""

    def sign(self, message: bytes) -> bytes:
        """What follows the key ID in the signature line."""
        ...


class Verifier(_Named, Protocol):
    """A key whose signatures on notes are believed."""

    @property
    def type(self) -> int:
        """The signature type, see KeyType."""
        ...

    def verify(self, message: bytes, signature: bytes) -> None:
        """Raise VerificationError unless this key made the signature over the note's text."""
        ...


@dataclass(frozen=True, slots=True)
class Vkey:
    """A verifier key as it is written down. `public_key` is 32 bytes for Ed25519, DER SPKI for ECDSA."""

    name: str
    key_id: bytes
    type: int
    public_key: bytes

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{base64_encode(bytes([self.type]) + self.public_key)}"


def key_id(name: str, key_type: int, public_key: bytes) -> bytes:
    """The 4-byte key ID; its rule depends on the type."""
    if key_type == KeyType.ECDSA:
        return sha256(public_key).digest()[:KEY_ID_SIZE]
    return sha256(name.encode() + b"\n" + bytes([key_type]) + public_key).digest()[:KEY_ID_SIZE]


def vkey_of(name: str, key_type: int, public_key: bytes) -> Vkey:
    """The verifier key of a public key; MisuseError where there is no such key."""
    try:
        check_key_name(name)
        _check_public_key(name, key_type, public_key)
        return Vkey(name, key_id(name, key_type, public_key), key_type, public_key)
    except MalformedError as error:
        raise MisuseError(str(error)) from error


def parse_vkey(text: str) -> Vkey:
    """A verifier key from its text, its key ID checked; or MalformedError."""
    match = _VKEY.fullmatch(text)
    if match is None:
        raise MalformedError(f"vkey {text[:60]!r}: expected <name>+<key ID in hex>+<base64>")
    name, claimed, encoded = match.groups()
    check_key_name(name)
    blob = base64_decode(encoded, f"vkey of {name}")
    key_type, public_key = blob[0], blob[1:]
    _check_public_key(name, key_type, public_key)
    found = key_id(name, key_type, public_key)
    if found.hex() != claimed:
        raise MalformedError(f"vkey of {name}: expected key ID {found.hex()}, found {claimed}")
    return Vkey(name, found, key_type, public_key)


def _check_public_key(name: str, key_type: int, public_key: bytes) -> None:
    if key_type == KeyType.ECDSA:
        _ecdsa_key(name, public_key)
        return
    sizes = {KeyType.ED25519: _ED25519_KEY, KeyType.COSIGNATURE: _ED25519_KEY, KeyType.MLDSA44: _MLDSA44_KEY}
    expected = {int(known): size for known, size in sizes.items()}.get(key_type)
    if expected is None:
        raise MalformedError(f"vkey of {name}: signature type {key_type:#04x} is not known")
    if len(public_key) != expected:
        raise MalformedError(f"vkey of {name}: expected a public key of {expected} bytes, found {len(public_key)}")


def _ecdsa_key(name: str, public_key: bytes) -> ec.EllipticCurvePublicKey:
    try:
        key = load_der_public_key(public_key)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise MalformedError(f"vkey of {name}: expected a DER public key") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise MalformedError(f"vkey of {name}: expected a key on P-256")
    if key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) != public_key:
        raise MalformedError(f"vkey of {name}: expected canonical DER")
    return key


class _Ed25519Key:
    """An Ed25519 private key with the name and the type that it signs under; it never shows its secret."""

    __slots__ = ("_private", "vkey")
    _type: KeyType

    def __init__(self, name: str, private_key: bytes) -> None:
        if len(private_key) != _ED25519_KEY:
            raise MisuseError(f"private key of {name}: expected a seed of 32 bytes, got {len(private_key)}")
        self._private = Ed25519PrivateKey.from_private_bytes(private_key)
        self.vkey = vkey_of(name, self._type, self._private.public_key().public_bytes_raw())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.vkey})"

    @property
    def name(self) -> str:
        return self.vkey.name

    @property
    def key_id(self) -> bytes:
        return self.vkey.key_id


class Ed25519Signer(_Ed25519Key):
    """A Signer (type 01) from a 32-byte seed. `vkey` is its public side."""

    __slots__ = ()
    _type = KeyType.ED25519

    def sign(self, message: bytes) -> bytes:
        """The signature over the note's text."""
        return self._private.sign(message)


class CosignatureSigner(_Ed25519Key):
    """A cosigner of checkpoints (type 04) from a 32-byte seed.

    What it signs does not hold its name: use one seed for one cosigner, and for nothing else.
    """

    __slots__ = ()
    _type = KeyType.COSIGNATURE

    def sign(self, checkpoint_text: bytes, posix_seconds: int) -> bytes:
        """The time and the signature over it and the checkpoint's text."""
        if not 0 <= posix_seconds <= MAX_NUMBER:
            raise MisuseError(f"cosignature time {posix_seconds}: expected POSIX seconds")
        return posix_seconds.to_bytes(TIME_SIZE) + self._private.sign(_cosigned(checkpoint_text, posix_seconds))


@dataclass(frozen=True, slots=True)
class _KeyVerifier:
    vkey: Vkey

    @property
    def name(self) -> str:
        return self.vkey.name

    @property
    def key_id(self) -> bytes:
        return self.vkey.key_id

    @property
    def type(self) -> int:
        return self.vkey.type

    @classmethod
    def from_vkey(cls, text: str) -> Self:
        """The verifier of a vkey's text; MalformedError, or MisuseError where it is of another type."""
        found = verifier_of(parse_vkey(text))
        if not isinstance(found, cls):
            raise MisuseError(f"vkey of {found.name}: type {found.type:#04x} is not for {cls.__name__}")
        return found


class Ed25519Verifier(_KeyVerifier):
    """The verifier of a key of type 01."""

    __slots__ = ()

    def verify(self, message: bytes, signature: bytes) -> None:
        """Raise VerificationError unless the key signed the text."""
        _verify_ed25519(self.vkey, message, signature)


class CosignatureVerifier(_KeyVerifier):
    """The verifier of a key of type 04. `cosignature_time` gives the time that it vouches for."""

    __slots__ = ()

    def verify(self, message: bytes, signature: bytes) -> None:
        """Raise VerificationError unless the key cosigned the text at the time in the signature."""
        if len(signature) != TIME_SIZE + _ED25519_SIGNATURE:
            raise VerificationError(f"cosignature by {self.name}: expected 72 bytes, found {len(signature)}")
        seconds = int.from_bytes(signature[:TIME_SIZE])
        _verify_ed25519(self.vkey, _cosigned(message, seconds), signature[TIME_SIZE:])


class EcdsaVerifier(_KeyVerifier):
    """The verifier of a key of type 02: ECDSA on P-256 with SHA-256, the signature in DER."""

    __slots__ = ()

    def verify(self, message: bytes, signature: bytes) -> None:
        """Raise VerificationError unless the key signed the text."""
        try:
            _ecdsa_key(self.name, self.vkey.public_key).verify(signature, message, ec.ECDSA(SHA256()))
        except InvalidSignature as error:
            raise VerificationError(_wrong(self.vkey)) from error


def verifier_of(vkey: Vkey) -> Ed25519Verifier | CosignatureVerifier | EcdsaVerifier:
    """The verifier of a key; MisuseError where nothing here verifies its type (see `is_verifiable`)."""
    match vkey.type:
        case KeyType.ED25519:
            return Ed25519Verifier(vkey)
        case KeyType.COSIGNATURE:
            return CosignatureVerifier(vkey)
        case KeyType.ECDSA:
            return EcdsaVerifier(vkey)
    raise MisuseError(f"vkey of {vkey.name}: signatures of type {vkey.type:#04x} cannot be verified here")


def is_verifiable(vkey: Vkey) -> bool:
    """Whether `verifier_of` takes this key."""
    return vkey.type in {KeyType.ED25519, KeyType.COSIGNATURE, KeyType.ECDSA}


def _cosigned(checkpoint_text: bytes, posix_seconds: int) -> bytes:
    return b"cosignature/v1\ntime %d\n%b" % (posix_seconds, checkpoint_text)


def _verify_ed25519(vkey: Vkey, message: bytes, signature: bytes) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(vkey.public_key).verify(signature, message)
    except InvalidSignature as error:
        raise VerificationError(_wrong(vkey)) from error


def _wrong(vkey: Vkey) -> str:
    return f"note: the signature by {vkey.name}+{vkey.key_id.hex()} is not of this text"
