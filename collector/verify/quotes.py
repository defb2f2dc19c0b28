"""Ledger heads that gateways saw, verified and quoted in entries that they signed: this ledger must contain them.

A ledger that its own key's holder wrote anew, or cut, is found here: the quotes stand under the gateways' signatures.
"""

from collector.reader import LEDGER, Reader
from collector.verify.report import Place, Report
from vitaledger import prover
from vitaledger.errors import MisuseError, VerificationError
from vitaledger.events import LedgerHead
from vitaledger.tiles import TileBuilder


class Quotes:
    """Holds quotes against the ledger's tree."""

    def __init__(self, reader: Reader, ledger: TileBuilder, origin: str, report: Report) -> None:
        self._tiles = reader.tile_reader(LEDGER, ledger.size)
        self._size, self._origin, self._report = ledger.size, origin, report
        self._last: LedgerHead | None = None

    def check(self, place: Place, quoted: LedgerHead) -> None:
        """One quote, in the entry at `place`."""
        if quoted == self._last or quoted.origin != self._origin:
            return
        # the entry is as good as its gateway's signature: it is the ledger that fails
        if quoted.size > self._size:
            reason = f"the ledger was rolled back from size {quoted.size} to {self._size}, as told by {place}"
            self._report.fail("ledger", reason)
            return
        try:
            found = prover.root_from_tiles(self._tiles, quoted.size)
        except (VerificationError, MisuseError) as error:
            self._report.remarks.append(f"{place}: its quote of the ledger cannot be checked: {error}")
            return
        if found != quoted.root:
            reason = f"root at size {quoted.size}, as told by {place}"
            self._report.fail("ledger", reason, expected=quoted.root, found=found)
        self._last = quoted
