"""The overview, and its rows again whenever they change, by server-sent events.

One task asks the checker every two seconds for all who watch, and only while somebody does.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from sse_starlette import EventSourceResponse
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from collector.web.checker.client import CheckerError
from collector.web.views.common import HEADERS, Site, View

EVERY_S = 2.0
MAX_WATCHING = 48


def page(site: Site) -> View:
    """The view of /."""

    async def view(_request: Request) -> Response:
        found = await site.checker.one("overview")
        return site.html("overview.html", now_us=found["now_us"], newest_us=found["newest_us"], overview=found)

    return site.guarded(view)


def rows(site: Site, found: dict[str, Any]) -> bytes:
    """The overview as the page takes it up: the markup of each row, in their order."""
    devices = [{"id": each["label"], "html": _row(site, "device", each, found)} for each in found["devices"]]
    gateways = [{"id": each["origin"], "html": _row(site, "gateway", each, found)} for each in found["gateways"]]
    times = {"now_us": found["now_us"], "newest_us": found["newest_us"]}
    summary = site.render("parts/problems.html", overview=found)
    return msgspec.json.encode(times | {"devices": devices, "gateways": gateways, "summary": summary})


def _row(site: Site, kind: str, row: dict[str, Any], found: dict[str, Any]) -> str:
    return site.render(f"parts/{kind}_row.html", row=row, now_us=found["now_us"])


class Live:
    """Those who watch the overview, each with a place for the newest state of it."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._watching: set[asyncio.Queue[str | None]] = set()
        self._task: asyncio.Task[None] | None = None

    async def events(self, _request: Request) -> Response:
        """The view of /events."""
        if len(self._watching) >= MAX_WATCHING:
            return PlainTextResponse("too many watch the overview\n", 503, HEADERS)
        return EventSourceResponse(self._follow(), headers=HEADERS, ping=15)

    def end(self) -> None:
        """Let all go who watch."""
        for each in self._watching:
            _put(each, None)

    async def close(self) -> None:
        """Stop asking."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _follow(self) -> AsyncIterator[dict[str, str]]:
        mine: asyncio.Queue[str | None] = asyncio.Queue(1)
        self._watching.add(mine)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._ask())
        try:
            while (found := await mine.get()) is not None:
                yield {"event": "overview", "data": found}
        finally:
            self._watching.discard(mine)

    async def _ask(self) -> None:
        while self._watching:
            try:
                found = rows(self._site, await self._site.checker.one("overview"))
            except CheckerError as error:
                found = msgspec.json.encode({"wrong": str(error)})
            for each in self._watching:
                _put(each, found.decode())
            await asyncio.sleep(EVERY_S)


def _put(watcher: asyncio.Queue[str | None], found: str | None) -> None:
    """A watcher that is slow gets the newest only."""
    with contextlib.suppress(asyncio.QueueEmpty):
        watcher.get_nowait()
    watcher.put_nowait(found)
