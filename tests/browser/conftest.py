"""Chromium as a visitor has it, and a shop of static pages to walk through."""

import pathlib
import sys

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / "tests" / "httpd"), str(TOP / "demo"),
                str(pathlib.Path(__file__).resolve().parent)]

import shop as shops  # noqa: E402


@pytest.fixture(scope="module")
def api():
    from server import TOKEN
    from standin import StandIn
    with StandIn(tokens=[TOKEN]) as running:
        yield running


@pytest.fixture(scope="module")
def shop(api):
    running = shops.Shop(api)
    try:
        yield running.start()
        running.stop()
        assert running.unexpected_lines() == []
    finally:
        running.close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    driver = shops.chromium(tmp_path_factory.mktemp("chromium"), shops.AGENT)
    driver.execute_cdp_cmd("Network.enable", {})
    driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["*://s.pinimg.com/*"]})
    yield driver
    driver.quit()


@pytest.fixture
def chrome(browser, shop):
    """The browser of a visitor who was never here."""
    browser.get("about:blank")
    browser.execute_cdp_cmd("Network.clearBrowserCookies", {})
    browser.execute_cdp_cmd("Network.clearBrowserCache", {})
    browser.get_log("browser")
    shop.visitor = browser
    return browser
