"""A real browser: Chromium as the system has it, driven by Playwright."""

import shutil

import pytest

from tests.browser import shop
from tests.parts import missing


@pytest.fixture(scope="session")
def chromium():
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        missing("chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(chromium):
    """A page of 1280 × 900 in which no script fails, no policy is violated and nothing is loaded from elsewhere."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, timezone_id="Asia/Tokyo", locale="de-DE")
    page = context.new_page()
    page.set_default_timeout(20_000)
    wrong = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if said.type in {"error", "warning"} else None)
    page.on("request", lambda asked: wrong.append(asked.url) if "//127.0.0.1:" not in asked.url else None)
    page.wrong = wrong
    yield page
    context.close()
    assert not wrong


@pytest.fixture(scope="session")
def hospital(tmp_path_factory):
    return shop.make(tmp_path_factory.mktemp("hospital"))


@pytest.fixture(scope="session")
def address(hospital, tmp_path_factory):
    """Where the pages over a clean store are."""
    path = shop.copy(hospital, tmp_path_factory.mktemp("clean"))
    with shop.serve(path, hospital.ward.vkey) as address:
        yield address


@pytest.fixture
def spoilt(hospital, tmp_path):
    """(address, path of the store): one bit of an entry of an hour ago was changed in the database."""
    path = shop.copy(hospital, tmp_path)
    shop.flip(path, shop.MASIMO, 700)
    with shop.serve(path, hospital.ward.vkey) as address:
        yield address, path
