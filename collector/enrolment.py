"""Setting up a collector, and enrolling gateways' keys in its ledger."""

from pathlib import Path

from collector import config, keys
from collector.config import Config
from collector.ledger import Ledger, empty_head
from collector.store import LostSwapError, Store
from vitaledger.errors import MisuseError
from vitaledger.keys import Ed25519Signer, KeyType, parse_vkey
from vitaledger.messages import check_gateway
from vitaledger.statement import Enrolment

_REPEATS = 20


def init(directory: Path, provider: str, seed: bytes) -> str:
    """Make configuration, key and empty store in a directory; the ledger's vkey. `seed` is 32 random bytes.

    Raises:
        MisuseError: something of it is there already (nothing is overwritten), or not a provider's name.
    """
    path = directory / config.FILE_NAME
    text = config.TEMPLATE.format(provider=provider)
    made = config.parse(text.encode(), path)
    for taken in (path, made.key_path, made.store_path):
        if taken.exists():
            raise MisuseError(f"{taken} is there already: nothing was changed")
    made.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    signer = keys.create(made.key_path, made.ledger_origin, seed)
    Store.create(made.store_path, provider, str(signer.vkey), empty_head(signer)).close()
    path.write_text(text, "utf-8")
    return str(signer.vkey)


def open_ledger(of: Config) -> tuple[Store, Ed25519Signer]:
    """The store for writing and the key that signs its ledger; MisuseError where they are not of this configuration."""
    signer = keys.load(of.key_path, of.ledger_origin)
    store = Store.open(of.store_path)
    if (store.provider(), store.ledger_vkey()) != (of.provider, str(signer.vkey)):
        found = f"{store.provider()} with {store.ledger_vkey()}"
        store.close()
        raise MisuseError(f"{of.store_path}: expected a store of {of.provider} with {signer.vkey}, found {found}")
    return store, signer


def enroll(store: Store, signer: Ed25519Signer, vkey: str, now_ms: int) -> int:
    """Enrol a gateway's key: from here on it speaks for the origin that is its name. Answers the log's number.

    Enrolling the same key again changes nothing. May run beside a collector that is at work.

    Raises:
        MalformedError: not a vkey.
        MisuseError: not the key of a gateway of this provider, or the origin has another key already.
    """
    key = parse_vkey(vkey)
    gateway = gateway_of(store.provider(), key.name)
    if key.type != KeyType.ED25519:
        raise MisuseError(f"vkey of {key.name}: a gateway signs with Ed25519 (type 01), found type {key.type:#04x}")
    ledger = Ledger(store, signer)
    for _ in range(_REPEATS):
        try:
            with store.transaction():
                known = store.log_of(key.name)
                if known is not None and known.vkey == vkey:
                    return known.log
                if known is not None:
                    raise MisuseError(f"{key.name} is enrolled with another key: {known.vkey}")
                enrolled = ledger.append(Enrolment(now_ms, gateway, key.name, vkey))
                log = store.add_log(gateway, key.name, vkey, enrolled)
                ledger.seal()
                return log
        except LostSwapError:
            ledger.load()
    raise LostSwapError(f"the ledger's head was taken away {_REPEATS} times in a row")


def gateway_of(provider: str, origin: str) -> str:
    """The gateway in an origin `<provider>/gateway/<gateway>`, or `…/2` for a successor; MisuseError for another."""
    start = f"{provider}/gateway/"
    gateway, slash, generation = origin.removeprefix(start).partition("/")
    counted = generation.isascii() and generation.isdecimal() and not generation.startswith("0") and generation != "1"
    if not origin.startswith(start) or check_gateway(gateway) or (slash and not counted):
        raise MisuseError(f"origin {origin!r}: expected {start}<gateway>, or that with /2, /3 … for a successor")
    return gateway
