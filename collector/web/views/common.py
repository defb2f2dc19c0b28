"""What every page has: templates, headers, times in the pages' zone, and what is said where something is wrong."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from collector.cli.times import has_zone, parse_time
from collector.web.checker.client import Checker, CheckerError
from collector.web.checker.rows import is_simulated
from collector.web.views.words import ICONS, STATES
from vitaledger import __version__
from vitaledger.errors import MisuseError

View = Callable[[Request], Awaitable[Response]]
WEB = Path(__file__).parents[1]
STATIC = WEB / "static"
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
SPANS_US = {"1h": 3600, "8h": 28_800, "24h": 86_400, "7d": 604_800, "30d": 2_592_000}
MOST_US = 400 * 86_400_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Site:
    """The checker, the zone of the pages' times, and the templates."""

    def __init__(self, checker: Checker, zone: ZoneInfo) -> None:
        self.checker, self.zone = checker, zone
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(WEB / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= {
            "when": self.when,
            "day_time": self.day_time,
            "clock": self.clock,
            "ago": ago,
            "iso": iso,
            "path": device_path,
        }
        self._templates.globals |= {
            "icons": ICONS,
            "states": STATES,
            "names": {state: word.name for state, word in STATES.items()},
            "version": __version__,
            "zone": str(zone),
            "static": _stamps(),
            "simulated": is_simulated,
        }

    def render(self, name: str, **values: Any) -> str:  # noqa: ANN401  what the template names
        """A template, filled in."""
        return self._templates.get_template(name).render(**values)

    def html(self, name: str, **values: Any) -> Response:  # noqa: ANN401
        """A page."""
        return HTMLResponse(self.render(name, **{"now_us": now_us(), "newest_us": None} | values), headers=HEADERS)

    def wrong(self, status: int, text: str) -> Response:
        """A page that says what is wrong."""
        values = {"now_us": now_us(), "newest_us": None, "status": status, "text": text}
        return HTMLResponse(self.render("wrong.html", **values), status, HEADERS)

    def when(self, at_us: int | None) -> str:
        """A time in the pages' zone, with its name."""
        return "not known" if not at_us else f"{self._at(at_us):%Y-%m-%d %H:%M:%S} {self._at(at_us):%Z}"

    def clock(self, at_us: int) -> str:
        """A time in the pages' zone to the tenth of a second, for a column whose head names the zone."""
        return f"{self._at(at_us):%Y-%m-%d %H:%M:%S}.{at_us // 100_000 % 10}" if at_us else "not known"

    def day_time(self, at_us: int) -> str:
        """A time for a form, without its zone."""
        return f"{self._at(at_us):%Y-%m-%dT%H:%M:%S}"

    def _at(self, at_us: int) -> datetime:
        try:
            return (_EPOCH + timedelta(microseconds=at_us)).astimezone(self.zone)
        except OverflowError:
            return _EPOCH

    def parse(self, text: str) -> int:
        """A time as people or links write it, in the pages' zone where none is given; MisuseError where it is none."""
        if not has_zone(text):
            text = datetime.fromisoformat(text).replace(tzinfo=self.zone).isoformat()
        return parse_time(text, now_us())

    def interval(self, query: Mapping[str, str], newest_us: int | None) -> tuple[int, int, str | None]:
        """(from, to, span) that a page's address asks for; the span is None where it names dates.

        Without dates it ends now, or at the newest reading where that is out of the span.

        Raises:
            MisuseError: not an interval.
        """
        if "from" in query or "to" in query:
            to_us = self.parse(query["to"]) if query.get("to") else now_us()
            from_us = self.parse(query["from"]) if query.get("from") else to_us - SPANS_US["1h"] * 1_000_000
            if from_us >= to_us:
                raise MisuseError("the interval ends before it begins")
            if to_us - from_us > MOST_US:
                raise MisuseError("the interval is longer than 400 days")
            return from_us, to_us, None
        span = query.get("span", "1h")
        if span not in SPANS_US:
            raise MisuseError(f"span {span}: expected one of {', '.join(SPANS_US)}")
        length = SPANS_US[span] * 1_000_000
        if query.get("at"):
            middle = self.parse(query["at"])
            return middle - length // 2, middle + length // 2, None
        to_us = now_us()
        if newest_us is not None and newest_us < to_us - length:
            return newest_us - length + 60_000_000, newest_us + 60_000_000, None
        return to_us - length, to_us, span

    def guarded(self, view: View) -> View:
        """A view that says in a page what is wrong, where something is."""

        async def guard(request: Request) -> Response:
            try:
                return await view(request)
            except MisuseError as error:
                return self.wrong(400, str(error))
            except CheckerError as error:
                return self.wrong(error.status, str(error))

        return guard


class OwnNames:
    """Answers only who calls this machine by a name of its own: no other site reads the pages by a trick of DNS."""

    def __init__(self, app: ASGIApp, names: Sequence[str]) -> None:
        self._app, self._names = app, {"localhost", "127.0.0.1", "[::1]", *names}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse."""
        host = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "")
        name = host if host.endswith("]") or ":" not in host else host.rpartition(":")[0]
        if name.lower() in self._names:
            await self._app(scope, receive, send)
            return
        said = f"{name!r} is no name of these pages: [http] names in collector.toml has more\n"
        await PlainTextResponse(said, 421, HEADERS)(scope, receive, send)


def now_us() -> int:
    """This machine's clock, in µs since 1970 UTC."""
    return time.time_ns() // 1000


def ago(at_us: int, now: int) -> str:
    """How old something is, in the words of base.js, which counts on."""
    seconds = max(0, now - at_us) / 1e6
    if seconds < 90:
        return f"{seconds:.0f} s ago"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min ago"
    return f"{seconds / 3600:.1f} h ago" if seconds < 172_800 else f"{seconds // 86_400:.0f} days ago"


def iso(at_us: int) -> str:
    """A time for machines: ISO 8601, UTC, ms."""
    try:
        return (_EPOCH + timedelta(microseconds=at_us)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except OverflowError:
        return iso(0)


def device_path(label: str) -> str:
    """The address of a device's history."""
    return f"/devices/{quote(label, safe='/:@~')}"


def _stamps() -> Callable[[str], str]:
    """Addresses of static files that change with their content, so that nobody works with an old script."""
    known: dict[str, str] = {}

    def address(name: str) -> str:
        if name not in known:
            known[name] = sha256((STATIC / name).read_bytes()).hexdigest()[:12]
        return f"/static/{name}?{known[name]}"

    return address
