"""How the stand-in is spoken to: the API's own requests, spoilt where a rule says so, and the control interface."""

import contextlib
import hashlib
import http.server
import json
import os
import re
import socket
import struct
import sys
import threading
import time
import urllib.parse
import uuid

from standin_judge import error_body, result, strict_json

PATH = re.compile(r"/v5/ad_accounts/([^/]+)/events")
BODY_MAX = 8 * 1024 * 1024
HUGE = 100 * 1024 * 1024


class Dropped(Exception):
    """The connection ends here, without an answer."""


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
