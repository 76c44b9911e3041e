"""Every fault of API and network at once, an account each: while it lasts nothing is lost and nobody
else is delayed, and the first attempt after its end succeeds. The sender is in a hurry (its clocks
run 120 times as fast), but what libcurl times is not: hangs last half a minute.

CAPI_FAULT_TABLE=FILE measures how long recovery takes with the ordinary sender, fault by fault."""

import collections
import gzip
import json
import os
import pathlib
import re
import subprocess
import time
import zlib

import h2.errors
import pytest

from conftest import BUILD, VALGRIND, Site, own_memory_kb, wait_for
from rude import Api, Certificates, Http2, Proxy, Resolver, all_good, answer, reset
from sink import Answer, accept, results

pytestmark = pytest.mark.skipif(VALGRIND, reason="its clock would be 120 times too slow")

TABLE = os.environ.get("CAPI_FAULT_TABLE")
EVENTS, DELIVERED = 5, 10
# Of this run: another may be on the machine.
NAMESERVER = f"127.53.{os.getpid() >> 8 & 255}.{os.getpid() & 255}"
FOR_EVER = 1 << 30

# What the sender logs, once a fault.
WAITS, HOLDS, HALVES = ["PCAPI140"], ["PCAPI130"], ["PCAPI142"]

Row = collections.namedtuple(
    "Row", "fault lines words times speaks proxy host events repeats paces",
    defaults=(2, "good", None, None, EVENTS, False, None))


# --- faults of a connection ---

def before(api, connection):
    reset(connection)


def hang(connection):
    """Until the other side gives up."""
    while connection.recv(65536):
        pass


def handshake_hangs(api, connection):
    hang(connection)


def plain_text(api, connection):
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def shows(context):
    return lambda api, connection: api.tls(connection, context)


# --- faults of an answer ---

def on_request(act):
    """Reads one request; what `act` returns is sent, then the connection is closed."""
    def fault(api, connection):
        tls = api.tls(connection)
        for request in api.requests_of(tls):
            tls.sendall((act(api, tls, request) or b"").replace(b"{trap}", api.trap.encode()))
            break
    return fault


def says(status, body=b'{"code": 7, "message": "sink says no"}', *headers, length=None):
    if status == 204:
        body, length = b"", False
    return on_request(lambda api, tls, request: answer(status, body, *headers, length=length))


def well(*headers, length=None, coded=bytes, taken=False):
    """A good answer, framed or coded wrongly; `taken` where the client may well take it."""
    def act(api, tls, request):
        if taken:
            api.accept(request)
        body = coded(all_good(request))
        return answer(200, body, *headers, length=length(body) if callable(length) else length)
    return on_request(act)


def lost(api, tls, request):
    api.accept(request)
    reset(tls)


def inside(api, tls, request):
    tls.sendall(answer(200, all_good(request)[:20], length=400))
    reset(tls)


def hangs(api, tls, request):
    hang(tls)


def hangs_inside(api, tls, request):
    tls.sendall(answer(200, b'{"events": [', length=400))
    hang(tls)


def trickles(api, tls, request):
    for byte in answer(200, all_good(request)):
        tls.sendall(bytes([byte]))
        if api.stopping.wait(1):
            break


def endless(head, piece):
    def act(api, tls, request):
        tls.sendall(head)
        for _ in range(100 * (1 << 20) // len(piece)):
            tls.sendall(piece)
    return on_request(act)


def wrong_results(*events):
    return says(200, json.dumps({"events": list(events)}).encode())


def details(count):
    return says(422, json.dumps({"code": 1, "message": "some failed",
                                 "details": results(["bad"] * count)}).encode())


def bomb(body):
    squeezed = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join([squeezed.compress(bytes(1 << 20)) for _ in range(100)] + [squeezed.flush()])


def chunked_bomb(api, tls, request):
    body = bomb(b"")
    return (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n" +
            b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))


def drops_second_requests(api, connection):
    """A connection that went stale while it was kept."""
    for number, request in enumerate(api.requests_of(tls := api.tls(connection))):
        if number:
            reset(tls)
            return
        api.accept(request)
        tls.sendall(answer(200, all_good(request)))


def chokes_on_one(api, connection):
    tls = api.tls(connection)
    for request in api.requests_of(tls):
        if any(i.endswith("-117") for i in request.ids):
            tls.sendall(answer(500))
            return
        api.accept(request)
        tls.sendall(answer(200, all_good(request)))


# --- faults of HTTP/2 ---

CODES = h2.errors.ErrorCodes


def on_stream(act, closes=True):
    def fault(api, connection):
        tls = api.tls(connection)

        def once(line, stream, request):
            act(line, stream, request)
            if closes:
                line.flush()
                tls.unwrap()
        Http2(api, tls).serve(once)
    return fault


def goaway(line, stream, request):
    line.h2.close_connection(last_stream_id=0)


def goaway_inside(line, stream, request):
    line.send(stream, all_good(request), ends=False)
    line.h2.close_connection(CODES.INTERNAL_ERROR, last_stream_id=stream)


def goaway_after(line, stream, request):
    line.answer(stream, request)
    line.flush()
    line.h2.close_connection(last_stream_id=stream)


def resets(code, is_inside=False):
    def act(line, stream, request):
        if is_inside:
            line.send(stream, all_good(request), ends=False)
        line.h2.reset_stream(stream, code)
    return act


def refuses_twice(line, stream, request):
    if len(line.api.requests) > 2:
        line.answer(stream, request)
    else:
        line.h2.reset_stream(stream, CODES.REFUSED_STREAM)


def falls_silent(line, stream, request):
    """A connection that answers once and then takes everything in."""
    if not getattr(line, "has_answered", False):
        line.has_answered = True
        line.answer(stream, request)


def breaks_frames(line, stream, request):
    line.tls.sendall(b"\xff" * 64)


# --- faults of a proxy ---

def refuses(status):
    return lambda proxy, connection: connection.sendall(
        b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status)


def proxy_hangs(proxy, connection):
    hang(connection)


def proxy_dies(proxy, connection):
    reset(connection)


def proxy_dies_inside(proxy, connection):
    proxy.tunnel(connection, "127.0.0.1", proxy.behind, up_to=300)


def over_http2(act, lines, words, **options):
    return Row(on_stream(act), lines, words, speaks="h2", **options)


def by_proxy(fault, words, times=2):
    return Row(None, WAITS, words, times, proxy=fault)


NO_JSON = "status 200: the answer is no JSON"
MISCOUNTED = r"status 200: the answer has \d+ results or one without a status, for 5 events"

ROWS = {
    "refused connection": Row(None, WAITS, r"no connection \(.*onnect", FOR_EVER),
    "reset before the request": Row(before, WAITS, "no connection|no TLS connection"),
    "reset before the answer": Row(on_request(lambda api, tls, request: reset(tls)), WAITS,
                                   "the connection broke"),
    "reset inside the answer": Row(on_request(inside), WAITS, "the connection broke"),
    "reset after it was taken": Row(on_request(lost), WAITS, "the connection broke", repeats=True),
    "closed without an answer": Row(on_request(lambda api, tls, request: b""), WAITS,
                                    "closed without an answer|the connection broke"),
    "handshake hangs": Row(handshake_hangs, WAITS, "no answer in time", 1),
    "hangs before the answer": Row(on_request(hangs), WAITS, "no answer in time", 1),
    "hangs inside the answer": Row(on_request(hangs_inside), WAITS, "no answer in time", 1),
    "trickles a byte a second": Row(on_request(trickles), WAITS, "no answer in time", 1),
    "no HTTP": Row(on_request(lambda api, tls, request: b"SSH-2.0-OpenSSH_9.2\r\n"), WAITS,
                   "HTTP/0.9"),
    "no TLS": Row(plain_text, WAITS, "no TLS connection"),
    **{f"{status}": Row(says(status, b"", "Location: {trap}"), HOLDS, f"status {status}")
       for status in (204, 301, 302, 303, 307, 308)},
    **{f"{status}": Row(says(status), HOLDS, f"status {status}: 7: sink says no")
       for status in (401, 403, 404, 405, 409, 415)},
    **{f"{status}": Row(says(status), HALVES, f"status {status}: 7: sink says no")
       for status in (400, 413, 422)},
    "422 with results of others": Row(details(3), HALVES, "status 422: the answer has 3 results"),
    **{f"{status}": Row(says(status), WAITS, f"status {status}: 7: sink says no")
       for status in (408, 429, 500, 502, 503, 504, 599)},
    "500 for one event of 300": Row(chokes_on_one, None, "status 500", FOR_EVER, events=300),
    "429, 7 seconds": Row(says(429, b"", "Retry-After: 7"), WAITS, "status 429", paces="7.0"),
    "429, a date gone by": Row(says(429, b"", "Retry-After: Thu, 01 Jan 2015 00:00:00 GMT"), WAITS,
                               "status 429", paces="1.0"),
    "429, a date far away": Row(says(429, b"", "Retry-After: Fri, 01 Jan 2100 00:00:00 GMT"), WAITS,
                                "status 429", 1, paces="3600.0"),
    "429, absurd": Row(says(429, b"", "Retry-After: 99999999999999999999"), WAITS, "status 429", 1,
                       paces="3600.0"),
    "429, negative": Row(says(429, b"", "Retry-After: -7"), WAITS, "status 429", paces="[01]."),
    "503, 7 seconds": Row(says(503, b"", "Retry-After: 7"), WAITS, "status 503", paces="7.0"),
    "HTML": Row(says(200, b"<html>Welcome</html>", "Content-Type: text/html"), WAITS, NO_JSON),
    "nothing": Row(says(200, b""), WAITS, "status 200"),
    "longer than it says": Row(well(length=10), WAITS, NO_JSON),
    "shorter than it says": Row(well(length=9999), WAITS, "the answer broke off"),
    "one result too few": Row(wrong_results(*results([None] * 4)["events"]), WAITS, MISCOUNTED),
    "one result too many": Row(wrong_results(*results([None] * 6)["events"]), WAITS, MISCOUNTED),
    "results of wrong types": Row(wrong_results(1, "processed", None, [], {"status": 1}), WAITS,
                                  MISCOUNTED),
    "unknown result": Row(wrong_results(*[{"status": "perhaps"}] * 5), WAITS, MISCOUNTED),
    "results that are no list": Row(says(200, b'{"events": {"status": "processed"}}'), WAITS,
                                    "status 200: no message"),
    "a million objects": Row(says(200, b'{"events":[' + b"{},[]," * 160000 + b"{}]}"), WAITS,
                             "status 200: the answer holds far more than results"),
    "deep JSON": Row(says(200, b"[" * 1000), WAITS, NO_JSON),
    "no UTF-8": Row(says(200, b'{"events": ["\xff\xfe"]}'), WAITS, NO_JSON),
    "100 MB announced": Row(says(200, b"{", length=100 << 20), WAITS, "the answer is too long"),
    "100 MB": Row(endless(b"HTTP/1.1 200 OK\r\n\r\n", b" " * (1 << 20)), WAITS,
                  "the answer is too long"),
    "headers without end": Row(endless(b"HTTP/1.1 200 OK\r\n", b"X-More: of this\r\n" * 1000), WAITS,
                               "the answer is too long"),
    "interim answers without end": Row(endless(b"", b"HTTP/1.1 103 Early\r\n\r\n" * 1000), WAITS,
                                       "the answer is too long"),
    "gzip that nobody asked for": Row(well("Content-Encoding: gzip", coded=gzip.compress), WAITS,
                                      NO_JSON),
    "gzip bomb": Row(well("Content-Encoding: gzip", coded=bomb), WAITS, NO_JSON),
    "gzip bomb as transfer coding": Row(on_request(chunked_bomb), WAITS, "the answer is too long"),
    "called gzip, but plain": Row(well("Content-Encoding: gzip", taken=True), [], None),
    "expired certificate": Row(shows("expired"), WAITS, "certificate is not accepted .*expired"),
    "certificate of another host": Row(shows("elsewhere"), WAITS, "certificate is not accepted"),
    "certificate of an unknown CA": Row(shows("stranger"), WAITS, "certificate is not accepted"),
    "TLS 1.1": Row(shows("old"), WAITS, "no TLS connection to the API .*version"),
    "name server fails": Row(None, WAITS, "name cannot be resolved", FOR_EVER, host="servfail"),
    "unknown name": Row(None, WAITS, "name cannot be resolved", FOR_EVER, host="nxdomain"),
    "name server is silent": Row(None, WAITS, "name cannot be resolved", FOR_EVER, host="silent"),
    "HTTP/2 GOAWAY before the answer": over_http2(goaway, WAITS,
                                                    "HTTP/2|without an answer"),
    "HTTP/2 GOAWAY inside the answer": over_http2(goaway_inside, WAITS, "HTTP/2|broke"),
    "HTTP/2 GOAWAY after the answer": over_http2(goaway_after, [], None),
    "HTTP/2 stream reset": over_http2(resets(CODES.INTERNAL_ERROR), WAITS,
                                      "HTTP/2|without an answer"),
    "HTTP/2 stream refused": Row(on_stream(refuses_twice, closes=False), [], None, FOR_EVER,
                                    "h2"),
    "HTTP/2 stream reset inside": over_http2(resets(CODES.CANCEL, True), WAITS, "HTTP/2"),
    "HTTP/2 broken frames": over_http2(breaks_frames, WAITS, "HTTP/2|broke|closed"),
    **{f"proxy refuses with {status}": by_proxy(refuses(status), rf"proxy refuses \(status {status}")
       for status in (403, 407, 502)},
    "proxy hangs": by_proxy(proxy_hangs, "no answer in time", 1),
    "proxy dies": by_proxy(proxy_dies, "the connection broke|without an answer"),
    "proxy dies inside": by_proxy(proxy_dies_inside, "no TLS connection|the connection broke"),
    "kept connection is dead": Row(drops_second_requests, [], None, FOR_EVER),
}


class Case:
    """One row at work: its account, its API, and what came of it."""

    def __init__(self, number, name, row, certificates, trap):
        self.account, self.name, self.row = str(1000 + number), name, row
        is_api = not row.proxy and row.times and not row.host
        self.api = Api(certificates, row.fault, row.times if is_api and row.fault else 0, row.speaks)
        self.api.trap = f"{trap.url}/stolen"
        self.url = self.api.url.replace("127.0.0.1", f"{row.host}.api.test" if row.host
                                        else "127.0.0.1")
        self.proxy = Proxy(row.proxy, row.times) if row.proxy else None
        if self.proxy:
            self.proxy.behind = self.api.listener.port
            self.proxy.listener.listen()
        self.ends_by_hand = row.times == FOR_EVER and not row.fault
        self.ended_after = None
        if row.fault or row.proxy or row.host:
            self.api.listener.listen()

    def settings(self, site, number):
        extra = {"proxy": self.proxy.url} if self.proxy else {}
        return site.account(account=self.account, api_url=self.url, token_fd=7 + number, **extra)

    def end(self, attempts, resolver):
        """Two attempts have met it: that is enough."""
        self.ended_after, self.api.ended_at = attempts, time.monotonic()
        if self.row.host:
            resolver.known.add(self.row.host)
        else:
            self.api.listener.listen()

    def expected(self, prefix, count):
        ids = {f"{prefix}-{n}" for n in range(count)}
        return ids - {"a-117"} if self.row.events > EVENTS else ids

    def close(self):
        self.api.close()
        if self.proxy:
            self.proxy.close()


class Silence:
    """A sender of its own, because among so many hosts no connection is kept for long."""

    def __init__(self, folder, certificates):
        self.api = Api(certificates, on_stream(falls_silent, closes=False), 1, "h2")
        self.api.listener.listen()
        folder = pathlib.Path(folder) / "silence"
        folder.mkdir()
        self.site = Site(folder, self.api.url, certificates.ca_file)
        self.site.program = BUILD / "tests/hasty-sender"
        self.feed, _ = self.site.start()
        self.feed.push(EVENTS, "a")
        self.site.wait_settled(EVENTS)
        self.feed.push(EVENTS, "b")

    def close(self):
        self.site.close()
        self.api.close()


class Storm:
    def __init__(self, folder, rows):
        self.folder = pathlib.Path(folder)
        self.certificates = Certificates(folder)
        self.trap = Api(self.certificates, None, 0)
        self.trap.listener.listen()
        self.resolver = None
        self.program = BUILD / ("pinterest-capi-sender" if TABLE else "tests/hasty-sender")
        self.site = Site(folder, "", self.certificates.ca_file)
        self.site.program = self.wrapper()
        # An hour's pause is an hour with the ordinary sender.
        rows = {name: row for name, row in rows.items() if (self.resolver or not row.host) and
                not (TABLE and row.paces == "3600.0")}
        self.cases = {name: Case(n, name, row, self.certificates, self.trap)
                      for n, (name, row) in enumerate(rows.items())}
        self.peak, self.patience = 0, 900 if TABLE else 120
        self.silence = Silence(folder, self.certificates)

    def wrapper(self):
        """The sender with the most permissive OpenSSL, so that it is the sender that refuses, and in
        a mount namespace where the name server is ours."""
        openssl = self.folder / "openssl.cnf"
        openssl.write_text("openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\n"
                           "MinProtocol = TLSv1\nCipherString = ALL:@SECLEVEL=0\n")
        (self.folder / "resolv.conf").write_text(f"nameserver {NAMESERVER}\n"
                                                 "options timeout:1 attempts:1\n")
        mount = f"mount --bind {self.folder}/resolv.conf /etc/resolv.conf"
        try:
            can_mount = subprocess.run(["unshare", "-m", "sh", "-c", mount],
                                       stderr=subprocess.DEVNULL).returncode == 0
            self.resolver = Resolver(NAMESERVER) if can_mount else None
        except OSError:
            pass  # not root, or somebody else's port 53: the rows of names are skipped
        script = self.folder / "sender.sh"
        run = f"exec {self.program}"
        script.write_text(f"#!/bin/sh\nexport OPENSSL_CONF={openssl}\n" +
                          (f"exec unshare -m sh -c '{mount} && {run}'\n" if self.resolver
                           else run + "\n"))
        script.chmod(0o755)
        return script

    def rage(self):
        cases = list(self.cases.values())
        config = self.site.config(accounts=[c.settings(self.site, n)
                                            for n, c in enumerate(cases)])
        feed, pid = self.site.start(files=[self.site.token_file] * len(cases), config=config)
        self.push(feed, "a")
        wait_for(lambda: self.look(pid) and self.are_settled(), "every fault to pass",
                 self.patience)
        self.push(feed, "b", EVENTS)
        wait_for(lambda: self.look(pid) and self.are_settled(EVENTS), "what came afterwards",
                 self.patience)

    def push(self, feed, prefix, count=None):
        for case in self.cases.values():
            feed.push(count or case.row.events, prefix, account=case.account, url=case.url)

    def look(self, pid):
        self.peak = max(self.peak, own_memory_kb(pid))
        rows = self.site.sql("SELECT d.account, count(*) AS n FROM attempts a JOIN destinations d ON"
                             " d.id = a.destination WHERE a.finished_at IS NOT NULL"
                             " GROUP BY d.account")
        ended = {row["account"]: row["n"] for row in rows}
        for case in self.cases.values():
            if case.ends_by_hand and not case.ended_after and ended.get(case.account, 0) >= 2:
                case.end(ended[case.account], self.resolver)
        return True

    def are_settled(self, more=0):
        rows = self.site.sql("SELECT d.account, count(*) AS n FROM events e JOIN destinations d ON"
                             " d.id = e.destination WHERE e.state = 10 GROUP BY d.account")
        settled = {row["account"]: row["n"] for row in rows}
        return all(settled.get(c.account, 0) == len(c.expected("a", c.row.events)) + more
                   for c in self.cases.values())

    def attempts(self, case):
        return self.site.sql("SELECT a.* FROM attempts a JOIN destinations d ON d.id ="
                             " a.destination WHERE d.account = ? AND a.finished_at IS NOT NULL"
                             " ORDER BY a.id", case.account)

    def lines(self, case):
        """Of the account, at warning and above."""
        return [line for line in self.site.log().splitlines()
                if re.search(rf":(warn|error)\].* account {case.account}\b", line)]

    def close(self):
        self.site.close()
        self.silence.close()
        for case in self.cases.values():
            case.close()
        self.trap.close()
        if self.resolver:
            self.resolver.close()


def table_row(case):
    """Measured, for docs/reliability.md."""
    ended = (case.proxy or case.api).ended_at
    took = f"{case.api.well_at - ended:.1f} s" if ended and case.row.lines else "at once"
    return f"| {case.name} | {' '.join(case.row.lines or [])} | {took} |\n"


@pytest.fixture(scope="module")
def storm(tmp_path_factory):
    made = Storm(tmp_path_factory.mktemp("storm"), ROWS)
    try:
        made.rage()
        if TABLE:
            pathlib.Path(TABLE).write_text("".join(map(table_row, made.cases.values())))
        yield made
    finally:
        made.close()


@pytest.fixture(params=ROWS)
def case(request, storm):
    if request.param not in storm.cases:
        pytest.skip("needs root, a mount namespace and port 53 of " + NAMESERVER)
    return storm.cases[request.param]


def failed(attempts):
    return [a for a in attempts if a["http_status"] != 200 or a["error"]]


def test_fault_loses_nothing_and_sends_nothing_twice(storm, case):
    wanted = case.expected("a", case.row.events) | case.expected("b", EVENTS)
    counts = collections.Counter(case.api.accepted)
    assert set(counts) == wanted
    assert case.row.repeats or max(counts.values()) == 1
    states = {row["state"] for row in storm.site.sql(
        "SELECT e.state FROM events e JOIN destinations d ON d.id = e.destination WHERE d.account"
        " = ? AND e.event_id <> 'a-117'", case.account)}
    assert states == {DELIVERED}


def requests_until_only_one_is_left(case):
    waiting = {f"a-{n}" for n in range(case.row.events)}
    for number, request in enumerate(case.api.requests, 1):
        if "a-117" not in request.ids:
            waiting -= set(request.ids)
        if waiting == {"a-117"}:
            return number
    raise AssertionError(waiting)


def test_first_attempt_after_the_fault_succeeds(storm, case):
    """However many attempts the fault spoilt, it spoils none after its end."""
    attempts = storm.attempts(case)
    spoilt = failed(attempts)
    if case.row.fault is chokes_on_one:
        assert requests_until_only_one_is_left(case) < 30
        return
    if case.ended_after:
        # One more may have been under way just then.
        assert case.ended_after <= len(spoilt) <= case.ended_after + 1
    else:
        assert len(spoilt) == (case.row.times if case.row.lines else 0)
    assert not failed(attempts[len(spoilt):])


def test_fault_is_one_line_in_the_log(storm, case):
    codes = [re.search(r"PCAPI\d+", line)[0] for line in storm.lines(case)]
    if case.row.fault is chokes_on_one:
        assert set(codes) == set(WAITS)
        return
    assert codes == case.row.lines
    if case.row.paces:
        assert re.search(rf"account {case.account}: no result .* next attempt in {case.row.paces}",
                         storm.site.log())


def test_record_of_the_delivery_says_what_happened(storm, case):
    for attempt in failed(storm.attempts(case)):
        assert re.search(case.row.words, attempt["error"]), attempt["error"]


def test_kept_connection_that_falls_silent_costs_one_attempt(storm):
    """libcurl would use it again and again: its requests time out, not the connection."""
    site = storm.silence.site
    site.wait_settled(2 * EVENTS, 60)
    attempts = site.sql("SELECT http_status, error FROM attempts ORDER BY id")
    assert [a["http_status"] for a in attempts] == [200, 0, 200]
    assert attempts[1]["error"].startswith("no answer in time")
    storm.silence.feed.push(EVENTS, "c")
    site.wait_settled(3 * EVENTS)
    assert len(site.sql("SELECT 1 FROM attempts")) == 4


def test_token_goes_nowhere_else(storm):
    assert storm.trap.requests == [] and storm.trap.met == 0
    for case in storm.cases.values():
        for head in case.proxy.heads if case.proxy else []:
            assert head.startswith("CONNECT ") and "uthorization" not in head


@pytest.mark.skipif("address" in BUILD.name, reason="memory is measured in the plain build")
def test_memory_stays_bounded_in_all_faults_at_once(storm):
    print(f"peak {storm.peak} kB")
    assert storm.peak < 32 * 1024


def test_broken_accounts_delay_nobody(site, sink, tmp_path):
    """200 accounts: 24 whose API hangs, 8 without an API, 8 whose token is not accepted. All others
    deliver again and again while not one of the hanging requests has ended."""
    stuck = Api(Certificates(tmp_path), on_request(hangs), FOR_EVER)
    gone = Api(stuck.certificates, None)
    stuck.listener.listen()
    urls = {**{n: stuck.url for n in range(0, 48, 2)}, **{n: gone.url for n in range(1, 16, 2)}}
    accounts = [str(2000 + n) for n in range(200)]
    refused = set(accounts[17:32:2])
    sink.answer = lambda r: Answer(401) if r.path.split("/")[3] in refused else accept(r)
    site.ca_file.write_text(site.ca_file.read_text() + stuck.certificates.ca_file.read_text())
    config = site.config(accounts=[site.account(account=a, token_fd=7 + n,
                                                api_url=urls.get(n, site.url))
                                   for n, a in enumerate(accounts)])
    feed, _ = site.start(files=[site.token_file] * 200, config=config)
    healthy = {a: [f"{r}{a}-{i}" for r in "xyz" for i in range(20)]
               for n, a in enumerate(accounts) if n not in urls and a not in refused}
    for turn in "xyz":
        for number, account in enumerate(accounts):
            feed.push(20, f"{turn}{account}", account=account, url=urls.get(number))
    wanted = sorted(i for ids in healthy.values() for i in ids)
    wait_for(lambda: len(sink.delivered()) >= len(wanted), "the healthy ones", 60)
    assert not site.sql("SELECT 1 FROM attempts a JOIN destinations d ON d.id = a.destination WHERE"
                        " d.api_url = ? AND a.finished_at IS NOT NULL", stuck.url)
    assert sorted(sink.delivered()) == wanted and len(healthy) == 160
    assert len({line.split("account ")[1].split()[0] for line in site.errors()}) == len(refused)
    for api in (stuck, gone):
        api.close()
