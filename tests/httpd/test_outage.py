"""The API fails in every way it can; every event arrives once all the same."""

import collections
import pathlib

import pytest

from server import ACCOUNT, IS_SANITIZED, TOKEN, wait_for

CONF = """
PinterestCapiMergeWindow 0
PinterestCapiFlush 1000 1
<Location "/v5/ad_accounts">
  SetHandler pinterest-capi-events
</Location>
"""
PATH = f"/v5/ad_accounts/{ACCOUNT}/events"
EM = ["836f82db99121b3481011f16b49dfa5fbc714a0d1b1b9f784a1ebbbf5b39577f"]


def say(httpd, ids):
    ids = list(ids)
    for start in range(0, len(ids), 500):
        events = [{"event_name": "checkout", "action_source": "web", "event_id": i,
                   "user_data": {"em": EM}} for i in ids[start:start + 500]]
        answer = httpd.post(PATH, {"data": events}, agent="shop/1")
        assert answer.status == 200, answer.text


def arrived(api):
    return collections.Counter(e["event_id"] for e in api.processed())


def memory_kb(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


@pytest.mark.parametrize("trouble", [
    {"status": 503}, {"status": 500}, {"status": 429, "retry_after": 1}, {"reset": "before"},
    {"reset": "inside"}, {"reset": "after"}, {"body": "html"}, {"body": "truncated"}, {"body": "short"}, {"hang": 1}])
def test_events_survive_a_troubled_api_and_arrive_once(make_httpd, api, trouble):
    httpd = make_httpd(api=api, conf=CONF)
    httpd.expect(r"pinterest_capi:(warn|error)")
    api.behave({**trouble, "times": 2})
    ids = [f"id-{n}" for n in range(50)]
    say(httpd, ids)
    wait_for(lambda: set(arrived(api)) == set(ids), "all events", 40)
    wait_for(lambda: not httpd.sql("SELECT 1 FROM outbox"), "the outbox to be empty")
    states = httpd.sql("SELECT DISTINCT state FROM events")
    assert [row["state"] for row in states] == [10]


def test_an_outage_is_bridged_in_bounded_memory(make_httpd, api):
    httpd = make_httpd(api=api, conf=CONF)
    httpd.expect(r"pinterest_capi:(warn|error)")
    api.behave({"status": 503, "times": None})
    ids = [f"id-{n}" for n in range(20000)]
    say(httpd, ids)
    (sender,) = httpd.senders()
    before = memory_kb(sender)
    api.behave()
    wait_for(lambda: len(arrived(api)) == len(ids), "all 20,000 events", 90)
    assert set(arrived(api)) == set(ids)
    assert IS_SANITIZED or memory_kb(sender) < 48 * 1024, f"{memory_kb(sender)} kB, before {before}"
    assert max(arrived(api).values()) == 1


def test_401_holds_the_account_until_the_token_is_replaced(make_httpd, api):
    httpd = make_httpd(api=api, conf=CONF)
    httpd.expect(r"pinterest_capi:(warn|error)")
    api.tokens = ["pina_NEW"]
    say(httpd, ["held-1"])
    wait_for(lambda: httpd.sql("SELECT 1 FROM destinations WHERE held_since > 0"), "the hold")
    say(httpd, ["held-2"])
    assert arrived(api) == {}
    complaints = [line for line in httpd.log_text().splitlines() if "pinterest_capi:err" in line]
    assert len(complaints) == 1, complaints
    httpd.token_file.write_text("pina_NEW\n")
    httpd.graceful()
    wait_for(lambda: set(arrived(api)) == {"held-1", "held-2"}, "both events")
    assert TOKEN not in httpd.log_text() and "pina_NEW" not in httpd.log_text()


def test_one_bad_event_in_a_batch_of_1000_costs_that_event_only(make_httpd, api):
    httpd = make_httpd(api=api, conf=CONF + "PinterestCapiMergeWindow 2\n")
    httpd.expect(r"pinterest_capi:(warn|error)")
    api.behave({"match": "^id-617$", "status": 400, "times": None})
    ids = [f"id-{n}" for n in range(1000)]
    say(httpd, ids)
    wait_for(lambda: len(arrived(api)) == 999, "999 events", 60)
    wait_for(lambda: httpd.sql("SELECT 1 FROM events WHERE event_id = 'id-617' AND state = 11"),
             "the bad one to be rejected", 60)
    assert set(ids) - set(arrived(api)) == {"id-617"}
    assert max(arrived(api).values()) == 1


def test_per_event_results_of_a_422_settle_each_event_by_itself(make_httpd, api):
    httpd = make_httpd(api=api, conf=CONF)
    httpd.expect(r"pinterest_capi:(warn|error)")
    api.behave({"fail": "7$", "times": None})
    ids = [f"id-{n}" for n in range(40)]
    say(httpd, ids)
    bad = {i for i in ids if i.endswith("7")}
    wait_for(lambda: len(httpd.sql("SELECT 1 FROM events WHERE state >= 10")) == 40, "all settled")
    assert set(arrived(api)) == set(ids) - bad
    rejected = httpd.sql("SELECT event_id, error FROM events WHERE state = 11")
    assert {row["event_id"] for row in rejected} == bad
    assert all(row["error"] for row in rejected)
