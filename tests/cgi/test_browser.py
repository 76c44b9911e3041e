"""The page in Chromium: nothing that axe-core objects to, no layout wider than the window, and the
pictures of docs/. Each picture is made anew with CAPI_SCREENSHOTS=1."""

import os
import random
import shutil
import subprocess

import pytest

from browser import serve, show, violations
from conftest import Cgi
from picture import in_few_colours
from store import Store, TOP

PICTURES = {"light-wide": ("light", 1280, 1180), "dark-wide": ("dark", 1280, 1180),
            "light-narrow": ("light", 390, 1180), "dark-narrow": ("dark", 390, 1180)}


def fill(store, sender):
    """A shop that does well, as it looks after two days, always the same."""
    dice = random.Random(7)
    shop = store.destination()
    day = ["click_id", "client_ip_address", "client_user_agent"]
    for hours in range(48):
        when = store.now - hours * 3600
        busy = int(40 * (1 + .8 * ((12 - abs((hours + 3) % 24 - 12)) / 12))) + dice.randint(0, 14)
        for name, part in (("page_visit", 10), ("add_to_cart", 2), ("checkout", 1)):
            n = busy * part
            store.count(shop, name, "received", when, n)
            store.count(shop, name, "delivered", when, n)
            for key, share in zip(day + ["em", "ph"], (.41, 1, 1, part == 1 and .97, .3)):
                store.count(shop, name, f"key:{key}", when, int(n * share))
            store.count(shop, name, "latency:5", when, int(n * .9))
            store.count(shop, name, "latency:30", when, n - int(n * .9))
            store.count(shop, name, "consent:granted:usercentrics:sent", when, n)
        store.count(shop, "page_visit", "suppressed", when, busy * 3)
        store.count(shop, "page_visit", "consent:denied:usercentrics:suppressed", when, busy * 3)
    for i in range(12):
        attempt = store.attempt(shop, started=store.now - 400 + 30 * i)
        store.event(shop, f"order_104{80 + i}", "checkout", name="checkout_complete", count=False,
                    keys=day + ["em"], attempt=attempt, received=store.now - 405 + 30 * i)
    store.note(sender_pid=sender, sender_version="0.1.0", queue_size=67108864, queue_used=4096,
               sender_started=int((store.now - 90000) * 1e6), last_intake=int(store.now * 1e6))


@pytest.fixture(scope="module")
def troubled(tmp_path_factory):
    """A shop whose token is refused, whose sender is gone, whose orders are wrong."""
    store = Store(tmp_path_factory.mktemp("troubled") / "store.db")
    fill(store, 0)
    store.event(1, "bad", state="rejected", error="Invalid currency EURO")
    store.event(store.destination("7", held="no token (status 401): put one into /t"), "w",
                state="queued")
    yield from serve(Cgi(store.path))
    store.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    store = Store(folder / "store.db")
    shutil.copy("/bin/sleep", folder / "pinterest-capi-sender")  # alive is who is called so
    sender = subprocess.Popen([folder / "pinterest-capi-sender", "600"])
    fill(store, sender.pid)
    yield from serve(Cgi(store.path))
    sender.kill()
    sender.wait()
    store.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["", "?period=7d&state=delivered", "deliveries/1", "nothing"])
def test_axe_finds_nothing_to_object_to(chrome, axe, site, scheme, path):
    show(chrome, site + path, scheme)
    assert violations(chrome, axe) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_where_there_is_trouble(chrome, axe, troubled, scheme):
    show(chrome, troubled, scheme, width=390)
    assert chrome.execute_script("return document.querySelectorAll('.trouble').length") == 3
    assert violations(chrome, axe) == []


@pytest.mark.parametrize("width", [360, 768, 1280, 1920])
def test_nothing_is_wider_than_the_window_and_the_policy_is_kept(chrome, site, width):
    show(chrome, site, width=width)
    assert chrome.execute_script("return document.documentElement.scrollWidth") <= width
    assert chrome.get_log("browser") == []
    assert chrome.execute_script("return document.querySelectorAll('.chart .bar').length") > 24


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_for_the_readme(chrome, site, tmp_path, name):
    scheme, width, height = PICTURES[name]
    show(chrome, site, scheme, width, height)
    picture = tmp_path / f"page-{name}.png"
    chrome.save_screenshot(str(picture))
    assert picture.stat().st_size > 20000
    kept = TOP / "docs" / picture.name
    if os.environ.get("CAPI_SCREENSHOTS"):
        kept.write_bytes(in_few_colours(picture.read_bytes()))
    assert kept.stat().st_size <= 60 * 1024
