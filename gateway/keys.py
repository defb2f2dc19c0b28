"""The gateway's signing key: an Ed25519 key in a file of its own, PKCS #8 in PEM, readable by its owner only.

The file is made once and never overwritten: the key is the log's identity, and a log whose key is gone cannot go on.
"""

import os
import stat
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from vitaledger.errors import MalformedError, MisuseError
from vitaledger.keys import Ed25519Signer


def create(path: Path, name: str, seed: bytes) -> Ed25519Signer:
    """Write a new key file from 32 random bytes and answer the signer; durable when this returns.

    Raises:
        MisuseError: there is a file already.
    """
    signer = Ed25519Signer(name, seed)
    pem = Ed25519PrivateKey.from_private_bytes(seed).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.parent.mkdir(parents=True, exist_ok=True)
    # written beside its place and linked there: the name exists with the whole key in it, or not at all
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError as error:
        raise MisuseError(f"{path}: there is a key already; it is never overwritten") from error
    finally:
        draft.unlink()
    _sync_directory(path.parent)
    return signer


def load(path: Path, name: str) -> Ed25519Signer:
    """The signer of a key file, under the name (the origin) that it signs as.

    Raises:
        MisuseError: the file is missing, or others than its owner can read or change it.
        MalformedError: it is no Ed25519 key in PEM.
    """
    try:
        mode = path.stat().st_mode
        data = path.read_bytes()
    except OSError as error:
        raise MisuseError(f"key {path}: cannot be read: {error.strerror}") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise MisuseError(f"key {path}: others can read or change it (mode {stat.S_IMODE(mode):04o}); chmod 600 it")
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise MalformedError(f"key {path}: expected an unencrypted PKCS #8 key in PEM") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise MalformedError(f"key {path}: expected an Ed25519 key")
    return Ed25519Signer(name, key.private_bytes_raw())


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
