"""The three endpoints: who may call, what they take, what they answer."""

import concurrent.futures
import hashlib
import json
import os
import signal
import time

import pytest

from server import ACCOUNT, BROWSER, EPIK, Browser, wait_for

# Nobody listens there: these tests look at answers and at what is stored.
CONF = """
PinterestCapiApiUrl http://127.0.0.1:9/v5
PinterestCapiCollectLimit 1000000
<Location "/collect">
  SetHandler pinterest-capi-collect
</Location>
<Location "/context">
  SetHandler pinterest-capi-context
</Location>
<Location "/v5/ad_accounts">
  SetHandler pinterest-capi-events
</Location>
<Location "/off">
  PinterestCapi Off
  SetHandler pinterest-capi-collect
</Location>
<Location "/server-status">
  SetHandler server-status
</Location>
"""
PATH = f"/v5/ad_accounts/{ACCOUNT}/events"
JSON = {"Content-Type": "application/json"}
ROW_CLAIM = 1  # a bit of outbox.flags
EM = ["836f82db99121b3481011f16b49dfa5fbc714a0d1b1b9f784a1ebbbf5b39577f"]
NOISE = (r"PCAPI1\d\d",)


def event(event_id="e1", name="lead", **more):
    return {"event_name": name, "action_source": "web", "event_id": event_id,
            "user_data": {"em": EM}, **more}


@pytest.fixture(scope="module")
def httpd():
    from server import Httpd
    server = Httpd(conf=CONF)
    server.expect(*NOISE)
    try:
        yield server.start()
        assert server.stop() is None
        assert server.unexpected_lines() == []
    finally:
        server.close()


def fresh(prefix):
    fresh.number = getattr(fresh, "number", 0) + 1
    return f"{prefix}-{fresh.number}-{time.monotonic_ns()}"


def stored(httpd, event_id, **columns):
    def row():
        rows = httpd.sql("SELECT * FROM events WHERE event_id = ?", event_id)
        return rows[0] if rows else None
    return wait_for(row, f"event {event_id} in the store")


def payload(httpd, event_id):
    """The canonical event while it waits."""
    stored(httpd, event_id)
    (row,) = httpd.sql("SELECT o.* FROM outbox o JOIN events e ON e.id = o.event "
                       "WHERE e.event_id = ?", event_id)
    return json.loads(row["payload"])


# --- answers that all three share ---

@pytest.mark.parametrize("path", ["/collect", "/context", PATH])
def test_answers_are_json_and_are_kept_by_nobody(httpd, path):
    answer = httpd.post(path, "{", JSON)
    assert answer.header("Content-Type") == "application/json"
    assert answer.header("Cache-Control") == "no-store"


@pytest.mark.parametrize("path,body", [
    ("/collect", "{"), ("/collect", ""), ("/collect", "[]"), ("/collect", "{}"),
    ("/collect", '{"data": []}'), ("/collect", '{"data": 1}'), ("/collect", '"x"'),
    ("/collect", "\xff"), ("/collect", '{"data": null}'),
    (PATH, "{"), (PATH, ""), (PATH, "{}"), (PATH, '{"data": []}'), (PATH, '{"data": {}}'),
    (PATH, json.dumps(event())), (PATH, "[" * 100000), (PATH, '{"data": [1e999]}'),
    ("/context", "{"), ("/context", "[]"), ("/context", '{"bind": "order:1"}'),
    ("/context", '{"bind": "cart:"}'), ("/context", '{"bind": 7}'),
    ("/context", '{"bind": "cart:\\u0007"}'),
])
def test_what_is_no_event_is_refused_with_400(httpd, path, body):
    answer = httpd.post(path, body.encode("latin-1"), JSON)
    assert answer.status == 400, answer.text
    said = answer.json()
    assert said["code"] == 4196
    assert said["message"].startswith("Invalid request: ")


@pytest.mark.parametrize("path,method,allowed", [
    ("/collect", "GET", "POST"), ("/collect", "PUT", "POST"), ("/collect", "OPTIONS", "POST"),
    ("/context", "DELETE", "GET, POST"), (PATH, "GET", "POST")])
def test_wrong_method_is_told_the_right_one(httpd, path, method, allowed):
    answer = httpd.request(method, path)
    assert answer.status == 405
    assert answer.header("Allow") == allowed


@pytest.mark.parametrize("path,kind,status", [
    ("/collect", "application/x-www-form-urlencoded", 415), ("/collect", "text/plain", 200),
    ("/collect", "text/plain;charset=UTF-8", 200), ("/collect", "Application/JSON; charset=x", 200),
    ("/collect", None, 200), ("/collect", "text/html", 415), ("/collect", "application/jsonx", 415),
    ("/context", "text/plain", 415), ("/context", None, 415), (PATH, "text/plain", 415),
    (PATH, None, 415), (PATH, "multipart/form-data; boundary=x", 415)])
def test_content_types(httpd, path, kind, status):
    body = json.dumps(event(fresh("type"))).encode()
    answer = httpd.request("POST", path, {"Content-Type": kind} if kind else {}, body)
    assert answer.status == status, answer.text


@pytest.mark.parametrize("path", ["/collect", PATH])
def test_1001_events_are_too_many_and_1000_are_not(httpd, path):
    prefix = fresh("many")
    data = [event(f"{prefix}-{n}") for n in range(1001)]
    assert httpd.post(path, {"data": data}, JSON).status == 413
    answer = httpd.post(path, {"data": data[:1000]}, JSON)
    assert answer.status == 200, answer.text
    assert answer.json()["num_events_processed"] == 1000
    assert len(answer.json()["events"]) == 1000


@pytest.mark.parametrize("headers", [{}, {"Transfer-Encoding": "chunked"}])
def test_more_than_2_mib_is_too_large(httpd, headers):
    body = b'{"data": [' + b" " * (2 * 1024 * 1024) + b"]}"
    if headers:
        body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in
                        (body[i:i + 65536] for i in range(0, len(body), 65536))) + b"0\r\n\r\n"
    try:
        assert httpd.request("POST", PATH, {**JSON, **headers}, body).status == 413
    except (BrokenPipeError, ConnectionResetError):
        pass  # it said so before the last byte was sent
    assert httpd.get("/").status == 200


def test_body_cut_short_is_no_event(httpd):
    import socket
    with socket.create_connection(("127.0.0.1", httpd.port)) as s:
        s.sendall(b"POST /collect HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                  b"Content-Length: 500\r\n\r\n{\"event_name\":")
        s.shutdown(socket.SHUT_WR)
        assert s.recv(100).split()[1] == b"400"


def test_where_the_module_is_off_the_handler_refuses(httpd):
    answer = httpd.post("/off", event(), JSON)
    assert answer.status == 403
    assert answer.json()["code"] == 29


# --- collect ---

@pytest.mark.parametrize("headers,status", [
    ({}, 200),
    ({"Sec-Fetch-Site": "same-origin"}, 200),
    ({"Sec-Fetch-Site": "cross-site"}, 403),
    ({"Sec-Fetch-Site": "same-site"}, 403),
    ({"Sec-Fetch-Site": "none"}, 403),
    ({"Origin": "http://localhost:{port}"}, 200),
    ({"Origin": "https://LOCALHOST:{port}"}, 200),
    ({"Origin": "http://localhost"}, 403),
    ({"Origin": "http://evil.example"}, 403),
    ({"Origin": "http://localhost:{port}.evil.example"}, 403),
    ({"Origin": "null"}, 403),
    ({"Origin": "http://"}, 403),
    ({"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost:{port}"}, 403),
    ({"Sec-Fetch-Site": "same-origin", "Origin": "https://shop.example", "Host": "inner.example"}, 200),
    ({"Host": "shop.example", "Origin": "https://shop.example"}, 200),
    ({"Host": "shop.example:443", "Origin": "https://shop.example"}, 200),
    ({"Host": "shop.example", "Origin": "https://shop.example:8443"}, 403),
])
@pytest.mark.parametrize("path", ["/collect", "/context"])
def test_only_the_shops_own_pages_may_call(httpd, path, headers, status):
    headers = {name: value.replace("{port}", str(httpd.port)) for name, value in headers.items()}
    headers.setdefault("Host", f"localhost:{httpd.port}")
    answer = httpd.post(path, event(fresh("origin")), {**JSON, **headers})
    assert answer.status == status, answer.text


def test_client_of_a_browsers_event_is_that_of_its_request(httpd):
    event_id = fresh("client")
    lie = event(event_id, consent="granted", context="order:1")
    lie["user_data"].update(client_ip_address="192.0.2.1", client_user_agent="liar/1", epik=EPIK)
    answer = httpd.post("/collect", lie, {**JSON, "Cookie": "_epik=" + "b" * 40})
    assert answer.status == 200, answer.text
    user = payload(httpd, event_id)["user_data"]
    assert user["client_ip_address"] == "203.0.113.42"
    assert user["client_user_agent"] == BROWSER
    assert user["click_id"] == "b" * 40
    other = fresh("client")
    own = event(other)
    own["user_data"]["epik"] = EPIK
    assert httpd.post("/collect", own, JSON).status == 200
    assert payload(httpd, other)["user_data"]["click_id"] == EPIK


def test_page_is_the_events_own_of_this_host_or_else_the_referer(httpd):
    referer = f"http://localhost:{httpd.port}/cart?email=a@b.c&utm_source=x#top"
    cases = [({"event_source_url": f"http://localhost:{httpd.port}/p?id=1&email=a@b.c"}, "/p?id=1"),
             ({"event_source_url": "http://evil.example/"}, "/cart?utm_source=x"),
             ({}, "/cart?utm_source=x")]
    for more, expected in cases:
        event_id = fresh("page")
        answer = httpd.post("/collect", event(event_id, "page_visit", **more),
                            {**JSON, "Referer": referer, "Host": f"localhost:{httpd.port}"})
        assert answer.status == 200, answer.text
        assert payload(httpd, event_id)["event_source_url"] == \
            f"http://localhost:{httpd.port}{expected}"


def test_purchase_from_a_browser_is_a_claim_and_waits_for_the_shop(httpd):
    event_id = fresh("claim")
    answer = httpd.post("/collect", event(event_id, "checkout_complete", order_id="17"), JSON)
    assert answer.status == 200, answer.text
    assert answer.json()["num_events_processed"] == 1
    (row,) = wait_for(lambda: httpd.sql(
        "SELECT o.* FROM outbox o JOIN events e ON e.id = o.event WHERE e.event_id = ?", event_id),
        "the claim")
    assert row["flags"] & ROW_CLAIM


def test_bots_are_answered_and_not_counted(httpd):
    event_id = fresh("bot")
    answer = httpd.post("/collect", event(event_id), JSON, agent="curl/8.0")
    assert answer.status == 200
    assert answer.json()["events"][0]["status"] == "processed"
    assert answer.json()["events"][0]["warning_message"] == "dropped"
    after = fresh("after")
    httpd.post("/collect", event(after), JSON)
    stored(httpd, after)
    assert httpd.sql("SELECT 1 FROM events WHERE event_id = ?", event_id) == []


def test_refused_events_are_named_and_the_others_taken(httpd):
    good = fresh("good")
    for path in ("/collect", PATH):
        data = [event(good + path[-3:]), {"event_name": "page_vist"}, 7, event("x" * 300)]
        answer = httpd.post(path, {"data": data}, JSON)
        assert answer.status == 422
        said = answer.json()
        assert said["code"] == 953
        assert said["details"]["num_events_received"] == 4
        assert said["details"]["num_events_processed"] == 1
        assert [e["status"] for e in said["details"]["events"]] == \
            ["processed", "failed", "failed", "failed"]
        assert "page_visit" in said["details"]["events"][1]["error_message"]
        stored(httpd, good + path[-3:])


def test_an_event_that_is_taken_has_no_error(httpd):
    taken = [{"event_name": "checkout", "names": "guide"}, {"event_name": "lead"}]
    for path in ("/collect", PATH):
        answer = httpd.post(path, {"data": taken}, JSON)
        assert answer.status == 200
        assert [e["error_message"] for e in answer.json()["events"]] == ["", ""]


def test_same_call_is_the_same_event_and_another_visitors_is_another(httpd):
    said = {"event_name": "search", "event_time": int(time.time()) - 5,
            "custom_data": {"search_string": fresh("nought")}}
    needle = said["custom_data"]["search_string"]
    for address in ("203.0.113.42", "203.0.113.42", "203.0.113.77"):
        assert httpd.post("/collect", said, JSON, address=address).status == 200
    end = fresh("end")
    httpd.post("/collect", event(end), JSON)
    stored(httpd, end)
    rows = httpd.sql("SELECT e.event_id FROM events e JOIN outbox o ON o.event = e.id "
                     "WHERE o.payload LIKE ?", f"%{needle}%")
    assert len({row["event_id"] for row in rows}) == len(rows) == 2


# --- context ---

def test_context_tells_a_page_what_the_server_knows(httpd):
    answer = httpd.get("/context", {"Cookie": f"_epik={EPIK}"})
    assert answer.status == 200
    said = answer.json()
    assert set(said) == {"epik", "consent", "event_id"}
    assert said["epik"] == EPIK
    assert said["consent"] == "granted"
    assert len(said["event_id"]) == 36
    assert httpd.get("/context").json()["epik"] is None


def test_click_id_told_by_the_page_completes_the_visits_later_event(httpd):
    cookie = {**JSON, "Cookie": f"PHPSESSID={fresh('s')}"}
    assert httpd.post("/context", {"epik": EPIK, "user_agent": "liar/1"}, cookie).status == 200
    assert httpd.post("/context", {"epik": "no click id!"}, cookie).status == 200
    event_id = fresh("visit")
    assert httpd.post("/collect", event(event_id), cookie).status == 200
    (row,) = wait_for(lambda: httpd.sql("SELECT visit FROM outbox o JOIN events e ON e.id = o.event "
                                        "WHERE e.event_id = ?", event_id), "the event")
    (visit,) = httpd.sql("SELECT * FROM visits WHERE id = ?", row["visit"])
    assert EPIK in visit.values()
    assert "liar/1" not in visit.values()


def test_context_of_nobody_is_answered_and_forgotten(httpd):
    count = "SELECT count(*) AS n FROM visits"
    before = httpd.sql(count)
    assert httpd.post("/context", {"epik": EPIK}, JSON).status == 200
    end = fresh("end")
    httpd.post(PATH, {"data": [event(end)]})
    assert httpd.sql(count) == before


# --- events ---

def test_200_of_the_backend_endpoint_means_on_disk(httpd):
    for _ in range(20):
        event_id = fresh("disk")
        assert httpd.post(PATH, {"data": [event(event_id)]}, agent="shop/1").status == 200
        assert len(httpd.sql("SELECT 1 FROM events WHERE event_id = ?", event_id)) == 1


@pytest.mark.parametrize("path,status,code", [
    ("/v5/ad_accounts/1/events", 403, 29),
    (f"/v5/ad_accounts/{ACCOUNT}/events/", 404, 4196),
    (f"/v5/ad_accounts/{ACCOUNT}", 404, 4196),
    ("/v5/ad_accounts//events", 404, 4196),
    (f"/v5/ad_accounts/x{ACCOUNT}/events", 404, 4196),
    (f"/v5/ad_accounts/{'1' * 19}/events", 404, 4196),
    (f"/v5/ad_accounts/prefix/v5/ad_accounts/{ACCOUNT}/events", 200, None),
])
def test_path_names_this_places_account(httpd, path, status, code):
    answer = httpd.post(path, {"data": [event(fresh("path"))]},
                        {"Authorization": "Bearer whatever"})
    assert answer.status == status, answer.text
    assert code is None or answer.json()["code"] == code


def test_backend_events_speak_pinterests_vocabulary(httpd):
    event_id = fresh("words")
    answer = httpd.post(PATH, {"data": [event(event_id, "checkout", order_id="18")]})
    assert answer.status == 200, answer.text
    assert stored(httpd, event_id)["sent_as"] == "checkout"
    guide = event(fresh("words"), "checkout", names="guide", order_id="19")
    assert httpd.post(PATH, {"data": [guide]}).status == 422


def test_what_a_key_cannot_mean_is_left_out_and_counted(httpd):
    before = int(httpd.status_auto()["PinterestCapiMatchKeysLeftOut"])
    event_id = fresh("odd")
    odd = {"country": "223", "gender": "x", "st": "DE-BY", "em": "a@b.example"}
    answer = httpd.post(PATH, {"data": [event(event_id) | {"user_data": odd}]})
    assert "country" in answer.json()["events"][0]["warning_message"]
    user = payload(httpd, event_id)["user_data"]
    assert set(user) == {"st", "em"}
    assert user["st"] == [hashlib.sha256(b"by").hexdigest()]
    assert int(httpd.status_auto()["PinterestCapiMatchKeysLeftOut"]) == before + 2


def test_backend_request_gives_nothing_of_itself_to_its_events(httpd):
    event_id = fresh("alone")
    answer = httpd.post(PATH, {"data": [event(event_id)]},
                        {"Cookie": f"_epik={EPIK}; PHPSESSID=abc", "Referer": "http://localhost/x"})
    assert answer.status == 200, answer.text
    said = payload(httpd, event_id)
    assert said["user_data"] == {"em": EM}
    assert "event_source_url" not in said


def test_repeated_backend_call_without_id_is_one_event(httpd):
    said = {"event_name": "lead", "action_source": "web", "event_time": int(time.time()),
            "user_data": {"em": EM, "external_id": [fresh("customer")]}}
    count = "SELECT count(*) AS n FROM events WHERE event_id LIKE 'h_%'"
    before = httpd.sql(count)[0]["n"]
    for _ in range(3):
        assert httpd.post(PATH, {"data": [said]}).status == 200
    assert httpd.sql(count)[0]["n"] == before + 1


def test_test_calls_are_answered_and_recorded_nowhere(httpd):
    event_id = fresh("test")
    answer = httpd.post(PATH + "?test=true", {"data": [event(event_id), {}]})
    assert answer.status == 422
    assert answer.json()["details"]["num_events_processed"] == 1
    assert httpd.post(PATH + "?test=true", {"data": [event(event_id)]}).status == 200
    end = fresh("end")
    assert httpd.post(PATH, {"data": [event(end)]}).status == 200
    assert httpd.sql("SELECT 1 FROM events WHERE event_id = ?", event_id) == []


def test_without_a_working_sender_nobody_is_told_that_it_is_on_disk(make_httpd, mpm):
    httpd = make_httpd(mpm=mpm, conf=CONF)
    httpd.expect(r"PCAPI1\d\d", r"PCAPI055", r"exit signal Killed", r"AH00052")
    (sender,) = wait_for(httpd.senders, "a sender")
    os.kill(sender, signal.SIGSTOP)
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda n: httpd.post(PATH, {"data": [event(f"e{n}")]}), range(12)))
    assert [a.status for a in answers] == [503] * 12
    assert all(a.header("Retry-After") == "1" for a in answers)
    if mpm == "event":  # prefork has not as many processes at once
        assert 1 <= sum("Too many" in a.text for a in answers) <= 4
    assert 1.5 < time.monotonic() - began < 10
    # Collect only promises memory, and pages do not wait for anything.
    assert httpd.post("/collect", event("c"), JSON).status == 200
    os.kill(sender, signal.SIGCONT)
    wait_for(lambda: httpd.post(PATH, {"data": [event("again")]}).status == 200, "a 200")
    assert {f"e{n}" for n in range(12)} & \
        {r["event_id"] for r in httpd.sql("SELECT event_id FROM events")}


def test_worker_killed_while_it_waits_blocks_nobody_for_long(make_httpd):
    httpd = make_httpd(conf=CONF)
    httpd.expect(r"PCAPI1\d\d", r"PCAPI055", r"exit signal Killed", r"AH00052")
    (sender,) = wait_for(httpd.senders, "a sender")
    os.kill(sender, signal.SIGSTOP)

    def call(n):
        try:
            return httpd.post(PATH, {"data": [event(f"e{n}")]}).status
        except OSError:
            return None

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(call, n) for n in range(8)]
        time.sleep(0.5)
        for worker in httpd.workers():
            httpd.kill(worker)
        for waiting in calls:
            waiting.result()
    os.kill(sender, signal.SIGCONT)
    wait_for(lambda: call(9) == 200, "a turn for somebody else", 10)


def test_full_queue_takes_nothing_and_says_so(make_httpd):
    httpd = make_httpd(conf=CONF, queue_size=262144)
    httpd.expect(r"PCAPI\d\d\d")
    (sender,) = wait_for(httpd.senders, "a sender")
    os.kill(sender, signal.SIGSTOP)
    statuses = []
    for n in range(200):
        data = [event(f"f{n}-{k}", "add_to_cart") for k in range(20)]
        answer = httpd.post("/collect", {"data": data}, JSON)
        statuses.append(answer.status)
        if answer.status != 200:
            break
    assert statuses[-1] == 503
    assert answer.header("Retry-After") == "1"
    refused = f"f{len(statuses) - 1}-"
    os.kill(sender, signal.SIGCONT)
    wait_for(lambda: len(httpd.sql("SELECT 1 FROM events")) == 20 * (len(statuses) - 1),
             "all that was acknowledged")
    assert httpd.sql("SELECT 1 FROM events WHERE event_id LIKE ?", refused + "%") == []


def test_visitors_events_of_one_session_share_a_visit(httpd):
    browser = Browser(httpd)
    browser.cookies["PHPSESSID"] = fresh("s")
    ids = [fresh("share"), fresh("share")]
    for event_id in ids:
        assert browser.post("/collect", event(event_id), JSON).status == 200
    for event_id in ids:
        stored(httpd, event_id)
    rows = httpd.sql("SELECT DISTINCT o.visit FROM outbox o JOIN events e ON e.id = o.event "
                     "WHERE e.event_id IN (?, ?)", *ids)
    assert len(rows) == 1
