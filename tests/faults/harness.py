"""A shop under load that faults are injected into: httpd, PHP, an API that takes everything, numbered
events from all sources, and the ledgers that are compared at the end."""

import itertools
import os
import pathlib
import pwd
import random
import re
import signal
import struct
import subprocess
import time

import pytest

from ledger import Ledger
from server import BUILD, Httpd, is_alive, wait_for
from sink import Answer, Sink, accept
from sources import CONF, PAGE, Backend, Browsers, Minds, Pages

MODULE = BUILD / "mod_pinterest_capi.so"
HOLDING_MODULE = BUILD / "faults/mod_pinterest_capi.so"
# What httpd itself says of killed children and of restarts amid requests is its own affair; what ours
# says of the faults that all tests of this folder inject is known.
NOISE = (r"^(?!.*\[pinterest_capi:).*\bAH\d{5}:", r"PCAPI055", r"PCAPI044",
         r"PCAPI021: the queue was busy for too long")


def seed():
    """CAPI_SEED repeats a round."""
    number = int(os.environ.get("CAPI_SEED", str(random.randrange(1 << 30))))
    print(f"CAPI_SEED={number}", flush=True)
    return random.Random(number)


def mutex_holder(httpd):
    """The worker that holds the queue's mutex at this moment, None where nobody does. A robust mutex
    begins with its holder's thread; it lies behind the 64 bytes of queue_int.h's first fields."""
    (path,) = httpd.run.glob("queue.*")
    with open(path, "rb") as queue:
        queue.seek(64)
        (word,) = struct.unpack("I", queue.read(4))
    try:
        status = pathlib.Path(f"/proc/{word & 0x3fffffff}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(re.search(r"^Tgid:\t(\d+)", status, re.M)[1]) or None


def appearance(httpd):
    """What visitors see of two pages that say nothing to us."""
    seen = []
    for path in ("/index.html", "/plain.php"):
        answer = httpd.get(path, timeout=10)
        headers = sorted(pair for pair in answer.headers if pair[0] != "Date")
        seen.append((path, answer.status, headers, answer.body))
    return seen


class Shop:
    """`disk` is the size of a file system of its own for the state directory, such as 8m."""

    plain = {}

    def __init__(self, folder, mpm="event", php="fpm", conf="", size=1, pause=0.005, disk=None,
                 **options):
        self.ledger, self.sink = Ledger(), Sink(folder)
        self.sink.answer = self.take
        self.httpd = Httpd(mpm=mpm, php=php, api=self.sink, conf=CONF + conf, **options)
        self.httpd.write("page.php", PAGE)
        self.httpd.write("plain.php", "<?php echo str_repeat('nothing to see ', 1000);")
        os.utime(self.httpd.docs / "index.html", (1e9, 1e9))  # Last-Modified and ETag say it
        self.httpd.expect(*NOISE)
        self.sources, self.killed, self.mounted = [], [], []
        self.dead_parents = 0
        self.names = itertools.count()  # no two sources say the same numbers
        if disk:
            owner = pwd.getpwnam(self.httpd.USER)
            self.httpd.state.mkdir()
            self.mount("-t", "tmpfs", "-o", f"size={disk},mode=700,uid={owner.pw_uid},"
                       f"gid={owner.pw_gid}", "tmpfs", self.httpd.state)
        self.size, self.pause = size, pause
        self.delay, self.is_api_down = 0, False  # the API

    def take(self, request):
        if self.is_api_down:
            request.events = []
            return Answer(503)
        answer = accept(request)
        answer.delay = self.delay
        self.ledger.arrive(request.events)
        request.events = []  # a long round would keep them all
        return answer

    def mount(self, *arguments):
        done = subprocess.run(["mount", *map(str, arguments)], stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            pytest.skip(f"no file systems may be mounted here: {done.stderr.strip()}")
        self.mounted.append(arguments[-1])

    def unmount(self):
        subprocess.run(["umount", "-l", str(self.mounted.pop())], check=True)

    # --- load ---

    def start(self):
        """httpd listens before it has read all of its configuration."""
        self.httpd.start()
        wait_for(lambda: self.httpd.pid and list(self.httpd.run.glob("queue.*")), "the queue")

    def open(self, kinds=(Backend, Browsers, Pages, Minds), each=1):
        self.start()
        self.load(kinds, each)
        return self

    def load(self, kinds=(Backend, Browsers, Pages, Minds), each=1):
        for kind in kinds:
            for n in range(each):
                size = self.size if kind in (Backend, Browsers) else 1
                name = f"{n}.{next(self.names)}"
                self.sources.append(kind(self.httpd, self.ledger, name, self.pause, size))
                self.sources[-1].start()

    def wait_said(self, more, source=None, timeout=60):
        """Until callers were told of so many further events: the fault is over for them."""
        target = self.ledger.count_said(source) + more
        wait_for(lambda: self.ledger.count_said(source) >= target,
                 f"{more} more accepted events of {source or 'anybody'}", timeout)

    def wait_recovery(self, source="backend"):
        """After the end of a fault: until something goes through again, and some more."""
        began = time.monotonic()
        self.wait_said(1, source)
        print(f"recovered after {time.monotonic() - began:.1f} s", flush=True)
        self.wait_said(5, source)

    def stop_load(self):
        for source in self.sources:
            source.stop()
        self.sources = []

    def settle(self, timeout=60, is_store_whole=True):
        """Ends the load and waits until all that was accepted is where it belongs."""
        self.count_dropped()
        self.stop_load()
        try:
            wait_for(lambda: not self.ledger.awaited(), "every accepted event at the API", timeout)
            wait_for(lambda: not self.httpd.sql("SELECT 1 FROM outbox LIMIT 1"),
                     "the store to have nothing left to send", timeout)
        except AssertionError as error:
            print(error)
        verdict = self.ledger.verdict(self.httpd.sql)
        print(verdict, flush=True)
        return verdict.check(is_store_whole)

    def close(self):
        for source in self.sources:
            source.halt.set()
        try:
            self.httpd.stop()
            unexpected = self.httpd.unexpected_lines()
        finally:
            while self.mounted:
                self.unmount()
            self.httpd.close()
            self.sink.close()
        assert not unexpected, "unexpected lines in error_log:\n" + "\n".join(unexpected[:20])

    def look_without_module(self):
        """Before open(): what assert_unharmed compares with. Once for each way to run PHP."""
        way = self.httpd.mpm, self.httpd.php
        if way not in self.plain:
            conf, self.httpd.conf, self.httpd.module = self.httpd.conf, "", False
            self.httpd.start()
            self.plain[way] = appearance(self.httpd)
            self.httpd.stop()
            self.httpd.conf, self.httpd.module = conf, True
        return self

    def assert_unharmed(self, times=20):
        """Pages are, to the byte, what they are without the module."""
        for _ in range(times):
            assert appearance(self.httpd) == self.plain[self.httpd.mpm, self.httpd.php]

    def begin_new_ledger(self):
        """What was settled so far is over; the store may go."""
        self.ledger = Ledger()

    # --- faults ---

    def kill_sender(self, sig=signal.SIGKILL):
        senders = self.httpd.senders()
        for pid in senders:
            self.kill_one_sender(pid, sig)
        return bool(senders)

    def kill_one_sender(self, pid, sig=signal.SIGKILL):
        self.ledger.deaths.append(time.monotonic())
        self.httpd.kill(pid, sig)
        self.killed.append(pid)

    def kill_worker(self, rng, sig=signal.SIGKILL):
        """Or a sender to be that still waits before it becomes one."""
        workers = self.httpd.workers()
        if workers:
            self.count_hit()
            self.killed.append(rng.choice(workers))
            self.httpd.kill(self.killed[-1], sig)
        return bool(workers)

    def count_hit(self):
        """Each source that shows pages may have one page answered and not yet in the queue."""
        self.ledger.hits += sum(isinstance(s, Pages) for s in self.sources)

    def count_dropped(self):
        """Before this queue is gone: what it had no room or, on a busy machine, no time for."""
        status = self.httpd.status_auto()
        self.ledger.hits += (int(status["PinterestCapiQueueDroppedPage"]) +
                             int(status["PinterestCapiQueueDroppedConversion"]))

    def kill_parent(self, sig=signal.SIGKILL):
        """Its workers are orphans that hold the port: they go too before the next start."""
        self.count_dropped()
        parent = self.httpd.pid
        self.httpd.kill(parent, sig)
        wait_for(lambda: not is_alive(parent), "the parent to die")
        return self.kill_who_is_left()

    def kill_all(self):
        self.count_dropped()
        return self.kill_who_is_left()

    def kill_who_is_left(self):
        self.count_hit()
        self.dead_parents += 1
        self.ledger.deaths.append(time.monotonic())
        self.httpd.kill_everything()
        self.ledger.deaths.append(time.monotonic())
        (self.httpd.run / "httpd.pid").unlink(missing_ok=True)
        self.start()
        return True

    def graceful(self):
        self.httpd.graceful()

    def restart(self):
        self.count_hit()
        self.httpd.restart()

    def stop_and_start(self, how="stop"):
        self.count_hit()
        self.count_dropped()
        self.httpd.stop(how)
        self.start()

    # --- what the log tells ---

    def check_incidents(self):
        """A sender that was killed while its parent watched has one line, never two; and none ended
        that nobody killed, but where its parent lost it in the moment of its own death."""
        told = re.findall(r"PCAPI055: the sender \(pid (\d+)\)", self.httpd.log_text())
        assert len(told) == len(set(told)), told
        by_itself = [pid for pid in told if int(pid) not in self.killed]
        assert len(by_itself) <= self.dead_parents, f"senders that nobody killed: {by_itself}"
        return told
