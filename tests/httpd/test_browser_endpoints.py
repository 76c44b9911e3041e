"""What strangers may do at the endpoints of the browser: how much, from where, and the client."""

import gzip
import time

import pytest

from server import TOP

CONF = """
PinterestCapiCollectLimit 5
PinterestCapiCollectOrigin https://checkout.shop.example
<Location /collect>
SetHandler pinterest-capi-collect
</Location>
<Location /context>
SetHandler pinterest-capi-context
</Location>
<Location /client.js>
SetHandler pinterest-capi-client
</Location>
"""


def event(n):
    return {"event_name": "add_to_cart", "event_id": f"e{n}"}


def test_more_events_than_the_limit_are_answered_429_with_retry_after(make_httpd, api, mpm):
    httpd = make_httpd(api=api, mpm=mpm, conf=CONF)
    answers = [httpd.post("/collect", event(n)) for n in range(7)]
    assert [a.status for a in answers] == [200] * 5 + [429] * 2
    assert 1 <= int(answers[-1].header("Retry-After")) <= 60
    assert answers[-1].json()["code"] == 8
    assert httpd.post("/context", {"epik": "x"}).status == 429
    assert httpd.post("/collect", event(9), address="198.51.100.9").status == 200


def test_a_batch_counts_as_its_events(make_httpd, api):
    httpd = make_httpd(api=api, conf=CONF)
    batch = {"data": [event(n) for n in range(6)]}
    assert httpd.post("/collect", batch).status == 429
    assert httpd.post("/collect", {"data": batch["data"][:5]}).status == 200
    assert httpd.post("/collect", event(7)).status == 429


def test_an_ipv6_client_is_its_64_bits(make_httpd, api):
    httpd = make_httpd(api=api, conf=CONF)
    statuses = [httpd.post("/collect", event(n), address=f"2001:db8:1:2::{n:x}").status
                for n in range(1, 8)]
    assert statuses == [200] * 5 + [429] * 2
    assert httpd.post("/collect", event(8), address="2001:db8:1:3::1").status == 200


def test_another_origin_that_is_named_may_call(make_httpd, api):
    httpd = make_httpd(api=api, conf=CONF)
    friend = {"Origin": "https://checkout.shop.example", "Sec-Fetch-Site": "cross-site"}
    answer = httpd.post("/collect", event(1), friend)
    assert answer.status == 200
    assert answer.header("Access-Control-Allow-Origin") == friend["Origin"]
    assert answer.header("Access-Control-Allow-Credentials") == "true"
    assert "Origin" in answer.header("Vary")
    preflight = httpd.request("OPTIONS", "/collect", {
        **friend, "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type"})
    assert preflight.status == 204
    assert "POST" in preflight.header("Access-Control-Allow-Methods")
    assert httpd.get("/context", friend).status == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null",
                                    "https://checkout.shop.example.evil.example"])
def test_an_origin_that_is_not_named_may_not(make_httpd, api, origin):
    httpd = make_httpd(api=api, conf=CONF)
    answer = httpd.post("/collect", event(1), {"Origin": origin, "Sec-Fetch-Site": "cross-site"})
    assert answer.status == 403
    assert answer.header("Access-Control-Allow-Origin") is None
    assert httpd.request("OPTIONS", "/collect", {"Origin": origin}).status == 405


@pytest.mark.parametrize("line", ["PinterestCapiCollectOrigin shop.example",
                                  "PinterestCapiCollectOrigin https://a.example/path",
                                  "PinterestCapiCollectLimit 0", "PinterestCapiCollectLimit many"])
def test_wrong_values_stop_configtest(make_httpd, line):
    ok, text = make_httpd(start=False, conf=line).configtest()
    assert not ok and line.split()[0] in text


def test_the_client_is_served_small_and_cacheable(make_httpd, api):
    httpd = make_httpd(api=api, conf=CONF)
    answer = httpd.get("/client.js")
    source = (TOP / "client" / "pinterest-capi.js").read_bytes()
    assert (answer.status, answer.body) == (200, source)
    assert answer.header("Content-Type").startswith("text/javascript")
    assert "max-age" in answer.header("Cache-Control")
    assert len(gzip.compress(source, 9)) <= 4096
    again = httpd.get("/client.js", {"If-None-Match": answer.header("ETag")})
    assert again.status == 304 and again.body == b""
    assert httpd.post("/client.js", "x").status == 405
    assert httpd.sql("SELECT 1 FROM events") == []


@pytest.mark.parametrize("action,said", [("suppress", None), ("limited", "limited"),
                                         ("strip em ph", "strip")])
def test_context_tells_the_page_where_a_denied_event_is_not_withheld(make_httpd, api, action, said):
    httpd = make_httpd(api=api, conf=f"{CONF}PinterestCapiOnDenied {action}\n"
                                     "PinterestCapiConsentSignal auto\n")
    granted, denied = ({"Cookie": f"pin_consent=v1.{letter}.{int(time.time())}.test"}
                       for letter in "gd")
    known = httpd.get("/context", granted).json()
    assert set(known) == {"epik", "consent", "event_id"} and known["consent"] == "granted"
    known = httpd.get("/context", denied).json()
    assert known["consent"] == "denied"
    assert known.get("on_denied") == said
    assert ("on_denied" in known) == (said is not None)
    answer = httpd.post("/context", {"consent": "granted"}, denied).json()
    assert answer["consent"] == "denied" and answer.get("on_denied") == said
