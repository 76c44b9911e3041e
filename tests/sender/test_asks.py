"""What the page asks for: a row in the store, noticed when its writer closes the file, done, answered.
The writer here is a test; the page itself is tested behind httpd."""

import os
import pathlib
import signal
import sqlite3
import threading
import time
import uuid

import pytest

from conftest import ACCOUNT, PATIENCE, VALGRIND, wait_for
from sink import Answer, accept, results

DELIVERED, REJECTED, SUPPRESSED = 10, 11, 12
EM = "836f82db99121b3481011f16b49dfa5fbc714a0d1b1b9f784a1ebbbf5b39577f"  # as feed.c says it


def ask(site, kind, destination=None, event=None, subject=None):
    name = str(uuid.UUID(int=(int(time.time() * 1000) << 80) | uuid.uuid4().int % (1 << 76)))
    base = sqlite3.connect(site.state / "store.db", timeout=10)
    with base:
        base.execute("INSERT INTO asks (id, kind, destination, event, subject, asked_by, asked_at)"
                     " VALUES (?, ?, ?, ?, ?, 'alice', ?)",
                     (name, kind, destination, event, subject, int(time.time() * 1e6)))
    base.close()
    return name


def outcome(site, name):
    """(is_well, sentence), once it is there."""
    rows = wait_for(lambda: site.sql("SELECT is_well, outcome FROM asks WHERE id = ? AND done_at"
                                     " > 0", name), "an ask to be done")
    return bool(rows[0]["is_well"]), rows[0]["outcome"]


def done(site, kind, **about):
    return outcome(site, ask(site, kind, **about))


def paused(site):
    return [row["paused_by"] for row in site.sql("SELECT paused_by FROM destinations")]


@pytest.fixture
def ready(site):
    feed, pid = site.start()
    wait_for(lambda: site.sql("SELECT 1 FROM destinations"), "the destination")
    return feed, pid


def test_a_sender_that_nobody_asks_sleeps(site, ready):
    """Its clock ticks are those of its own deadlines: no look at the store among them."""
    if VALGRIND:
        pytest.skip("valgrind's own threads wake")
    site.wait_log("PCAPI100")
    stat = pathlib.Path(f"/proc/{ready[1]}/status")

    def switches():
        return int(next(line.split()[1] for line in stat.read_text().splitlines()
                        if line.startswith("voluntary_ctxt_switches")))

    def is_asleep():
        before = switches()
        time.sleep(2)
        return switches() - before == 0

    wait_for(is_asleep, "two seconds without a wake-up")


def test_test_event_comes_back_and_is_not_counted(site, sink, ready):
    well, said = done(site, "test", destination=1)
    assert well and "Pinterest took the test event: status 200" in said and "rid-1" in said
    (request,) = sink.requests
    assert request.path == f"/v5/ad_accounts/{ACCOUNT}/events?test=true"
    assert request.events[0]["event_name"] == "page_visit"
    assert len(request.events[0]["user_data"]["em"][0]) == 64
    assert site.sql("SELECT 1 FROM events") == site.sql("SELECT 1 FROM attempts") == []


@pytest.mark.parametrize("answer, part", [
    (Answer(401), "does not accept the token"),
    (Answer(404), "knows no account"),
    (Answer(503), "No verdict: status 503"),
    (Answer(200, results(["Invalid value"])), "refused the test event"),
    (Answer(reset="after"), "No answer")])
def test_test_event_tells_what_is_wrong_and_holds_nothing(site, sink, ready, answer, part):
    sink.answer = lambda request: answer
    well, said = done(site, "test", destination=1)
    assert not well and part in said
    assert not site.sql("SELECT 1 FROM destinations WHERE held_since > 0")


def test_two_test_events_at_once_are_both_answered(site, sink, ready):
    sink.answer = lambda request: Answer(200, results([None]), delay=.2)
    first, second = ask(site, "test", destination=1), ask(site, "test", destination=1)
    assert outcome(site, first)[0] and outcome(site, second)[0]
    assert len({r.ids[0] for r in sink.requests}) == 2


def test_pause_keeps_events_over_a_restart_and_resume_lets_them_go(site, sink, ready):
    feed, pid = ready
    assert done(site, "pause", destination=1)[0]
    assert paused(site) == ["alice"]
    feed.push(3, "a")
    wait_for(lambda: site.sql("SELECT 1 FROM outbox"), "the events")
    os.kill(pid, signal.SIGTERM)
    feed.wait(pid)
    feed.start()
    position = feed.push(1, "b")
    assert feed.is_durable(position)
    assert done(site, "test", destination=1)[0]  # a turn of the loop has passed
    assert [r.ids[0][:4] for r in sink.requests] == ["test"]
    assert done(site, "resume", destination=1)[0]
    site.wait_settled(4)
    assert paused(site) == [None] and len(set(sink.delivered())) >= 4


def test_held_account_is_tried_at_once(site, sink, ready):
    feed, _ = ready
    sink.answer = lambda request: Answer(401)
    feed.push(3, "a")
    wait_for(lambda: site.sql("SELECT 1 FROM destinations WHERE held_since > 0"), "a hold")
    well, said = done(site, "try", destination=1)
    assert not well and said.startswith("Still on hold: the API does not accept the token")
    sink.answer = accept
    well, said = done(site, "try", destination=1)
    assert well and "takes events again" in said
    site.wait_settled(3)


def test_back_off_is_cut_short(site, sink, ready):
    feed, _ = ready
    sink.answer = lambda request: Answer(429, headers={"Retry-After": "3000"})
    feed.push(3, "a")
    wait_for(lambda: site.sql("SELECT 1 FROM events WHERE state = 2"), "a retry")
    sink.answer = accept
    assert done(site, "try", destination=1)[0]
    site.wait_settled(3)


def test_trying_what_has_nothing_to_send_says_so(site, sink, ready):
    well, said = done(site, "try", destination=1)
    assert well and said.startswith("Nothing is due") and sink.requests == []


def test_rejected_events_go_again_under_their_ids(site, sink, ready):
    feed, _ = ready
    sink.answer = lambda request: Answer(200, results(["bad"] * len(request.ids)))
    feed.push(3, "a")
    site.wait_settled(3)
    sink.answer = accept
    first = site.sql("SELECT id FROM events WHERE event_id = 'a-0'")[0]["id"]
    assert done(site, "retry", event=first)[0]
    wait_for(lambda: site.states()["a-0"] == DELIVERED, "a-0 to be delivered")
    assert site.states()["a-1"] == REJECTED
    well, said = done(site, "retry", destination=1)
    assert well and said.startswith("2 rejected events are in line again")
    site.wait_settled(3)
    wait_for(lambda: set(site.states().values()) == {DELIVERED}, "the rest to be delivered")
    assert not done(site, "retry", event=first)[0]
    assert done(site, "retry", destination=1) == (
        True, "There is no rejected event whose data is still kept.")


def test_a_person_is_nowhere_once_forgotten(site, sink, ready):
    feed, _ = ready
    done(site, "pause", destination=1)
    assert feed.is_durable(feed.push(3, "a"))
    name = ask(site, "forget", subject=EM)
    assert outcome(site, name) == (True, "0 contexts and 3 events erased.")
    files = [*site.state.iterdir(), feed.queue_file]
    assert {p.name for p in files} >= {"store.db", "store.db-wal", "queue.1"}
    assert [p.name for p in files if EM.encode() in p.read_bytes()] == []
    assert set(site.states().values()) == {SUPPRESSED}
    assert done(site, "forget", subject=EM) == (True, "Nothing here carries it.")
    assert EM not in site.log() and "as alice asked on the page" in site.log()


def test_a_person_in_flight_is_forgotten_once_the_request_has_ended(site, sink, ready):
    feed, _ = ready
    is_over = threading.Event()

    def hold(request):
        is_over.wait(PATIENCE)
        return Answer(503)

    sink.answer = hold
    feed.push(1, "a")
    wait_for(lambda: sink.in_flight, "the request")
    name = ask(site, "forget", subject=EM)
    wait_for(lambda: site.sql("SELECT 1 FROM outbox WHERE denied_by = 'forget request'"), "the note")
    assert site.sql("SELECT done_at FROM asks")[0]["done_at"] is None
    is_over.set()
    assert outcome(site, name)[0]
    assert [p.name for p in site.state.iterdir() if EM.encode() in p.read_bytes()] == []
    assert site.states() == {"a-0": SUPPRESSED} and len(sink.requests) == 1


def test_what_was_asked_while_nobody_ran_is_done_at_the_start(site, sink, ready):
    feed, pid = ready
    os.kill(pid, signal.SIGTERM)
    feed.wait(pid)
    name = ask(site, "pause", destination=1)
    feed.start()
    assert outcome(site, name)[0] and paused(site) == ["alice"]


def test_what_this_sender_does_not_know_is_left_to_another(site, sink, ready):
    unknown = ask(site, "dance", destination=1)
    assert not done(site, "pause", destination=99)[0]
    assert not done(site, "test", destination=99)[0]
    assert site.sql("SELECT done_at FROM asks WHERE id = ?", unknown)[0]["done_at"] is None
