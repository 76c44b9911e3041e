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
import json
import os
import pathlib
import re
import signal
import ssl
import subprocess
import tempfile
import threading
import uuid

from standin_http import ApiHandler, ControlHandler, Dropped, Server
from standin_judge import Judge, result

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
