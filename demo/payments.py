"""The payment provider of the demo shop: it takes every order, and a moment later calls the shop's webhook from
its own address, signed and without a cookie of anybody's browser."""

import argparse
import hashlib
import hmac
import http.server
import json
import pathlib
import signal
import sys
import threading
import time
import urllib.error
import urllib.request

MOMENT = 1.0  # seconds from order to payment
TRIES = 5
ADDRESS, AGENT = "198.51.100.7", "PayProvider/2.0 (+https://payments.example/webhooks)"


def call_webhook(webhook, secret, order):
    """Tells the shop that the order is paid; as providers do, again if it did not listen."""
    body = json.dumps({"order": order, "status": "paid"}).encode()
    request = urllib.request.Request(webhook, data=body, headers={
        "Content-Type": "application/json", "User-Agent": AGENT, "X-Forwarded-For": ADDRESS,
        "X-Payment-Signature": hmac.new(secret, body, hashlib.sha256).hexdigest()})
    for attempt in range(TRIES):
        time.sleep(MOMENT * 2 ** attempt)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                print(f"order {order}: {answer.status}", flush=True)
                return
        except (urllib.error.URLError, OSError) as error:
            print(f"order {order}: {error}", file=sys.stderr, flush=True)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        status = 202
        try:
            body = self.rfile.read(min(int(self.headers.get("Content-Length", 0)), 65536))
            order = str(json.loads(body)["order"])
        except (ValueError, KeyError, TypeError):
            status = 400
        else:
            threading.Thread(target=call_webhook, args=(*self.server.shop, order),
                             daemon=True).start()
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--webhook", required=True)
    parser.add_argument("--key", required=True, help="file with the secret shared with the shop")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", options.port), Handler)
    server.shop = options.webhook, pathlib.Path(options.key).read_text().strip().encode()
    server.serve_forever()


if __name__ == "__main__":
    main()
