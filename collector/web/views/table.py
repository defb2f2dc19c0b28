"""The history as a table: sorted by the server, some hundred rows a page."""

from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from collector.web.checker.table import MAX_SPAN_US
from collector.web.views.common import Site, View, iso
from collector.web.views.history import context, device_of
from vitaledger.errors import MisuseError

PAGE = 500
_HIGH = "\U0010ffff"


def _value(row: dict[str, Any]) -> tuple[bool, float]:
    value = row.get("value")
    return (value is None, 0.0 if value is None else float(value))


_KEYS = {
    "time": lambda row: row["at_us"],
    "signal": lambda row: (row.get("title", _HIGH), row["what"]),
    "value": _value,
    "state": lambda row: row["state"],
    "entry": lambda row: (row["origin"], row["seq"]),
}


def page(site: Site) -> View:
    """The view of /devices/LABEL/table."""

    async def view(request: Request) -> Response:
        device = await device_of(site, request)
        common = context(site, request, device)
        from_us, to_us = common["from_us"], common["to_us"]
        if to_us - from_us > MAX_SPAN_US:
            from_us = to_us - MAX_SPAN_US
        query = request.query_params
        sort, descending = query.get("sort", "time"), query.get("order", "down") == "down"
        number = query.get("page", "1")
        if sort not in _KEYS or not number.isdecimal() or not 0 < int(number) < 1_000_000:
            raise MisuseError(f"expected sort to be one of {', '.join(_KEYS)} and page to be a number")
        found = await site.checker.one("table", label=device["label"], from_us=from_us, to_us=to_us)
        rows = sorted(found["rows"], key=_KEYS[sort], reverse=descending)
        signal = query.get("signal", "")
        signals = sorted({row["signal"] for row in rows if row["what"] == "reading"})
        rows = [row for row in rows if not signal or row.get("signal") == signal or row["what"] == "entry"]
        pages = max(-(-len(rows) // PAGE), 1)
        shown = min(int(number), pages)

        def link(**changes: str | int) -> str:
            now = {"from": iso(from_us), "to": iso(to_us), "sort": sort, "order": "down" if descending else "up"}
            return "?" + urlencode(now | ({"signal": signal} if signal else {}) | changes)

        length = to_us - from_us
        return site.html(
            "table.html",
            **common
            | {
                "cut": from_us != common["from_us"],
                "from_us": from_us,
                "rows": rows[(shown - 1) * PAGE : shown * PAGE],
                "count": len(rows),
                "left_out": found["left_out"],
                "page": shown,
                "pages": pages,
                "sort": sort,
                "descending": descending,
                "signal": signal,
                "signals": signals,
                "link": link,
                "earlier": {"from": iso(from_us - length), "to": iso(from_us)},
                "later": {"from": iso(to_us), "to": iso(to_us + length)},
            },
        )

    return site.guarded(view)
