"""The history on A4 paper, with what is proven of it in words."""

from starlette.requests import Request
from starlette.responses import Response

from collector.web.views.common import Site, View
from collector.web.views.history import context, device_of


def page(site: Site) -> View:
    """The view of /devices/LABEL/print."""

    async def view(request: Request) -> Response:
        device = await device_of(site, request)
        return site.html("print.html", **context(site, request, device))

    return site.guarded(view)
