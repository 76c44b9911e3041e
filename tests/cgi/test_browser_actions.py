"""The actions in Chromium, each pressed as a person would. The sender is played by the test: what it
would write into the store, the test writes."""

import json
import os

import pytest

from browser import serve, show, violations
from picture import in_few_colours
from store import TOP
from test_actions import Writer, asks, kept
from test_browser import fill
from waiting import wait_for

HASH = "973dfe463ec85785f5f95af5ba3906eedb2d931c24e69824a89ea65dba4e813b"
SIZES = {"light-wide": ("light", 1280), "dark-wide": ("dark", 1280),
         "light-narrow": ("light", 390), "dark-narrow": ("dark", 390)}
KEPT = ("light-wide", "dark-narrow")
SCRIPT_OFF = "Emulation.setScriptExecutionDisabled"


@pytest.fixture
def shop(store, sender):
    fill(store, sender.pid)
    rejected = store.event(1, "order_10501", "checkout", state="rejected", count=False,
                           error="Invalid currency EURO", attempt=store.attempt(1, events=4))
    payload = {"event_name": "checkout", "action_source": "web", "event_time": int(store.now),
               "event_id": "order_10501", "event_source_url": "https://shop.example/thanks",
               "user_data": {"em": [HASH], "client_ip_address": "203.0.113.42",
                             "client_user_agent": "Mozilla/5.0 (Macintosh; Intel Mac OS X)",
                             "click_id": "dj0yJnU9b2JDcFFHekV4SHJN"},
               "custom_data": {"currency": "EURO", "value": "72.39", "order_id": "10501"}}
    kept(store, rejected, json.dumps(payload), due=(1 << 62) + 5)
    store.insert("layers", event=rejected, source=4, payload=json.dumps(
        {"event_name": "checkout", "user_data": {"ph": [HASH[::-1]]}}))
    store.event(1, "order_10502", "checkout", state="queued", count=False)
    for number, (kind, well, outcome) in enumerate([
            ("test", 1, "Pinterest took the test event: status 200 after 0.3 s, request id "
                        "7140332512305611."),
            ("forget", 1, "1 context and 2 events erased."),
            ("try", 0, "Still on hold: the API does not accept the token of account 549755885175 "
                       "(status 401): put a valid one into '/etc/apache2/pinterest.token' and run "
                       "apachectl graceful.")]):
        store.insert("asks", id=f"00000000-0000-7000-8000-00000000000{number}", kind=kind,
                     destination=None if kind == "forget" else 1, asked_by="alice",
                     asked_at=int((store.now - 3600 + number) * 1e6), done_at=1, is_well=well,
                     outcome=outcome)
    store.rejected = rejected
    return store


@pytest.fixture
def site(shop):
    yield from serve(Writer(shop.path))


def said(chrome):
    """What the page says of the action that led to it."""
    return chrome.execute_script("return [...document.querySelectorAll('.asked p')]"
                                 ".map((line) => line.innerText).join()")


def press(chrome, words, **filled):
    """Presses the one button of these words, by keyboard."""
    for name, value in filled.items():
        chrome.find_element("name", name).send_keys(value)
    (button,) = [b for b in chrome.find_elements("css selector", "main button")
                 if b.text.split("\n")[0] == words]
    button.send_keys("\n")
    wait_for(lambda: "asked." in said(chrome), "the page to tell of it")


def answer(store, kind, outcome, well=1):
    """The sender has done the newest ask."""
    (name,), = store.db.execute("SELECT id FROM asks WHERE kind = ? AND done_at IS NULL", (kind,))
    store.db.execute("UPDATE asks SET done_at = asked_at + 1, is_well = ?, outcome = ? WHERE id = ?",
                     (well, outcome, name))


@pytest.mark.parametrize("words, kind, path, filled", [
    ("Send a test event", "test", "", {}), ("Try now", "try", "", {}),
    ("Send again", "retry", "", {}), ("Pause", "pause", "", {}),
    ("Forget", "forget", "", {"person": "test@example.com"}),
    ("Send it again", "retry", "deliveries/{rejected}", {})])
def test_a_button_is_pressed_and_the_page_tells_what_came_of_it(chrome, shop, site, words, kind,
                                                               path, filled):
    show(chrome, site + path.format(rejected=shop.rejected))
    press(chrome, words, **filled)
    ask = asks(shop)[-1]
    assert (ask["kind"], ask["asked_by"]) == (kind, "alice")
    answer(shop, kind, "All is well.")
    wait_for(lambda: "done. All is well." in said(chrome), "the page to look again by itself")
    where = chrome.current_url.partition("?")[0]
    chrome.find_element("link text", "Close").send_keys("\n")
    wait_for(lambda: said(chrome) == "", "the page without it")
    assert chrome.current_url.rstrip("?") == where and chrome.get_log("browser") == []


def test_it_works_without_javascript(chrome, shop, site):
    chrome.execute_cdp_cmd(SCRIPT_OFF, {"value": True})
    try:
        show(chrome, site)
        press(chrome, "Pause")
        answer(shop, "pause", "Nothing goes out.")
        chrome.find_element("link text", "Look again").send_keys("\n")
        wait_for(lambda: said(chrome) == "Pause: done. Nothing goes out.", "the outcome")
        chrome.find_element("link text", "Close").send_keys("\n")
        wait_for(lambda: said(chrome) == "", "the page without it")
    finally:
        chrome.execute_cdp_cmd(SCRIPT_OFF, {"value": False})


def test_a_person_who_types_is_not_disturbed_and_an_empty_field_is_not_sent(chrome, shop, site):
    show(chrome, site)
    field = chrome.find_element("id", "person")
    label = chrome.find_element("css selector", "label[for=person]")
    assert label.text == "E-mail address or phone number"
    before = len(asks(shop))
    chrome.find_element("css selector", ".forget button").send_keys("\n")
    assert len(asks(shop)) == before and chrome.switch_to.active_element == field


@pytest.mark.parametrize("name", SIZES)
def test_actions_and_a_delivery_in_every_light_and_width(chrome, axe, shop, site, name, tmp_path):
    scheme, width = SIZES[name]
    for path in ("?asked=00000000-0000-7000-8000-000000000000", f"deliveries/{shop.rejected}"):
        show(chrome, site + path, scheme, width)
        assert violations(chrome, axe) == []
        assert chrome.execute_script("return document.documentElement.scrollWidth") <= width
        assert chrome.get_log("browser") == []
        section = chrome.find_element("css selector", "section:has(#actions)") if "?" in path else \
            chrome.find_element("css selector", "main")
        picture = tmp_path / f"actions-{name}.png"
        section.screenshot(str(picture))
        assert picture.stat().st_size > 10000
        if os.environ.get("CAPI_SCREENSHOTS") and name in KEPT:
            what = "actions" if "?" in path else "delivery"
            (TOP / "docs" / f"page-{what}-{name}.png").write_bytes(
                in_few_colours(picture.read_bytes()))
