"""Each trouble of the admin page, provoked for real: httpd takes the traffic, the sender sends it,
the stand-in API answers, and the page says what is wrong and how to mend it. Mended, it says so no
more."""

import html
import json
import os
import re
import signal
import time
import uuid

import pytest

from server import ACCOUNT, BUILD, EPIK, wait_for

ADMIN = "/pinterest-capi/"
BACKEND = f"/v5/ad_accounts/{ACCOUNT}/events"
EM = ["836f82db99121b3481011f16b49dfa5fbc714a0d1b1b9f784a1ebbbf5b39577f"]
PERSON = {"em": EM, "click_id": EPIK, "client_ip_address": "203.0.113.9",
          "client_user_agent": "Mozilla/5.0"}
TROUBLE = re.compile(r'data-trouble="(\w+)".*?<h3>(.*?)</h3><p class="cause">(.*?)</p>'
                     r"<p><strong>Mend:</strong> (.*?)</p>", re.S)
CONF = f"""
ScriptAlias {ADMIN[:-1]} {BUILD}/pinterest-capi.cgi
<Directory {BUILD}>
  Require all granted
</Directory>
<Location {ADMIN[:-1]}>
  PinterestCapi Off
  PinterestCapiAdmin On
</Location>
PinterestCapiMergeWindow 0
PinterestCapiFlush 1000 0
<Location "/v5/ad_accounts">
  SetHandler pinterest-capi-events
</Location>
<Location "/told">
  PinterestCapiEvent none
  Header always set Pinterest-Capi-Event '{{"event_name":"lead"}}'
</Location>
<Location "/told/nameless">
  Header always set Pinterest-Capi-Event '{{"event_name":"purchase"}}'
</Location>
<Location "/told/wrong">
  Header always set Pinterest-Capi-Event '{{"event_name":"chekout"}}'
</Location>
"""


class Shop:
    def __init__(self, httpd, api):
        self.httpd, self.api, self.orders = httpd, api, 0

    def say(self, count=1, fresh=None, **fields):
        """Purchases that the backend reports, each of its own order."""
        events = []
        for _ in range(count):
            self.orders += 1
            event = {"event_name": "checkout", "action_source": "web", "user_data": PERSON,
                     "event_id": f"ord_{self.orders}_purchase", **fields}
            events.append({**event, **(fresh() if fresh else {})})
        answer = self.httpd.post(BACKEND, {"data": events}, agent="shop/1")
        assert answer.status == 200, answer.text

    def visit(self, count, path="/", **options):
        for _ in range(count):
            assert self.httpd.get(path, **options).status in (200, 404)

    def troubles(self):
        page = self.httpd.get(ADMIN, address=None)
        assert page.status == 200, page.text
        return {name: tuple(html.unescape(re.sub(r"<[^>]+>", "", text)) for text in texts)
                for name, *texts in TROUBLE.findall(page.text)}

    def appears(self, name, in_cause, in_mend):
        wait_for(lambda: name in self.troubles(), f"the trouble {name}", 20)
        title, cause, mend = self.troubles()[name]
        assert in_cause in title + cause and in_mend in mend, (title, cause, mend)

    def disappears(self, name):
        wait_for(lambda: name not in self.troubles(), f"the end of the trouble {name}", 30)


@pytest.fixture
def make_shop(make_httpd, api):
    def make(conf="", **options):
        httpd = make_httpd(mpm="prefork", extra_modules=["cgi"], api=api, conf=CONF + conf,
                           **options)
        httpd.expect(r"pinterest_capi:(warn|error)")
        if options.get("start", True):
            httpd.wait_log("PCAPI100")
        return Shop(httpd, api)

    return make


# --- what the API says of all events ---


def test_a_token_that_is_refused(make_shop, api):
    shop = make_shop()
    api.tokens = ["renewed"]
    shop.say()
    shop.appears("token", "status 401", "PinterestCapiTokenFile")
    shop.httpd.token_file.write_text("renewed\n")
    shop.httpd.graceful()
    shop.disappears("token")
    assert len(api.wait()) == 1


@pytest.mark.parametrize("status", [403, 404])
def test_a_token_of_another_account(make_shop, api, status):
    shop = make_shop()
    api.behave({"status": status, "code": 29, "message": "not permitted", "times": None})
    shop.say()
    shop.appears("account", f"status {status}", "PinterestCapiAdAccount")
    api.behave()
    shop.httpd.graceful()
    shop.disappears("account")


@pytest.mark.parametrize("status, name, words", [(429, "rate", "status 429"),
                                                 (503, "api", "status 503")])
def test_an_api_that_is_slow_or_down(make_shop, api, status, name, words):
    shop = make_shop()
    api.behave({"status": status, "retry_after": 2, "times": 2})
    shop.say()
    shop.appears(name, words, "")
    shop.disappears(name)
    assert len(api.wait()) == 1


REASONS = {"time": ("Given timestamp is in the past.", "Unix seconds"),
           "user_data": ("user_data.em is not a sha256 hash", "Pinterest-Capi-Match"),
           "custom_data": ("currency EURO is no ISO code", "EUR"),
           "rejected": ("Additional properties are not allowed", "rejected delivery")}


@pytest.mark.parametrize("status", [200, 422])
def test_an_event_that_is_rejected(make_shop, api, status):
    shop = make_shop()
    for name, (reason, mend) in REASONS.items():
        results = {"num_events_received": 1, "num_events_processed": 0, "events": [
            {"status": "failed", "error_message": reason, "warning_message": ""}]}
        body = results if status == 200 else {"code": 953, "message": "no", "details": results}
        api.behave({"status": status, "body": {"text": json.dumps(body)}, "processed": False})
        shop.say()
        shop.appears(name, reason, mend)
        shop.say(50)
        shop.disappears(name)


def test_an_event_that_spoils_its_batch(make_shop, api):
    shop = make_shop()
    api.behave({"status": 400, "message": "Invalid request: 'EURO' is no currency",
                "match": "^bad$", "times": None})
    ids = iter(["good", "better", "bad", "best"])
    shop.say(4, lambda: {"event_id": next(ids)})
    shop.appears("custom_data", "Invalid request: 'EURO'", "ISO code")
    shop.say(50)
    shop.disappears("custom_data")


def test_an_api_that_refuses_everything(make_shop, api):
    shop = make_shop()
    api.behave({"status": 400, "message": "Invalid request: data", "times": None})
    shop.say(3)
    shop.appears("refused", "status 400", "attempts")
    api.behave()
    shop.disappears("refused")
    assert len(api.wait(3)) == 3


def test_an_api_that_cannot_be_reached(make_shop, api):
    shop = make_shop()
    api.stop()
    shop.say()
    shop.appears("api", "", "firewall")
    api.start()
    shop.disappears("api")
    assert len(api.wait()) == 1


# --- what the events say ---


def test_purchases_that_nobody_can_be_tied_to(make_shop):
    shop = make_shop()
    nobody = {"client_ip_address": "203.0.113.9", "client_user_agent": "Mozilla/5.0"}
    shop.say(30, user_data=nobody)
    shop.appears("click_id", "not one has a click id", "epik")
    shop.appears("match", "e-mail or phone", "Pinterest-Capi-Match")
    shop.say(50)
    shop.disappears("click_id")
    shop.disappears("match")


def test_events_that_come_hours_later_or_from_the_future(make_shop):
    shop = make_shop()
    shop.say(30, event_time=int(time.time()) - 7200)
    shop.appears("offline", "offline", "when they happen")
    shop.say(1, event_time=int(time.time()) + 3600)
    shop.appears("clock", "future", "NTP")
    shop.say(50)
    shop.disappears("offline")
    shop.disappears("clock")


def test_custom_data_that_makes_no_sense(make_shop, api):
    shop = make_shop()
    shop.say(5, custom_data={"value": "about 5", "currency": "EURO", "content_ids": ["A"]})
    shop.appears("custom_data", "currency: not a currency", "ISO code")
    assert all("currency" not in event["custom_data"] for event in api.wait(5))
    shop.say(50)
    shop.disappears("custom_data")


def test_one_event_that_is_reported_again_and_again(make_shop):
    shop = make_shop()
    for _ in range(25):
        shop.say(event_id="cart_1_add")
    shop.appears("duplicates", "same id", "too little")
    shop.say(100)
    shop.disappears("duplicates")


def test_ids_that_are_made_anew_with_every_page(make_shop):
    shop = make_shop()
    shop.say(15, lambda: {"event_id": str(uuid.uuid4())})
    shop.appears("minted", "such as", "ord_10492_purchase")
    shop.say(50)
    shop.disappears("minted")


def test_purchases_that_have_no_id_of_their_own(make_shop):
    shop = make_shop()
    shop.visit(15, "/told/nameless")
    shop.appears("event_id", "not the one of the Pinterest Tag", "for each order")
    shop.say(50)
    shop.disappears("event_id")


# --- what the shop says, who comes, and by which way ---


def test_names_that_nobody_knows(make_shop):
    shop = make_shop('PinterestCapiMatch ph "%{query:phone}"\nPinterestCapiEvent page_visit\n')
    shop.visit(1, "/?phone=typing+error")
    shop.httpd.wait_log("PCAPI020")
    assert "said" not in shop.troubles()
    shop.visit(1, "/told/wrong")
    shop.appears("names", "did you mean 'checkout'", "PinterestCapiEventName")
    shop.visit(50, "/told")
    shop.disappears("names")


def test_a_proxy_that_nobody_asks_who_the_visitor_is(make_shop):
    shop = make_shop("PinterestCapiEvent page_visit\nRemoteIPHeader X-Real-IP\n")
    shop.visit(110)
    shop.appears("address", "X-Forwarded-For", "RemoteIPInternalProxy")
    shop.appears("incomplete", "client_ip_address", "mod_remoteip")
    shop.httpd.conf = CONF + "PinterestCapiEvent page_visit\n"
    shop.httpd.graceful()
    shop.visit(120)
    shop.disappears("address")
    shop.disappears("incomplete")
    shop.disappears("sender")


def test_crawlers_that_are_kept(make_shop):
    shop = make_shop("PinterestCapiEvent page_visit\nPinterestCapiBots keep\n")
    shop.visit(110, agent="Mozilla/5.0 (compatible; Googlebot/2.1)")
    shop.appears("bots", "crawlers", "PinterestCapiBots drop")
    shop.httpd.conf = CONF + "PinterestCapiEvent page_visit\n"
    shop.httpd.graceful()
    shop.disappears("bots")


def test_consent_that_no_signal_ever_grants(make_shop):
    shop = make_shop("PinterestCapiEvent page_visit\nPinterestCapiConsentDefault denied\n")
    shop.visit(25)
    shop.appears("consent", "never granted", "PinterestCapiConsentSignal")
    shop.httpd.conf += "PinterestCapiConsentSignal cookie said yes\n"
    shop.httpd.graceful()
    shop.visit(1, headers={"Cookie": "said=yes"})
    shop.disappears("consent")


def test_a_queue_that_is_too_small(make_shop):
    shop = make_shop("PinterestCapiEvent page_visit\n", queue_size=262144)
    (sender,) = wait_for(shop.httpd.senders, "a sender")
    os.kill(sender, signal.SIGSTOP)
    shop.visit(260, headers={"Referer": "http://localhost/?" + "x" * 900})
    os.kill(sender, signal.SIGCONT)
    shop.appears("queue", "no room", "PinterestCapiQueueSize")
    shop.httpd.queue_size = 1048576
    shop.httpd.restart()
    shop.disappears("queue")


def test_a_sender_that_does_not_stay(make_shop):
    shop = make_shop(start=False)
    program, broken = shop.httpd.root / "sender", shop.httpd.root / "broken"
    program.write_text(f"#!/bin/sh\n[ ! -e {broken} ] && exec {BUILD}/pinterest-capi-sender\nexit 1\n")
    program.chmod(0o755)
    shop.httpd.conf += f"PinterestCapiSender {program}\n"
    shop.httpd.start().wait_log("PCAPI100")
    shop.say()
    broken.touch()
    for pid in shop.httpd.senders():
        os.kill(pid, signal.SIGKILL)
    shop.appears("sender", "not running", "error_log")
    broken.unlink()
    shop.disappears("sender")
    shop.say()
    shop.api.wait(2)


# --- the catalogue ---


def test_products_that_the_catalogue_does_not_know(make_shop):
    shop = make_shop(start=False)
    feed = shop.httpd.docs / "feed.tsv"
    feed.write_text("id\ttitle\nCAP\tCap\n")
    shop.httpd.conf += f"PinterestCapiCatalog {feed}\n"
    shop.httpd.start().wait_log("lists 1 ids")
    shop.say(30, custom_data={"content_ids": ["cap-17"]})
    shop.appears("catalog", "cap-17", "exactly")
    feed.write_text("<rss><channel><item><id>cap-17</id></item>")
    shop.appears("feed", "no element found", "PinterestCapiCatalog")
    feed.write_text("id,title\ncap-17,\"A cap, blue\"\nCAP,Cap\n")
    shop.disappears("feed")
    shop.disappears("catalog")
    feed.unlink()
    shop.appears("feed", "not there", "PinterestCapiCatalog")
    feed.write_text("id,title\ncap-17,\"A cap, blue and large\"\nCAP,Cap\n")
    shop.disappears("feed")
    shop.say(30, custom_data={"content_ids": ["cap-17"]})
    feed.unlink()
    os.mkfifo(feed)
    shop.appears("feed", "no regular file", "user read it")
    shop.say(1)
    shop.api.wait(61)
    feed.unlink()
    counted = ("SELECT what, SUM(n) AS n FROM counters WHERE what LIKE 'content:%' AND hour > 0"
               " GROUP BY what ORDER BY what")
    wait_for(lambda: shop.httpd.sql(counted) == [{"what": "content:known", "n": 30},
                                                 {"what": "content:unknown", "n": 30}],
             "the ids to be counted")
    assert "catalog" not in shop.troubles()
