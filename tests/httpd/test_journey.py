"""The main job: from a paid click to a delivered purchase, by every way PHP is run."""

import hashlib
import json
import time

import pytest

from server import ACCOUNT, BROWSER, EPIK, SHOPPER, Browser, wait_for

SHOP = {
    "index.php": "<?php session_start(); ?><!doctype html><title>Shop</title>"
                 "<?= htmlspecialchars($_SERVER['PINTEREST_EPIK'] ?? 'none') ?>"
                 "|<?= $_SERVER['PINTEREST_CONSENT'] ?? 'unset' ?>"
                 "|<?= $_SERVER['PINTEREST_EVENT_ID'] ?? 'unset' ?>",
    "cart.php": """<?php session_start();
header('Pinterest-Capi-Event: ' . json_encode(['event_name' => 'add_to_cart',
  'event_id' => 'cart_10492_add_1',
  'custom_data' => ['value' => 89.95, 'currency' => 'EUR', 'content_ids' => ['SKU-481']]]));
echo 'added';""",
    "order.php": """<?php session_start();
header('Pinterest-Capi-Bind: order:10492');
header('Pinterest-Capi-Match: ' . json_encode(['email' => ' Jane.Doe@Example.COM ',
  'phone' => '+49 171 1234567', 'first_name' => 'Jane']));
header('Pinterest-Capi-Event: ' . json_encode(['event_name' => 'checkout',
  'event_id' => 'chk_10492_start']));
echo 'pay';""",
    "webhook.php": """<?php
header('Pinterest-Capi-Event: ' . json_encode(['event_name' => 'checkout_complete',
  'event_id' => 'ord_10492_purchase', 'order_id' => '10492',
  'custom_data' => ['value' => 129.95, 'currency' => 'EUR',
                    'content_ids' => ['SKU-481', 'SKU-812']]]));
echo 'ok';""",
}

CONF = """
PinterestCapiEvent page_visit
PinterestCapiMergeWindow 1
"""


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


def open_shop(make_httpd, api, options, conf=CONF):
    httpd = make_httpd(api=api, conf=conf, **options)
    for name, text in SHOP.items():
        httpd.write(name, text)
    (httpd.docs / "index.html").unlink()
    return httpd


def walk(httpd):
    """Landing, cart and order as a shopper; then the payment provider's call. Returns the landing
    page's text."""
    shopper = Browser(httpd)
    landing = shopper.get(f"/?epik={EPIK}&utm_source=pinterest&secret=1")
    shopper.post("/cart.php", "sku=SKU-481", {"Content-Type": "application/x-www-form-urlencoded"})
    shopper.post("/order.php", "", {"Content-Type": "application/x-www-form-urlencoded"})
    hook = httpd.post("/webhook.php", {"order": "10492"}, agent="PayProvider/2.0",
                      address="198.51.100.7")
    assert hook.status == 200
    return landing


def delivered(api, name):
    return wait_for(lambda: [e for e in api.processed() if e["event_name"] == name],
                    f"{name} at the API")


def test_the_purchase_that_a_cookieless_webhook_reports_carries_the_shopper(make_httpd, api, php):
    httpd = open_shop(make_httpd, api, php)
    landing = walk(httpd)
    (purchase,) = delivered(api, "checkout")
    assert purchase["event_id"] == "ord_10492_purchase"
    user = purchase["user_data"]
    assert user["click_id"] == EPIK
    assert user["client_ip_address"] == SHOPPER
    assert user["client_user_agent"] == BROWSER
    assert user["em"] == [sha("jane.doe@example.com")]
    assert user["ph"] == [sha("491711234567")]
    assert user["fn"] == [sha("jane")]
    assert purchase["custom_data"]["value"] == "129.95"
    assert purchase["custom_data"]["currency"] == "EUR"
    assert purchase["custom_data"]["content_ids"] == ["SKU-481", "SKU-812"]
    assert purchase["custom_data"]["order_id"] == "10492"
    assert purchase["action_source"] == "web"
    (cart,) = delivered(api, "add_to_cart")
    assert cart["custom_data"]["value"] == "89.95"
    assert cart["user_data"]["click_id"] == EPIK
    delivered(api, "initiate_checkout")
    epik, consent, event_id = landing.text.split(">")[-1].split("|")
    assert (epik, consent) == (EPIK, "granted")
    visit = [e for e in delivered(api, "page_visit") if e["event_id"] == event_id]
    assert len(visit) == 1
    assert visit[0]["event_source_url"].endswith("/?utm_source=pinterest")
    wait_for(lambda: not httpd.sql("SELECT 1 FROM outbox"), "all user data to be erased")
    assert {r["status"] for r in api.requests} == {200}


def test_wire_format_guide_sends_the_guides_own_payload(make_httpd, api):
    api.wire = "guide"
    httpd = open_shop(make_httpd, api, {"mpm": "event", "php": "fpm"},
                      CONF + "PinterestCapiWireFormat guide\n")
    walk(httpd)
    (purchase,) = delivered(api, "checkout_complete")
    assert purchase["user_data"]["epik"] == EPIK
    assert "click_id" not in purchase["user_data"]
    assert purchase["custom_data"]["value"] == 129.95
    assert isinstance(purchase["custom_data"]["value"], float)
    (start,) = delivered(api, "checkout")
    assert start["event_id"] == "chk_10492_start"


def test_requests_to_the_api_are_as_pinterest_documents_them(make_httpd, api):
    httpd = open_shop(make_httpd, api, {"mpm": "event", "php": "fpm"})
    walk(httpd)
    delivered(api, "checkout")
    for request in api.requests:
        headers = {name.lower(): value for name, value in request["headers"]}
        assert request["path"] == f"/v5/ad_accounts/{ACCOUNT}/events"
        assert headers["content-type"] == "application/json"
        assert headers["authorization"].startswith("Bearer ")


def test_the_record_of_a_delivery_knows_what_happened_and_no_person(make_httpd, api):
    httpd = open_shop(make_httpd, api, {"mpm": "event", "php": "fpm"})
    walk(httpd)
    delivered(api, "checkout")
    wait_for(lambda: httpd.sql("SELECT 1 FROM events WHERE event_id = 'ord_10492_purchase' "
                               "AND state = 10"), "the record to say delivered")
    httpd.stop()
    store = (httpd.state / "store.db").read_bytes()
    for planted in (b"Jane.Doe", b"jane.doe@example", b"1711234567"):
        assert planted not in store


def test_denied_by_default_sends_nothing_and_keeps_the_bare_record(make_httpd, api):
    httpd = open_shop(make_httpd, api, {"mpm": "event", "php": "fpm"},
                      CONF + "PinterestCapiConsentDefault denied\n")
    landing = walk(httpd)
    assert "|denied|" in landing.text
    assert not landing.header_all("Set-Cookie") or \
        not any(v.startswith("_epik=") for v in landing.header_all("Set-Cookie"))
    wait_for(lambda: len(httpd.sql("SELECT 1 FROM events WHERE state = 12")) >= 3,
             "suppressed records")
    assert api.processed() == []
    assert httpd.sql("SELECT 1 FROM visits WHERE click_id IS NOT NULL OR address IS NOT NULL") == []


@pytest.mark.parametrize("word, count", [("granted", 1), ("denied", 0)])
def test_phps_own_word_on_consent_is_stronger_than_the_default(make_httpd, api, word, count):
    default = "denied" if word == "granted" else "granted"
    httpd = make_httpd(api=api, mpm="event", php="fpm",
                       conf=f"PinterestCapiConsentDefault {default}\nPinterestCapiMergeWindow 0")
    httpd.write("say.php", f"""<?php header('Pinterest-Capi-Consent: {word}');
header('Pinterest-Capi-Event: {{"event_name":"lead","event_id":"lead_1"}}'); echo 'x';""")
    assert httpd.get("/say.php").status == 200
    wait_for(lambda: httpd.sql("SELECT 1 FROM events WHERE state >= 10"), "the event to settle")
    assert len(api.processed()) == count


def test_event_id_is_stable_and_a_reload_leaves_nothing(make_httpd, api):
    httpd = open_shop(make_httpd, api, {"mpm": "event", "php": "fpm"})
    httpd.write("thanks.php", SHOP["webhook.php"])
    shopper = Browser(httpd)
    shopper.get(f"/?epik={EPIK}")
    for _ in range(3):
        shopper.get("/thanks.php")
    delivered(api, "checkout")
    shopper.get("/thanks.php")
    wait_for(lambda: httpd.sql("SELECT 1 FROM counters WHERE what = 'duplicate' AND n > 0"),
             "the reload to be counted as duplicate")
    assert [e["event_id"] for e in api.processed() if e["event_name"] == "checkout"] == \
        ["ord_10492_purchase"]


def test_php_and_browser_with_one_event_id_leave_as_one_event_with_the_union(make_httpd, api):
    httpd = make_httpd(api=api, mpm="event", php="fpm", conf="""
PinterestCapiMergeWindow 2
<Location /collect>
SetHandler pinterest-capi-collect
</Location>""")
    httpd.write("thanks.php", """<?php header('Pinterest-Capi-Event: ' . json_encode([
  'event_name' => 'checkout_complete', 'event_id' => 'ord_7_purchase', 'order_id' => '7',
  'custom_data' => ['value' => 10, 'currency' => 'EUR']])); echo 'thanks';""")
    answer = httpd.post("/collect", {
        "event_name": "checkout_complete", "event_id": "ord_7_purchase",
        "event_time": int(time.time()),
        "user_data": {"em": [sha("a@b.example")], "epik": EPIK},
        "custom_data": {"value": 99, "content_ids": ["SKU-1"]}}, {"Sec-Fetch-Site": "same-origin"})
    assert answer.status == 200, answer.text
    httpd.get("/thanks.php", {"Cookie": "PHPSESSID=abc"})
    (purchase,) = delivered(api, "checkout")
    assert purchase["custom_data"]["value"] == "10.00"
    assert purchase["custom_data"]["content_ids"] == ["SKU-1"]
    assert purchase["custom_data"]["currency"] == "EUR"
    assert purchase["user_data"]["em"] == [sha("a@b.example")]
    assert purchase["user_data"]["click_id"] == EPIK
    assert len([e for e in api.processed() if e["event_name"] == "checkout"]) == 1


def test_long_php_events_come_in_pieces(make_httpd, api, php):
    httpd = make_httpd(api=api, conf="PinterestCapiMergeWindow 0", **php)
    httpd.write("long.php", """<?php
$event = json_encode(['event_name' => 'checkout_complete', 'event_id' => 'long_1',
  'custom_data' => ['content_ids' => array_map(fn($i) => "SKU-$i", range(1, 900))]]);
$pieces = str_split($event, 4500);
foreach ($pieces as $i => $piece) {
  header(sprintf('Pinterest-Capi-Event: ~%d/%d %s', $i + 1, count($pieces),
    rtrim(strtr(base64_encode($piece), '+/', '-_'), '=')), false);
}
echo 'ok';""")
    assert httpd.get("/long.php").status == 200
    (event,) = delivered(api, "checkout")
    assert len(event["custom_data"]["content_ids"]) == 900


def test_several_events_in_repeated_headers_all_arrive(make_httpd, api, php):
    httpd = make_httpd(api=api, conf="PinterestCapiMergeWindow 0", **php)
    httpd.write("many.php", """<?php
header('Pinterest-Capi-Event: {"event_name":"lead","event_id":"a"}', false);
header('Pinterest-Capi-Event: [{"event_name":"signup","event_id":"b"},{"event_name":"search","event_id":"c","custom_data":{"search_string":"a, b"}}]', false);
echo 'ok';""")
    assert httpd.get("/many.php").status == 200
    wait_for(lambda: len(api.processed()) == 3, "three events")
    assert sorted(e["event_id"] for e in api.processed()) == ["a", "b", "c"]


def test_a_php_event_that_is_none_is_logged_and_the_page_is_served(make_httpd, api):
    httpd = make_httpd(api=api, mpm="event", php="fpm")
    httpd.write("bad.php", """<?php header('Pinterest-Capi-Event: {"event_name":');
echo 'served';""")
    httpd.expect(r"PCAPI\d{3}")
    answer = httpd.get("/bad.php")
    assert (answer.status, answer.text) == (200, "served")
    httpd.wait_log(r"PCAPI0\d\d")
