"""Rules, match keys and binds: what configuration alone makes of a shop's traffic."""

import hashlib
import http.client
import json
import re

import pytest

from server import BROWSER, EPIK, SHOPPER, Browser, wait_for

NOW = "PinterestCapiMergeWindow 0\n"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
SHOP = """<?php
foreach (json_decode($_GET['headers'] ?? '[]', true) as $line) { header($line, false); }
if (isset($_GET['status'])) { http_response_code((int)$_GET['status']); }
if (isset($_GET['type'])) { header('Content-Type: ' . $_GET['type']); }
echo $_GET['say'] ?? 'ok';
"""


def sha(text):
    return [hashlib.sha256(text.encode()).hexdigest()]


@pytest.fixture
def shop(make_httpd, api):
    def start(conf, **options):
        options.setdefault("mpm", "event")
        options.setdefault("php", "fpm")
        httpd = make_httpd(api=api, conf=NOW + conf, **options)
        httpd.write("shop.php", SHOP)
        httpd.write("last.html", "<p>last")
        return httpd
    return start


def events_of(api, count=1):
    wait_for(lambda: len(api.processed()) >= count, f"{count} events")
    return api.processed()


def names_behind(httpd, api, last="contact"):
    """Names of all events up to the one that a request to /last makes."""
    httpd.get("/last.html")
    wait_for(lambda: last in [e["event_name"] for e in api.processed()], "the last event")
    return [e["event_name"] for e in api.processed() if e["event_name"] != last]


LAST = """
<Location "/last.html">
  PinterestCapiEvent none
  PinterestCapiEvent contact
</Location>
"""


# --- functions ---

def assert_values(shop, api, wanted, method="POST", path="/shop.php", headers=None, body=None,
                  **options):
    """One request to a place with a rule for each expression."""
    httpd = shop("\n".join(f'PinterestCapiEvent lead event_id=e{number} "search_string=[{expression}]"'
                           for number, expression in enumerate(wanted)), **options)
    assert httpd.request(method, path, headers, body).status == 200
    events = events_of(api, len(wanted))
    said = {e["event_id"]: e["custom_data"]["search_string"][1:-1] for e in events}
    assert {x: said[f"e{number}"] for number, x in enumerate(wanted)} == wanted


URLENCODED = "a=1&a=2&name=K%C3%B6ln+1&items%5B0%5D%5Bsku%5D=A&items%5B1%5D%5Bsku%5D=B&e="
DOCUMENT = {"id": 41, "total": 19.9, "items": [{"sku": "A"}, {"sku": "B"}], "a/b": "slash",
            "billing": {"email": "a@b.example"}, "none": None}


def test_form_reads_a_urlencoded_body(shop, api):
    assert_values(shop, api, {
        "%{form:a}": "1", "%{form:name}": "Köln 1", "%{form:items[0][sku]}": "A",
        "%{form:items[*][sku]}": "A,B", "%{form:e}": "", "%{form:absent}": "", "%{json:/a}": "",
        "%{form:a}-%{form:absent}-%{query:q}": "1--7", "%{query:*}": "7", "%{query:#}": "q=7",
        "%{form:#}": "a=1&a=2&name=K%C3%B6ln%201&items%5B0%5D%5Bsku%5D=A&items%5B1%5D%5Bsku%5D=B&e="},
        path="/shop.php?q=7", headers=FORM, body=URLENCODED)


def test_json_reads_a_json_body(shop, api):
    assert_values(shop, api, {
        "%{json:/id}": "41", "%{json:/total}": "19.9", "%{json:/items/*/sku}": "A,B",
        "%{json:/items/1/sku}": "B", "%{json:/a~1b}": "slash", "%{json:/none}": "",
        "%{json:/billing}": '{"email":"a@b.example"}', "%{json:/items/9}": "", "%{form:id}": "",
        "%{json:#}": json.dumps(DOCUMENT, separators=(",", ":"))}, body=DOCUMENT)


ANSWER = ('/shop.php?type=text/html&say={"order_id":41,"errors":[{"code":"x"},{"code":"y"}]}&headers='
          '["X-Total:9","X-Total:10","Set-Cookie:first%3D0","Set-Cookie:cart%3Da%2520b%3B+path%3D/",'
          '"Set-Cookie:gone%3D1%3B+Max-Age%3D0"]')


def test_functions_that_read_headers_and_the_answer(shop, api, php):
    assert_values(shop, api, {
        "%{answer:X-Total}": "9, 10", "%{answer_cookie:cart}": "a b", "%{answer_cookie:gone}": "",
        "%{answer_json:/order_id}": "41", "%{answer_json:/errors/*/code}": "x,y",
        "%{answer:X-None}": "", "%{query:type}": "text/html", "%{cookie:b}": "2 3",
        "%{cookie:pre_*}": "x,y", "%{answer:Content-Type}": "text/html;charset=UTF-8"},
        "GET", ANSWER, headers={"Cookie": "a=1; b=2%203; pre_1=x; pre_2=y"}, **php)


def test_a_form_decides_what_an_event_says(shop, api):
    httpd = shop("""
PinterestCapiEvent add_to_cart "event_id=cart_%{form:cart_id}_add_%{form:product_id}" \
  "content_ids=%{form:sku[*]}" "num_items=%{form:quantity[*]}" "value=%{form:price}" currency=EUR \
  "contents=%{form:sku[0]};%{form:quantity[0]};%{form:price}" "when=%{REQUEST_METHOD} == 'POST'"
""")
    httpd.post("/shop.php", "cart_id=7&product_id=14&sku[0]=A&sku[1]=B&quantity[0]=2&quantity[1]=3"
               "&price=19.9", FORM)
    httpd.post("/shop.php", "product_id=14&sku[0]=A", FORM)  # no cart id: no event
    httpd.get("/shop.php")
    (event,) = events_of(api)
    assert (event["event_name"], event["event_id"]) == ("add_to_cart", "cart_7_add_14")
    custom = event["custom_data"]
    assert custom["content_ids"] == ["A", "B"] and custom["num_items"] == 5
    assert (custom["value"], custom["currency"]) == ("19.90", "EUR")
    assert custom["contents"] == [{"id": "A", "quantity": 2, "item_price": "19.90"}]


def test_an_error_inside_a_200_makes_no_event(shop, api):
    """As OpenCart's and WooCommerce's AJAX answers have it."""
    httpd = shop(LAST + """
PinterestCapiEvent add_to_cart "when=%{answer_json:/error} == ''"
""")
    httpd.post('/shop.php?say={"error":{"quantity":"no"}}', "product_id=1", FORM)
    httpd.post('/shop.php?say={"success":"yes"}&type=application/json', "product_id=1", FORM)
    assert names_behind(httpd, api) == ["add_to_cart"]


# --- conditions ---

GET, POST, HEAD = "GET", "POST", "HEAD"
ALL = ["page_visit", "view_category", "search", "add_to_cart", "lead"]
ANSWERS = [
    (GET, "", {}, ALL),
    (GET, "&type=application/json", {}, ["add_to_cart", "lead"]),
    (GET, "&type=application/xhtml%2Bxml", {}, ALL),
    (GET, "", {"Sec-Fetch-Dest": "empty"}, ["add_to_cart", "lead"]),
    (GET, "", {"Sec-Fetch-Dest": "document"}, ALL),
    (GET, "&status=304", {}, ALL),
    (GET, "&status=304", {"Accept": "*/*"}, ["add_to_cart", "lead"]),
    (GET, "&status=302&headers=[\"Location:/x\"]", {}, ["search", "add_to_cart"]),
    (GET, "&status=404", {}, []), (GET, "&status=500", {}, []), (GET, "&status=403", {}, []),
    (POST, "", {}, ["add_to_cart", "lead"]),
    (POST, "&status=303&headers=[\"Location:/x\"]", {}, ["add_to_cart", "lead"]),
    (POST, "&status=207", {}, ["add_to_cart", "lead"]),
    (POST, "&status=422", {}, []),
    (HEAD, "", {}, [])]


def test_which_answers_fire_which_rules(shop, api):
    httpd = shop(LAST + "\n".join(f"PinterestCapiEvent {name} event_id=%{{query:id}}_{name}"
                                  for name in ALL))
    for number, (method, query, headers, _) in enumerate(ANSWERS):
        httpd.request(method, f"/shop.php?id={number}{query}", {"Accept": "text/html", **headers},
                      "a=1" if method == POST else None)
    names_behind(httpd, api)
    fired = {number: [] for number in range(len(ANSWERS))}
    for event in api.processed():
        number, _, name = event["event_id"].partition("_")
        if name in ALL:
            fired[int(number)].append(name)
    for number, answer in enumerate(ANSWERS):
        assert fired[number] == answer[3], answer


def test_groups_of_when_and_empty_values(shop, api):
    httpd = shop(r"""
PinterestCapiEvent view_content "event_id=p_$1" "content_ids=$1" "content_name=%{query:none}" \
  "when=%{REQUEST_URI} =~ m#^/shop\.php/item-([0-9]+)$#"
""")
    httpd.get("/shop.php/item-42")
    (event,) = events_of(api)
    assert event["event_id"] == "p_42"
    assert event["custom_data"] == {"content_ids": ["42"]}


def test_lists_of_sections_add_up_and_none_empties(shop, api):
    httpd = shop(LAST + """
PinterestCapiMatch em %{query:em}
PinterestCapiMatch ct %{query:ct}
PinterestCapiEvent lead event_id=%{query:id}
<Location "/shop.php/inner">
  PinterestCapiMatch em %{query:em}
  PinterestCapiMatch fn %{query:fn}
</Location>
<Location "/shop.php/bare">
  PinterestCapiMatch none
  PinterestCapiMatch zp %{query:zp}
</Location>
""")
    keys = "em=a@b.example&ct=Ulm&fn=Ann&zp=12345"
    for place in ("outer", "inner", "bare"):
        httpd.get(f"/shop.php/{place}?id={place}&{keys}")
    found = {e["event_id"]: sorted(k for k in e["user_data"] if len(k) == 2)
             for e in events_of(api, 3)}
    assert found == {"outer": ["ct", "em"], "inner": ["ct", "em", "fn"], "bare": ["zp"]}


@pytest.mark.parametrize("line,message", [
    ("PinterestCapiMatch email2 %{form:a}", "no match key"),
    ("PinterestCapiMatch em", "KEY EXPR"),
    ("PinterestCapiMatch em %{form:a} %{form:b}", "KEY EXPR"),
    ("PinterestCapiMatch em %{nonsense:a}", "no expression"),
    ('PinterestCapiBind "when=true"', "EXPR"),
    ("PinterestCapiBind order:%{form:a", "no expression"),
    ("PinterestCapiBind a b", "EXPR"),
    ("PinterestCapiBodyLimit 64k", "whole number"),
    ("PinterestCapiVisitCookie a;b", "no cookie name"),
    ("PinterestCapiVisitCookie On", "no cookie name"),
    ("PinterestCapiVisitCookie _epik", "Pinterest's own")])
def test_wrong_lines_stop_configtest(make_httpd, line, message):
    httpd = make_httpd(start=False, conf=line)
    fine, text = httpd.configtest()
    assert not fine
    assert line.split()[0] in text and message in text, text


def test_a_line_that_cannot_be_evaluated_is_counted_and_logged_once(shop, api):
    httpd = shop(LAST + """
<Location "/server-status">
  PinterestCapi Off
  SetHandler server-status
</Location>
<Location "/shop.php">
  PinterestCapiEvent search "search_string=%{file:/nowhere}"
  PinterestCapiEvent lead
</Location>""", mpm="prefork")
    httpd.expect(r"PCAPI030")
    connection = http.client.HTTPConnection("127.0.0.1", httpd.port, timeout=20)
    for _ in range(3):  # one connection: one process
        connection.request("GET", "/shop.php", headers={"User-Agent": BROWSER,
                                                      "X-Forwarded-For": SHOPPER})
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"ok")
    connection.close()
    assert names_behind(httpd, api) == ["lead"] * 3
    assert httpd.status_auto()["PinterestCapiRulesFailed"] == "3"
    (line,) = re.findall(r"PCAPI030: .*", httpd.log_text())
    assert "PinterestCapiEvent search" in line and "httpd.conf:" in line


# --- match keys ---

PERSON = ("email=Ann.Lee%40Example.com&phone=%2B1+650+253+0000&gender=f&born=1990-01-02&first=Ann"
          "&last=Lee&city=San+Jos%C3%A9&state=CA&zip=94043&country=US&customer=c-1")
MATCHES = """
PinterestCapiMatch em %{form:email}
PinterestCapiMatch ph %{form:phone}
PinterestCapiMatch ge %{form:gender}
PinterestCapiMatch db %{form:born}
PinterestCapiMatch fn %{form:first}
PinterestCapiMatch ln %{form:last}
PinterestCapiMatch ct %{form:city}
PinterestCapiMatch st %{form:state}
PinterestCapiMatch zp %{form:zip}
PinterestCapiMatch country %{form:country}
PinterestCapiMatch external_id %{form:customer}
"""
HASHED = {"em": sha("ann.lee@example.com"), "ph": sha("16502530000"), "ge": sha("f"),
          "db": sha("19900102"), "fn": sha("ann"), "ln": sha("lee"), "st": sha("ca"),
          "zp": sha("94043"), "country": sha("us"), "external_id": sha("c-1")}


def test_all_eleven_match_keys_go_into_this_requests_events(shop, api):
    httpd = shop(MATCHES + "PinterestCapiEvent lead")
    httpd.post("/shop.php", PERSON, FORM)
    (event,) = events_of(api)
    user = event["user_data"]
    assert {k: user.get(k) for k in HASHED} == HASHED
    assert len(user["ct"]) == 1 and re.fullmatch("[0-9a-f]{64}", user["ct"][0])
    assert user["client_ip_address"] == SHOPPER


def test_match_keys_are_remembered_for_the_events_that_come_later(shop, api):
    httpd = shop(LAST + '<Location "/shop.php/details">\n' + MATCHES + "</Location>\n"
                 '<Location "/shop.php/place">\nPinterestCapiEvent lead event_id=later\n</Location>')
    cookie = {"Cookie": "PHPSESSID=abc123"}
    httpd.post("/shop.php/details", PERSON, {**FORM, **cookie})
    wait_for(lambda: httpd.sql("SELECT * FROM visits"), "the visit")
    httpd.post("/shop.php/place", "x=1", {**FORM, **cookie})
    (event,) = events_of(api)
    assert {k: event["user_data"].get(k) for k in HASHED} == HASHED


@pytest.mark.parametrize("status,counts", [(200, True), (302, True), (400, False), (500, False)])
def test_match_keys_count_only_where_the_answer_does(shop, api, status, counts):
    httpd = shop(MATCHES)
    headers = {**FORM, "Cookie": "PHPSESSID=abc123"}
    said = '["Pinterest-Capi-Event:{\\"event_name\\":\\"lead\\",\\"event_id\\":\\"l\\"}"]'
    httpd.post(f"/shop.php?status={status}&headers={said}".replace(" ", ""), PERSON, headers)
    (event,) = events_of(api)
    assert ("em" in event["user_data"]) == counts


def test_phps_own_word_is_stronger_than_a_rule(shop, api):
    httpd = shop(MATCHES + "PinterestCapiEvent lead")
    said = '["Pinterest-Capi-Match:{\\"email\\":\\"php@b.example\\"}"]'
    httpd.post(f"/shop.php?headers={said}", PERSON, FORM)
    (event,) = events_of(api)
    assert event["user_data"]["em"] == sha("php@b.example")
    assert event["user_data"]["fn"] == sha("ann")


def test_a_condition_holds_a_match_back(shop, api):
    httpd = shop("PinterestCapiEvent lead event_id=%{query:id}\n"
                 'PinterestCapiMatch em %{query:em} "when=%{query:id} == \'yes\'"')
    httpd.get("/shop.php?id=yes&em=a@b.example")
    httpd.get("/shop.php?id=no&em=a@b.example")
    found = {e["event_id"]: "em" in e["user_data"] for e in events_of(api, 2)}
    assert found == {"yes": True, "no": False}


def test_no_raw_value_reaches_queue_store_or_log(shop, api):
    httpd = shop(MATCHES + "PinterestCapiEvent lead\nPinterestCapiBind order:%{form:customer}\n"
                 "LogLevel pinterest_capi:trace8")
    httpd.post("/shop.php", PERSON.replace("%40Example.com", "%40planted-value.example"),
               {**FORM, "Cookie": "PHPSESSID=planted-session"})
    events_of(api)
    httpd.stop()
    httpd.expect(r"\[pinterest_capi:(debug|trace\d)\]")
    for path in [p for p in httpd.root.rglob("*") if p.is_file()]:
        if path.parent.name == "sessions":
            continue
        for raw in (b"planted-value", b"planted-session", b"order:c-1", b"6502530000", b"253 0000"):
            assert raw not in path.read_bytes(), (path, raw)


# --- binds ---

def test_a_bind_by_rule_completes_the_webhook(shop, api):
    httpd = shop(LAST + MATCHES + """
<Location "/shop.php/checkout">
  PinterestCapiBind order:%{answer_json:/order_id} "when=%{answer_json:/order_id} != ''"
</Location>
""")
    visitor = Browser(httpd)
    visitor.cookies["PHPSESSID"] = "abc123"
    visitor.get(f"/shop.php?epik={EPIK}")
    visitor.post('/shop.php/checkout?say={"order_id":41}', PERSON, FORM)
    wait_for(lambda: len(httpd.sql("SELECT * FROM visit_keys")) == 2, "the bind")
    said = ('["Pinterest-Capi-Event:{\\"event_name\\":\\"purchase\\",\\"event_id\\":\\"checkout_41\\",'
            '\\"order_id\\":\\"41\\",\\"custom_data\\":{\\"value\\":5,\\"currency\\":\\"EUR\\"}}"]')
    httpd.post(f"/shop.php/webhook?headers={said}", "paid=1", FORM, agent="Gateway/1",
               address="198.51.100.9")
    (event,) = events_of(api)
    user = event["user_data"]
    assert (user["click_id"], user["client_ip_address"]) == (EPIK, SHOPPER)
    assert user["client_user_agent"] == BROWSER
    assert {k: user.get(k) for k in HASHED} == HASHED


def test_a_bind_with_an_empty_part_is_none(shop, api):
    httpd = shop("PinterestCapiEvent lead\nPinterestCapiBind order:%{answer_json:/order_id}")
    httpd.get('/shop.php?say={"error":1}', {"Cookie": "PHPSESSID=abc123"})
    events_of(api)
    assert len(httpd.sql("SELECT * FROM visit_keys")) == 1  # that of the session


# --- the visit cookie ---

VISIT = "PinterestCapiVisitCookie shop_visit\n"
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


def visit_cookies(answer):
    return [v for v in answer.header_all("Set-Cookie") if v.startswith("shop_visit=")]


def test_the_visit_cookie_is_random_and_closed_to_scripts(shop, api):
    httpd = shop(VISIT)
    (cookie,) = visit_cookies(httpd.get("/shop.php"))
    assert re.fullmatch(f"shop_visit={UUID}; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax", cookie)
    assert "private" in httpd.get("/shop.php").header("Cache-Control")
    assert visit_cookies(httpd.get("/shop.php")) != [cookie]
    value = cookie.split(";")[0]
    assert not visit_cookies(httpd.get("/shop.php", {"Cookie": value}))
    assert visit_cookies(httpd.get("/shop.php", {"Cookie": "shop_visit=mine"}))
    assert not visit_cookies(httpd.get("/shop.php", {"Sec-Fetch-Dest": "image"}))


def test_no_visit_cookie_without_a_grant_or_where_it_is_off(shop, api):
    denied = shop(VISIT + "PinterestCapiConsentDefault denied")
    assert not visit_cookies(denied.get("/shop.php"))
    off = shop("PinterestCapiVisitCookie Off")
    assert not off.get("/shop.php").header_all("Set-Cookie")


def test_a_visit_cookie_carries_the_click_id_where_the_session_does_not_survive(shop, api):
    """OpenCart 4: the session cookie is not sent on the way back from another site."""
    httpd = shop(VISIT + MATCHES + 'PinterestCapiEpikCookie Off\n'
                 '<Location "/shop.php/place">\nPinterestCapiEvent purchase event_id=o1 order_id=1\n'
                 "</Location>")
    visitor = Browser(httpd)
    visitor.get(f"/shop.php?epik={EPIK}")
    visitor.post("/shop.php/details", PERSON, FORM)
    wait_for(lambda: httpd.sql("SELECT * FROM visits"), "the visit")
    visitor.cookies = {k: v for k, v in visitor.cookies.items() if k == "shop_visit"}
    visitor.get("/shop.php/place", {"Cookie": f"shop_visit={visitor.cookies['shop_visit']}"})
    (event,) = events_of(api)
    user = event["user_data"]
    assert (user.get("click_id"), user["client_ip_address"]) == (EPIK, SHOPPER)
    assert user["em"] == HASHED["em"]


# --- a whole journey ---

WOO = r"""
PinterestCapiSessionCookie wp_woocommerce_session_* "^(.+?)(?:%7C|\|)"
PinterestCapiEvent page_visit
<Location "/wp-json/wc/store/v1/cart/add-item">
  PinterestCapiEvent add_to_cart "content_ids=%{json:/id}" "num_items=%{json:/quantity}"
</Location>
<Location "/checkout/">
  PinterestCapiEvent initiate_checkout
</Location>
<Location "/wp-json/wc/store/v1/checkout">
  PinterestCapiMatch em %{json:/billing_address/email}
  PinterestCapiMatch ph %{json:/billing_address/phone}
  PinterestCapiMatch fn %{json:/billing_address/first_name}
  PinterestCapiMatch ln %{json:/billing_address/last_name}
  PinterestCapiMatch ct %{json:/billing_address/city}
  PinterestCapiMatch st %{json:/billing_address/state}
  PinterestCapiMatch zp %{json:/billing_address/postcode}
  PinterestCapiMatch country %{json:/billing_address/country}
  PinterestCapiBind order:%{answer_json:/order_id}
</Location>
"""
WORDPRESS = """<?php
$path = strtok($_SERVER['REQUEST_URI'], '?');
if (str_ends_with($path, '/add-item')) {
    setcookie('woocommerce_items_in_cart', '1');
    setcookie('wp_woocommerce_session_ab12', 't_5d41402abc|1785|1784|7d79', ['httponly' => true]);
    http_response_code(201);
    header('Content-Type: application/json');
    echo '{"items_count":1}';
} elseif (str_ends_with($path, '/checkout')) {
    $order = json_decode(file_get_contents('php://input'), true);
    header('Content-Type: application/json');
    if (!str_contains($order['billing_address']['email'], '@')) {
        http_response_code(400);
        exit('{"code":"rest_invalid_param"}');
    }
    echo '{"order_id":41,"status":"pending","payment_result":{"redirect_url":"https://pay.example/"}}';
} elseif (str_starts_with($path, '/wc-api/')) {
    header('Pinterest-Capi-Event: {"event_name":"purchase","event_id":"checkout_41","order_id":"41",'
         . '"custom_data":{"value":"37.90","currency":"EUR"}}');
    echo 'OK';
} else {
    echo '<!doctype html><title>Shop</title>';
}
"""
HTACCESS = """RewriteEngine On
RewriteRule ^index\\.php$ - [L]
RewriteCond %{REQUEST_FILENAME} !-f
RewriteCond %{REQUEST_FILENAME} !-d
RewriteRule . /index.php [L]
"""
BILLING = {"first_name": "Ann", "last_name": "Lee", "address_1": "1600 Amphitheatre Pkwy",
           "city": "Mountain View", "state": "CA", "postcode": "94043", "country": "US",
           "email": "Ann.Lee@Example.com", "phone": "(650) 253-0000"}


def test_a_woocommerce_journey_by_configuration_and_one_line_of_php(make_httpd, api, php):
    httpd = make_httpd(api=api, conf=NOW + WOO, **php)
    (httpd.docs / "index.html").unlink()
    httpd.write("index.php", WORDPRESS)
    httpd.write(".htaccess", HTACCESS)
    visitor = Browser(httpd)
    fetch = {"Accept": "application/json", "Sec-Fetch-Dest": "empty",
             "Referer": f"http://127.0.0.1:{httpd.port}/checkout/"}

    visitor.get(f"/product/cap/?epik={EPIK}")
    visitor.post("/wp-json/wc/store/v1/cart/add-item", {"id": 22, "quantity": 2}, fetch)
    visitor.get("/checkout/")
    bad = {"billing_address": {**BILLING, "email": "nobody"}}
    assert visitor.post("/wp-json/wc/store/v1/checkout?_locale=site", bad, fetch).status == 400
    order = {"billing_address": BILLING, "payment_method": "gateway"}
    answer = visitor.post("/wp-json/wc/store/v1/checkout?_locale=site", order, fetch)
    assert answer.json()["order_id"] == 41
    httpd.post("/wc-api/gateway/", "id=tr_1", FORM, agent="Gateway/1.0", address="198.51.100.9")

    events = events_of(api, 5)
    assert sorted(e["event_name"] for e in events) == sorted(
        ["page_visit", "add_to_cart", "page_visit", "initiate_checkout", "checkout"])
    for event in events:
        assert event["user_data"]["click_id"] == EPIK, event["event_name"]
        assert event["user_data"]["client_ip_address"] == SHOPPER, event["event_name"]
    added = next(e for e in events if e["event_name"] == "add_to_cart")
    assert added["custom_data"] == {"content_ids": ["22"], "num_items": 2}
    bought = next(e for e in events if e["event_name"] == "checkout")
    assert (bought["event_id"], bought["custom_data"]["order_id"]) == ("checkout_41", "41")
    assert (bought["custom_data"]["value"], bought["custom_data"]["currency"]) == ("37.90", "EUR")
    wanted = {"em": sha("ann.lee@example.com"), "ph": sha("16502530000"), "fn": sha("ann"),
              "ln": sha("lee"), "ct": sha("mountainview"), "st": sha("ca"), "zp": sha("94043"),
              "country": sha("us")}
    assert {k: bought["user_data"].get(k) for k in wanted} == wanted
