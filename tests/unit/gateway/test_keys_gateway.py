import stat

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway import keys
from vitaledger.errors import MalformedError, MisuseError


def test_made_once_and_read_again(tmp_path):
    path = tmp_path / "sub" / "gateway.key"
    made = keys.create(path, "h/gateway/g", bytes(range(32)))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert keys.load(path, "h/gateway/g").vkey == made.vkey
    before = path.read_bytes()
    with pytest.raises(MisuseError, match="never overwritten"):
        keys.create(path, "h/gateway/g", bytes(32))
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == ["gateway.key"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_others_can_read_is_refused(tmp_path, mode):
    path = tmp_path / "k"
    keys.create(path, "h/gateway/g", bytes(32))
    path.chmod(mode)
    with pytest.raises(MisuseError, match="chmod 600"):
        keys.load(path, "h/gateway/g")


def test_other_files_are_refused(tmp_path):
    with pytest.raises(MisuseError, match="cannot be read"):
        keys.load(tmp_path / "none", "h/gateway/g")
    path = tmp_path / "k"
    path.touch(0o600)
    with pytest.raises(MalformedError, match="PEM"):
        keys.load(path, "h/gateway/g")
    other = generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(other)
    with pytest.raises(MalformedError, match="Ed25519"):
        keys.load(path, "h/gateway/g")
