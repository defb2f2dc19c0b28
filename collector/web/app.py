"""The ledger as tiles, whether the collector is well, and the pages.

    /ledger/checkpoint                     the newest head, seconds of caching
    /ledger/tile/<L>/<N>[.p/<W>]           hashes      for ever the same, cached for ever
    /ledger/tile/entries/<N>[.p/<W>]       statements
    /healthz                               JSON; 503 where something is wrong
    /metrics                               Prometheus; with /healthz for the provider's own eyes (collector.metrics)
    everything else                        pages for people (collector.web.views), where they are served

Anyone may read the ledger: it names gateways, sizes, roots and times, never a reading. A path that is not exactly one
that tlog-tiles writes, or that is beyond the newest published size, is not there.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from collector.metrics import CONTENT_TYPE
from collector.reader import LEDGER, Reader
from collector.web.views import Pages
from vitaledger.errors import MalformedError
from vitaledger.merkle import HASH_SIZE, TILE_HEIGHT, TILE_WIDTH
from vitaledger.tiles import encode_bundle, parse_tile_path

_FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}
_SECONDS = {"Cache-Control": "public, max-age=2"}
_NEVER = {"Cache-Control": "no-store"}
_SECURITY = [
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"cross-origin"),
]


@dataclass(frozen=True, slots=True)
class Health:
    """How the collector is. `worker_ms`: since the ingest loop last came round; `step_ms`: since the last step."""

    ok: bool
    ledger_size: int
    broker_connected: bool
    worker_ms: int
    step_ms: int | None


def create_app(
    reader: Reader,
    health: Callable[[], Health],
    metrics: Callable[[], bytes] = bytes,
    pages: Pages | None = None,
) -> Starlette:
    """The application. The reader is used from the thread that serves only; the pages have a process of their own."""

    async def checkpoint(_request: Request) -> Response:
        return Response(reader.ledger_checkpoint(), media_type="text/plain; charset=utf-8", headers=_SECONDS)

    async def tile(request: Request) -> Response:
        data = read_tile(reader, f"tile/{request.path_params['path']}")
        if data is None:
            return Response("not found\n", 404, _NEVER, "text/plain; charset=utf-8")
        return Response(data, media_type="application/octet-stream", headers=_FOREVER)

    async def healthz(_request: Request) -> Response:
        found = health()
        return Response(json.dumps(asdict(found)), 200 if found.ok else 503, _NEVER, "application/json")

    async def numbers(_request: Request) -> Response:
        return Response(metrics(), headers=_NEVER, media_type=CONTENT_TYPE)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        if pages is not None:
            await pages.start()
        yield
        if pages is not None:
            await pages.close()

    return Starlette(
        routes=[
            Route("/ledger/checkpoint", checkpoint),
            Route("/ledger/tile/{path:path}", tile),
            Route("/healthz", healthz),
            Route("/metrics", numbers),
            *(pages.routes() if pages is not None else ()),
        ],
        middleware=[Middleware(_SecurityHeaders)],
        lifespan=lifespan,
    )


def read_tile(reader: Reader, path: str) -> bytes | None:
    """What a tile's path holds; None where it is no such path or nothing of that width was published."""
    try:
        level, n, width = parse_tile_path(path)
    except MalformedError:
        return None
    size = reader.ledger_head().size
    rows = size >> (TILE_HEIGHT * (0 if level == "entries" else level))
    if n * TILE_WIDTH + width > rows:
        return None
    if level == "entries":
        first = n * TILE_WIDTH
        return encode_bundle([leaf for _, leaf in reader.statements(first, first + width)])
    return reader.tile_reader(LEDGER, size).tile(level, n, width)[: width * HASH_SIZE]


class _SecurityHeaders:
    """Adds to each answer the headers that it does not set itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with(message: Message) -> None:
            if message["type"] == "http.response.start":
                there = {name for name, _ in message["headers"]}
                missing = [pair for pair in _SECURITY if pair[0] not in there]
                message["headers"] = [*message["headers"], *missing]
            await send(message)

        wrapped: Callable[[Message], Awaitable[None]] = send_with
        await self._app(scope, receive, wrapped if scope["type"] == "http" else send)
