"""The guide's own requests work unchanged: browser snippets and JSON examples."""

import time

from server import ACCOUNT, BROWSER, EPIK, SHOPPER, wait_for

# What the guide's JavaScript sends, and its JSON examples, field by field.
CONTEXT = {"epik": EPIK, "user_agent": BROWSER}
BROWSER_PURCHASE = {
    "event_name": "checkout_complete", "action_source": "web", "event_id": "ord_10492_purchase",
    "user_data": {"em": ["836f82db99121b3481011f16b49dfa5fbc714a0d1b1b9f784a1ebbbf5b39577f"],
                  "epik": EPIK, "client_user_agent": BROWSER},
    "custom_data": {"value": 129.95, "currency": "EUR", "content_ids": ["SKU-481"]}}
CLIENT = {"epik": EPIK, "client_ip_address": "203.0.113.42", "client_user_agent": "Mozilla/5.0..."}
EM = ["836f82db99121b3481011f16b49dfa5fbc714a0d1b1b9f784a1ebbbf5b39577f"]
PH = ["7e25b7844dc82e53d76a507d7f6130832c805e097c1e038793c36ce22c358132"]
EXAMPLES = [
    {"event_name": "add_to_cart", "event_id": "cart_10492_add_1", "user_data": CLIENT,
     "custom_data": {"value": 89.95, "currency": "EUR", "content_ids": ["SKU-481"]}},
    {"event_name": "checkout", "event_id": "chk_10492_start",
     "user_data": {"em": EM, "ph": PH, **CLIENT}},
    {"event_name": "checkout_complete", "event_id": "ord_10492_purchase",
     "user_data": {"em": EM, "ph": PH, **CLIENT},
     "custom_data": {"value": 129.95, "currency": "EUR", "content_ids": ["SKU-481", "SKU-812"]}},
    {"event_name": "lead", "event_id": "lead_77821_submit", "user_data": {"em": EM, **CLIENT}},
]
CONF = """
PinterestCapiMergeWindow 1
<Location "/api/tracklayer/pinterest-capi">
  SetHandler pinterest-capi-collect
</Location>
<Location "/api/cart/context">
  SetHandler pinterest-capi-context
</Location>
<Location "/v5/ad_accounts">
  SetHandler pinterest-capi-events
  PinterestCapiEventNames guide
</Location>
"""
PATH = f"/v5/ad_accounts/{ACCOUNT}/events"


def now():
    return int(time.time())


def test_the_browser_snippets_work_unchanged(make_httpd, api):
    httpd = make_httpd(api=api, conf=CONF)
    json = {"Content-Type": "application/json", "Sec-Fetch-Site": "same-origin",
            "Cookie": "PHPSESSID=abc"}
    context = httpd.post("/api/cart/context", dict(CONTEXT), json)
    assert context.status == 200, context.text
    event = dict(BROWSER_PURCHASE, event_time=now())
    answer = httpd.post("/api/tracklayer/pinterest-capi", event, json)
    assert answer.status == 200, answer.text
    assert answer.json()["num_events_processed"] == 1
    backend = dict(EXAMPLES[2], event_time=now(), action_source="web")
    assert httpd.post(PATH, {"data": [backend]}, agent="shop/1", address="127.0.0.1").status == 200
    (purchase,) = wait_for(lambda: api.processed(), "the purchase")
    assert purchase["event_name"] == "checkout"
    assert purchase["user_data"]["client_ip_address"] == "203.0.113.42"


def test_the_json_examples_work_unchanged_but_for_their_time(make_httpd, api):
    httpd = make_httpd(api=api, conf=CONF)
    for example in EXAMPLES:
        event = dict(example, event_time=now(), action_source="web")
        answer = httpd.post(PATH, {"data": [event]}, {"Authorization": "Bearer any"},
                            agent="shop/1")
        assert answer.status == 200, answer.text
        assert answer.json() == {"num_events_received": 1, "num_events_processed": 1,
                                 "events": [answer.json()["events"][0]]}
        assert answer.json()["events"][0]["status"] == "processed"
    wait_for(lambda: len(api.processed()) == 4, "four events")
    assert sorted(e["event_name"] for e in api.processed()) == \
        ["add_to_cart", "checkout", "initiate_checkout", "lead"]
    for event in api.processed():
        assert event["user_data"]["click_id"] == EPIK
        assert event["user_data"]["client_ip_address"] == SHOPPER


def test_the_guides_empty_data_is_refused_in_pinterests_shape(make_httpd, api):
    httpd = make_httpd(api=api, conf=CONF)
    answer = httpd.post(PATH, {"data": []}, agent="shop/1")
    assert answer.status in (400, 422)
    assert set(answer.json()) >= {"code", "message"}
    assert isinstance(answer.json()["code"], int)


def test_in_wire_format_guide_exactly_the_guides_payload_leaves(make_httpd, api):
    api.wire = "guide"
    httpd = make_httpd(api=api, conf=CONF + "PinterestCapiWireFormat guide\n")
    sent = dict(EXAMPLES[2], event_time=now(), action_source="web")
    assert httpd.post(PATH, {"data": [sent]}, agent="shop/1").status == 200
    (purchase,) = wait_for(lambda: api.processed(), "the purchase")
    assert purchase == sent
