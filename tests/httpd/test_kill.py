"""SIGKILL at random moments loses nothing that was acknowledged and mints no second id."""

import collections
import os
import random
import signal
import threading
import time

from server import ACCOUNT, is_alive, wait_for

CONF = """
PinterestCapiMergeWindow 0
PinterestCapiFlush 200 1
<Location "/v5/ad_accounts">
  SetHandler pinterest-capi-events
</Location>
"""
PATH = f"/v5/ad_accounts/{ACCOUNT}/events"
KILLS = int(os.environ.get("CAPI_KILLS", "50"))
EM = ["836f82db99121b3481011f16b49dfa5fbc714a0d1b1b9f784a1ebbbf5b39577f"]


class Stream(threading.Thread):
    """Says numbered events until stopped; remembers which were acknowledged."""

    def __init__(self, httpd, name):
        super().__init__(daemon=True)
        self.httpd, self.prefix = httpd, name
        self.acknowledged, self.halt = [], threading.Event()

    def run(self):
        number = 0
        while not self.halt.is_set():
            number += 1
            event_id = f"{self.prefix}-{number}"
            event = {"event_name": "checkout", "action_source": "web", "event_id": event_id,
                     "user_data": {"em": EM}, "custom_data": {"order_id": ""}}
            try:
                if self.httpd.post(PATH, {"data": [event]}, agent="shop/1",
                                   timeout=5).status == 200:
                    self.acknowledged.append(event_id)
            except OSError:
                pass
            except Exception:  # a connection that died inside the answer
                pass
            time.sleep(0.003)


def victim(httpd, kind):
    if kind == "sender":
        return httpd.senders()
    if kind == "worker":
        workers = httpd.workers()
        return [random.choice(workers)] if workers else []
    return None


def revive(httpd):
    """After the parent died its workers are orphans that hold the port: they go too."""
    httpd.kill_everything()
    (httpd.run / "httpd.pid").unlink(missing_ok=True)
    httpd.start()


def test_kills_lose_nothing_that_was_acknowledged(make_httpd, api, mpm):
    seed = int(os.environ.get("CAPI_SEED", str(random.randrange(1 << 30))))
    print("CAPI_SEED", seed)
    random.seed(seed)
    httpd = make_httpd(api=api, mpm=mpm, conf=CONF)
    httpd.expect(r"PCAPI", r"exit signal Killed", r"AH00052", r"AH00098", r"AH00045", r"AH00046",
                 r"AH00060", r"AH00032", r"AH10\d{3}")
    streams = [Stream(httpd, f"s{n}") for n in range(2)]
    for stream in streams:
        stream.start()
    kills = 0
    while kills < KILLS // 2 or sum(len(s.acknowledged) for s in streams) <= 100:
        time.sleep(random.uniform(0.02, 0.4))
        kind = random.choices(["sender", "worker", "parent", "all"], [10, 12, 2, 1])[0]
        if kind in ("parent", "all"):
            parent = httpd.pid
            if kind == "parent" and parent:
                os.kill(parent, signal.SIGKILL)
                wait_for(lambda: not is_alive(parent), "the parent to die")
            revive(httpd)
            kills += 1
            continue
        for pid in victim(httpd, kind):
            httpd.kill(pid)
            kills += 1
    for stream in streams:
        stream.halt.set()
        stream.join(10)
    said = {i for stream in streams for i in stream.acknowledged}
    wait_for(lambda: said <= {e["event_id"] for e in api.processed()},
             "every acknowledged event at the API", 90)
    seen = collections.Counter(e["event_id"] for e in api.processed())
    minted = [i for i in seen if not i.startswith(("s0-", "s1-"))]
    assert minted == []
    store = httpd.sql("SELECT event_id, count(*) AS n FROM events GROUP BY 1 HAVING n > 1")
    assert store == []
