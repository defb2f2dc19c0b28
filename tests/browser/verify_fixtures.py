"""A page in a real browser with the verifying modules loaded, and Python's verdicts to hold theirs against."""

import base64
import io
import mimetypes
import shutil
import zipfile
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.parts import missing
from vitaledger import evidence
from vitaledger.errors import MalformedError, VerificationError

STATIC = Path(__file__).parents[2] / "collector" / "web" / "static"
SITE = "https://verify.test"
BLANK = "<!doctype html><html lang=en><title>t</title><body></body></html>"
HARNESS = Path(__file__).with_name("verify_harness.js")


def chromium():
    """The path of a browser; the test is skipped where there is none."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    missing("chromium")
    return None


@contextmanager
def browser(request):
    """A browser: that of the other browser tests where there is one, because one thread drives one Playwright only."""
    with suppress(pytest.FixtureLookupError):
        yield request.getfixturevalue("chromium")
        return
    path = chromium()
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("playwright")
    with sync_playwright() as started:
        found = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield found
        finally:
            found.close()


def serve(route):
    """Answer from the folder of static files; there is no network."""
    path = urlsplit(route.request.url).path
    if path == "/":
        route.fulfill(body=BLANK, content_type="text/html")
    elif path == "/harness.js":
        route.fulfill(body=HARNESS.read_text("utf-8"), content_type="text/javascript")
    elif (file := STATIC / path.removeprefix("/static/")).is_file():
        route.fulfill(body=file.read_bytes(), content_type=mimetypes.guess_type(file)[0])
    else:
        route.fulfill(status=404)


def harness(found):
    """A page on which `window.harness` has what the tests call."""
    page = found.new_page()
    page.route("**/*", serve)
    page.goto(SITE)
    page.evaluate("async () => { window.harness = await import('/harness.js'); }")
    return page


def serious(page):
    """What an accessibility check finds that keeps people out."""
    try:
        from axe_core_python.sync_playwright import Axe
    except ImportError:
        missing("axe-core-python")
    found = Axe().run(page)["violations"]
    return [(each["id"], each["help"]) for each in found if each["impact"] in {"serious", "critical"}]


def b64(data):
    return base64.b64encode(data).decode()


def packed(files):
    """Files as the harness takes them."""
    return [[name, b64(data)] for name, data in files.items()]


def zipped(files, how=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", how) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data, how)
    return out.getvalue()


def python_verdict(files, policy):
    """As the harness tells it: the kind and the message of what was refused, or None."""
    try:
        evidence.verify(files, policy)
    except (MalformedError, VerificationError) as error:
        return {"kind": type(error).__name__, "message": str(error)}
    return None
