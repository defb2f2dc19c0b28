"""The words of the pages: one name, one sign and one explanation for each state. A sign stands beside each colour."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Word:
    """A state as people read it: `name` stands in a page, `long` on the page that explains it."""

    name: str
    icon: str
    long: str


STATES = {
    "proven": Word(
        "anchored",
        "✓",
        "Proven. The stored bytes have the hashes that their gateway signed, they stand in its log under a head that "
        "is anchored in the provider's ledger, and nothing lies between one entry and the next. All of this was "
        "computed again for the view that you see.",
    ),
    "custody": Word(
        "in custody",
        "◔",
        "The collector has stated in the ledger that it holds this entry, and the entry has that hash. The anchor that "
        "its gateway signed does not cover it yet: usually a matter of seconds.",
    ),
    "stored": Word(
        "stored only",
        "○",
        "The entry is in the store and agrees with itself. Nothing that is signed covers it yet, so it could still be "
        "another one.",
    ),
    "finding": Word(
        "not readable",
        "▲",
        "A finding. The gateway sealed these bytes and the collector keeps them, but they cannot be read or break the "
        "order of their micro-chain. The ledger says so. Whether something is missing here cannot be told.",
    ),
    "failed": Word(
        "failed",
        "✕",
        "What is stored is not what was sealed: a hash, a link or a signature is not the one that it has to be. The "
        "reason names the entry, what was expected and what was found. Nothing of the entry is shown as a value.",
    ),
    "pending": Word(
        "being verified",
        "…",
        "The page has asked for this part and its verification has not come to an end. Nothing of it is shown before.",
    ),
}
ICONS = {state: word.icon for state, word in STATES.items()}
