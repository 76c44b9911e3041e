"""The admin CGI against stores filled by hand."""

import json
import os
import re
import signal
import time

import pytest

from conftest import Cgi, Page
from store import KEYS, Store

FIELDS = {"id", "account", "test", "event_id", "event_name", "sent_as", "event_time", "received_at",
          "source", "state", "consent", "match_keys", "http_status", "request_id", "retries",
          "error", "warning"}
HOSTILE = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)",
    "</title></textarea></style><svg/onload=alert(1)>",
    "&lt;b&gt; &amp; %3Cscript%3E {{7*7}} ${7*7}",
    "\u202egnp.exe\u202c \u2066a\u2069 \u200f\u061c \ufeff",
    "nul-free \x01\x1b[31m\x7f \x85 bell\x07",
    "javascript:alert(1)//",
    "\N{WAVING HAND SIGN} z\u0335\u0336alg\u0337o",
    "A" * 10000,
]


def ids(answer):
    return [delivery["event_id"] for delivery in answer.json["deliveries"]]


# --- what a delivery is ---


def test_a_delivery_has_exactly_the_fields_of_the_contract(cgi, store):
    shop = store.destination()
    attempt = store.attempt(shop, 200, "7140332512305611")
    store.event(shop, "order_10492", "checkout", name="purchase", source="backend",
                keys=("em", "click_id", "client_ip_address"), happened=1795000000,
                received=1795000003.5, attempt=attempt, retries=1, warning="left out: currency")
    (delivery,) = cgi("/deliveries.json").json["deliveries"]
    assert set(delivery) == FIELDS
    assert delivery == {
        "id": 1, "account": "549755885175", "test": False, "event_id": "order_10492",
        "event_name": "purchase", "sent_as": "checkout", "event_time": 1795000000,
        "received_at": 1795000003, "source": "backend", "state": "delivered",
        "consent": {"state": "granted", "signal": "default", "rule": "suppress",
                    "action": "sent", "stripped": []},
        "match_keys": ["em", "click_id", "client_ip_address"], "http_status": 200,
        "request_id": "7140332512305611", "retries": 1, "error": None,
        "warning": "left out: currency"}


@pytest.mark.parametrize("state, action, name", [
    ("suppressed", 1, "suppressed"), ("delivered", 2, "stripped"), ("delivered", 3, "limited"),
    ("queued", 0, None), ("expired", 0, None)])
def test_a_delivery_says_what_was_decided_and_done(cgi, store, state, action, name):
    shop = store.destination()
    row = store.event(shop, "e1", state=state, consent="denied", signal="cmp klaro", action=action,
                      on_denied="strip em ph", stripped=3 if action == 2 else 0)
    (delivery,) = cgi("/deliveries.json").json["deliveries"]
    assert delivery["consent"] == {
        "state": "denied", "signal": "cmp klaro", "rule": "strip em ph", "action": name,
        "stripped": ["em", "ph"] if action == 2 else []}
    page = cgi(f"/deliveries/{row}").text
    assert "strip em ph" in page and (name is None or name in page)


def test_the_day_is_divided_by_state_signal_and_action(cgi, store):
    shop = store.destination()
    store.event(shop, "w", state="queued")
    for what, n in (("consent:granted:cmp klaro:sent", 7), ("consent:denied:gpc:suppressed", 9),
                    ("consent:denied:<b>:limited", 1), ("consent:broken", 5)):
        store.count(shop, "checkout", what, n=n)
    store.count(shop, "checkout", "consent:denied:gpc:suppressed", when=store.now - 2 * 86400)
    assert cgi("/status.json").json["status"]["consent"] == [
        {"state": "denied", "signal": "gpc", "action": "suppressed", "events": 9},
        {"state": "granted", "signal": "cmp klaro", "action": "sent", "events": 7},
        {"state": "denied", "signal": "<b>", "action": "limited", "events": 1}]
    page = cgi("/").text
    assert "cmp klaro" in page and "withheld, personal data erased" in page and "&lt;b&gt;" in page


def test_all_nine_states_are_told_and_found_by_the_filter(cgi, store):
    shop = store.destination()
    held = store.destination("1", held="the token is refused: put a new one")
    for state in ("queued", "retrying", "delivered", "rejected", "suppressed", "unconfirmed",
                  "expired"):
        store.event(shop, state, state=state)
    store.event(held, "held", state="queued")
    sending = store.event(shop, "sending", state="queued", due=store.now + 5)
    place = (int((store.now + 5) * 1e6), sending)
    store.attempt(shop, finished=False, place=(place, place))
    everything = cgi("/deliveries.json").json["deliveries"]
    assert len(everything) == 9
    for delivery in everything:
        assert delivery["state"] == delivery["event_id"]
        assert ids(cgi("/deliveries.json", f"state={delivery['state']}")) == [delivery["state"]]
        assert f"is-{delivery['state']}" in cgi("/").text


def test_the_newest_come_first_and_pages_do_not_overlap(cgi, store):
    shop = store.destination()
    for i in range(120):
        store.event(shop, f"e{i}", received=store.now - 200 + i)
    first = cgi("/deliveries.json")
    assert ids(first) == [f"e{i}" for i in range(119, 69, -1)]
    second = cgi("/deliveries.json", f"before={first.json['next']}&limit=100")
    assert ids(second) == [f"e{i}" for i in range(69, -1, -1)]
    assert second.json["next"] is None


@pytest.mark.parametrize("limit, count", [("1", 1), ("200", 200), ("201", 200), ("99999", 200),
                                          ("", 50)])
def test_limit_is_50_by_default_and_200_at_most(cgi, store, limit, count):
    shop = store.destination()
    for i in range(210):
        store.event(shop, f"e{i}", count=False)
    assert len(ids(cgi("/deliveries.json", f"limit={limit}"))) == count


def test_filters_find_by_name_account_time_and_text(cgi, store):
    shop, other = store.destination(), store.destination("7")
    rid = store.attempt(shop, request_id="rid-42")
    hour = 3600
    store.event(shop, "order_1", "checkout", name="purchase", received=store.now - 5 * hour)
    store.event(shop, "visit_2", "page_visit", received=store.now - 3 * hour, attempt=rid)
    store.event(other, "order_3", "checkout", received=store.now - hour, state="rejected",
                error="Invalid currency 100%")

    def found(**query):
        return ids(cgi("/deliveries.json", "&".join(f"{k}={v}" for k, v in query.items())))

    assert found(event_name="checkout") == ["order_3", "order_1"]
    assert found(event_name="purchase") == ["order_1"]
    assert found(account="7") == ["order_3"]
    assert found(q="order") == ["order_3", "order_1"]
    assert found(q="ORDER_1") == ["order_1"]
    assert found(q="rid-42") == ["visit_2"]
    assert found(q="100%25") == ["order_3"]
    assert found(q="%25") == ["order_3"]
    assert found(q="_3") == ["order_3"]
    assert found(q="x") == []
    assert found(since=int(store.now - 4 * hour)) == ["order_3", "visit_2"]
    assert found(until=int(store.now - 2 * hour)) == ["visit_2", "order_1"]
    assert found(since=int(store.now - 4 * hour), until=int(store.now - 2 * hour)) == ["visit_2"]
    day = time.strftime("%Y-%m-%dT%H:%M", time.gmtime(store.now - 2 * hour))
    assert found(since=day) == ["order_3"]
    assert found(account="7", event_name="page_visit") == []
    assert found(state="", q="", event_name="", since="") == ["order_3", "visit_2", "order_1"]


def test_a_search_is_bounded_and_says_how_to_go_on(cgi, store):
    shop = store.destination()
    store.db.execute("BEGIN")
    store.event(shop, "order_needle", count=False, received=store.now - 90000)
    store.event(shop, "other", count=False, received=store.now - 90000, error="needle in a text")
    for i in range(30000):
        store.event(shop, f"e{i}", count=False, received=store.now - 80000 + i)
    store.db.execute("COMMIT")
    assert ids(cgi("/deliveries.json", "q=order_needle")) == ["order_needle"]
    first = cgi("/deliveries.json", "q=needle").json
    assert first["deliveries"] == [] and first["next"] > 2
    assert first["searched_back_to"] < store.now - 60000
    second = cgi("/deliveries.json", f"q=needle&before={first['next']}").json
    assert [d["event_id"] for d in second["deliveries"]] == ["other", "order_needle"]
    assert second["next"] is None
    assert "Look further back" in cgi("/", "q=needle").text
    early = cgi("/deliveries.json", f"until={int(store.now - 85000)}")
    assert ids(early) == ["other", "order_needle"]


@pytest.mark.parametrize("query", ["limit=abc", "limit=0", "limit=-1", "before=x", "before=1%20",
                                   "before=1234567890123456789012", "state=none",
                                   "state=DELIVERED", "since=yesterday", "until=2026-13-01",
                                   "since=2026-01-01T", "state=unknown"])
def test_a_parameter_that_makes_no_sense_is_refused_with_a_sentence(cgi, query):
    answer = cgi("/deliveries.json", query)
    assert answer.status == 400
    assert query.split("=")[0] in answer.json["error"]
    assert cgi("/", query).status == 400


def test_one_delivery_tells_every_attempt(cgi, store):
    shop = store.destination()
    attempts = [store.attempt(shop, 503, None, "not accepting traffic", started=store.now - 60),
                store.attempt(shop, 0, None, "no answer within 10 s", started=store.now - 40),
                store.attempt(shop, 200, "rid-7", started=store.now - 20, events=12)]
    event = store.event(shop, "order_1", attempt=attempts[2], retries=2)
    for attempt in attempts[:2]:
        store.insert("event_attempts", event=event, attempt=attempt)
    page = Page(cgi(f"/deliveries/{event}").text)
    rows = re.findall(r"(HTTP 503|no answer|HTTP 200)(?: |$)", page.text.split("Attempts")[1])
    assert rows[0] == "HTTP 503" and rows[-1] == "HTTP 200" and "no answer" in rows
    assert "rid-7" in page.text and "not accepting traffic" in page.text
    assert cgi("/deliveries/99").status == 404
    assert cgi("/deliveries/x").status == 404
    assert cgi("/deliveries/").status == 404


# --- coverage and status ---


def test_coverage_counts_keys_of_delivered_events(cgi, store):
    shop, other = store.destination(), store.destination("7")
    for i in range(3):
        store.event(shop, f"a{i}", "checkout", keys=("em", "click_id") if i else ("em",))
    store.event(other, "b", "page_visit", keys=("click_id",))
    store.event(shop, "c", "page_visit", state="suppressed", keys=())
    coverage = cgi("/coverage.json").json["coverage"]
    assert [(row["event_name"], row["events"]) for row in coverage] == [("checkout", 3),
                                                                        ("page_visit", 1)]
    assert set(coverage[0]["match_keys"]) == set(KEYS)
    assert coverage[0]["match_keys"]["em"] == {"count": 3, "percent": 100}
    assert coverage[0]["match_keys"]["click_id"] == {"count": 2, "percent": 66.7}
    assert coverage[0]["match_keys"]["ph"] == {"count": 0, "percent": 0}
    assert [row["event_name"] for row in cgi("/coverage.json", "account=7").json["coverage"]] == [
        "page_visit"]
    assert cgi("/coverage.json", f"until={int(store.now) - 86400}").json["coverage"] == []
    page = Page(cgi("/").text)
    assert "67 %" in page.text


def test_status_divides_what_waits_and_sums_the_day(cgi, store):
    shop = store.destination()
    held = store.destination("1", held="token refused: put a new one into x", test=1)
    store.event(shop, "q", state="queued", received=store.now - 300)
    store.event(shop, "r", state="retrying", retries=2)
    sending = store.event(shop, "s", state="queued", due=store.now + 9)
    place = (int((store.now + 9) * 1e6), sending)
    store.attempt(shop, finished=False, place=(place, place))
    store.event(held, "h", state="queued")
    store.event(shop, "d", received=store.now - 60)
    store.event(shop, "old", received=store.now - 25 * 3600)
    status = cgi("/status.json").json["status"]
    assert status["waiting"] == {"total": 4, "queued": 1, "sending": 1, "retrying": 1, "held": 1}
    assert status["oldest_waiting"] == int(store.now - 300)
    assert status["last_24h"]["delivered"] == 1
    first, second = status["accounts"]
    assert first["account"] == "549755885175" and first["held"] is None and not first["test"]
    assert first["wire"] == "v5" and first["api_url"] == "https://api.pinterest.com/v5"
    assert second["state"] == "held" and second["test"]
    assert second["held"] == {"reason": "token refused: put a new one into x",
                              "since": int(store.now)}


def test_a_rejected_event_whose_data_is_kept_does_not_wait(cgi, store):
    shop = store.destination()
    event = store.event(shop, "r", state="rejected")
    store.insert("outbox", event=event, destination=shop, due=(1 << 62) + 5, ready_at=0,
                 expires_at=0, flags=0, source=1, match_keys=0, payload="{}")
    status = cgi("/status.json").json["status"]
    assert status["waiting"]["total"] == 0 and status["oldest_waiting"] is None
    assert ids(cgi("/deliveries.json", "state=queued")) == []


def test_the_sender_is_alive_only_while_its_process_is(cgi, store, sender):
    store.note(sender_version="0.1.0", sender_started=int(store.now * 1e6), queue_size=67108864,
               queue_used=4096, queue_dropped_page=3, queue_dropped_conversion=0, broken_records=0)
    status = cgi("/status.json").json["status"]
    assert status["sender"]["alive"] and status["sender"]["pid"] == sender.pid
    assert status["sender"]["started"] == int(store.now)
    assert status["queue"]["dropped_page"] == 3
    assert "was full" in Page(cgi("/").text).text
    sender.send_signal(signal.SIGKILL)
    sender.wait()
    status = cgi("/status.json").json["status"]
    assert not status["sender"]["alive"] and status["verdict"]["state"] == "stopped"
    store.note(sender_pid=os.getpid())
    assert not cgi("/status.json").json["status"]["sender"]["alive"]


def test_the_verdict_is_the_first_reason_that_applies(cgi, store):
    def verdict():
        said = cgi("/status.json").json["status"]["verdict"]
        assert said["sentence"] in Page(cgi("/").text).text
        return said["state"], said["sentence"], said["advice"] or ""

    assert verdict()[:2] == ("nothing", "Nothing yet: no event has arrived")
    shop = store.destination()
    store.event(shop, "s", state="suppressed", keys=())
    assert verdict()[0] == "withheld"
    store.event(shop, "r", state="rejected")
    assert verdict()[0] == "rejecting"
    for i in range(1234):
        store.count(shop, "checkout", "delivered")
    assert verdict()[1] == ("Delivering: 1,234 events in 24 hours, 0% with a click id, "
                            "0% with an e-mail")
    store.note(sender_pid="")
    store.event(shop, "q", state="queued")
    assert verdict()[0] == "stopped"
    store.db.execute("UPDATE destinations SET held_since = 1, held_reason = 'the API does not"
                     " accept the token (status 401): put a valid one into ''/t'''")
    state, sentence, advice = verdict()
    assert state == "held"
    assert sentence == "Held: the API does not accept the token (status 401)"
    assert advice == "Put a valid one into '/t'. Nothing is lost: 1 event waits."


def test_metrics_are_openmetrics(cgi, store):
    shop = store.destination(account='a"b\\c\nd')
    store.event(shop, "q", state="queued")
    answer = cgi("/metrics")
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    lines = answer.text.splitlines()
    assert lines[-1] == "# EOF"
    sample = re.compile(r'[a-z_0-9]+(\{([a-z_]+="([^"\\\n]|\\["\\n])*",?)+\})? -?[0-9.]+$')
    family = ""
    for line in lines[:-1]:
        if line.startswith("# TYPE "):
            family = line.split()[2]
        if not line.startswith("#"):
            assert sample.match(line), line
            assert line.startswith(family)
    assert 'pinterest_capi_waiting{state="queued"} 1' in lines
    assert r'account="a\"b\\c\nd"' in answer.text


# --- hostile data ---


@pytest.mark.parametrize("evil", HOSTILE)
def test_hostile_values_are_inert_in_every_field(cgi, store, evil):
    shop = store.destination(account=evil, api_url=evil, held=evil)
    attempt = store.attempt(shop, 422, evil, evil)
    event = store.event(shop, evil, evil, name=evil + " ", state="rejected", signal=evil,
                        attempt=attempt, error=evil, warning=evil)
    store.event(shop, "d" + evil, evil, keys=("em",))
    store.count(shop, evil, "content:unknown")
    store.count(shop, evil, f"consent:{evil}:{evil}:{evil}")
    store.note(sender_version=evil, sender_pid=evil, queue_size=evil, complaint="event_name " + evil,
               complained_at=int(store.now * 1e6), catalogs=json.dumps([
                   {"file": evil, "ids": evil, "read_at": 1, "fault": evil, "accounts": [evil],
                    "seen": 50, "unknown": 40, "examples": [evil, 7]}]))
    for path, query in (("/", ""), (f"/deliveries/{event}", ""), ("/", "q=%3Cscript%3E%22%27"),
                        ("/", "event_name=%22%3E%3Cscript%3E&account=%27%22%3E%3Cb%3E"),
                        ("/%3Cscript%3E", "")):
        answer = cgi(path, query)
        assert_inert(answer.text)
    assert {"names", "feed", "catalog"} <= set(
        re.findall(r'data-trouble="(\w+)"', cgi("/").text))
    for path in ("/deliveries.json", "/coverage.json", "/status.json"):
        answer = cgi(path)
        assert answer.status == (503 if path == "/status.json" else 200)  # on hold
        assert answer.body.isascii() and answer.headers["X-Content-Type-Options"] == "nosniff"
    assert cgi("/deliveries.json").json["deliveries"][1]["event_id"] == evil
    assert cgi("/deliveries.json").json["deliveries"][1]["error"] == evil


def assert_inert(markup):
    ours = Page(markup)
    assert {tag for tag, _ in ours.tags} <= {
        "html", "head", "meta", "title", "link", "script", "body", "svg", "defs", "symbol", "path",
        "circle", "use", "a", "header", "div", "span", "p", "main", "section", "h1", "h2", "h3",
        "ul", "ol", "li", "strong", "article", "dl", "dt", "dd", "meter", "table", "thead", "tbody",
        "tr",
        "th", "td", "form", "label", "input", "select", "option", "button", "nav", "footer",
        "time",
        "code", "b", "g", "rect", "desc", "details", "summary"}
    assert len(ours.all("script")) == 1 and ours.all("script")[0]["src"].split("?")[0].endswith(
        "/script.js")
    for tag, attributes in ours.tags:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], tag
        for name in ("href", "src", "action"):
            assert re.match(r"(\.\./|\./|deliveries/|\?|#|data:,$)", attributes.get(name) or "./")
    assert not re.search("[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e"
                         "\u2060-\u2069\u061c\ufeff]", markup)


def test_what_is_no_utf8_is_shown_as_such(cgi, store):
    shop = store.destination()
    event = store.event(shop, "x")
    store.db.execute("UPDATE events SET event_id = CAST(? AS TEXT), error = CAST(? AS TEXT)",
                     (b"a\xff\xc0\xafb\xed\xa0\x80c", b"cut \xf0\x9f\x98"))
    assert ids(cgi("/deliveries.json")) == ["a\ufffd\ufffd\ufffdb\ufffd\ufffd\ufffdc"]
    assert "a\ufffd\ufffd\ufffdb" in cgi(f"/deliveries/{event}").text
    assert cgi("/").status == 200


def test_controls_and_direction_marks_are_visible(cgi, store):
    shop = store.destination()
    event = store.event(shop, "a\u202eb\x1bc\u2067d")
    assert "a[U+202E]b\N{SYMBOL FOR ESCAPE}c[U+2067]d" in cgi(f"/deliveries/{event}").text


# --- the page as a document ---


def test_the_page_works_under_any_mount(cgi, store):
    event = store.event(store.destination(), "x")
    for path, root in (("/", "./"), (f"/deliveries/{event}", "../"), ("/no/such/page", "../../")):
        for tag, attributes in Page(cgi(path).text).tags:
            for name in ("href", "src"):
                value = attributes.get(name, "")
                if tag in ("link", "script") and not value.startswith("data:"):
                    assert not value or value.startswith(root), (path, value)
                assert not value.startswith("/")


@pytest.mark.parametrize("uri, location", [("/pinterest-capi", "./pinterest-capi/"),
                                           ("/a/b%20c?q=1", "./b%20c/?q=1"), ("/x:y", "./x:y/")])
def test_without_its_slash_the_page_redirects_relatively(cgi, uri, location):
    answer = cgi("", uri.partition("?")[2], REQUEST_URI=uri)
    assert answer.status == 301
    # A blank or a colon in the last segment must not make it another address.
    assert answer.headers["Location"].replace("%3A", ":") == location


def test_assets_are_kept_for_ever_under_their_hash(cgi):
    page = Page(cgi("/").text)
    style = next(link["href"] for link in page.all("link") if link["rel"] == "stylesheet")
    script = page.all("script")[0]["src"]
    for address, kind in ((style, "text/css"), (script, "text/javascript")):
        path, query = address[1:].split("?")
        answer = cgi(path, query)
        assert answer.headers["Content-Type"].startswith(kind)
        assert "immutable" in answer.headers["Cache-Control"] and len(answer.body) > 1000
        assert "immutable" not in cgi(path, "v=0").headers["Cache-Control"]
    assert Cgi()("/style.css").status == 200


@pytest.mark.parametrize("path", ["/", "/deliveries.json", "/metrics", "/nothing", "/style.css"])
def test_every_answer_carries_the_policy(cgi, path):
    headers = cgi(path).headers
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'") and "unsafe" not in policy
    for part in ("frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"):
        assert part in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    if path != "/style.css":
        assert headers["Cache-Control"] == "no-store"


def test_the_page_can_be_used_without_eyes_or_mouse(cgi, store):
    store.event(store.destination(), "x", keys=KEYS)
    page = Page(cgi("/").text)
    assert page.all("html")[0]["lang"] == "en"
    assert all(header.get("scope") in ("row", "col") for header in page.all("th"))
    assert len(page.all("h1")) == 1 and len(page.all("main")) == 1
    names = [tag["id"] for _, tag in page.tags if "id" in tag]
    assert len(names) == len(set(names))
    for _, tag in page.tags:
        assert set((tag.get("aria-labelledby") or "").split()) <= set(names)
    fields = [tag for tag in page.all("input") + page.all("select") if tag.get("type") != "hidden"]
    assert len(fields) == len(page.all("label")) > 4


def test_the_form_remembers_what_was_asked(cgi, store):
    store.event(store.destination(), "x")
    page = Page(cgi("/", "q=a%22b&state=rejected&event_name=gone&limit=7").text)
    assert [f["value"] for f in page.all("input") if f["name"] == "q"] == ['a"b']
    assert {o["value"] for o in page.all("option") if "selected" in o} == {"rejected", "gone"}
    assert "No delivery matches" in page.text


def test_the_older_link_keeps_the_search(cgi, store):
    shop = store.destination()
    for i in range(6):
        store.event(shop, f"e&{i}")
    page = Page(cgi("/", "q=e%26&limit=5").text)
    (older,) = [a["href"] for a in page.all("a") if a.get("rel") == "next"]
    query = older.split("#")[0].removeprefix("./?")
    assert ids(cgi("/deliveries.json", query)) == ["e&0"]


# --- methods, access, trouble ---


def test_head_has_headers_only(cgi):
    full, head = cgi("/"), cgi("/", method="HEAD")
    assert head.status == 200 and head.body == b""
    assert int(full.headers["Content-Length"]) == len(full.body)
    assert head.headers["Content-Type"] == full.headers["Content-Type"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "get", ""])
def test_other_methods_are_refused(cgi, method):
    answer = cgi("/", method=method)
    assert answer.status == 405 and answer.headers["Allow"] == "GET, HEAD"


def test_the_body_of_a_refused_request_is_taken_off_httpds_hands(cgi):
    read, write = os.pipe()
    os.write(write, b"x" * 5000)
    try:
        assert cgi("/", method="POST", stdin=read, CONTENT_LENGTH="5000").status == 405
        os.set_blocking(read, False)
        with pytest.raises(BlockingIOError):
            os.read(read, 1)
    finally:
        os.close(read)
        os.close(write)


@pytest.mark.parametrize("path", ["", "/", "/deliveries.json", "/metrics", "/deliveries/1", "/x"])
def test_without_the_module_it_says_which_directive_is_missing(path):
    answer = Cgi()(path)
    assert answer.status == 403 and b"PinterestCapiAdmin" in answer.body


def test_a_store_that_is_not_there_is_a_sentence(tmp_path):
    missing = tmp_path / "none" / "store.db"
    for path in ("/", "/deliveries.json", "/coverage.json", "/status.json", "/metrics",
                 "/deliveries/1"):
        answer = Cgi(missing)(path)
        assert answer.status == 503 and len(answer.body) > 40
        assert "PCAPI200" in answer.log
    assert "error" in Cgi(missing)("/status.json").json
    assert not missing.exists() and not missing.parent.exists()


@pytest.mark.parametrize("damage", [b"", b"this is no database" * 100])
def test_a_file_that_is_no_store_is_a_sentence(tmp_path, damage):
    path = tmp_path / "store.db"
    path.write_bytes(damage)
    answer = Cgi(path)("/")
    assert answer.status == 503 and "PCAPI20" in answer.log
    assert path.read_bytes() == damage


def test_a_store_damaged_in_the_middle_is_a_sentence(tmp_path):
    store = Store(tmp_path / "store.db", wal=False)
    shop = store.destination()
    store.db.execute("BEGIN")
    for i in range(2000):
        store.event(shop, f"e{i}")
    store.db.execute("COMMIT")
    store.close()
    whole = store.path.read_bytes()
    for at in range(4096, len(whole) - 4096, 4096 * 9):
        store.path.write_bytes(whole[:at] + b"\xa5" * 4096 + whole[at + 4096:])
        assert Cgi(store.path)("/").status in (200, 503)
    store.path.write_bytes(whole[:4096] + b"\xa5" * (len(whole) - 4096))
    assert Cgi(store.path)("/").status == 503


def test_a_locked_store_is_a_sentence(tmp_path):
    store = Store(tmp_path / "store.db")
    store.db.execute("PRAGMA locking_mode=EXCLUSIVE")
    store.event(store.destination(), "x")
    answer = Cgi(store.path)("/")
    assert answer.status == 503 and "Retry-After" in answer.headers
    store.close()
    assert Cgi(store.path)("/").status == 200


def test_it_reads_beside_a_writer(cgi, store):
    shop = store.destination()
    store.event(shop, "before")
    store.db.execute("BEGIN IMMEDIATE")
    store.event(shop, "not yet")
    assert ids(cgi("/deliveries.json")) == ["before"]
    store.db.execute("COMMIT")
    assert ids(cgi("/deliveries.json")) == ["not yet", "before"]


def test_a_store_of_another_version_is_a_sentence(cgi, store):
    store.db.execute("UPDATE meta SET value = '9999'")
    assert cgi("/").status == 503


@pytest.mark.parametrize("value", ["sqlite3", "nodriver x", "sqlite3 ", " "])
def test_a_store_variable_that_is_wrong_is_a_sentence(value):
    assert Cgi()("/", PINTEREST_CAPI_STORE=value).status in (403, 503)


def test_the_store_is_not_written(tmp_path):
    store = Store(tmp_path / "store.db")
    store.event(store.destination(), "x")
    store.close()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for path in ("/", "/deliveries.json", "/status.json", "/metrics"):
        assert Cgi(store.path)(path).status == 200
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_garbage_requests_get_an_answer(cgi):
    for path in ("//", "/../../etc/passwd", "/" + "a" * 8000, "/deliveries/-1",
                 "/deliveries/18446744073709551616", "/deliveries/1/2", "/\xff", "x", "/%"):
        assert cgi(path).status == 404
    for query in ("&&&", "=", "q", "q=%", "q=%zz", "q=%00", "q=" + "x" * 8000, "limit=5&limit=x",
                  "q=%ff%fe", "event_name=%e2%80%ae"):
        assert cgi("/deliveries.json", query).status == 200, query
        assert_inert(cgi("/", query).text)
