"""The pages: one module a page. Each shows only what the checker has verified for that view.

| path | page |
|---|---|
| / | overview: gateways and devices, problems first; live by /events |
| /devices/LABEL | history of a device: charts, gaps, alarms, proof |
| /devices/LABEL/data | what the charts are drawn from, line by line as it is verified |
| /devices/LABEL/table, …/print | the same as a table; on A4 paper |
| /devices/LABEL/export/FORM | evidence, or the same in another form (collector.exports) |
| /devices/LABEL/unchecked, …/page | what the store holds of an interval, for a browser that checks it by itself |
| /explained | what each state means, and what the ledger cannot prove |
| /verify.html | the verifier as one file, to keep |
| /static/… | style and scripts; nothing is loaded from elsewhere |
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from collector.web.checker.client import Checker
from collector.web.views import explained, export, history, overview, report, table
from collector.web.views.common import STATIC, OwnNames, Site

__all__ = ["Pages"]


class Pages:
    """All pages over one store; `start` and `close` are called in the event loop that serves them."""

    def __init__(self, store: Path, vkey: str, zone: str = "UTC", names: Sequence[str] = ()) -> None:
        self._checker = Checker(store, vkey)
        self._maker = Checker(store, vkey, "still")  # of files: that takes seconds in one go
        self._only = [Middleware(OwnNames, names=names)]
        self._site = Site(self._checker, ZoneInfo(zone))
        self._live = overview.Live(self._site)
        self._loop: asyncio.AbstractEventLoop | None = None

    async def start(self) -> None:
        """Start the process that verifies."""
        self._loop = asyncio.get_running_loop()
        await self._checker.start()

    def end(self) -> None:
        """End what would go on for ever: a server that stops waits for its answers."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._live.end)

    async def close(self) -> None:
        """End it."""
        await self._live.close()
        await self._checker.close()
        await self._maker.close()

    def routes(self) -> list[BaseRoute]:
        """The routes of all pages."""
        site, device = self._site, "/devices/{label:path}"
        views = {
            "/": overview.page(site),
            "/events": self._live.events,
            f"{device}/data": history.data(site),
            f"{device}/table": table.page(site),
            f"{device}/print": report.page(site),
            f"{device}/export/{{form}}": export.download(site, self._maker),
            f"{device}/unchecked": export.unchecked(site),
            f"{device}/unchecked/page": export.unchecked_page(site),
            device: history.page(site),
            "/explained": explained.page(site),
            "/verify.html": export.verifier,
        }
        found: list[BaseRoute] = [Route(path, view, middleware=self._only) for path, view in views.items()]
        return [*found, Mount("/static", StaticFiles(directory=STATIC), middleware=self._only)]
