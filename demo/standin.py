"""A stand-in for Pinterest's Conversions API: it checks, records and answers as the real one does,
and can be told to misbehave.

As a library:

    with StandIn(tokens=["secret"]) as api:         # StandIn(tls=False) speaks plain HTTP
        api.url, api.ca_file, api.control_url       # https://localhost:PORT/v5, PEM path, http://…
        api.behave({"status": 503, "times": 3})     # then as usual again
        api.wait(2)                                 # until two events are processed; returns them
        api.requests, api.events, api.processed()   # everything that came, in order

As a program: `standin.py serve --help`, `standin.py certificate DIRECTORY`.

Rules (a list, used in order; each serves `times` requests, 1 if not said, null for ever):

    status, code, message, details   this answer instead of the ordinary one; nothing is processed
    retry_after, headers, location   headers of the answer
    delay                            seconds before the answer
    trickle                          seconds between the pieces of the answer
    reset                            drop the connection `before`, `inside` or `after` the answer
    hang                             seconds of silence, then the connection is dropped
    fail                             regular expression: events whose event_id matches are refused,
                                     in a 422, or with `status` 200 inside that
    body                             html | empty | truncated | short | long | wrong-length | huge,
                                     or {"text": …} for these very bytes
    processed                        whether the events count as processed, whatever the answer says
    match, account                   only requests with such an event_id, or for this account
"""

import argparse
import contextlib
import hashlib
import http.server
import json
import os
import pathlib
import re
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import uuid

from standin_judge import Judge, error_body, result, strict_json

PATH = re.compile(r"/v5/ad_accounts/([^/]+)/events")
BODY_MAX = 8 * 1024 * 1024
HUGE = 100 * 1024 * 1024
RULE_KEYS = frozenset(
    "times status code message details retry_after headers location delay trickle reset hang fail "
    "body processed match account".split())


def make_certificate(directory):
    """A throw-away CA and a certificate of its own for localhost: (ca.pem, server.pem)."""
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)

    def openssl(*arguments):
        done = subprocess.run(["openssl", *arguments], cwd=directory, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"openssl {arguments[0]}: {done.stdout}")

    (directory / "server.ext").write_text(
        "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1\nbasicConstraints=CA:FALSE\n"
        "extendedKeyUsage=serverAuth\n")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "30",
            "-subj", "/CN=Throw-away CA of a stand-in API",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    openssl("req", *key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-set_serial", str(uuid.uuid4().int >> 64), "-days", "30", "-extfile", "server.ext",
            "-out", "server.crt")
    server = directory / "server.pem"
    server.touch(mode=0o600)
    server.write_text((directory / "server.key").read_text() +
                      (directory / "server.crt").read_text())
    for name in ("ca.key", "server.key", "server.csr", "server.crt", "server.ext"):
        (directory / name).unlink()
    (directory / "ca.pem").chmod(0o644)
    return directory / "ca.pem", server


class Dropped(Exception):
    """The connection ends here, without an answer."""


class StandIn:
    """`tokens`: accepted tokens, or {token: [accounts]}. `wire`: v5, or guide for its relay's
    letter. `directory`: where certificate and record.jsonl go (a temporary one if left out)."""

    _certificate = None  # one a process is enough

    def __init__(self, tokens=("pina_STANDIN",), tls=True, port=0, control_port=0, wire="v5",
                 directory=None, accounts=None):
        self._judge = Judge()
        self.wire, self.tls, self.accounts = wire, tls, accounts
        self.tokens = tokens
        self.port, self.control_port = port, control_port
        self._scratch = None
        if directory is None:
            self._scratch = tempfile.TemporaryDirectory(prefix="standin-")
            os.chmod(self._scratch.name, 0o755)
            directory = self._scratch.name
        self.directory = pathlib.Path(directory)
        self.ca_file = self._server_pem = None
        self._changed = threading.Condition()
        self._rules = []
        self._in_flight = 0
        self._record = None
        self._servers = []
        self._ending = threading.Event()
        self.requests, self.events = [], []
        self._processed = []

    # --- life ---

    def start(self):
        """Listens; after stop(), again on the same ports and with the same certificate."""
        if self.tls and self.ca_file is None:
            self.ca_file, self._server_pem = self._make_certificate()
        self._ending.clear()
        self._record = open(self.directory / "record.jsonl", "a", encoding="utf-8")
        api = Server(("127.0.0.1", self.port), ApiHandler, self, self._tls_context())
        self._servers = [api]
        self.port = api.server_address[1]
        control = Server(("127.0.0.1", self.control_port), ControlHandler, self, None)
        self._servers.append(control)
        self.control_port = control.server_address[1]
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def stop(self):
        """Refuses connections and drops the open ones; what was recorded stays readable."""
        self._ending.set()
        servers, self._servers = self._servers, []
        for server in servers:
            server.shutdown()
            server.server_close()
            server.drop_connections()
        if self._record:
            with self._changed:
                self._record.close()
                self._record = None

    def close(self):
        self.stop()
        if self._scratch:
            self._scratch.cleanup()

    __enter__ = start

    def __exit__(self, *_):
        self.close()

    def _make_certificate(self):
        if self._scratch is None:
            ready = self.directory / "ca.pem", self.directory / "server.pem"
            return ready if all(p.exists() for p in ready) else make_certificate(self.directory)
        if StandIn._certificate is None:
            keep = tempfile.TemporaryDirectory(prefix="standin-ca-")
            os.chmod(keep.name, 0o755)
            StandIn._certificate = (keep, make_certificate(keep.name))
        return StandIn._certificate[1]

    def _tls_context(self):
        if not self.tls:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self._server_pem)
        context.set_alpn_protocols(["http/1.1"])
        return context

    @property
    def url(self):
        return (f"https://localhost:{self.port}/v5" if self.tls
                else f"http://127.0.0.1:{self.port}/v5")

    @property
    def control_url(self):
        return f"http://127.0.0.1:{self.control_port}/_control"

    # --- control ---

    def behave(self, *rules):
        """Replaces the rules; behave() alone makes it well-behaved again."""
        kept = []
        for rule in rules:
            unknown = set(rule) - RULE_KEYS
            if unknown:
                raise ValueError(f"a rule has no {', '.join(sorted(unknown))}")
            for key in ("fail", "match"):
                if key in rule:
                    re.compile(rule[key])
            kept.append({"times": 1, **rule})
        with self._changed:
            self._rules = kept

    def reset(self):
        """Forgets rules and what came so far; numbering starts again."""
        with self._changed:
            self._rules, self.requests, self.events, self._processed = [], [], [], []
            self._changed.notify_all()

    def processed(self):
        """The event objects that were processed, in order."""
        with self._changed:
            return list(self._processed)

    def wait(self, count=1, timeout=30.0):
        """Until `count` events are processed; returns all of them, AssertionError otherwise."""
        self.wait_for(lambda: len(self._processed) >= count, f"{count} processed events", timeout)
        return self.processed()

    def wait_requests(self, count=1, timeout=30.0):
        """Until `count` requests have come, whatever the answer; returns their records."""
        self.wait_for(lambda: len(self.requests) >= count, f"{count} requests", timeout)
        return list(self.requests)

    def wait_for(self, condition, what="it", timeout=30.0):
        """Until condition() is true, looked at whenever a request has been recorded."""
        with self._changed:
            if not self._changed.wait_for(condition, timeout):
                raise AssertionError(
                    f"the API waited {timeout:.0f} s for {what}: {len(self.requests)} requests, "
                    f"{len(self.events)} events, {len(self._processed)} processed; last statuses "
                    f"{[r['status'] for r in self.requests[-5:]]}")
        return True

    # --- one request ---

    def arrived(self):
        with self._changed:
            self._in_flight += 1
            return self._in_flight

    def left(self):
        with self._changed:
            self._in_flight -= 1

    def rule_for(self, account, body):
        """The rule that serves this request, used up by one; {} if none does."""
        ids = [e.get("event_id", "") if isinstance(e, dict) else "" for e in
               body.get("data") or []] if isinstance(body, dict) else []
        with self._changed:
            for rule in self._rules:
                if rule["times"] == 0 or rule.get("account", account) != account:
                    continue
                if "match" in rule and not any(re.search(rule["match"], str(i)) for i in ids):
                    continue
                if rule["times"]:
                    rule["times"] -= 1
                return rule
        return {}

    def refusal(self, account, authorization, content_type):
        """The status of a request that is turned away before its events are looked at."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or token.strip() not in self.tokens:
            return 401
        if (content_type or "").partition(";")[0].strip().lower() != "application/json":
            return 415
        if not re.fullmatch(r"\d{1,18}", account):
            return 404
        known = self.tokens[token.strip()] if isinstance(self.tokens, dict) else self.accounts
        return 403 if known and account not in known else None

    def judge(self, body, fail=None):
        return self._judge.judge(body, self.wire, fail)

    def record(self, request, body, results, processed):
        """Keeps the request and its events, in memory and on disk, before the answer goes out."""
        data = body.get("data") if isinstance(body, dict) else None
        events = data if isinstance(data, list) else []
        with self._changed:
            request = {"number": len(self.requests) + 1, **request, "count": len(events)}
            lines = [{"request": request}]
            for index, event in enumerate(events):
                outcome = results[index] if results else result("refused with its request")
                taken = processed and (not results or outcome["status"] == "processed")
                entry = {"request": request["number"], "index": index, "test": request["test"],
                         "account": request["account"], "processed": taken, **outcome,
                         "event": event}
                self.events.append(entry)
                lines.append({"event": entry})
                if taken:
                    self._processed.append(event)
            self.requests.append(request)
            if self._record:
                self._record.write("".join(json.dumps(line) + "\n" for line in lines))
                self._record.flush()
            self._changed.notify_all()

    def pause(self, seconds):
        """Sleeps, but not longer than the stand-in lives."""
        if self._ending.wait(seconds):
            raise Dropped


class Server(http.server.ThreadingHTTPServer):
    """One listener. TLS is shaken in the connection's own thread."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address, handler, standin, context):
        self.standin, self.context = standin, context
        self._open, self._lock = set(), threading.Lock()
        super().__init__(address, handler)

    def get_request(self):
        connection, address = super().get_request()
        if self.context:
            connection = self.context.wrap_socket(connection, server_side=True,
                                                  do_handshake_on_connect=False)
        with self._lock:
            self._open.add(connection)
        return connection, address

    def finish_request(self, request, client_address):
        if self.context:
            request.settimeout(20)
            request.do_handshake()
        super().finish_request(request, client_address)

    def shutdown_request(self, request):
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def drop_connections(self):
        """Past TLS: the threads that read find the end of the stream."""
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def handle_error(self, request, client_address):
        error = sys.exc_info()[1]
        if not isinstance(error, (OSError, Dropped)):
            super().handle_error(request, client_address)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "StandIn", ""
    wbufsize = -1  # head and body in one write
    disable_nagle_algorithm = True
    timeout = 120  # seconds a kept connection may idle

    @property
    def standin(self):
        return self.server.standin

    def log_message(self, *_):
        pass

    def read_body(self):
        """The body; None where its length is missing or too large (the connection ends then)."""
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > BODY_MAX:
            self.close_connection = True
            return None
        body = self.rfile.read(int(length))
        if len(body) != int(length):
            raise Dropped
        return body


class ApiHandler(Handler):
    def handle_one_request(self):
        try:
            super().handle_one_request()
        except (Dropped, OSError):
            self.close_connection = True

    def do_POST(self):
        self.number_in_flight = self.standin.arrived()
        try:
            self.take()
        finally:
            self.standin.left()

    def do_GET(self):
        self.answer(405 if PATH.fullmatch(urllib.parse.urlsplit(self.path).path) else 404,
                    error_body(404), {})

    do_PUT = do_DELETE = do_PATCH = do_HEAD = do_GET

    def take(self):
        raw = self.read_body()
        url = urllib.parse.urlsplit(self.path)
        found = PATH.fullmatch(url.path)
        account = found[1] if found else ""
        flag = urllib.parse.parse_qs(url.query).get("test", ["false"])[0]
        body, results = None, None
        status = (411 if "Content-Length" not in self.headers else 413) if raw is None else \
            None if found else 404
        status = status or self.standin.refusal(account, self.headers.get("Authorization"),
                                                self.headers.get("Content-Type"))
        answer = error_body(status) if status else None
        with contextlib.suppress(ValueError):
            body = strict_json(raw or b"")
        rule = self.standin.rule_for(account, body)
        if status is None and flag not in ("true", "false"):
            status, answer = 400, error_body(400, message=f"Invalid request: '{flag}' is not of "
                                                          "type 'boolean'")
        if status is None and body is None:
            status, answer = 400, error_body(400, message="Invalid request: the body is not JSON")
        if status is None:
            status, answer, results = self.standin.judge(body, rule.get("fail"))
        processed = results is not None
        if "fail" in rule and results is not None:
            status = rule.get("status", status)
            answer = answer["details"] if status == 200 and "details" in answer else answer
        elif "status" in rule:
            status = rule["status"]
            answer = error_body(status, rule.get("code"), rule.get("message"), rule.get("details"))
            processed = False
        if "hang" in rule or rule.get("reset") == "before":
            processed = False
        processed = rule.get("processed", processed)
        rid = f"{uuid.uuid4().int >> 64:020d}"
        self.standin.record(self.noted(account, flag == "true", status, rid, raw), body,
                            results, processed)
        self.reply(status, answer, rule, rid)

    def noted(self, account, test, status, rid, raw):
        """The request's record. The token is told apart by a short hash, never written."""
        headers = [[k, v] for k, v in self.headers.items() if k.lower() != "authorization"]
        given = self.headers.get("Authorization")
        if given is not None:
            mark = hashlib.sha256(given.partition(" ")[2].strip().encode()).hexdigest()[:8]
            headers.append(["Authorization", f"{given.partition(' ')[0]} (redacted {mark})"])
        return {"time": time.time(), "path": self.path, "account": account, "test": test,
                "status": status, "rid": rid, "bytes": len(raw or b""), "headers": headers,
                "in_flight": self.number_in_flight, "connection": list(self.client_address)}

    # --- the answer, and every way to spoil it ---

    def reply(self, status, answer, rule, rid):
        if "hang" in rule:
            self.standin.pause(float(rule["hang"]))
            raise Dropped
        if "delay" in rule:
            self.standin.pause(float(rule["delay"]))
        if rule.get("reset") == "before":
            self.reset_connection()
        self.answer(status, answer, rule, rid)

    def answer(self, status, answer, rule, rid=None):
        text, kind, length = self.spoilt(answer, rule.get("body"))
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        self.send_header("x-pinterest-rid", rid or f"{uuid.uuid4().int >> 64:020d}")
        if status == 405:
            self.send_header("Allow", "POST")
        if "retry_after" in rule:
            self.send_header("Retry-After", str(rule["retry_after"]))
        if "location" in rule:
            self.send_header("Location", rule["location"])
        for name, value in dict(rule.get("headers") or {}).items():
            self.send_header(name, str(value))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command == "HEAD":
            return
        self.send_text(text, length, rule)

    def spoilt(self, answer, how):
        """(bytes, content type, announced length) of the answer, spoilt as the rule says."""
        kind = "application/json"
        if how in ("short", "long"):
            details = answer.get("details", answer)
            events = details.get("events", [])
            details["events"] = events[:-1] if how == "short" else events + [result()]
        text = json.dumps(answer).encode()
        if isinstance(how, dict):
            text = str(how["text"]).encode()
        elif how == "html":
            text, kind = b"<!doctype html><title>502</title><h1>Bad Gateway</h1>", "text/html"
        elif how == "empty":
            text = b""
        elif how == "truncated":
            text = text[:len(text) // 2]
        elif how == "huge":
            return b"x" * 65536, kind, HUGE
        length = len(text) + 100 if how == "wrong-length" else len(text)
        return text, kind, length

    def send_text(self, text, length, rule):
        if rule.get("reset") == "inside":
            self.wfile.write(text[:len(text) // 2])
            self.reset_connection()
        if "trickle" in rule:
            for start in range(0, len(text), 16):
                self.wfile.write(text[start:start + 16])
                self.wfile.flush()
                self.standin.pause(float(rule["trickle"]))
        else:
            for _ in range(length // len(text) if length == HUGE else 1):
                self.wfile.write(text)
        self.wfile.flush()
        if length > len(text) and length != HUGE:
            raise Dropped
        if rule.get("reset") == "after":
            self.reset_connection()

    def reset_connection(self):
        with contextlib.suppress(OSError):
            self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # A second descriptor would keep the connection: the raw socket closes without TLS's goodbye.
        os.close(self.connection.detach())
        self.close_connection = True
        raise Dropped

    def finish(self):
        with contextlib.suppress(OSError, ValueError):
            super().finish()


class ControlHandler(Handler):
    """GET events, requests, processed (?since=N&wait=COUNT&timeout=SECONDS); POST behave, tokens,
    wire, reset. Loopback only."""

    def send_json(self, status, value):
        text = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        lists = {"/_control/events": lambda: list(self.standin.events),
                 "/_control/requests": lambda: list(self.standin.requests),
                 "/_control/processed": self.standin.processed}
        current = lists.get(url.path)
        if current is None:
            return self.send_json(404, {"message": "no such control"})
        try:
            since, count = int(query.get("since", 0)), int(query.get("wait", 0))
            timeout = min(float(query.get("timeout", 10)), 300)
        except ValueError as error:
            return self.send_json(400, {"message": str(error)})
        with contextlib.suppress(AssertionError):
            self.standin.wait_for(lambda: len(current()) >= count, timeout=timeout)
        return self.send_json(200, current()[since:])

    def do_POST(self):
        raw = self.read_body()
        try:
            value = json.loads(raw) if raw else None
            if self.path == "/_control/behave":
                self.standin.behave(*value)
            elif self.path == "/_control/tokens":
                self.standin.tokens = value
            elif self.path == "/_control/wire":
                self.standin.wire = {"v5": "v5", "guide": "guide"}[value]
            elif self.path == "/_control/reset":
                self.standin.reset()
            else:
                return self.send_json(404, {"message": "no such control"})
        except (ValueError, TypeError, KeyError, re.error) as error:
            return self.send_json(400, {"message": str(error)})
        return self.send_json(200, {})


def serve(options):
    tokens = [line.strip() for line in pathlib.Path(options.token_file).read_text().splitlines()
              if line.strip()]
    directory = pathlib.Path(options.directory)
    directory.mkdir(parents=True, exist_ok=True)
    standin = StandIn(tokens=tokens, tls=not options.http, port=options.port,
                      control_port=options.control_port, wire=options.wire, directory=directory)
    wanted = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, wanted)
    with standin:
        print(json.dumps({"pid": os.getpid(), "url": standin.url, "control": standin.control_url,
                          "ca_file": str(standin.ca_file or "")}), flush=True)
        signal.sigwait(wanted)


def main():
    parser = argparse.ArgumentParser(description="A stand-in for Pinterest's Conversions API.")
    commands = parser.add_subparsers(required=True)
    server = commands.add_parser("serve", help="answer until SIGTERM")
    server.add_argument("directory", help="certificate and record.jsonl go here")
    server.add_argument("--token-file", required=True, help="accepted tokens, one a line")
    server.add_argument("--port", type=int, default=8443)
    server.add_argument("--control-port", type=int, default=0)
    server.add_argument("--wire", choices=["v5", "guide"], default="v5")
    server.add_argument("--http", action="store_true", help="no TLS")
    server.set_defaults(run=serve)
    certificate = commands.add_parser("certificate", help="make ca.pem and server.pem")
    certificate.add_argument("directory")
    certificate.set_defaults(run=lambda options: print(*make_certificate(options.directory)))
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
