"""The ledger's key file: a private Ed25519 key in PEM (PKCS #8), readable by its owner only, never overwritten.

The origin is not in the file: the configuration's provider names it. Whoever reads this file can sign the ledger.
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

FILE_NAME = "ledger.key"
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def create(path: Path, origin: str, seed: bytes) -> Ed25519Signer:
    """Write a new key file; `seed` is 32 random bytes. MisuseError where the file is there already."""
    signer = Ed25519Signer(origin, seed)
    key = Ed25519PrivateKey.from_private_bytes(seed)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        # a link, not a rename: it fails where the name is taken, and the whole file appears at once
        os.link(temporary, path)
    except FileExistsError as error:
        raise MisuseError(f"{path} is there already: a key is never overwritten") from error
    finally:
        temporary.unlink(missing_ok=True)
    _sync_directory(path.parent)
    return signer


def load(path: Path, origin: str) -> Ed25519Signer:
    """The key in a file, to sign as `origin`.

    Raises:
        MisuseError: no such file, or others may read it.
        MalformedError: not a private Ed25519 key in PEM.
    """
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & _OTHERS:
                raise MisuseError(f"{path}: others may read the private key: chmod 600 it")
            pem = file.read()
    except OSError as error:
        raise MisuseError(f"{path}: cannot read the key: {error.strerror}") from error
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise MalformedError(f"{path}: not a private key in PEM without a password") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise MalformedError(f"{path}: expected an Ed25519 key")
    return Ed25519Signer(origin, key.private_bytes_raw())


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
