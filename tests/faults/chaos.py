"""Kills and restarts at random moments, as many as asked for, in a shop under load; and while they go
on, troubles of another kind: a locked store, a sender that stands still, an API that says 503."""

import contextlib
import os
import signal
import sqlite3
import threading
import time

KILLS = {"sender": 10, "worker": 12, "parent": 1, "everything": 1}
RESTARTS = {"graceful": 6, "restart": 3, "stop": 1, "graceful-stop": 1}
TROUBLE_EVERY = 8  # kills and restarts


class Chaos:
    def __init__(self, shop, rng):
        self.shop, self.rng = shop, rng
        self.kills, self.restarts, self.done, self.troubles = 0, 0, [], []
        shop.httpd.expect(r"PCAPI11[02]", r"PCAPI140.*status 503")

    def kill(self):
        (what,) = self.rng.choices(list(KILLS), KILLS.values())
        sig = self.rng.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGSEGV])
        hit = {"sender": lambda: self.shop.kill_sender(sig),
               "worker": lambda: self.shop.kill_worker(self.rng, sig),
               "parent": lambda: self.shop.kill_parent(sig),
               "everything": self.shop.kill_all}[what]()
        self.kills += hit
        self.done.append(what)

    def restart(self):
        (how,) = self.rng.choices(list(RESTARTS), RESTARTS.values())
        {"graceful": self.shop.graceful, "restart": self.shop.restart,
         "stop": self.shop.stop_and_start,
         "graceful-stop": lambda: self.shop.stop_and_start("graceful-stop")}[how]()
        self.restarts += 1
        self.done.append(how)

    # --- what goes on meanwhile ---

    def lock_store(self, seconds):
        """Never makes one: it would be root's."""
        address = f"file:{self.shop.httpd.state}/store.db?mode=rw"
        with contextlib.closing(sqlite3.connect(address, uri=True, timeout=30,
                                                isolation_level=None)) as store:
            store.execute("BEGIN IMMEDIATE")
            time.sleep(seconds)
            store.execute("ROLLBACK")

    def hold_sender(self, seconds):
        held = self.shop.httpd.senders()
        for sig in (signal.SIGSTOP, signal.SIGCONT):
            for pid in held:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, sig)
            time.sleep(seconds)

    def close_api(self, seconds):
        self.shop.is_api_down = True
        time.sleep(seconds)
        self.shop.is_api_down = False

    def begin_trouble(self):
        trouble = self.rng.choice([self.lock_store, self.hold_sender, self.close_api])
        if not (self.shop.httpd.state / "store.db").exists():
            return
        self.troubles.append(threading.Thread(target=trouble, args=(self.rng.uniform(0.2, 2),)))
        self.troubles[-1].start()
        self.done.append(f"({trouble.__name__})")

    def end_troubles(self):
        for thread in self.troubles:
            thread.join()

    # --- all together ---

    def is_done(self, kills, restarts):
        return self.kills >= kills and self.restarts >= restarts

    def step(self, kills, restarts):
        """The next fault, on the way to so many of both."""
        time.sleep(self.rng.uniform(0.02, 0.3))
        left = max(kills - self.kills, 0), max(restarts - self.restarts, 0)
        if self.rng.randrange(TROUBLE_EVERY) == 0:
            self.begin_trouble()
        if self.rng.uniform(0, sum(left)) < left[0]:
            self.kill()
        else:
            self.restart()

    def run(self, kills, restarts):
        while not self.is_done(kills, restarts):
            self.step(kills, restarts)
        self.end_troubles()
        print(f"{self.kills} kills, {self.restarts} restarts: {' '.join(self.done)}")
