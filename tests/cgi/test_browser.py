"""The page in Chromium: nothing that axe-core objects to, no layout wider than the window, and the
pictures of docs/. Each picture is made anew with CAPI_SCREENSHOTS=1."""

import json
import os
import random
import shutil
import subprocess

import pytest

from browser import serve, show, violations
from conftest import Cgi
from picture import in_few_colours
from store import Store, TOP

pytest.importorskip("selenium")
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.support.select import Select  # noqa: E402
from selenium.webdriver.support.wait import WebDriverWait  # noqa: E402

PICTURES = {"light-wide": ("light", 1280, 1180), "dark-wide": ("dark", 1280, 1180),
            "light-narrow": ("light", 390, 1180), "dark-narrow": ("dark", 390, 1180)}


NAMES = {"page_visit": 60, "view_category": 9, "add_to_cart": 7, "initiate_checkout": 3,
         "checkout": 2, "signup": 1}
SHARES = {"click_id": .41, "client_ip_address": 1, "client_user_agent": 1, "ph": .31,
          "external_id": .22, "country": .3}
PERSON = {"checkout": {"em": .98, "ph": .84, "fn": .97, "ln": .97, "ct": .97, "zp": .97},
          "initiate_checkout": {"em": .61}, "signup": {"em": 1}}
ORDERS = [("delivered", "checkout", "checkout_complete", "header", {}),
          ("delivered", "page_visit", "page_view", "rule", {}),
          ("delivered", "add_to_cart", "addtocart", "browser", {}),
          ("suppressed", "page_visit", None, "rule", {"consent": "denied", "signal": "cmp klaro",
                                                      "keys": ()}),
          ("delivered", "checkout", "purchase", "backend",
           {}),
          ("delivered", "initiate_checkout", "begin_checkout", "rule", {})]


def fill_hours(store, shop):
    """Sixteen days with their nights; a week ago fewer events knew the click id."""
    dice = random.Random(7)
    store.db.execute("BEGIN")
    for hours in range(16 * 24):
        when = store.now - hours * 3600
        daylight = .35 + .65 * ((12 - abs(int(when // 3600 + 3) % 24 - 12)) / 12)
        was = 1 if hours < 7 * 24 else .9
        for name, part in NAMES.items():
            n = int(part * (7 + dice.random()) * daylight)
            shares = {**SHARES, "click_id": SHARES["click_id"] * was, **PERSON.get(name, {})}
            store.count(shop, name, "received", when, n)
            store.count(shop, name, "delivered", when, n)
            for key, share in shares.items():
                store.count(shop, name, f"key:{key}", when, int(n * share))
            store.count(shop, name, "latency:5", when, int(n * .9))
            store.count(shop, name, "latency:30", when, n - int(n * .9))
            store.count(shop, name, "consent:granted:cmp klaro:sent", when, n)
        store.count(shop, "checkout", "content:known", when, 5)
        store.count(shop, "page_visit", "suppressed", when, int(120 * daylight))
        store.count(shop, "page_visit", "consent:denied:cmp klaro:suppressed", when,
                    int(120 * daylight))
        store.count(shop, "checkout", "merged", when, 2)
        store.count(shop, "page_visit", "duplicate", when, dice.randint(0, 3))
    store.db.execute("COMMIT")


def fill(store, sender):
    """A shop that does well, always the same."""
    shop = store.destination()
    fill_hours(store, shop)
    day = ["click_id", "client_ip_address", "client_user_agent"]
    for i in range(36):
        state, sent_as, name, source, more = ORDERS[i % len(ORDERS)]
        when = store.now - 700 + 19 * i
        attempt = store.attempt(shop, started=when + 2) if state == "delivered" else None
        keys = ["em", "ph", *day] if sent_as == "checkout" else day[1:] if i % 3 else day
        store.event(shop, f"ord_104{80 + i}_purchase" if sent_as == "checkout" else
                    f"0192f3a0-{i:04x}-7c1e-9d2b-5f0a7c3e{i:04x}", sent_as, name=name, state=state,
                    source=source, count=False, attempt=attempt, received=when,
                    **{"keys": keys, **more})
    store.db.execute("UPDATE events SET is_named = sent_as = 'checkout'")
    store.note(sender_pid=sender, sender_version="0.1.0", queue_size=67108864, queue_used=4096,
               sender_started=int((store.now - 90000) * 1e6), last_intake=int(store.now * 1e6),
               catalogs=json.dumps([{"file": "/var/www/shop/feeds/pinterest.tsv", "ids": 4218,
                                     "read_at": int(store.now - 5000), "fault": None,
                                     "accounts": ["549755885175"], "seen": 200, "unknown": 4,
                                     "examples": ["cap-17-blue", "GIFT-CARD"]}]))


TROUBLES = {"token", "sender", "queue", "duplicates", "names", "bots", "address", "feed", "catalog",
            "custom_data", "incomplete", "clock", "offline", "minted"}


@pytest.fixture(scope="module")
def troubled(tmp_path_factory):
    """A shop that does nearly everything wrong."""
    store = Store(tmp_path_factory.mktemp("troubled") / "store.db")
    fill(store, 0)
    store.event(1, "bad", state="rejected", error="Invalid currency EURO")
    store.event(1, "poor", "lead", state="rejected", error="not sent: neither em nor address")
    store.event(1, "early", "search", warning="event_time: in the future, now taken instead")
    for n in range(12):
        store.event(1, f"0f8fad5b-d9cb-469f-a165-7086772895{n:02d}", "signup",
                    happened=store.now - 7200)
    store.count(1, "page_visit", "duplicate", n=9000)
    store.event(store.destination("7", held="no token (status 401): put one into /t"), "w",
                state="queued")
    store.note(queue_dropped_page=3, seen_requests=900, seen_proxied=800, seen_bots=700,
               complaint="an event in Pinterest-Capi-Event: event_name 'chekout' is not known: did "
               "you mean 'checkout'?", complained_at=int(store.now * 1e6), catalogs=json.dumps([
                   {"file": "/var/www/feed.tsv", "ids": 9, "read_at": 1, "seen": 100, "unknown": 40,
                    "fault": "has no column named id in its first line", "accounts": ["7"],
                    "examples": ["cap-17"]}]))
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
    shown = chrome.find_elements("css selector", ".trouble")
    assert {trouble.get_attribute("data-trouble") for trouble in shown} == TROUBLES
    assert all(trouble.find_element("css selector", part).is_displayed()
               for trouble in shown for part in ("h3", ".cause", "strong"))
    assert violations(chrome, axe) == []


def test_axe_finds_nothing_before_the_first_event(chrome, axe, tmp_path):
    store = Store(tmp_path / "store.db")
    store.destination(test=1)
    served = serve(Cgi(store.path))
    show(chrome, next(served))
    assert chrome.find_elements("css selector", ".step.is-delivered")
    assert violations(chrome, axe) == []
    served.close()
    store.close()


@pytest.mark.parametrize("width", [360, 768, 1280, 1920])
def test_nothing_is_wider_than_the_window_and_the_policy_is_kept(chrome, site, width):
    show(chrome, site, width=width)
    assert chrome.execute_script("return document.documentElement.scrollWidth") <= width
    assert chrome.get_log("browser") == []
    assert chrome.execute_script("return document.querySelectorAll('.chart .bar').length") > 24


def requests_of(chrome):
    """Addresses that the browser asked for since the page began."""
    messages = [json.loads(entry["message"])["message"] for entry in chrome.get_log("performance")]
    return [m["params"]["request"]["url"] for m in messages
            if m["method"] == "Network.requestWillBeSent"]


SHIFTS = """
const done = arguments[arguments.length - 1];
let sum = 0;
new PerformanceObserver((list) => list.getEntries().forEach((e) => { sum += e.value; }))
  .observe({type: 'layout-shift', buffered: true});
requestAnimationFrame(() => setTimeout(() => done(sum), 0));
"""


@pytest.mark.parametrize("path", ["", "deliveries/1"])
@pytest.mark.parametrize("width", [360, 1440])
def test_nothing_moves_while_it_comes_and_nothing_is_asked_in_vain(chrome, site, path, width):
    show(chrome, site + path, width=width)
    assert chrome.execute_async_script(SHIFTS) < .001
    asked = [url.split("?")[0] for url in requests_of(chrome) if not url.startswith("data:")]
    assert sorted(asked) == sorted([site + path, site + "script.js", site + "style.css"])


EVIL = ["<script>document.title = 'owned'</script>",
        "\"><img src=x onerror=\"document.title='owned'\">", "'-alert(1)-'", "\u202egnp.exe",
        "]]>--><svg/onload=document.title='owned'>", "x" * 10000]


def test_hostile_values_do_nothing_in_a_browser(chrome, tmp_path):
    store = Store(tmp_path / "store.db")
    for evil in EVIL:
        shop = store.destination(account=evil, held=evil)
        store.event(shop, evil, evil, state="rejected", error=evil, warning=evil, signal=evil)
    store.note(complaint=EVIL[0], complained_at=int(store.now * 1e6), catalogs=json.dumps(
        [{"file": evil, "fault": evil, "seen": 50, "unknown": 50, "examples": EVIL}
         for evil in EVIL]))
    served = serve(Cgi(store.path))
    address = next(served)
    for path in ["", *(f"deliveries/{n + 1}" for n in range(len(EVIL)))]:
        show(chrome, address + path, width=390)
        assert "Pinterest" in chrome.title and chrome.get_log("browser") == []
        assert chrome.execute_script("return document.querySelectorAll('img, .x').length") == 0
        assert chrome.execute_script("return document.documentElement.scrollWidth") <= 390
    served.close()
    store.close()


def test_a_break_of_the_policy_would_be_seen(chrome, site):
    show(chrome, site)
    chrome.execute_script("const s = document.createElement('script'); s.textContent = '1';"
                          " document.body.append(s); document.body.setAttribute('style', 'top:0')")
    assert len([entry for entry in chrome.get_log("browser")
                if "Content Security Policy" in entry["message"]]) == 2


# --- with the script ---


def wait_until(chrome, script, what):
    WebDriverWait(chrome, 20, .02).until(lambda c: c.execute_script("return " + script), what)


def test_filters_and_periods_need_no_reload(chrome, site):
    show(chrome, site)
    chrome.execute_script("window.kept = 1")
    Select(chrome.find_element("name", "state")).select_by_value("suppressed")
    wait_until(chrome, "[...document.querySelectorAll('.deliveries .badge')].every("
                       "(b) => b.textContent === 'suppressed')", "the list to be filtered")
    assert "state=suppressed" in chrome.current_url
    wait_until(chrome, "document.activeElement.name === 'state'", "the keyboard to stay")
    chrome.execute_script("document.querySelector(\"[data-place='7d']\").click()")
    wait_until(chrome, "document.querySelectorAll('.chart g').length === 28", "seven days")
    assert "state=suppressed" in chrome.current_url and "period=7d" in chrome.current_url
    Select(chrome.find_element("name", "state")).select_by_value("")
    wait_until(chrome, "document.querySelector('.deliveries .is-delivered') !== null", "any state")
    Select(chrome.find_element("name", "event_name")).select_by_value("checkout")
    wait_until(chrome, "[...document.querySelectorAll('.deliveries .event a')].every("
                       "(a) => a.textContent === 'checkout')", "purchases alone")
    search = chrome.find_element("name", "q")
    search.send_keys("nothing like it\n")
    wait_until(chrome, "document.querySelector('.deliveries') === null", "nothing found")
    chrome.back()
    wait_until(chrome, "document.querySelector('.deliveries') !== null", "the list again")
    assert chrome.execute_script("return window.kept") == 1 and chrome.get_log("browser") == []


LOOK_AGAIN = "document.dispatchEvent(new Event('visibilitychange'))"
SHOWN = "[...document.querySelectorAll('.deliveries .id')].map((e) => e.textContent)"


def test_news_come_by_themselves_but_not_while_somebody_types(chrome, tmp_path):
    store = Store(tmp_path / "store.db")
    shop = store.destination()
    store.event(shop, "first")
    served = serve(Cgi(store.path))
    show(chrome, next(served))
    store.event(shop, "second")
    chrome.execute_script(LOOK_AGAIN)
    wait_until(chrome, SHOWN + ".includes('second')", "the news")
    chrome.find_element("name", "q").send_keys("sec")
    store.event(shop, "third")
    chrome.get_log("performance")
    chrome.execute_script(LOOK_AGAIN)
    assert chrome.execute_script("return document.activeElement.value") == "sec"
    assert requests_of(chrome) == []
    chrome.find_element("css selector", "[data-live] button").click()
    assert chrome.find_element("css selector", "[data-live]").text.startswith("Frozen")
    served.close()
    store.close()


def test_a_bar_says_what_it_stands_for(chrome, site):
    show(chrome, site)
    bar = chrome.find_elements("css selector", ".chart g")[20]
    ActionChains(chrome).move_to_element(bar).perform()
    lines = [line.text for line in chrome.find_elements("css selector", ".tip span")]
    assert [line.split()[0] for line in lines[1:]] == ["Delivered", "Withheld"]
    ActionChains(chrome).move_to_element(chrome.find_element("id", "verdict")).perform()
    assert chrome.find_elements("css selector", ".tip") == []


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
