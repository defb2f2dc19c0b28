"""Downloads: evidence and the other forms of an interval, the same files as those of the command line."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from collector.web.checker.client import Checker
from collector.web.verifier import verifier_page
from collector.web.views.common import HEADERS, Site, View


def download(site: Site, maker: Checker) -> View:
    """The view of /devices/LABEL/export/FORM?from=…&to=…[&origin=…]; its headers tell the file's SHA-256.

    `plain=1` is for a browser that opens it at once: see `collector.exports.extract.Request`.
    """

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
            plain=query.get("plain") == "1",
        )
        made = msgspec.json.decode(await anext(answers))
        headers = HEADERS | {
            "Content-Disposition": f'attachment; filename="{made["name"]}"',
            "Content-Length": str(made["size"]),
            "X-SHA-256": made["sha256"],
        }
        if made["encoding"] is not None:
            headers["Content-Encoding"] = made["encoding"]
        return StreamingResponse(_pieces(answers), headers=headers, media_type=made["media_type"])

    return site.guarded(view)


async def _pieces(answers: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for piece in answers:
        yield piece


async def verifier(_request: Request) -> Response:
    """The view of /verify.html: a file to keep, no page of this site."""
    headers = HEADERS | {"Content-Disposition": 'attachment; filename="verify.html"'}
    return Response(await asyncio.to_thread(verifier_page), headers=headers, media_type="text/html; charset=utf-8")
