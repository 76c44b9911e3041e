"""Numbered events from everywhere they come from. A source says one after the other until it is
stopped, and puts down what it was told."""

import http.client
import threading
import time

from server import ACCOUNT

PATH = f"/v5/ad_accounts/{ACCOUNT}/events"
EM = ["836f82db99121b3481011f16b49dfa5fbc714a0d1b1b9f784a1ebbbf5b39577f"]
PAGE = """<?php
if (isset($_GET['deny'])) header('Pinterest-Capi-Consent: denied');
$event = ['event_name' => 'lead', 'user_data' => ['em' => [str_repeat('ab', 32)]],
          'custom_data' => ['content_name' => $_GET['n']]];
if (isset($_GET['id'])) $event['event_id'] = $_GET['id'];
header('Pinterest-Capi-Event: ' . json_encode($event));
echo 'page ', $_GET['n'];"""
CONF = """
PinterestCapiMergeWindow 1
PinterestCapiFlush 200 1
PinterestCapiCollectLimit 1000000
PinterestCapiConsentSignal cookie choice ^yes$ ^no$
<Location "/v5/ad_accounts">
  SetHandler pinterest-capi-events
</Location>
<Location "/collect">
  SetHandler pinterest-capi-collect
</Location>
<Location "/server-status">
  SetHandler server-status
</Location>
"""
# How many events of each ten are of somebody who said no.
DENIED_OF_TEN = 1


def body(serial, event_id=None, **more):
    event = {"event_name": "lead", "action_source": "web", "user_data": {"em": EM},
             "custom_data": {"content_name": serial}, **more}
    return {**event, "event_id": event_id} if event_id else event


class Source(threading.Thread):
    """`pause` seconds between two calls, `size` events a call."""

    source = None

    def __init__(self, httpd, ledger, name, pause=0.005, size=1):
        super().__init__(daemon=True)
        self.httpd, self.ledger, self.prefix = httpd, ledger, f"{self.source}{name}"
        self.pause, self.size = pause, size
        self.halt, self.calls, self.refused, self.broken = threading.Event(), 0, 0, 0
        self.number, self.began, self.odd = 0, 0, []

    def serials(self, count):
        self.number += count
        self.began = time.monotonic()
        return [f"{self.prefix}-{n}" for n in range(self.number - count, self.number)]

    def run(self):
        while not self.halt.is_set():
            self.calls += 1
            self.say(self.calls)
            self.halt.wait(self.pause)

    def answered(self, call):
        """The status of the answer, None where the connection broke."""
        try:
            answer = call()
        except (OSError, http.client.HTTPException):
            self.broken += 1
            return None
        if answer.status == 503:
            self.refused += 1
            if not answer.header("Retry-After"):
                self.odd.append("503 without Retry-After")
        elif answer.status != 200:
            self.odd.append(f"{answer.status} {answer.text[:200]}")
        return answer.status

    def tell(self, serials, ids, is_denied):
        self.ledger.tell(serials, self.source, self.began, ids, is_denied)

    def stop(self):
        self.halt.set()
        self.join(30)
        assert not self.is_alive(), f"{self.prefix} still waits for an answer"
        assert not self.odd, self.odd[:5]


class Backend(Source):
    """A 200 says that it is on disk. What was not taken is said again, as a shop's backend does."""

    source = "backend"

    def say(self, call):
        is_denied = call % 10 < DENIED_OF_TEN
        serials = self.serials(self.size)
        ids = [f"id-{s}" for s in serials] if call % 2 else None
        word = {"consent": "denied"} if is_denied else {}
        data = [body(s, ids and ids[n], **word) for n, s in enumerate(serials)]
        for _ in range(3):
            status = self.answered(lambda: self.httpd.post(PATH, {"data": data}, agent="shop/1",
                                                           timeout=10))
            if status == 200:
                return self.tell(serials, ids, is_denied)
            if self.halt.wait(0.05):
                return None
        return None


class Browsers(Source):
    """A 200 says that it is in the queue."""

    source = "browser"

    def say(self, call):
        is_denied = call % 10 < DENIED_OF_TEN
        serials = self.serials(self.size)
        ids = [f"id-{s}" for s in serials] if call % 2 else None
        headers = {"Sec-Fetch-Site": "same-origin",
                   "Cookie": f"choice={'no' if is_denied else 'yes'}"}
        data = {"data": [body(s, ids and ids[n]) for n, s in enumerate(serials)]}
        if self.answered(lambda: self.httpd.post("/collect", data, headers, timeout=10)) == 200:
            self.tell(serials, ids, is_denied)


class Pages(Source):
    """PHP's pages: the page is all that the visitor is promised."""

    source = "php"

    def say(self, call):
        is_denied = call % 10 < DENIED_OF_TEN
        (serial,) = self.serials(1)
        event_id = f"id-{serial}" if call % 2 else None
        if self.show(serial, event_id, is_denied):
            self.tell([serial], event_id and [event_id], is_denied)

    def show(self, serial, event_id=None, is_denied=False, cookie=None):
        address = f"/page.php?n={serial}" + (f"&id={event_id}" if event_id else "") + \
            ("&deny" if is_denied else "")
        answers = []

        def call():
            answers.append(self.httpd.get(address, {"Cookie": cookie} if cookie else None,
                                          timeout=10))
            return answers[0]

        if self.answered(call) != 200:
            return False
        if answers[0].text != f"page {serial}":
            self.odd.append(answers[0].text[:200])
        return True


class Minds(Pages):
    """Visitors who say yes, do something, and then say no."""

    source = "mind"

    def say(self, call):
        granted, denied = self.serials(2)
        cookie = f"PHPSESSID={granted}"
        if not self.show(granted, f"id-{granted}", cookie=cookie):
            return
        time.sleep(0.3 if call % 2 else 0)
        if self.show(denied, f"id-{denied}", True, cookie):
            self.tell([denied], None, True)
            with self.ledger.lock:
                self.ledger.minds.append((f"id-{granted}", f"id-{denied}"))
