"""The browser client in Chromium: each promise of client/pinterest-capi.js."""

import re
import socket
import time

import pytest

pytest.importorskip("selenium")
from selenium.webdriver.common.by import By  # noqa: E402
from server import EPIK, wait_for  # noqa: E402
from shop import AGENT, PAGE, TAG  # noqa: E402

COLLECT, CONTEXT = "/api/tracklayer/pinterest-capi", "/api/cart/context"
SERVERS_ID = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
STUB = "<script>(window.pintrk = function () { pintrk.queue.push([].slice.call(arguments)); })" \
       ".queue = [];</script>"
ITEM = {"value": 99.90, "currency": "EUR", "num_items": 2, "contents": [
    {"id": "SKU-481", "item_price": "49.95", "quantity": 2, "item_name": "Cap"}]}

pytestmark = pytest.mark.usefixtures("chrome")


def wait_decision(shop, context=CONTEXT, count=1):
    shop.wait_requests(context, count)
    wait_for(lambda: shop.js("return performance.getEntriesByType('resource').some("
                              "e => e.name.endsWith(arguments[0]) && e.responseEnd > 0)", context),
             "the server's answer")


# --- one id for Tag and API ---

def test_tag_and_api_get_one_event_id_and_the_page_gets_it_back(shop):
    shop.grant()
    shop.visit(shop.page("/cart.html"))
    event_id = shop.track("add_to_cart", {**ITEM, "user_data": {"em": "Ada@Example.com"}})
    call = shop.wait_tag("track", "addtocart")
    assert call[2] == {"event_id": event_id, "value": 99.9, "currency": "EUR", "order_quantity": 2,
                       "line_items": [{"product_id": "SKU-481", "product_price": "49.95",
                                       "product_quantity": 2, "product_name": "Cap"}]}
    event = shop.wait_delivered(event_id=event_id)
    assert event["event_name"] == "add_to_cart"
    assert event["custom_data"]["value"] == "99.90"
    assert event["custom_data"]["content_ids"] == ["SKU-481"]
    assert re.fullmatch("[0-9a-f]{64}", event["user_data"]["em"][0])
    assert event["user_data"]["client_ip_address"] == "203.0.113.42"
    assert event["event_source_url"].endswith("/cart.html")


def test_an_id_of_the_shop_is_kept(shop):
    shop.grant()
    shop.visit(shop.page("/own-id.html"))
    assert shop.track("add_to_cart", {"event_id": "cart_7_add_481"}) == "cart_7_add_481"
    assert shop.wait_tag("track", "addtocart")[2] == {"event_id": "cart_7_add_481"}
    shop.wait_delivered(event_id="cart_7_add_481")


@pytest.mark.parametrize("names,name,tag,sent_as", [
    ("guide", "purchase", "checkout", "checkout"),
    ("guide", "checkout_complete", "checkout", "checkout"),
    ("guide", "checkout", "initiatecheckout", "initiate_checkout"),
    ("guide", "begin_checkout", "initiatecheckout", "initiate_checkout"),
    ("guide", "pagevisit", "pagevisit", "page_visit"),
    ("guide", "view_item_list", "viewcategory", "view_category"),
    ("pinterest", "checkout", "checkout", "checkout"),
    ("pinterest", "purchase", "checkout", "checkout"),
    ("pinterest", "initiate_checkout", "initiatecheckout", "initiate_checkout"),
])
def test_the_name_that_goes_out_is_the_same_for_tag_and_api(shop, names, name, tag, sent_as):
    shop.grant()
    shop.visit(shop.page("/names.html", f'data-tag="{TAG}" data-names="{names}"'))
    event_id = shop.track(name, {"value": "129.95", "currency": "EUR"})
    assert shop.wait_tag("track")[1:] == [tag, {"event_id": event_id, "value": "129.95",
                                                "currency": "EUR"}]
    assert shop.wait_delivered(event_id=event_id)["event_name"] == sent_as


def test_a_checkout_with_an_order_is_refused_where_it_would_mean_a_start(shop, chrome):
    shop.grant()
    shop.visit(shop.page("/ambiguous.html", f'data-tag="{TAG}"'))
    event_id = shop.track("checkout", {"order_id": "10492"})
    later = shop.track("lead", {})
    shop.wait_tag("track", "lead")
    shop.wait_delivered(event_id=later)
    assert shop.delivered(event_id=event_id) == []
    assert [c for c in shop.tag() if c[0] == "track"] == [["track", "lead", {"event_id": later}]]
    assert any("say purchase" in entry["message"] for entry in chrome.get_log("browser"))


def test_odd_data_is_no_error_of_the_shops_page(shop):
    shop.grant()
    shop.visit(shop.page("/odd.html"))
    for given in (None, {"content_ids": "SKU-1"}, {"content_ids": [None, 7]}, {"contents": [None]},
                  {"custom_data": {"content_ids": ["SKU-2"]}, "user_data": None}):
        assert re.fullmatch("b[0-9a-f]{32}", shop.track("view_content", given))
    shop.track("constructor", {})
    shop.wait_tag("track", "constructor")
    calls = [c[2].get("line_items") for c in shop.tag() if c[:2] == ["track", "viewcontent"]]
    assert calls == [None, [{"product_id": "SKU-1"}],
                     [{"product_id": "null"}, {"product_id": "7"}], [{"product_id": "null"}],
                     [{"product_id": "SKU-2"}]]


# --- the page and its id ---

def test_a_cached_page_has_a_fresh_id_of_the_server_each_time(shop):
    path = shop.page("/cached/page.html")
    assert shop.get(path).header("X-Cache").startswith("MISS")
    shop.grant()
    for number in range(1, 4):
        shop.visit(f"{path}")
        wait_for(lambda n=number: len(shop.delivered(path)) == n, f"visit {number}")
    assert shop.get(path).header("X-Cache").startswith("HIT")
    visits = shop.wait_delivered(path, count=3)
    assert {e["event_name"] for e in visits} == {"page_visit"}
    assert len({e["event_id"] for e in visits}) == 3
    assert all(re.fullmatch(SERVERS_ID, e["event_id"]) for e in visits)
    call = shop.wait_tag("track", "pagevisit")
    assert call[2]["event_id"] == visits[-1]["event_id"]


def test_a_page_shown_again_from_the_back_forward_cache_is_another_visit(shop):
    shop.grant()
    shop.visit(shop.page("/back.html"))
    first = shop.wait_delivered("/back.html")["event_id"]
    shop.js("dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
    visits = shop.wait_delivered("/back.html", count=2)
    assert {e["event_id"] for e in visits} > {first}
    assert all(re.fullmatch(SERVERS_ID, e["event_id"]) for e in visits)


def test_a_page_that_includes_the_client_twice_is_visited_once(shop):
    shop.grant()
    shop.visit(shop.page("/twice.html", head=f'<script src="/pinterest-capi.js" defer {PAGE}>'
                                             "</script>"))
    shop.wait_delivered("/twice.html")


def test_a_prerendered_page_counts_when_it_is_shown_and_once(shop, chrome):
    shop.page("/next.html")
    rules = '<script type="speculationrules">{"prerender": [{"urls": ["/next.html"], ' \
            '"eagerness": "immediate"}]}</script><a id="next" href="/next.html">Next</a>'
    shop.page("/before.html", client="", body=rules)
    shop.grant()
    before = len(shop.requests("/next.html"))
    asked = len(shop.requests(CONTEXT))
    shop.visit("/before.html")
    shop.wait_requests("/next.html", before + 1)
    shop.wait_requests(CONTEXT, asked + 1)  # this page's own question
    shop.settle()
    time.sleep(0.5)  # the hidden page has had its time to do wrong
    assert len(shop.requests(CONTEXT)) == asked + 1
    assert shop.delivered("/next.html") == []
    chrome.find_element(By.ID, "next").click()
    wait_for(lambda: shop.js("return location.pathname") == "/next.html", "the next page")
    assert shop.js("return performance.getEntriesByType('navigation')[0].activationStart") > 0
    event = shop.wait_delivered("/next.html")
    assert event["event_name"] == "page_visit"
    assert shop.wait_tag("track", "pagevisit")[2]["event_id"] == event["event_id"]


# --- consent ---

def test_an_unanswered_page_is_tracked_on_the_grant_with_the_landing_click_id(shop):
    before = shop.collected()
    asked = len(shop.requests(CONTEXT))
    shop.visit(shop.page("/landing.html") + f"?epik={EPIK}")
    wait_decision(shop, count=asked + 1)
    added = shop.track("add_to_cart", {"content_ids": ["SKU-481"]})
    shop.js("history.replaceState(null, '', '/landing.html')")
    assert shop.js("return pinterestCapi.epik()") == EPIK
    assert shop.collected() == before and shop.tag() is None
    assert "_epik" not in shop.cookies()
    shop.js("pinterestCapi.consent(true)")
    # two beacons race
    cart, visit = sorted(shop.wait_delivered("/landing.html", count=2),
                         key=lambda event: event["event_name"])
    assert (visit["event_name"], cart["event_name"]) == ("page_visit", "add_to_cart")
    assert cart["event_id"] == added
    assert visit["user_data"]["click_id"] == cart["user_data"]["click_id"] == EPIK
    assert re.fullmatch(SERVERS_ID, visit["event_id"])
    assert [c[:2] for c in shop.tag()] == [["setconsent", True], ["load", TAG],
                                           ["track", "pagevisit"], ["track", "addtocart"]]
    assert re.fullmatch(r"v1\.g\.\d{10}\.client", shop.cookies()["pin_consent"])
    assert shop.cookies()["_epik"] == EPIK  # the server kept it


def test_a_refusal_sends_nothing_and_tells_the_tag(shop):
    before = shop.collected()
    asked = len(shop.requests(CONTEXT))
    shop.visit(shop.page("/refused.html", head=STUB) + f"?epik={EPIK}")
    wait_decision(shop, count=asked + 1)
    shop.track("add_to_cart", {})
    shop.js("pinterestCapi.consent(false)")
    shop.track("lead", {})
    shop.wait_requests(CONTEXT, asked + 2)
    shop.visit("/index.html")
    assert re.fullmatch(r"v1\.d\.\d{10}\.client", shop.cookies()["pin_consent"])
    assert "_epik" not in shop.cookies()
    shop.settle()
    assert shop.collected() == before + 1  # the marker
    assert shop.delivered("/refused.html") == []


def test_the_tag_hears_the_decision_of_the_server(shop):
    shop.grant("d")
    shop.visit(shop.page("/told.html", head=STUB))
    assert shop.wait_tag("setconsent") == ["setconsent", False]
    shop.js("pinterestCapi.consent(true)")
    shop.wait_tag("track", "pagevisit")
    assert [c[:2] for c in shop.tag()] == [["setconsent", False], ["setconsent", True],
                                           ["load", TAG], ["track", "pagevisit"]]


def test_a_withdrawal_stops_both_and_takes_the_click_id_away(shop):
    shop.grant()
    shop.visit(shop.page("/withdrawn.html") + f"?epik={EPIK}")
    shop.wait_delivered("/withdrawn.html")
    wait_for(lambda: "_epik" in shop.cookies(), "the click id's cookie")
    shop.js("pinterestCapi.consent(false)")
    assert "_epik" not in shop.cookies()
    assert shop.tag()[-1] == ["setconsent", False]
    shop.track("add_to_cart", {})
    shop.wait_delivered("/withdrawn.html")
    assert shop.tag()[-1] == ["setconsent", False]


def test_a_grant_does_not_outdo_a_refusal_that_the_server_reads(shop, chrome):
    shop.visit("/index.html")
    chrome.add_cookie({"name": "klaro", "path": "/", "value": "%7B%22pinterest%22%3Afalse%7D"})
    shop.visit(shop.page("/disputed.html", head=STUB))
    shop.wait_tag("setconsent")
    asked = len(shop.requests(CONTEXT))
    shop.js("pinterestCapi.consent(true)")
    wait_decision(shop, count=asked + 1)
    shop.settle()
    assert {str(c) for c in shop.tag()} == {"['setconsent', False]"}
    assert shop.delivered("/disputed.html") == []


def test_the_last_of_two_quick_answers_counts(shop):
    shop.visit(shop.page("/quick.html", head=STUB))
    shop.js("pinterestCapi.consent(true); pinterestCapi.consent(false)")
    asked = len(shop.requests(CONTEXT))
    wait_for(lambda: "POST 200" in shop.requests(CONTEXT)[asked - 1:], "the refusal")
    shop.settle()
    assert shop.cookies()["pin_consent"].startswith("v1.d.")
    assert shop.tag()[-1] == ["setconsent", False]
    assert shop.delivered("/quick.html") == []


def test_an_answer_from_before_a_refusal_does_not_undo_it(shop):
    shop.write("refuse.js", "pinterestCapi.consent(false); pinterestCapi.track('lead', {})")
    shop.page("/overtaken.html", head=STUB, body="<script src='/refuse.js' defer></script>")
    shop.grant()
    asked = len(shop.requests(CONTEXT))
    shop.visit("/overtaken.html")
    shop.wait_requests(CONTEXT, asked + 2)
    shop.settle()
    assert shop.requests(CONTEXT)[asked:] == ["GET 200", "POST 200"]
    assert shop.tag() == [["setconsent", False]]
    assert shop.delivered("/overtaken.html") == []


def test_the_same_word_on_every_page_keeps_its_date(shop):
    shop.grant()
    kept = shop.cookies()["pin_consent"]
    shop.visit(shop.page("/again.html", body="<script src='/answer.js' defer></script>"))
    shop.write("answer.js", "pinterestCapi.consent(true)")
    shop.visit("/again.html")
    shop.wait_tag("track", "pagevisit")
    shop.settle()
    assert shop.cookies()["pin_consent"] == kept


def test_where_denied_events_go_out_limited_the_page_sends_them_and_flags_the_tag(shop):
    shop.grant("d")
    shop.visit(shop.page("/us.html", f'{PAGE} data-collect="/limited{COLLECT}" '
                                     f'data-context="/limited{CONTEXT}"', head=STUB))
    event = shop.wait_delivered("/us.html")
    assert event["custom_data"]["opt_out_type"] == "LDP"
    assert shop.tag() == [["setconsent", False], ["set", {"opt_out_type": "LDP"}]]


# --- leaving ---

@pytest.mark.parametrize("moment", ["click", "pagehide"])
def test_an_event_of_the_last_moment_survives_the_page(shop, chrome, moment):
    shop.write("leave.js", "window.addEventListener(location.hash.slice(1), function () {"
               "pinterestCapi.track('add_to_cart', {event_id: 'left-by-' + location.hash.slice(1)})"
               "})")
    shop.page("/leave.html", f'data-tag="{TAG}"', body='<a id="go" href="/index.html">Go</a>'
                                                       '<script src="/leave.js" defer></script>')
    shop.grant()
    shop.visit(f"/leave.html#{moment}")
    shop.wait_tag("setconsent", True)
    chrome.find_element(By.ID, "go").click()
    event = shop.wait_delivered(event_id=f"left-by-{moment}")
    assert event["event_source_url"].endswith("/leave.html")


def test_a_page_left_before_the_server_answered_is_counted(shop):
    shop.grant()
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        shop.visit(shop.page("/hasty.html", f'{PAGE} data-context="{address}"'))
        event_id = shop.track("add_to_cart", {})
        before = shop.collected()
        shop.visit("/index.html")
        shop.wait_requests(COLLECT, before + 2)
    events = shop.wait_delivered("/hasty.html", count=2)
    assert {e["event_name"] for e in events} == {"page_visit", "add_to_cart"}
    assert event_id in {e["event_id"] for e in events}


@pytest.mark.parametrize("beacon", ["function () { return false; }", "undefined"])
def test_without_a_beacon_the_event_goes_as_a_request(shop, beacon):
    shop.grant()
    shop.visit(shop.page("/beaconless.html", 'data-tag=""',
                         f"<script>Navigator.prototype.sendBeacon = {beacon};</script>"))
    event_id = shop.track("add_to_cart", {})
    shop.wait_delivered(event_id=event_id)


def test_more_than_a_beacon_takes_goes_as_a_request(shop):
    shop.grant()
    shop.visit(shop.page("/large.html", 'data-tag=""'))
    event_id = shop.track("add_to_cart", {"content_ids": ["SKU-481"], "note": "x" * 100000})
    shop.wait_delivered(event_id=event_id)


# --- surroundings ---

def violations(chrome):
    return [e["message"] for e in chrome.get_log("browser") if "Content Security" in e["message"]]


def test_a_strict_policy_is_not_violated(shop, chrome):
    shop.grant()
    shop.page("/csp/strict.html", f'nonce="r4nd0m" {PAGE}')
    shop.visit("/csp/strict.html")
    event_id = shop.track("add_to_cart", {"content_ids": ["SKU-481"]})
    shop.wait_tag("track", "addtocart")
    shop.wait_delivered(event_id=event_id)
    assert shop.js("return document.querySelector('script[src*=pinimg]').nonce") == "r4nd0m"
    assert violations(chrome) == []
    shop.page("/csp/loose.html", PAGE)
    shop.visit("/csp/loose.html")
    assert violations(chrome) != []


def test_it_works_without_the_tag(shop):
    shop.grant()
    shop.visit(shop.page("/tagless.html", "data-page") + f"?EPIK={EPIK}")
    event = shop.wait_delivered("/tagless.html")
    assert event["user_data"]["click_id"] == EPIK
    assert shop.js("return typeof window.pintrk") == "undefined"
    assert shop.js("return document.querySelectorAll('script').length") == 1


def test_the_click_id_comes_from_the_url_before_the_cookie(shop, chrome):
    shop.visit("/index.html")
    chrome.add_cookie({"name": "_epik", "value": "dj0yOLD", "path": "/"})
    shop.visit(shop.page("/epik.html", "data-page"))
    assert shop.js("return pinterestCapi.epik()") == "dj0yOLD"
    shop.visit(f"/epik.html?a=1&Epik={EPIK}#top")
    assert shop.js("return pinterestCapi.epik()") == EPIK
    chrome.add_cookie({"name": "_epik", "value": "no%20id", "path": "/"})
    shop.visit("/epik.html?epik=")
    assert shop.js("return pinterestCapi.epik()") is None


def test_the_server_keeps_the_click_id_of_a_page_that_sends_no_referrer(shop):
    path = shop.page("/elsewhere/silent.html", head='<meta name="referrer" content="no-referrer">')
    shop.grant()
    shop.visit(f"{path}?epik={EPIK}")
    assert shop.wait_delivered(path)["user_data"]["click_id"] == EPIK
    assert shop.cookies()["_epik"] == EPIK


def test_a_headless_agent_is_a_bot_and_its_events_are_dropped(shop, chrome):
    shop.grant()
    shop.page("/bot.html")
    chrome.execute_cdp_cmd("Network.setUserAgentOverride", {
        "userAgent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
                     "HeadlessChrome/130.0.0.0 Safari/537.36"})
    try:
        before = shop.collected()
        shop.visit("/bot.html")
        shop.wait_requests(COLLECT, before + 1)
    finally:
        chrome.execute_cdp_cmd("Network.setUserAgentOverride", {"userAgent": AGENT})
    shop.settle()
    assert shop.delivered("/bot.html") == []
    shop.visit("/bot.html")
    shop.wait_delivered("/bot.html")
