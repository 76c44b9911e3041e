"""The stand-in answers as Pinterest does, and misbehaves as it is told."""

import http.client
import json
import pathlib
import ssl
import sys
import time
import urllib.parse
import urllib.request

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "demo"))

from standin import StandIn  # noqa: E402

PATH = "/ad_accounts/549755885175/events"
DROPPED = (http.client.HTTPException, OSError)


@pytest.fixture(params=["https", "http"])
def api(request):
    with StandIn(tokens=["secret"], tls=request.param == "https") as running:
        yield running


def event(event_id="a", **changes):
    return {"event_name": "lead", "action_source": "web", "event_time": int(time.time()),
            "event_id": event_id, "user_data": {"em": ["ab" * 32]}, **changes}


def post(api, body, path=PATH, token="secret", kind="application/json"):
    """(status, headers, body) of one request."""
    url = urllib.parse.urlsplit(api.url)
    if api.tls:
        line = http.client.HTTPSConnection(
            url.netloc, timeout=10, context=ssl.create_default_context(cafile=str(api.ca_file)))
    else:
        line = http.client.HTTPConnection(url.netloc, timeout=10)
    try:
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        line.request("POST", url.path + path, text,
                     {"Authorization": f"Bearer {token}", "Content-Type": kind})
        answer = line.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        line.close()


def batch(*ids):
    return {"data": [event(i) for i in ids or ("a",)]}


def test_good_batch_is_processed_event_by_event(api):
    status, headers, body = post(api, batch("a", "b"))
    assert status == 200
    assert json.loads(body) == {
        "num_events_received": 2, "num_events_processed": 2,
        "events": [{"status": "processed", "error_message": "", "warning_message": ""}] * 2}
    assert headers["x-pinterest-rid"] != post(api, batch())[1]["x-pinterest-rid"]
    assert [e["event_id"] for e in api.processed()] == ["a", "b", "a"]


def test_events_that_pinterest_would_not_take_fail_by_themselves(api):
    now = int(time.time())
    status, _, body = post(api, {"data": [
        event("old", event_time=now - 8 * 86400), event("ok"), event("early", event_time=now + 90),
        event("raw", user_data={"em": ["john@example.com"]})]})
    details = json.loads(body)["details"]
    assert (status, json.loads(body)["code"]) == (422, 953)
    assert [e["status"] for e in details["events"]] == ["failed", "processed", "failed", "failed"]
    assert "in the past" in details["events"][0]["error_message"]
    assert [e["event_id"] for e in api.processed()] == ["ok"]


@pytest.mark.parametrize("status, code, options", [
    (400, 4196, {"body": {"data": [event(page_name="x")]}}),
    (400, 4196, {"body": {"data": []}}),
    (400, 4196, {"body": b"{"}),
    (401, 2, {"token": "another"}),
    (404, 0, {"path": "/ad_accounts/abc/events"}),
    (415, 4196, {"kind": "text/plain"}),
])
def test_refused_request_has_the_shape_of_pinterests_errors(api, status, code, options):
    answer, _, body = post(api, **{"body": batch(), **options})
    assert (answer, json.loads(body)["code"]) == (status, code)
    assert api.processed() == []


def test_token_is_good_for_its_accounts_only(api):
    api.tokens = {"secret": ["1"]}
    assert post(api, batch())[0] == 403
    assert post(api, batch(), path="/ad_accounts/1/events")[0] == 200


def test_rules_are_used_up_in_order(api):
    api.behave({"status": 503, "times": 2}, {"status": 429, "retry_after": 7}, {"fail": "^b$"})
    assert [post(api, batch())[0] for _ in range(2)] == [503, 503]
    assert post(api, batch())[1]["Retry-After"] == "7"
    assert post(api, batch("a", "b"))[0] == 422
    assert post(api, batch())[0] == 200
    assert [e["event_id"] for e in api.processed()] == ["a", "a"]


@pytest.mark.parametrize("rule, processed", [
    ({"reset": "before"}, 0), ({"reset": "inside"}, 1), ({"hang": 0.2}, 0),
    ({"body": "wrong-length"}, 1)])
def test_broken_connection_is_no_answer(api, rule, processed):
    api.behave(rule)
    with pytest.raises(DROPPED):
        post(api, batch())
    assert len(api.processed()) == processed
    assert post(api, batch())[0] == 200


@pytest.mark.parametrize("how", ["html", "truncated", "empty"])
def test_wrong_body_is_no_json(api, how):
    api.behave({"body": how})
    with pytest.raises(ValueError):
        json.loads(post(api, batch())[2])


def test_short_body_lacks_a_result(api):
    api.behave({"body": "short"}, {"body": "long"})
    assert len(json.loads(post(api, batch("a", "b"))[2])["events"]) == 1
    assert len(json.loads(post(api, batch("a", "b"))[2])["events"]) == 3


def test_delay_and_trickle_take_their_time(api):
    api.behave({"delay": 0.3}, {"trickle": 0.02})
    for _ in range(2):
        began = time.monotonic()
        assert post(api, batch())[0] == 200
        assert time.monotonic() - began > 0.15


def test_record_tells_requests_apart_and_no_token(api):
    post(api, batch("a", "b"), path=PATH + "?test=true")
    post(api, batch(), token="leaked")
    assert [(r["number"], r["test"], r["status"], r["count"]) for r in api.requests] == \
        [(1, True, 200, 2), (2, False, 401, 1)]
    assert [(e["request"], e["index"], e["test"]) for e in api.events] == \
        [(1, 0, True), (1, 1, True), (2, 0, False)]
    lines = (api.directory / "record.jsonl").read_text()
    assert len(lines.splitlines()) == 5
    assert "secret" not in lines and "leaked" not in lines


def test_control_is_reached_over_http(api):
    def control(path, value=None):
        data = None if value is None else json.dumps(value).encode()
        with urllib.request.urlopen(f"{api.control_url}/{path}", data, timeout=10) as answer:
            return json.load(answer)
    control("behave", [{"status": 500, "times": None}])
    assert [post(api, batch())[0] for _ in range(2)] == [500, 500]
    control("tokens", ["new"])
    control("reset", {})
    assert [post(api, batch())[0], post(api, batch(), token="new")[0]] == [401, 200]
    assert [e["event_id"] for e in control("processed?wait=1&timeout=5")] == ["a"]
    assert len(control("requests?since=1")) == 1


def test_stopped_it_refuses_and_started_again_it_is_the_same(api):
    port = api.port
    api.stop()
    with pytest.raises(DROPPED):
        post(api, batch())
    api.start()
    assert (api.port, post(api, batch())[0]) == (port, 200)
