"""What the uplink asks of whoever owns the line and the store."""

from dataclasses import dataclass

from gateway.ledgers import Ledgers
from gateway.receipts import VerifiedReceipt


@dataclass(frozen=True, slots=True)
class Publish:
    """Send this to the collector; `leaf` is the topic below the gateway's root."""

    leaf: str
    payload: bytes
    qos: int = 1
    retain: bool = False


@dataclass(frozen=True, slots=True)
class SaveReceipt:
    """Store this receipt: entries below its size are in custody.

    Whoever fails to sets `Uplink.custody` back to `before`; the receipt is then taken when it comes again.
    """

    receipt: VerifiedReceipt
    before: int


@dataclass(frozen=True, slots=True)
class Alarm:
    """Tell people. Said once until it changes."""

    text: str


@dataclass(frozen=True, slots=True)
class Fork:
    """The log cannot go on: prepare a successor and hand its note to `Uplink.succeed`.

    last: the checkpoint of ours that the collector has and the log has not. least: the successor's least number.
    """

    last: bytes
    least: int


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The collector has taken the succession that this note says: go on as the successor."""

    note: bytes


@dataclass(frozen=True, slots=True)
class SaveLedgers:
    """Keep which provider ledgers are believed.

    Whoever fails to sets `Uplink.ledgers` and `Uplink.custody` back to these; the collector's notes come again.
    """

    ledgers: Ledgers
    before: Ledgers
    custody: int


@dataclass(frozen=True, slots=True)
class ShowLedger:
    """Publish up/ledger anew: the collector has to see which head of its ledger is known here."""


Action = Publish | SaveReceipt | Alarm | Fork | Succeeded | SaveLedgers | ShowLedger
