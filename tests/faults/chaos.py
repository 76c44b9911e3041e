"""Kills and restarts at random moments, as many as asked for, in a shop under load."""

import signal
import time

KILLS = {"sender": 10, "worker": 12, "parent": 1, "everything": 1}
RESTARTS = {"graceful": 6, "restart": 3, "stop": 1, "graceful-stop": 1}


class Chaos:
    def __init__(self, shop, rng):
        self.shop, self.rng = shop, rng
        self.kills, self.restarts, self.done = 0, 0, []

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

    def is_done(self, kills, restarts):
        return self.kills >= kills and self.restarts >= restarts

    def step(self, kills, restarts):
        """The next fault, on the way to so many of both."""
        time.sleep(self.rng.uniform(0.02, 0.3))
        left = max(kills - self.kills, 0), max(restarts - self.restarts, 0)
        if self.rng.uniform(0, sum(left)) < left[0]:
            self.kill()
        else:
            self.restart()

    def run(self, kills, restarts):
        while not self.is_done(kills, restarts):
            self.step(kills, restarts)
        print(f"{self.kills} kills, {self.restarts} restarts: {' '.join(self.done)}")
