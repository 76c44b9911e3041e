"""What the API answers, row by row of the outcome table, and what becomes of the events."""

import collections
import os
import signal
import time

import pytest

from conftest import ACCOUNT, TOKEN, VALGRIND, wait_for
from sink import Answer, Sink, accept, results

DELIVERED, REJECTED = 10, 11


def ids(prefix, count):
    return [f"{prefix}-{n}" for n in range(count)]


class First:
    """Gives these answers first, then accepts."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def __call__(self, request):
        return self.answers.pop(0) if self.answers else accept(request)


def test_batch_is_posted_as_pinterest_wants_it(site, sink):
    feed, _ = site.start()
    feed.push(3, "a")
    site.wait_settled(3)
    (request,) = sink.requests
    assert request.path == f"/v5/ad_accounts/{ACCOUNT}/events"
    assert request.headers["Authorization"] == f"Bearer {TOKEN}"
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["User-Agent"].startswith("pinterest-capi/")
    assert request.headers["Expect"] is None
    assert request.ids == ids("a", 3)
    assert set(site.states().values()) == {DELIVERED}
    attempt = site.sql("SELECT http_status, request_id, events, finished_at FROM attempts")[0]
    assert (attempt["http_status"], attempt["events"]) == (200, 3)
    assert attempt["request_id"].startswith("rid-") and attempt["finished_at"]
    assert not site.sql("SELECT 1 FROM outbox")


def test_no_event_is_lost_or_sent_twice_in_many_batches(site, sink):
    feed, _ = site.start()
    feed.push(5500, "a")
    feed.push(5500, "a")
    site.wait_settled(5500)
    wait_for(lambda: feed.used() == 0, "an empty queue")
    counts = collections.Counter(sink.delivered())
    assert set(counts) == set(ids("a", 5500)) and max(counts.values()) == 1
    assert max(len(r.ids) for r in sink.requests) == 1000


def test_batches_stay_below_a_mebibyte(site, sink):
    feed, _ = site.start()
    feed.push(900, "a", pad=4000)
    site.wait_settled(900)
    assert max(r.size for r in sink.requests) <= 1 << 20
    assert min(sorted(r.size for r in sink.requests)[1:]) > 900_000
    assert sorted(sink.delivered()) == sorted(ids("a", 900))


def test_flush_waits_for_events_or_seconds(site, sink):
    site.account_settings = {"flush_events": 50, "flush_sec": 3}
    feed, _ = site.start()
    began = time.monotonic()
    feed.push(49, "a")
    site.wait_settled(49)
    assert sink.requests[0].at - began > 2.5
    feed.push(50, "b")
    site.wait_settled(99)
    assert sink.requests[1].at - sink.requests[0].at < 2.5 + time.monotonic() - began
    assert [len(r.ids) for r in sink.requests] == [49, 50]


@pytest.mark.parametrize("status", [200, 422])
def test_results_settle_each_event_by_itself(site, sink, status):
    def answer(request):
        failed = results(["too old" if i.endswith("7") else None for i in request.ids])
        if status == 422:
            failed = {"code": 953, "message": "some were invalid", "details": failed}
        return Answer(status, failed)

    sink.answer = answer
    feed, _ = site.start()
    feed.push(40, "a")
    site.wait_settled(40)
    bad = {f"a-{n}" for n in (7, 17, 27, 37)}
    assert {i for i, s in site.states().items() if s == REJECTED} == bad
    errors = site.sql("SELECT error FROM events WHERE state = 11")
    assert {row["error"] for row in errors} == {"too old"}
    assert len(sink.requests) == 1
    assert not site.sql("SELECT 1 FROM outbox WHERE due < 4000000000000000")


def test_warning_is_kept_with_its_event(site, sink):
    body = results([None, None])
    body["events"][1]["warning_message"] = "odd field"
    sink.answer = lambda request: Answer(200, body)
    feed, _ = site.start()
    feed.push(2, "a")
    site.wait_settled(2)
    rows = site.sql("SELECT event_id, warning FROM events ORDER BY event_id")
    assert [row["warning"] for row in rows] == [None, "odd field"]


@pytest.mark.parametrize("status", [400, 413, 422])
@pytest.mark.parametrize("bad", [0, 617, 999])
def test_one_bad_event_of_a_thousand_costs_that_event_only(site, sink, status, bad):
    poison = f"a-{bad}"
    sink.answer = lambda r: Answer(status, {"code": 1, "message": "spoiled"}) \
        if poison in r.ids else accept(r)
    feed, _ = site.start()
    feed.push(1000, "a")
    site.wait_settled(1000)
    states = site.states()
    assert [i for i, s in states.items() if s != DELIVERED] == [poison]
    assert states[poison] == REJECTED
    assert max(collections.Counter(sink.delivered()).values()) == 1
    assert len(sink.requests) < 30
    error = site.sql("SELECT error FROM events WHERE state = 11")[0]["error"]
    assert "spoiled" in error and str(status) in error
    assert not site.errors()


def test_single_event_is_not_rejected_before_another_succeeded(site, sink):
    sink.answer = lambda r: Answer(400, {"code": 1, "message": "no"}) if "a-0" in r.ids \
        else accept(r)
    feed, _ = site.start()
    feed.push(1, "a")
    wait_for(lambda: site.sql("SELECT 1 FROM destinations WHERE held_since > 0"), "the hold")
    assert site.states() == {"a-0": 2} or site.states()["a-0"] < 10
    feed.push(3, "b")
    wait_for(lambda: sorted(sink.delivered()) == ids("b", 3), "the good ones")
    wait_for(lambda: site.states()["a-0"] == REJECTED, "the bad one to be rejected", 60)
    assert not site.sql("SELECT 1 FROM destinations WHERE held_since > 0")
    assert len(site.errors()) == 1


def test_api_that_refuses_everything_rejects_nothing(site, sink):
    sink.answer = lambda r: Answer(400, {"code": 1, "message": "no"})
    feed, _ = site.start()
    feed.push(1000, "a")
    wait_for(lambda: site.sql("SELECT 1 FROM destinations WHERE held_since > 0"), "the hold")
    assert len(sink.requests) < 45
    assert max(site.states().values()) < 10
    sink.answer = accept
    site.wait_settled(1000, 90)
    assert set(site.states().values()) == {DELIVERED}
    assert sorted(sink.delivered()) == sorted(ids("a", 1000))


@pytest.mark.parametrize("status", [401, 403, 404, 301, 204])
def test_hold_keeps_events_and_another_start_resumes(site, sink, status):
    sink.answer = lambda r: Answer(status, {"code": 2, "message": "Authentication failed."},
                                   {"Location": "https://127.0.0.1:1/"})
    feed, pid = site.start()
    feed.push(10, "a")
    wait_for(lambda: site.sql("SELECT 1 FROM destinations WHERE held_since > 0"), "the hold")
    feed.push(10, "b")
    wait_for(lambda: len(site.states()) == 20, "intake to go on")
    assert len(sink.requests) == 1, "a held account is probed slowly"
    assert max(site.states().values()) < 10
    assert len(site.errors()) == 1 and ACCOUNT in site.errors()[0]
    sink.answer = accept
    site.token_file.write_text("pina_NEW\n")
    os.kill(pid, signal.SIGTERM)
    assert feed.wait(pid) == ("exit", "0")
    feed.start()
    site.wait_settled(20)
    assert sink.requests[-1].headers["Authorization"] == "Bearer pina_NEW"
    assert collections.Counter(sink.delivered()) == collections.Counter(ids("a", 10) + ids("b", 10))
    assert not site.sql("SELECT 1 FROM destinations WHERE held_since > 0")
    assert len(site.errors()) == 1
    assert "pina_NEW" not in site.log()


TROUBLES = {
    "408": Answer(408), "500": Answer(500), "503": Answer(503), "429": Answer(429),
    "reset before": Answer(reset="before"), "reset inside": Answer(body=results([None] * 5),
                                                                   reset="inside"),
    "html": Answer(200, b"<html>"), "wrong count": Answer(200, results([None])),
    "no results": Answer(200, {"ok": True}), "empty": Answer(200, b""),
    "too long": Answer(200, b'{"x": "' + b"y" * (3 << 20) + b'"}'),
}


@pytest.mark.parametrize("name", sorted(TROUBLES))
def test_unknown_outcome_is_tried_again_under_the_same_ids(site, sink, name):
    sink.answer = First(TROUBLES[name], TROUBLES[name])
    feed, _ = site.start()
    feed.push(5, "a")
    site.wait_settled(5)
    assert set(site.states().values()) == {DELIVERED}
    assert [r.ids for r in sink.requests] == [ids("a", 5)] * 3
    assert {r["retries"] for r in site.sql("SELECT retries FROM events")} == {2}
    assert len([line for line in site.log().splitlines() if ":warn]" in line]) == 1
    assert "PCAPI141" in site.log()


def test_answer_that_is_lost_costs_a_repeat_under_the_same_ids(site, sink):
    sink.answer = First(Answer(200, reset="after"))
    feed, _ = site.start()
    feed.push(5, "a")
    site.wait_settled(5)
    assert [r.ids for r in sink.requests] == [ids("a", 5)] * 2


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honoured(site, sink, status):
    sink.answer = First(Answer(status, headers={"Retry-After": "3"}))
    feed, _ = site.start()
    feed.push(1, "a")
    site.wait_settled(1)
    assert sink.requests[1].at - sink.requests[0].at >= 3


def test_outage_is_bridged_without_losing_or_repeating(site, sink):
    sink.answer = lambda r: Answer(503)
    feed, _ = site.start()
    feed.push(5000, "a")
    # Four go out at once; then one at a time.
    wait_for(lambda: len(sink.requests) >= 6, "a few attempts")
    sink.answer = accept
    site.wait_settled(5000, 60)
    counts = collections.Counter(sink.delivered())
    assert set(counts) == set(ids("a", 5000)) and max(counts.values()) == 1
    warnings = [line for line in site.log().splitlines() if ":warn]" in line]
    assert len(warnings) == 1


def test_api_that_cannot_be_reached_is_tried_until_it_can(site, sink, folder):
    port = sink.port
    sink.close()
    feed, _ = site.start()
    feed.push(5, "a")
    site.wait_log("PCAPI140")
    again = Sink(folder, port=port)
    try:
        site.wait_settled(5)
        assert sorted(again.delivered()) == ids("a", 5)
    finally:
        again.close()


def test_certificate_that_is_not_trusted_gets_nothing(site, sink, folder):
    site.account_settings = {"ca_file": "/etc/ssl/certs/ca-certificates.crt"}
    feed, _ = site.start()
    feed.push(1, "a")
    site.wait_log("PCAPI140")
    assert sink.requests == []
    assert max(site.states().values()) < 10


def test_at_most_four_requests_of_an_account_are_in_flight(site, sink):
    sink.answer = lambda r: Answer(200, results([None] * len(r.ids)), delay=0.3)
    site.queue_size = 32 << 20
    feed, _ = site.start()
    feed.push(12000, "a")
    site.wait_settled(12000)
    assert sink.most_in_flight == 4


@pytest.mark.skipif(VALGRIND, reason="times mean nothing there")
def test_test_requests_are_spaced_to_ten_a_second(site, sink):
    site.account_settings = {"test": True, "flush_events": 1}
    feed, _ = site.start()
    for turn in range(150):
        feed.push(1, f"a{turn}", test=1)
        time.sleep(0.02)
    site.wait_settled(150)
    assert all(r.path.endswith("/events?test=true") for r in sink.requests)
    # The first waits for a handshake, so the spacing shows from the second on.
    times = [r.at for r in sink.requests[1:]]
    span = times[-1] - times[0]
    ratio = (len(times) - 1) / span / 10
    print(f"{len(times)} test requests in {span:.2f} s: {ratio:.2f} of the limit")
    assert 0.4 < ratio <= 1


def test_test_and_real_events_never_meet(site, sink):
    site.settings = {"accounts": [site.account(), site.account(test=True, token_fd=8)]}
    site.files *= 2
    feed, _ = site.start()
    feed.push(5, "real")
    feed.push(5, "test", test=1)
    feed.push(5, "real", test=1)
    site.wait_settled(15)
    for request in sink.requests:
        kinds = {e.split("-")[0] for e in request.ids}
        if not request.path.endswith("?test=true"):
            assert kinds == {"real"}
    assert sum(len(r.ids) for r in sink.requests if "test=true" in r.path) == 10
