"""The store on a database server: PostgreSQL and MariaDB, one sender and several."""

import collections
import json
import os
import signal
import subprocess
import time

import pytest

from conftest import ACCOUNT, BUILD, VALGRIND, Site, wait_for
from databases import MariaDb, Postgres, running
from sink import Answer, accept, results

pytestmark = pytest.mark.skipif(VALGRIND, reason="the drivers are others' work")
CGI = BUILD / "pinterest-capi.cgi"


def ids(prefix, count):
    return [f"{prefix}-{n}" for n in range(count)]


@pytest.fixture(scope="module", params=[Postgres, MariaDb])
def server(request):
    with running(request.param) as made:
        yield made


class Shop(Site):
    """A web server whose store is the database."""

    def __init__(self, server, root, sink, **options):
        super().__init__(root, sink.url, sink.ca_file)
        self.server, self.program = server, options.get("program", self.program)
        self.settings = {"store_driver": server.name, "store_params": server.params}

    def rows(self, text):
        return self.server.sql(text.replace("FROM ", f"FROM {self.server.schema}"))

    def settled(self):
        rows = self.server.look(
            f"SELECT count(*) FROM {self.server.schema}events WHERE state >= 10")
        return int(rows[0][0]) if rows else 0

    def wait_for_settled(self, count, timeout=60):
        wait_for(lambda: self.settled() >= count, f"{count} settled events: {self.log()[-2000:]}",
                 timeout)


@pytest.fixture
def shops(server, folder, sink):
    """shops(program) is another web server on the same, at first empty, database."""
    server.forget_all()
    made = []

    def make(**options):
        root = os.path.join(folder, f"shop{len(made)}")
        os.mkdir(root)
        made.append(Shop(server, root, sink, **options))
        return made[-1]

    yield make
    for shop in made:
        shop.close()


def report(server, command):
    return subprocess.run([str(CGI), command, f"{server.name} {server.params}"], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout


def page(server, path, query=""):
    """(head, body) of the admin program's answer."""
    answer = subprocess.run([str(CGI)], text=True, stdout=subprocess.PIPE, env={
        "GATEWAY_INTERFACE": "CGI/1.1", "REQUEST_METHOD": "GET", "PATH_INFO": path,
        "QUERY_STRING": query, "SCRIPT_NAME": "/x", "SERVER_PROTOCOL": "HTTP/1.1",
        "PINTEREST_CAPI_STORE": f"{server.name} {server.params}"}).stdout.replace("\r\n", "\n")
    return answer.split("\n\n", 1)


def test_events_go_through_the_database_once(server, shops, sink):
    def answer(request):
        return Answer(200, results(["too old" if i == "a-7" else None for i in request.ids]))

    sink.answer = answer
    shop = shops()
    feed, pid = shop.start()
    feed.push(2500, "a")
    feed.push(2500, "a")
    shop.wait_for_settled(2500)
    wait_for(lambda: feed.used() == 0, "an empty queue")
    counts = collections.Counter(sink.delivered())
    assert set(counts) == set(ids("a", 2500)) and max(counts.values()) == 1
    assert shop.rows("SELECT event_id, error FROM events WHERE state = 11") == [("a-7", "too old")]
    assert shop.rows("SELECT count(*) FROM outbox WHERE due < 4000000000000000") == [("0",)]
    total = dict(shop.rows("SELECT what, n FROM counters WHERE hour = 0 AND what NOT LIKE '%:%'"))
    assert (total["delivered"], total["rejected"]) == ("2499", "1")
    assert int(total.get("duplicate", 0)) + int(total.get("merged", 0)) == 2500
    os.kill(pid, signal.SIGTERM)
    assert feed.wait(pid) == ("exit", "0")
    assert shop.errors() == []


def test_admin_program_reads_the_database(server, shops, sink):
    sink.answer = lambda r: Answer(200, results(["no" if i == "a-2" else None for i in r.ids]))
    shop = shops()
    feed, _ = shop.start()
    feed.push(3, "a")
    shop.wait_for_settled(3)
    wait_for(lambda: report(server, "status").startswith("Delivering"), "the verdict")
    assert "a-2" in report(server, "tail")
    assert "pinterest_capi_sender_up 1" in report(server, "metrics")

    def found(query):
        return [d["event_id"] for d in
                json.loads(page(server, "/deliveries.json", query)[1])["deliveries"]]

    assert found("") == ["a-2", "a-1", "a-0"]
    assert found("q=a-1&account=" + ACCOUNT) == ["a-1"]
    assert found("state=rejected") == ["a-2"] and found("state=queued") == []
    assert found("state=delivered&event_name=checkout&limit=1") == ["a-1"]
    for path in ("/", "/deliveries/1", "/coverage.json", "/status.json", "/metrics"):
        head, body = page(server, path)
        assert "Status: " not in head or "Status: 200" in head, (path, head, body[:500])


def test_lost_connection_is_opened_anew(server, shops, sink):
    shop = shops()
    feed, _ = shop.start()
    feed.push(10, "a")
    shop.wait_for_settled(10)
    server.cut_connections()
    feed.push(10, "b")
    shop.wait_for_settled(20)
    assert sorted(sink.delivered()) == sorted(ids("a", 10) + ids("b", 10))
    assert len(shop.errors()) == 1 and "PCAPI110" in shop.errors()[0]
    shop.wait_log("PCAPI111")


def test_server_that_dies_loses_nothing(server, shops, sink):
    shop = shops()
    feed, _ = shop.start()
    feed.push(10, "a")
    shop.wait_for_settled(10)
    server.kill()
    position = feed.push(500, "b")
    shop.wait_log("PCAPI110")
    assert not feed.is_durable(position, 0.05)
    late = shops()
    late_feed, _ = late.start()
    late_feed.push(10, "c")
    late.wait_log("PCAPI112")
    server.start()
    shop.wait_for_settled(520)
    assert collections.Counter(sink.delivered()) == \
        collections.Counter(ids("a", 10) + ids("b", 500) + ids("c", 10))
    assert len(shop.errors()) == len(late.errors()) == 1


def test_two_senders_share_the_work_and_the_ids(server, shops, sink):
    """Each sends what it took in; what both took in goes out once."""
    one, two = shops(), shops()
    feeds = [one.start()[0], two.start()[0]]
    for turn in range(8):
        feeds[turn % 2].push(300, f"own{turn}")
        for feed in feeds:
            feed.push(200, f"both{turn}")
    wanted = [i for turn in range(8) for i in ids(f"own{turn}", 300) + ids(f"both{turn}", 200)]
    one.wait_for_settled(len(wanted))
    for feed in feeds:
        wait_for(lambda: feed.used() == 0, "an empty queue")
    assert collections.Counter(sink.delivered()) == collections.Counter(wanted)
    assert one.rows("SELECT count(*), count(DISTINCT event_id) FROM events") == \
        [(str(len(wanted)),) * 2]
    assert one.rows("SELECT count(*) FROM nodes") == [("2",)]
    assert one.errors() == [] and two.errors() == []


def test_same_place_after_a_restart(server, shops, sink):
    sink.answer = lambda r: Answer(200, results([None] * len(r.ids)), delay=60)
    shop = shops()
    feed, pid = shop.start()
    feed.push(10, "a")
    wait_for(lambda: sink.requests, "a request in flight")
    os.kill(pid, signal.SIGKILL)
    feed.wait(pid)
    sink.answer = accept
    feed.start()
    shop.wait_for_settled(10)
    assert shop.rows("SELECT count(*) FROM nodes") == [("1",)]
    assert shop.rows("SELECT error FROM attempts ORDER BY id LIMIT 1") == [("interrupted",)]


def test_events_of_a_dead_server_are_taken_over(server, shops, sink):
    """In a hurry: the lease of a minute takes half a second."""
    hasty = BUILD / "tests/hasty-sender"
    sink.answer = lambda r: Answer(503)
    dead, heir = shops(program=hasty), shops(program=hasty)
    feed, pid = dead.start()
    feed.push(300, "a")
    wait_for(lambda: sink.requests, "an attempt")
    heir_feed, _ = heir.start()
    heir_feed.push(10, "b")
    wait_for(lambda: dead.rows("SELECT count(*) FROM nodes") == [("2",)], "two places")
    os.kill(pid, signal.SIGKILL)
    feed.kill()
    heir.wait_log("PCAPI181")
    sink.answer = accept
    heir.wait_for_settled(310)
    assert collections.Counter(sink.delivered()) == \
        collections.Counter(ids("a", 300) + ids("b", 10))
    assert dead.rows("SELECT count(*) FROM nodes") == [("1",)]
    assert heir.errors() == []


def test_sender_that_stood_still_joins_again(server, shops, sink):
    hasty = BUILD / "tests/hasty-sender"
    slow, other = shops(program=hasty), shops(program=hasty)
    feed, pid = slow.start()
    other.start()
    feed.push(10, "a")
    slow.wait_for_settled(10)
    wait_for(lambda: slow.rows("SELECT count(*) FROM nodes") == [("2",)], "two places")
    os.kill(pid, signal.SIGSTOP)
    other.wait_log("PCAPI181")
    os.kill(pid, signal.SIGCONT)
    slow.wait_log("PCAPI180")
    feed.push(10, "b")
    slow.wait_for_settled(20)
    assert sorted(sink.delivered()) == sorted(ids("a", 10) + ids("b", 10))
    # Nobody gets a number that another had.
    assert slow.rows("SELECT node FROM nodes ORDER BY node") in ([("1",), ("3",)],
                                                                 [("2",), ("3",)])
    # Where it stood still inside a transaction, the server ended that.
    assert all("PCAPI110" in line for line in slow.errors()) and other.errors() == []


def ask(shop, number, kind):
    shop.rows("INSERT INTO " + shop.server.schema + "asks (id, kind, destination, asked_by, asked_at)"
              f" VALUES ('0190163d-8694-7000-8000-00000000000{number}', '{kind}', 1, 'me',"
              f" {time.time_ns() // 1000})")
    wait_for(lambda: shop.rows("SELECT count(*) FROM asks WHERE done_at IS NULL") == [("0",)],
             "the ask to be done")


def wait_for_beats(shop):
    """Until every sender has seen what is in the database now."""
    def beats():
        return [int(row[0]) for row in shop.rows("SELECT beat FROM nodes ORDER BY node")]

    before = beats()
    wait_for(lambda: all(now >= then + 2 for now, then in zip(beats(), before, strict=True)),
             "two beats of each")


def test_what_the_page_asks_for_reaches_every_sender(server, shops, sink):
    hasty = BUILD / "tests/hasty-sender"
    one, two = shops(program=hasty), shops(program=hasty)
    one.start()
    feed, _ = two.start()
    feed.push(1, "a")
    two.wait_for_settled(1)
    wait_for(lambda: one.rows("SELECT count(*) FROM nodes") == [("2",)], "two places")
    ask(one, 1, "pause")
    wait_for_beats(one)
    assert feed.is_durable(feed.push(1, "b"))
    wait_for_beats(one)
    assert sink.delivered() == ["a-0"]
    ask(one, 2, "resume")
    two.wait_for_settled(2)
    assert sink.delivered() == ["a-0", "b-0"]
    assert one.rows("SELECT is_well FROM asks") == [("1",), ("1",)]
