"""What becomes of a request: rules, expressions, PHP's headers, the cookie, the sections that count.
Nobody listens where the events go: these tests look at what the sender was given."""

import itertools
import json
import re

import pytest

from server import BROWSER, EPIK, HAS_PHP_MODULE, PHP_FPM, SENTINEL, SHOPPER, Httpd, wait_for

CONF = SENTINEL + r"""
<Location "/server-status">
  PinterestCapi Off
  SetHandler server-status
</Location>
<Location "/page">
  PinterestCapiEvent page_visit
  PinterestCapiEvent page_view
  PinterestCapiEvent page_visit content_name=again
  PinterestCapiEvent view_category "when=%{REQUEST_URI} =~ m#^/page/c/([^/]+)/(.*)#" content_category=$1 content_name=$2
  PinterestCapiEvent search "search_string=%{query:s}" "when=%{query:s} != ''"
  PinterestCapiEvent lead event_id=l_%{query:l} "when=%{query:l} != ''"
</Location>
<Location "/values">
  PinterestCapiEvent add_to_cart "event_id=a_%{query:id}_%{cookie:c}" value=%{query:v} currency=%{query:cur} \
    "content_ids=%{query:ids}" "num_items=%{query:n}" "contents=%{query:contents}" \
    "content_brand=<%{query:b}>" "order_id=%{query:o}" "context=%{query:ctx}" \
    "event_source_url=%{query:url}"
</Location>
<Location "/ajax">
  PinterestCapiEvent lead event_id=%{query:id}
  PinterestCapiEvent page_visit
</Location>
<Location "/unnamed">
  PinterestCapiEvent lead
  PinterestCapiEvent lead content_name=second
  PinterestCapiEvent signup
  PinterestCapiEvent page_visit
</Location>
<Location "/unlisted">
  PinterestCapiUrlParameters none
  PinterestCapiEvent lead event_id=%{query:id}
</Location>
<Location "/listed">
  PinterestCapiUrlParameters id
  PinterestCapiEvent lead event_id=%{query:id}
</Location>
<Location "/off">
  PinterestCapi Off
  PinterestCapiEvent lead event_id=%{query:id}
</Location>
<Location "/moved">
  Redirect 302 /elsewhere
  PinterestCapiEvent lead event_id=%{query:id}
  PinterestCapiEvent add_to_cart event_id=%{query:id}
</Location>
<Location "/status">
  PinterestCapiEvent lead "event_id=%{query:id}_%{REQUEST_STATUS}" "when=%{REQUEST_STATUS} -ge 200"
</Location>
<Location "/outer">
  PinterestCapiEvent lead event_id=%{query:id}
  PinterestCapiEvent signup event_id=%{query:id}
  PinterestCapiConsentDefault denied
</Location>
<Location "/outer/none">
  PinterestCapiEvent none
  PinterestCapiEvent contact event_id=%{query:id}
</Location>
<Location "/outer/more">
  PinterestCapiEvent lead event_id=%{query:id}
  PinterestCapiEvent contact event_id=%{query:id}
  PinterestCapiConsentDefault granted
</Location>
<If "%{query:if} == 'yes'">
  PinterestCapiEvent subscribe event_id=%{query:id}
</If>
Header set X-Query "%{PINTEREST_CONSENT}e" "expr=%{query:x} == 'a b'"
"""
SAY = """<?php
foreach (json_decode($_POST['headers'] ?? '[]') as $line) { header($line, false); }
if (isset($_POST['session'])) { session_id($_POST['session']); session_start(); }
if (isset($_POST['status'])) { http_response_code((int)$_POST['status']); }
echo $_SERVER['PINTEREST_EVENT_ID'] ?? 'none';
"""


@pytest.fixture(scope="module", params=["event-fpm", "prefork-mod"])
def httpd(request):
    mpm, kind = request.param.split("-")
    if not (PHP_FPM if kind == "fpm" else HAS_PHP_MODULE):
        pytest.skip("PHP is not installed in this form")
    server = Httpd(mpm=mpm, php=kind, conf=CONF)
    server.expect(r"PCAPI1\d\d", r"PCAPI020", r"AH10244")
    for name in ("page/index.html", "page/c/hats/index.html", "values/index.html",
                 "unnamed/index.html", "off/index.html", "ajax/index.html",
                 "unlisted/index.html", "listed/index.html", "status/index.html",
                 "outer/index.html", "outer/none/index.html", "outer/more/index.html"):
        server.write(name, "<!doctype html><p>" + name)
    server.write("page/data.txt", "text")
    server.write("say.php", SAY)
    try:
        yield server.start()
        server.stop()
        assert server.unexpected_lines() == []
    finally:
        server.close()


numbers = itertools.count(1)


def seen(httpd, *request, **options):
    return httpd.recorded(*request, **options)


def names(rows):
    return [row["sent_as"] for row in rows]


def say(httpd, *lines, path="/say.php", headers=None, **fields):
    from urllib.parse import urlencode
    body = urlencode({"headers": json.dumps(lines), **fields})
    return seen(httpd, "POST", path, {"Content-Type": "application/x-www-form-urlencoded",
                                      **(headers or {})}, body)


def said(event):
    return "Pinterest-Capi-Event: " + (event if isinstance(event, str) else json.dumps(event))


# --- when a rule fires ---

def test_a_document_is_one_page_visit(httpd):
    assert names(seen(httpd, path="/page/")[1]) == ["page_visit"]


@pytest.mark.parametrize("headers, count", [
    ({"Sec-Fetch-Dest": "document"}, 1), ({"Sec-Fetch-Dest": "iframe"}, 0),
    ({"Sec-Fetch-Dest": "empty"}, 0), ({"Sec-Purpose": "prefetch"}, 1),
    ({"Sec-Purpose": "prefetch;prerender"}, 0),
    ({"User-Agent": "Googlebot/2.1 (+http://www.google.com/bot.html)"}, 0),
    ({"User-Agent": "curl/8.0"}, 0), ({"User-Agent": None}, 0),
    ({"X-Forwarded-For": None, "User-Agent": "shop-cron"}, 0)])
def test_page_visits_are_of_people_who_went_to_a_page(httpd, headers, count):
    assert len(seen(httpd, path="/page/", headers=headers)[1]) == count


@pytest.mark.parametrize("method, path", [("HEAD", "/page/"), ("POST", "/page/"),
                                          ("GET", "/page/data.txt"), ("GET", "/page/missing")])
def test_no_page_visit_of_what_is_no_page(httpd, method, path):
    assert seen(httpd, method, path, body="" if method == "POST" else None)[1] == []


@pytest.mark.parametrize("accept, count", [("text/html", 1), ("*/*", 0), ("image/png", 0)])
def test_a_304_counts_where_a_page_was_asked_for(httpd, accept, count):
    etag = seen(httpd, path="/page/")[0].getheader("ETag")
    response, rows = seen(httpd, path="/page/", headers={"If-None-Match": etag, "Accept": accept})
    assert response.status == 304
    assert len(rows) == count


@pytest.mark.parametrize("method, fired", [("GET", ["add_to_cart"]),
                                           ("POST", ["lead", "add_to_cart"])])
def test_redirects_fire_only_what_ends_in_one(httpd, method, fired):
    response, rows = seen(httpd, method, f"/moved?id=m{method}",
                          body="" if method == "POST" else None)
    assert response.status == 302
    assert names(rows) == fired


def test_status_is_the_final_answers(httpd):
    assert [r["event_id"] for r in seen(httpd, path="/status/?id=st1")[1]] == ["st1_200"]
    assert seen(httpd, path="/status/missing?id=st2")[1] == []


def test_off_makes_nothing_and_sets_nothing(httpd):
    response, rows = seen(httpd, path=f"/off/?id=off1&epik={EPIK}")
    assert rows == [] and response.getheader("Set-Cookie") is None


# --- values ---

def value_event(httpd, query, cookie="c=1"):
    _, rows = seen(httpd, path="/values/?" + query, headers={"Cookie": cookie})
    return rows


def test_values_become_what_their_keys_are(httpd):
    (row,) = value_event(httpd, "id=1&v=10.5&cur=eur&ids=A%201,,B&n=2,1.00&b=x%26y"
                                "&contents=A;2;4.50,B;1.0000,C,%20D%20;%20x%20;%201")
    assert row["event_id"] == "a_1_1"
    custom = row["body"]["custom_data"]
    assert custom["value"] == "10.50" and custom["currency"] == "EUR"
    assert custom["content_ids"] == ["A 1", "B"] and custom["num_items"] == 3
    assert custom["content_brand"] == "<x&y>"
    assert custom["contents"] == [{"id": "A", "quantity": 2, "item_price": "4.50"},
                                  {"id": "B", "quantity": 1}, {"id": "C"},
                                  {"id": "D", "item_price": "1.00"}]


def test_an_empty_value_leaves_its_key_out_and_an_empty_id_makes_no_event(httpd):
    (row,) = value_event(httpd, "id=2&v=&n=x")
    custom = row["body"].get("custom_data", {})
    assert "value" not in custom and "num_items" not in custom
    assert custom["content_brand"] == "<>"
    assert value_event(httpd, "id=") == []
    assert value_event(httpd, "id=3", cookie="other=1") == []


def test_a_page_that_a_rule_names_is_cut(httpd):
    (row,) = value_event(httpd, "id=url1&url=https://u:p@shop.example/x%3Fpage%3D2%26email%3Da%23f")
    assert row["body"]["event_source_url"] == "https://shop.example/x?page=2"


def test_groups_of_when_are_values(httpd):
    _, rows = seen(httpd, path="/page/c/hats/")
    (row,) = [r for r in rows if r["sent_as"] == "view_category"]
    assert row["body"]["custom_data"]["content_category"] == "hats"
    assert "content_name" not in row["body"]["custom_data"]


def test_search_reads_the_decoded_query(httpd):
    _, rows = seen(httpd, path="/page/?s=rote+H%C3%BCte")
    (row,) = [r for r in rows if r["sent_as"] == "search"]
    assert row["body"]["custom_data"]["search_string"] == "rote Hüte"


def test_text_that_is_no_utf8_is_left_out(httpd):
    (row,) = value_event(httpd, "id=utf&ids=%ff%fe,ok&b=%ff")
    custom = row["body"]["custom_data"]
    assert custom["content_ids"] == ["ok"] and "content_brand" not in custom


def test_functions_work_in_expressions_of_other_modules(httpd):
    assert seen(httpd, path="/page/?x=a+b")[0].getheader("X-Query") == "granted"
    assert seen(httpd, path="/page/?x=a")[0].getheader("X-Query") is None


def test_events_without_an_id_have_the_pages_id_and_their_name(httpd):
    _, rows = seen(httpd, path="/unnamed/")
    (page,) = [r["event_id"] for r in rows if r["sent_as"] == "page_visit"]
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", page)
    assert sorted(r["event_id"] for r in rows) == [page, f"{page}-lead", f"{page}-lead-2",
                                                  f"{page}-signup"]
    assert all(not r["is_named"] for r in rows)


# --- sections ---

@pytest.mark.parametrize("path, expected", [
    ("/outer/", ["lead", "signup"]), ("/outer/none/", ["contact"]),
    ("/outer/more/", ["contact", "lead", "signup"])])
def test_lists_add_up_each_once_and_none_empties(httpd, path, expected):
    _, rows = seen(httpd, path=f"{path}?id=o{next(numbers)}")
    assert sorted(names(rows)) == expected
    assert {r["consent"] for r in rows} == ({1} if "more" in path else {2})


def test_an_if_section_counts(httpd):
    assert names(seen(httpd, path="/?if=yes&id=if1")[1]) == ["subscribe"]
    assert seen(httpd, path="/?if=no&id=if2")[1] == []


# --- the page's URL ---

@pytest.mark.parametrize("path, kept", [
    ("/ajax/?id=u1&utm_source=p&email=a@b.example&page=3", "/ajax/?id=u1&utm_source=p&page=3"),
    ("/unlisted/?id=u2&page=3", "/unlisted/"), ("/listed/?id=u3&page=3", "/listed/?id=u3")])
def test_the_pages_url_keeps_what_it_may(httpd, path, kept):
    _, rows = seen(httpd, path=path)
    assert {r["body"]["event_source_url"] for r in rows} == \
        {f"http://127.0.0.1:{httpd.port}{kept}"}


@pytest.mark.parametrize("referer, expected", [
    ("http://127.0.0.1:{port}/product?id=7&email=x#top", "http://127.0.0.1:{port}/product?id=7"),
    ("http://evil.example/product", "http://127.0.0.1:{port}/ajax/?id=aj2")])
def test_an_ajax_event_is_of_the_page_that_called(httpd, referer, expected):
    _, rows = seen(httpd, path="/ajax/?id=aj" + ("1" if "evil" not in referer else "2"),
                   headers={"Sec-Fetch-Dest": "empty", "Referer": referer.format(port=httpd.port)})
    (row,) = rows
    assert row["body"]["event_source_url"] == expected.format(port=httpd.port)


# --- the client ---

def test_the_client_is_the_visitors(httpd):
    (row,) = seen(httpd, path=f"/ajax/?id=cl1&epik={EPIK}", headers={"Sec-Fetch-Dest": "empty"})[1]
    user = row["body"]["user_data"]
    assert user["click_id"] == EPIK
    assert user["client_ip_address"] == SHOPPER and user["client_user_agent"] == BROWSER


@pytest.mark.parametrize("headers", [{"X-Forwarded-For": "10.1.2.3"},
                                     {"CF-Connecting-IP": "198.51.100.9"}])
def test_an_address_that_is_not_the_visitors_is_not_sent(httpd, headers):
    path = f"/ajax/?id=ad{next(numbers)}"
    (row,) = seen(httpd, path=path, headers={"Sec-Fetch-Dest": "empty", **headers})[1]
    assert "client_ip_address" not in row["body"]["user_data"]


@pytest.mark.parametrize("query, cookie, expected", [
    ("EPIK=abc-_1", None, "abc-_1"), ("epik=%61", None, None), ("epik=a.b", "_epik=old", "old"),
    ("epik=new", "_epik=old", "new"), ("", "_epik=old", "old"), ("xepik=1", None, None),
    ("epik=" + "x" * 513, None, None), ("epik=a&epik=b", None, "a")])
def test_click_ids(httpd, query, cookie, expected):
    headers = {"Sec-Fetch-Dest": "empty", **({"Cookie": cookie} if cookie else {})}
    (row,) = seen(httpd, path=f"/ajax/?id=ck{next(numbers)}&{query}", headers=headers)[1]
    assert row["body"]["user_data"].get("click_id") == expected


# --- the cookie ---

def epik_cookies(response):
    return [v for k, v in response.getheaders() if k.lower() == "set-cookie"
            and v.startswith("_epik=")]


def test_the_cookie_is_set_on_redirects_and_errors_once(httpd):
    for path in ("/moved?id=&", "/page/missing?", "/page?", "/page/?"):
        response, _ = seen(httpd, path=f"{path}epik={EPIK}")
        assert len(epik_cookies(response)) == 1, path
        assert "private" in response.getheader("Cache-Control"), path


@pytest.mark.parametrize("control, expected", [
    ("public, max-age=60, s-maxage=5", "max-age=60, private"), ("no-store", "no-store"),
    ("Private, max-age=1", "Private, max-age=1"), ("no-cache=\"a, public\"",
                                                   "no-cache=\"a, public\", private")])
def test_cache_control_becomes_private_and_else_stays(httpd, control, expected):
    response, _ = say(httpd, f"Cache-Control: {control}", path=f"/say.php?epik={EPIK}")
    assert len(epik_cookies(response)) == 1
    assert response.getheader("Cache-Control") == expected


def test_the_shops_own_epik_cookie_stands(httpd):
    response, _ = say(httpd, "Set-Cookie: _epik=own; path=/", path=f"/say.php?epik={EPIK}")
    assert epik_cookies(response) == ["_epik=own; path=/"]


def test_a_referers_click_id_is_set_until_the_browser_has_it(httpd):
    headers = {"Referer": f"http://127.0.0.1:{httpd.port}/?epik={EPIK}"}
    assert len(epik_cookies(seen(httpd, path="/page/data.txt", headers=headers)[0])) == 1
    headers["Cookie"] = f"_epik={EPIK}"
    assert epik_cookies(seen(httpd, path="/page/data.txt", headers=headers)[0]) == []


def test_no_cookie_without_a_grant(httpd):
    assert epik_cookies(seen(httpd, path=f"/outer/?id=&epik={EPIK}")[0]) == []
    response, _ = say(httpd, "Pinterest-Capi-Consent: denied", path=f"/say.php?epik={EPIK}")
    assert epik_cookies(response) == []


# --- what PHP says ---

def test_events_of_headers_carry_the_visitor(httpd):
    response, rows = say(httpd, said({"event_name": "signup", "event_id": "h1"}),
                         'Pinterest-Capi-Match: {"email": "Jane@Example.com"}',
                         'Pinterest-Capi-Match: {"first_name": "Jane", "country": "223"}',
                         path=f"/say.php?epik={EPIK}")
    (row,) = rows
    user = row["body"]["user_data"]
    assert len(user["em"][0]) == 64 and len(user["fn"][0]) == 64 and "country" not in user
    assert user["client_ip_address"] == SHOPPER and user["click_id"] == EPIK
    assert not [k for k, _ in response.getheaders() if k.lower().startswith("pinterest")]


@pytest.mark.parametrize("value, ids", [
    ('{"event_name":"lead","event_id":"m1"}, {"event_name":"lead","event_id":"m2"}', ["m1", "m2"]),
    ('[{"event_name":"lead","event_id":"m3"}],{"event_name":"lead","event_id":"m4"} , ',
     ["m3", "m4"]),
    ('[]', []), ('{"event_name":"lead","event_id":"m5"} nonsense', ["m5"]), ('"text"', []),
    ('7', []), ('', []), ('[1, {"event_name":"lead","event_id":"m6"}]', ["m6"]),
    ('~1/1 eyJldmVudF9uYW1lIjoibGVhZCIsImV2ZW50X2lkIjoibTcifQ', ["m7"]),
    ('~2/2 b3VyIjoxfQ', []), ('~1/2', []), ('~0/0 x', []), ('~1/99999 x', []), ('~', []),
    ('~1/1 %%%', []), ('~1/2 eyJldmVudF9uYW1lIjoibGVhZCIs, ~2/2 ImV2ZW50X2lkIjoibTgifQ==', ["m8"]),
    ('~2/2 ImV2ZW50X2lkIjoibTkifQ, ~1/2 eyJldmVudF9uYW1lIjoibGVhZCIs', ["m9"])])
def test_a_header_may_have_several_shapes(httpd, value, ids):
    response, rows = say(httpd, said(value))
    assert response.status == 200
    assert [r["event_id"] for r in rows] == ids


def test_what_php_says_wrong_costs_only_itself(httpd):
    _, rows = say(httpd, said({"event_name": "nosuch"}), said("{"),
                  said({"event_name": "lead", "event_id": "w1"}), "Pinterest-Capi-Match: [1]",
                  "Pinterest-Capi-Bind: ,", "Pinterest-Capi-Consent: perhaps")
    # php-fpm joins the lines, so that a broken one takes those behind it along
    assert [r["event_id"] for r in rows] in ([], ["w1"])


def test_a_header_event_without_an_id_has_the_pages(httpd):
    response, rows = say(httpd, said({"event_name": "lead"}), said({"event_name": "lead"}))
    assert [r["event_id"] for r in rows] == [f"{response.text}-lead", f"{response.text}-lead-2"]


def test_php_may_speak_on_an_error_page(httpd):
    response, rows = say(httpd, said({"event_name": "lead", "event_id": "err1"}), status=500)
    assert response.status == 500
    assert [r["event_id"] for r in rows] == ["err1"]


@pytest.mark.parametrize("headers, is_detached", [
    ({}, True), ({"Cookie": "PHPSESSID=abc"}, False), ({"Cookie": f"_epik={EPIK}"}, False),
    ({"Cookie": "wp_woocommerce_session_1=7%7C%7C1"}, False), ({"Cookie": "other=1"}, True)])
def test_an_order_without_a_shopper_waits_for_its_context(httpd, headers, is_detached):
    number = next(numbers)
    _, rows = say(httpd, said({"event_name": "purchase", "event_id": f"p{number}",
                               "order_id": f"{number}", "user_data": {"email": "a@b.example"}}),
                  headers={**headers, "User-Agent": "PayProvider/1"})
    (row,) = rows
    assert bool(row["wants_key"]) == is_detached
    assert ("client_ip_address" in row["body"]["user_data"]) != is_detached


def test_a_session_that_the_provider_got_is_nobodys(httpd):
    before = len(httpd.sql("SELECT 1 FROM visits"))
    say(httpd, said({"event_name": "purchase", "event_id": "ps1", "order_id": "ps1"}),
        headers={"User-Agent": "PayProvider/1"}, session="provider1")
    assert len(httpd.sql("SELECT 1 FROM visits")) == before


def test_a_named_context_is_where_the_event_belongs(httpd):
    _, rows = say(httpd, said({"event_name": "purchase", "event_id": "cx1",
                               "context": "order:cx1"}), headers={"Cookie": "PHPSESSID=abc"})
    assert rows[0]["wants_key"]


def test_a_bind_and_the_order_meet(httpd):
    say(httpd, "Pinterest-Capi-Bind: order:bm1", headers={"Cookie": "PHPSESSID=bm"},
        path=f"/say.php?epik={EPIK}")
    _, rows = say(httpd, said({"event_name": "purchase", "event_id": "bm1", "order_id": "bm1"}),
                  headers={"User-Agent": "PayProvider/1"})
    (row,) = rows
    (visit,) = httpd.sql("SELECT v.* FROM visits v JOIN outbox o ON o.visit = v.id "
                         "WHERE o.event = ?", row["id"])
    assert (visit["click_id"], visit["address"]) == (EPIK, SHOPPER)
    assert "click_id" not in row["body"]["user_data"]


def test_requests_that_say_nothing_new_are_not_recorded(httpd):
    def count():
        return int(httpd.status_auto()["PinterestCapiQueuePushed"])
    say(httpd, headers={"Cookie": "PHPSESSID=quiet"})
    before = count()
    for _ in range(5):
        httpd.get("/say.php", {"Cookie": "PHPSESSID=quiet"})
        httpd.get("/page/data.txt", {"Cookie": "PHPSESSID=quiet"})
    assert count() == before


@pytest.mark.parametrize("request_bytes", [b"\r\n\r\n", b"GARBAGE\r\n\r\n", b"GET /\x00 HTTP/1.1\r\n\r\n",
                                           b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
                                           b"GET http://other.example/page/ HTTP/1.1\r\nHost: x\r\n\r\n",
                                           b"GET /page/ HTTP/0.9\r\n\r\n", b"GET /page/\r\n",
                                           b"GET /%2e%2e/%00 HTTP/1.1\r\nHost: x\r\n\r\n",
                                           b"TRACE /page/ HTTP/1.1\r\nHost: x\r\n\r\n",
                                           b"GET /page/ HTTP/1.1\r\nHost: x\r\nNo colon\r\n\r\n"])
def test_odd_requests_do_no_harm(httpd, request_bytes):
    import socket
    workers = set(httpd.workers()) if httpd.mpm == "event" else None
    with socket.create_connection(("127.0.0.1", httpd.port), 10) as s:
        s.sendall(request_bytes)
        s.shutdown(socket.SHUT_WR)
        while s.recv(65536):
            pass
    assert httpd.get("/page/").status == 200
    if workers:
        assert workers <= set(httpd.workers())
    assert "exit signal" not in httpd.log_text()


def test_http2_is_a_page_visit_too():
    import shutil
    import subprocess
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")
    server = Httpd(mpm="event", extra_modules=["http2"], conf=CONF + "\nProtocols h2c http/1.1\n")
    server.expect(r"PCAPI1\d\d")
    try:
        server.start()
        server.write("page/index.html", "<!doctype html>")
        text = subprocess.run(
            ["curl", "-si", "--http2-prior-knowledge", "-A", BROWSER, "-H", "Accept: text/html",
             "-H", f"X-Forwarded-For: {SHOPPER}", f"http://127.0.0.1:{server.port}/page/?epik={EPIK}"],
            stdout=subprocess.PIPE, text=True, timeout=30, check=True).stdout
        assert text.startswith("HTTP/2 200") and f"set-cookie: _epik={EPIK};" in text
        (row,) = wait_for(lambda: server.sql("SELECT * FROM events"), "the event")
        assert row["sent_as"] == "page_visit"
        server.stop()
        assert server.unexpected_lines() == []
    finally:
        server.close()
