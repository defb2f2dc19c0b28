"""The history of a device: the page, and the data of its charts, which arrive as they are verified."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from collector.exports import FORMATS
from collector.web.checker.client import CheckerError
from collector.web.views.common import HEADERS, MOST_US, SPANS_US, Site, View

_LINES = "application/x-ndjson"


async def device_of(site: Site, request: Request) -> dict[str, Any]:
    """The device that the address names; CheckerError 404 where there is none."""
    return await site.checker.one("device", label=request.path_params["label"])


def context(site: Site, request: Request, device: dict[str, Any]) -> dict[str, Any]:
    """What the page, its table and its print have in common."""
    from_us, to_us, span = site.interval(request.query_params, device["reading_us"])
    return {
        "device": device,
        "now_us": device["now_us"],
        "newest_us": device["reading_us"],
        "from_us": from_us,
        "to_us": to_us,
        "span": span,
        "spans": list(SPANS_US),
        "entry": request.query_params.get("entry", ""),
        "forms": FORMATS.values(),
    }


def page(site: Site) -> View:
    """The view of /devices/LABEL."""

    async def view(request: Request) -> Response:
        device = await device_of(site, request)
        return site.html("history.html", **context(site, request, device))

    return site.guarded(view)


def data(site: Site) -> View:
    """The view of /devices/LABEL/data?from=…&to=… (µs since 1970 UTC): lines of JSON, see checker.chart."""

    async def view(request: Request) -> Response:
        try:
            from_us, to_us = int(request.query_params["from"]), int(request.query_params["to"])
        except (KeyError, ValueError):
            return JSONResponse({"wrong": "expected from and to, in µs since 1970 UTC"}, 400, HEADERS)
        if not 0 <= from_us < to_us <= from_us + MOST_US:
            return JSONResponse({"wrong": "expected an interval of at most 400 days"}, 400, HEADERS)
        answers = site.checker.ask("chart", label=request.path_params["label"], from_us=from_us, to_us=to_us)
        try:
            first = await anext(answers)
        except CheckerError as error:
            return JSONResponse({"wrong": str(error)}, error.status, HEADERS)
        return StreamingResponse(_lines(first, answers), headers=HEADERS, media_type=_LINES)

    return view


async def _lines(first: bytes, answers: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first + b"\n"
    try:
        async for answer in answers:
            yield answer + b"\n"
    except CheckerError as error:
        yield msgspec.json.encode({"wrong": str(error)}) + b"\n"
