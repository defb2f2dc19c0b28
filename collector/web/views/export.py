"""Downloads: evidence and the other forms of an interval, the same files as those of the command line.

And for a browser that checks by itself, what the store holds of it: `collector.unchecked`.
"""

import asyncio
from collections.abc import AsyncIterator

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from collector.web.checker.client import Checker
from collector.web.verifier import verifier_page
from collector.web.views.common import HEADERS, Site, View
from vitaledger.errors import MisuseError


def download(site: Site, maker: Checker) -> View:
    """The view of /devices/LABEL/export/FORM?from=…&to=…[&origin=…]; its headers tell the file's SHA-256."""

    async def view(request: Request) -> Response:
        query = request.query_params
        from_us, to_us, _ = site.interval(query, None)
        answers = maker.ask(
            "export",
            label=request.path_params["label"],
            form=request.path_params["form"],
            from_us=from_us,
            to_us=to_us,
            origin=query.get("origin"),
        )
        made = msgspec.json.decode(await anext(answers))
        headers = HEADERS | {
            "Content-Disposition": f'attachment; filename="{made["name"]}"',
            "Content-Length": str(made["size"]),
            "X-SHA-256": made["sha256"],
        }
        return StreamingResponse(_pieces(answers), headers=headers, media_type=made["media_type"])

    return site.guarded(view)


def unchecked(site: Site) -> View:
    """The view of /devices/LABEL/unchecked?from=…&to=… (µs since 1970 UTC): CBOR."""

    async def view(request: Request) -> Response:
        asked = _numbers(request, "from", "to")
        return await _cbor(site, "unchecked", request, from_us=asked["from"], to_us=asked["to"])

    return site.guarded(view)


def unchecked_page(site: Site) -> View:
    """The view of /devices/LABEL/unchecked/page?origin=…&size=…&first=…&last=…: CBOR."""

    async def view(request: Request) -> Response:
        asked = _numbers(request, "size", "first", "last")
        return await _cbor(site, "unchecked-page", request, origin=request.query_params.get("origin", ""), **asked)

    return site.guarded(view)


def _numbers(request: Request, *names: str) -> dict[str, int]:
    try:
        return {name: int(request.query_params[name]) for name in names}
    except (KeyError, ValueError):
        raise MisuseError(f"expected numbers: {', '.join(names)}") from None


async def _cbor(site: Site, ask: str, request: Request, **args: object) -> Response:
    answers = site.checker.ask(ask, label=request.path_params["label"], **args)
    found = b"".join([answer async for answer in answers])
    return Response(found, headers=HEADERS, media_type="application/cbor")


async def _pieces(answers: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for piece in answers:
        yield piece


async def verifier(_request: Request) -> Response:
    """The view of /verify.html: a file to keep, no page of this site."""
    headers = HEADERS | {"Content-Disposition": 'attachment; filename="verify.html"'}
    return Response(await asyncio.to_thread(verifier_page), headers=headers, media_type="text/html; charset=utf-8")
