"""The sender under test, with a stand-in for httpd (feed.c) on one side and one for the API on the
other.

CAPI_BUILD names another build tree (build-address-undefined), CAPI_VALGRIND=1 runs the sender under
valgrind; deadlines stretch accordingly."""

import json
import os
import pathlib
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from waiting import PATIENCE, is_alive, wait_for  # noqa: E402

BUILD = HERE.parents[1] / os.environ.get("CAPI_BUILD", "build")
VALGRIND = os.environ.get("CAPI_VALGRIND") == "1"

ACCOUNT = "549755885175"
TOKEN = "pina_TOKEN0123456789abcdefTOKEN"


def own_memory_kb(pid):
    """Without the pages of the queue, which are httpd's."""
    total, is_own = 0, True
    for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            is_own = "/queue." not in line
        elif line.startswith("Rss:") and is_own:
            total += int(line.split()[1])
    return total


class Feed:
    """One run of the stand-in for httpd: a queue, and senders that it starts."""

    def __init__(self, site, number):
        self.site = site
        self.queue_file = site.root / f"queue.{number}"
        command = [str(BUILD / "tests/feed"), str(self.queue_file), str(site.queue_size)]
        if VALGRIND:
            command += ["/usr/bin/valgrind", "-q", "--leak-check=full", "--error-exitcode=99",
                        "--errors-for-leak-kinds=definite", "--show-leak-kinds=definite",
                        f"--log-file={site.root}/valgrind.%p"]
        command.append(str(site.program))
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)

    def say(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().split()

    def start(self, files=None, config=None):
        path = self.site.root / "config.json"
        path.write_text(json.dumps(config or self.site.config()))
        word, pid = self.say("start", path, self.site.error_log, *(files or self.site.files))
        assert word == "pid"
        self.site.pids.append(int(pid))
        return int(pid)

    def wait(self, pid):
        return tuple(self.say("wait", pid))

    def push(self, count, prefix, account=ACCOUNT, url=None, test=0, pad=20):
        return int(self.say("push", count, prefix, account, url or self.site.url, test, pad)[1])

    def is_durable(self, position, timeout=PATIENCE):
        return self.say("durable", position, int(timeout * 1000)) == ["yes"]

    def used(self):
        return int(self.say("stats")[0])

    def kill(self):
        self.process.kill()
        self.process.wait()


class Site:
    """A state directory, tokens and settings: what outlives runs of httpd."""

    def __init__(self, root, url, ca_file):
        self.root, self.url, self.ca_file = pathlib.Path(root), url, ca_file
        self.state = self.root / "state"
        self.state.mkdir(mode=0o700)
        self.error_log = self.root / "error_log"
        self.error_log.touch()
        self.token_file = self.root / "token"
        self.token_file.write_text(TOKEN + "\n")
        self.files = [self.token_file]
        self.queue_size = 8 << 20
        self.program = BUILD / "pinterest-capi-sender"
        self.pids, self.feeds, self.expected = [], [], []
        self.settings, self.account_settings = {}, {}

    def account(self, **settings):
        return {"account": ACCOUNT, "api_url": self.url, "test": False, "wire": 1, "token_fd": 7,
                "token_file": str(self.token_file), "ca_file": str(self.ca_file),
                "flush_events": 1000, "flush_sec": 0, **self.account_settings, **settings}

    def config(self, **settings):
        return {"state_dir": str(self.state), "store_driver": "sqlite3",
                "store_params": str(self.state / "store.db"), "retention_days": 30,
                "drain_sec": 10, "log_level": 7, "accounts": [self.account()],
                "old_queues": [], **self.settings, **settings}

    def feed(self):
        feed = Feed(self, len(self.feeds) + 1)
        self.feeds.append(feed)
        return feed

    def start(self, **options):
        feed = self.feed()
        return feed, feed.start(**options)

    def sql(self, text, *values):
        """Rows of the store; none while it is not there yet."""
        try:
            base = sqlite3.connect(f"file:{self.state}/store.db?mode=ro", uri=True, timeout=10)
        except sqlite3.OperationalError:
            return []
        base.row_factory = sqlite3.Row
        try:
            return base.execute(text, values).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return []
            raise
        finally:
            base.close()

    def states(self):
        return {row["event_id"]: row["state"] for row in
                self.sql("SELECT event_id, state FROM events")}

    def wait_settled(self, count, timeout=PATIENCE):
        wait_for(lambda: self.sql("SELECT count(*) AS n FROM events WHERE state >= 10")[0]["n"]
                 >= count if self.sql("SELECT 1 FROM events LIMIT 1") else count == 0,
                 f"{count} settled events", timeout)

    def log(self):
        return self.error_log.read_text(errors="replace")

    def wait_log(self, text, timeout=PATIENCE):
        wait_for(lambda: text in self.log(), f"{text!r} in the log:\n{self.log()[-3000:]}", timeout)

    def errors(self):
        return [line for line in self.log().splitlines() if ":error]" in line]

    def close(self):
        for feed in self.feeds:
            feed.kill()
        for pid in self.pids:
            if is_alive(pid):
                os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + PATIENCE
        while any(is_alive(pid) for pid in self.pids) and time.monotonic() < deadline:
            time.sleep(0.02)
        for pid in self.pids:
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)
        if VALGRIND:
            reports = [p.read_text() for p in self.root.glob("valgrind.*")]
            assert not any(reports), "\n".join(reports)
        log = self.log()
        for word in ("AddressSanitizer", "runtime error:", "LeakSanitizer"):
            assert word not in log, log[-6000:]
        assert TOKEN not in log


@pytest.fixture
def folder():
    path = tempfile.mkdtemp(prefix="capi-sender-")
    yield path
    if os.environ.get("CAPI_KEEP"):
        print("kept:", path)
    else:
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def sink(folder):
    from sink import Sink
    running = Sink(folder)
    yield running
    running.close()


@pytest.fixture
def site(folder, sink):
    made = Site(folder, sink.url, sink.ca_file)
    yield made
    made.close()
