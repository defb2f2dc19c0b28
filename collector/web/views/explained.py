"""What each state and mark means, and what the ledger cannot prove."""

from starlette.requests import Request
from starlette.responses import Response

from collector.web.views.common import Site, View


def page(site: Site) -> View:
    """The view of /explained."""

    async def view(_request: Request) -> Response:
        found = await site.checker.one("overview")
        return site.html("explained.html", newest_us=found["newest_us"], ledger=found["ledger"])

    return site.guarded(view)
