"""Start, hand-over and end of the sender; secrets; records that are broken; old queues."""

import collections
import contextlib
import os
import pathlib
import pwd
import re
import shutil
import signal
import sqlite3
import subprocess
import time

import pytest

from conftest import BUILD, PATIENCE, TOKEN, VALGRIND, is_alive, own_memory_kb, wait_for
from sink import Answer, accept, results

SANITIZED = "address" in BUILD.name


def ids(prefix, count):
    return [f"{prefix}-{n}" for n in range(count)]


def bundle(site):
    """What a real API's certificate is checked against: the system's many, and the sink's."""
    system = pathlib.Path("/etc/ssl/certs/ca-certificates.crt")
    path = site.root / "bundle.pem"
    path.write_text((system.read_text() if system.exists() else "") + site.ca_file.read_text())
    return path


def cpu_ticks(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def note(site, name):
    rows = site.sql("SELECT value FROM notes WHERE name = ?", name)
    return rows[0]["value"] if rows else None


def test_durable_means_in_the_store(site, sink):
    feed, _ = site.start()
    assert feed.is_durable(feed.push(100, "a"))
    assert len(site.states()) == 100
    wait_for(lambda: feed.used() == 0, "the room to be given back")


def test_started_by_hand_it_says_who_should(folder):
    program = str(BUILD / "pinterest-capi-sender")
    done = subprocess.run([program], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                          close_fds=True, timeout=PATIENCE)
    assert done.returncode == 1 and "PCAPI103" in done.stderr
    line = re.compile(r"\[\w{3} \w{3} \d\d [\d:]{8}\.\d{6} \d{4}\] \[pinterest_capi:error\] "
                      r"\[pid \d+\] PCAPI\d{3}: .+\n")
    assert line.fullmatch(done.stderr)


@pytest.mark.skipif(VALGRIND, reason="valgrind's own process is another")
def test_token_is_nowhere_to_be_read(site, sink):
    feed, pid = site.start()
    feed.push(1, "a")
    site.wait_settled(1)
    proc = pathlib.Path(f"/proc/{pid}")
    for name in ("environ", "cmdline"):
        assert TOKEN.encode() not in (proc / name).read_bytes()
    limits = (proc / "limits").read_text()
    assert re.search(r"Max core file size\s+0\s+0", limits)
    held = [os.readlink(fd) for fd in (proc / "fd").iterdir()]
    assert str(site.token_file) not in held and not any("memfd" in name for name in held)
    assert TOKEN not in site.log()
    for path in site.state.iterdir():
        assert TOKEN.encode() not in path.read_bytes()


@pytest.mark.skipif(VALGRIND or os.getuid() != 0, reason="needs to become another user")
def test_process_is_closed_to_its_own_user(site, sink, monkeypatch):
    """A process of this user that could be dumped would leave /proc/PID to the user."""
    user = pwd.getpwnam("nobody").pw_uid
    for path in (site.state, site.error_log):
        os.chown(path, user, user)
    os.chmod(site.root, 0o755)
    site.program = shutil.copy(BUILD / "pinterest-capi-sender", site.root / "sender")
    monkeypatch.setenv("FEED_UID", str(user))
    feed, pid = site.start()
    feed.push(1, "a")
    site.wait_settled(1)
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    assert f"Uid:\t{user}\t{user}" in status and "NoNewPrivs:\t1" in status
    for name in ("environ", "mem", "maps"):
        assert pathlib.Path(f"/proc/{pid}/{name}").stat().st_uid == 0
        done = subprocess.run(["head", "-c1", f"/proc/{pid}/{name}"], user=user, group=user,
                              extra_groups=[], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert b"Permission denied" in done.stderr and done.stdout == b""


def test_missing_and_unusable_tokens_hold_the_account(site, sink):
    empty, odd = site.root / "empty", site.root / "odd"
    empty.write_text("\n \n")
    odd.write_text("two words\n")
    accounts = [site.account(account="1", token_fd=7, token_file=str(empty)),
                site.account(account="2", token_fd=8, token_file=str(odd)),
                site.account(account="3", token_fd=-1, token_file="/no/such/file"),
                {k: v for k, v in site.account(account="4", token_fd=-1).items()
                 if k != "token_file"}]
    feed, pid = site.start(files=[empty, odd], config=site.config(accounts=accounts))
    for account in "12345":
        feed.push(2, f"a{account}", account=account)
    wait_for(lambda: len(site.sql("SELECT 1 FROM destinations WHERE held_since > 0")) == 5,
             "five holds")
    reasons = {row["account"]: row["held_reason"] for row in
               site.sql("SELECT account, held_reason FROM destinations")}
    for account, path in (("1", empty), ("2", odd), ("3", "/no/such/file")):
        assert f"token file '{path}'" in reasons[account]
    for account in "45":
        assert f"no PinterestCapiTokenFile for account {account}" in reasons[account]
    assert sink.requests == [] and len(site.errors()) == 5
    os.kill(pid, signal.SIGTERM)
    feed.wait(pid)
    accounts = [site.account(account=a, token_fd=7 + n) for n, a in enumerate("12345")]
    feed.start(files=[site.token_file] * 5, config=site.config(accounts=accounts))
    site.wait_settled(10)
    assert not site.sql("SELECT 1 FROM destinations WHERE held_since > 0")
    assert len(sink.delivered()) == 10


def test_unreadable_records_are_counted_and_skipped(site, sink):
    feed, _ = site.start()
    feed.push(3, "a")
    feed.say("garbage")
    position = feed.push(3, "b")
    assert feed.is_durable(position)
    site.wait_settled(6)
    assert set(sink.delivered()) == set(ids("a", 3) + ids("b", 3))
    assert len(site.errors()) == 1 and "PCAPI121" in site.errors()[0]
    wait_for(lambda: note(site, "broken_records") == "1", "the note")


def test_notes_say_who_sends(site, sink):
    feed, pid = site.start()
    feed.push(3, "a")
    site.wait_settled(3)
    wait_for(lambda: note(site, "queue_used") == "0" and note(site, "last_intake") not in
             (None, "0"), "notes")
    assert VALGRIND or note(site, "sender_pid") == str(pid)
    assert abs(int(note(site, "sender_started")) / 1e6 - time.time()) < 60
    assert int(note(site, "queue_size")) >= site.queue_size


def test_idle_sender_neither_writes_nor_runs(site, sink):
    feed, pid = site.start()
    feed.push(10, "a")
    site.wait_settled(10)
    time.sleep(3)  # notes and checkpoint follow within two seconds of quiet
    files = {p.name: (p.stat().st_mtime_ns, p.stat().st_size) for p in site.state.iterdir()}
    switches = pathlib.Path(f"/proc/{pid}/status").read_text()
    time.sleep(3)
    assert {p.name: (p.stat().st_mtime_ns, p.stat().st_size) for p in site.state.iterdir()} == files
    again = pathlib.Path(f"/proc/{pid}/status").read_text()
    pattern = re.compile(r"^voluntary_ctxt_switches:\t(\d+)", re.M)
    assert VALGRIND or pattern.search(again)[1] == pattern.search(switches)[1]
    assert (site.state / "store.db-wal").stat().st_size == 0


def test_term_finishes_requests_and_empties_the_queue(site, sink):
    sink.answer = lambda r: Answer(200, results([None] * len(r.ids)), delay=3)
    feed, pid = site.start()
    feed.push(10, "a")
    wait_for(lambda: sink.requests, "a request in flight")
    os.kill(pid, signal.SIGTERM)
    site.wait_log("PCAPI102")
    feed.push(2000, "b")
    assert feed.wait(pid) == ("exit", "0")
    assert feed.used() == 0
    assert len(site.states()) == 2010
    assert {s for i, s in site.states().items() if i.startswith("a-")} == {10}
    assert len(sink.requests) == 1
    assert note(site, "sender_stopped")
    assert (not (site.state / "store.db-wal").exists() or
            (site.state / "store.db-wal").stat().st_size == 0)


def test_term_ends_in_time_though_the_api_does_not_answer(site, sink):
    sink.answer = lambda r: Answer(200, results([None] * len(r.ids)), delay=60)
    site.settings = {"drain_sec": 2}
    feed, pid = site.start()
    feed.push(10, "a")
    wait_for(lambda: sink.requests, "a request in flight")
    began = time.monotonic()
    os.kill(pid, signal.SIGTERM)
    assert feed.wait(pid) == ("exit", "0")
    assert 1.5 < time.monotonic() - began < 2 + PATIENCE / 2
    assert max(site.states().values()) < 10
    sink.answer = accept
    feed.start()
    site.wait_settled(10)
    assert set(site.states().values()) == {10}


def test_second_term_ends_at_once(site, sink):
    sink.answer = lambda r: Answer(200, results([None] * len(r.ids)), delay=60)
    site.settings = {"drain_sec": 60}
    feed, pid = site.start()
    feed.push(10, "a")
    wait_for(lambda: sink.requests, "a request in flight")
    os.kill(pid, signal.SIGTERM)
    site.wait_log("PCAPI102")
    began = time.monotonic()
    os.kill(pid, signal.SIGTERM)
    assert feed.wait(pid) == ("exit", "0")
    assert time.monotonic() - began < PATIENCE / 2
    assert len(site.states()) == 10


def test_new_generation_waits_for_the_old_one(site, sink):
    sink.answer = lambda r: Answer(200, results([None] * len(r.ids)), delay=1.5)
    feed, old = site.start()
    feed.push(10, "a")
    wait_for(lambda: sink.requests, "a request in flight")
    new = feed.start()
    site.wait_log("PCAPI106")
    os.kill(old, signal.SIGTERM)
    assert feed.wait(old) == ("exit", "0")
    sink.answer = accept
    feed.push(10, "b")
    site.wait_settled(20)
    assert is_alive(new)
    wait_for(lambda: note(site, "sender_stopped") == "", "the old one's last word to be gone")
    assert collections.Counter(sink.delivered()) == collections.Counter(ids("a", 10) + ids("b", 10))


def test_waiting_generation_can_be_told_to_end(site, sink):
    feed, old = site.start()
    new = feed.start()
    site.wait_log("PCAPI106")
    os.kill(new, signal.SIGTERM)
    assert feed.wait(new) == ("exit", "0")
    assert is_alive(old)


def test_orphan_takes_in_what_waits_and_ends(site, sink):
    sink.answer = lambda r: Answer(503)
    feed, pid = site.start()
    feed.push(3000, "a")
    feed.kill()
    wait_for(lambda: not is_alive(pid), "the sender to end")
    assert len(site.states()) == 3000
    assert "httpd is gone" in site.log()
    # Another httpd takes over, lock and all.
    sink.answer = accept
    site.start()
    site.wait_settled(3000, 60)
    assert sorted(set(sink.delivered())) == sorted(ids("a", 3000))


@pytest.mark.skipif(VALGRIND, reason="the report of valgrind itself takes that place")
def test_without_a_word_of_the_parent_it_works_until_it_is_told_to_end(site, sink, monkeypatch):
    """A kernel without pidfd: what stands in its place must not be taken for the parent's end."""
    monkeypatch.setenv("FEED_NO_PARENT", "1")
    feed, pid = site.start()
    feed.push(1, "a")
    site.wait_settled(1)
    assert "PCAPI102" not in site.log()
    os.kill(pid, signal.SIGTERM)
    assert feed.wait(pid) == ("exit", "0")
    assert "httpd is gone" not in site.log()


def test_queue_of_a_crashed_httpd_is_drained_and_finished(site, sink):
    dead = site.feed()
    dead.push(500, "old")
    dead.kill()
    feed = site.feed()
    feed.start(files=[site.token_file, f"+{dead.queue_file}"],
               config=site.config(old_queues=[8]))
    feed.push(10, "new")
    site.wait_settled(510)
    site.wait_log("PCAPI123")
    assert set(sink.delivered()) == set(ids("old", 500) + ids("new", 10))


def test_old_queue_with_living_writers_is_watched(site, sink):
    living = site.feed()
    living.push(5, "old")
    feed = site.feed()
    feed.start(files=[site.token_file, f"+{living.queue_file}"],
               config=site.config(old_queues=[8]))
    site.wait_settled(5)
    living.push(5, "late")
    site.wait_settled(10)
    assert "PCAPI123" not in site.log()
    living.kill()
    site.wait_log("PCAPI123")


def test_killed_sender_loses_nothing_and_repeats_only_what_was_open(site, sink):
    sink.answer = lambda r: Answer(200, results([None] * len(r.ids)), delay=0.05)
    site.account_settings = {"flush_events": 100}
    feed, pid = site.start()
    for turn in range(8):
        feed.push(400, f"t{turn}")
        time.sleep(0.03 * turn)
        os.kill(pid, signal.SIGKILL)
        assert feed.wait(pid) == ("signal", "9")
        pid = feed.start()
    site.wait_settled(3200, 60)
    said = {f"t{t}-{n}" for t in range(8) for n in range(400)}
    assert set(sink.delivered()) == said
    assert len(site.states()) == 3200 and set(site.states().values()) == {10}


def test_store_that_is_locked_loses_nothing(site, sink):
    feed, _ = site.start()
    feed.push(1, "a")
    site.wait_settled(1)
    other = sqlite3.connect(site.state / "store.db", timeout=30, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    position = feed.push(100, "b")
    site.wait_log("PCAPI110", 60)
    assert not feed.is_durable(position, 0.05)
    other.execute("ROLLBACK")
    other.close()
    site.wait_settled(101, 60)
    assert len([line for line in site.errors() if "PCAPI110" in line]) == 1
    site.wait_log("PCAPI111")


def test_a_queue_that_fills_ends_politeness(site, sink, monkeypatch):
    monkeypatch.setattr(site, "queue_size", 1 << 20)
    feed, pid = site.start()
    feed.push(1, "a")
    site.wait_settled(1)
    assert os.getpriority(os.PRIO_PROCESS, pid) == 10
    with contextlib.closing(sqlite3.connect(site.state / "store.db", timeout=30,
                                            isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        feed.push(600, "b", pad=600)
        wait_for(lambda: os.getpriority(os.PRIO_PROCESS, pid) == 0, "the sender to be firm", 60)
        other.execute("ROLLBACK")
    site.wait_settled(601, 60)
    wait_for(lambda: os.getpriority(os.PRIO_PROCESS, pid) == 10, "the sender to be polite again")


def test_disk_with_room_for_notes_only_costs_no_record(site, sink):
    """A record that is refused again and again is skipped only by a store that takes others."""
    feed, pid = site.start()
    feed.push(1, "a")
    site.wait_settled(1)
    os.kill(pid, signal.SIGTERM)
    feed.wait(pid)
    with contextlib.closing(sqlite3.connect(site.state / "store.db", isolation_level=None)) as store:
        for table, large in (("events", ""), ("notes", "length(NEW.value) > 4096 AND")):
            store.execute(f"CREATE TRIGGER full_{table} BEFORE INSERT ON {table} WHEN {large} EXISTS"
                          " (SELECT 1 FROM meta WHERE name = 'is_full')"
                          " BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END")
        store.execute("INSERT INTO meta VALUES ('is_full', '1')")
    feed.start()
    feed.push(1, "b")
    site.wait_log("PCAPI124")
    with contextlib.closing(sqlite3.connect(site.state / "store.db", timeout=30)) as store, store:
        store.execute("DELETE FROM meta WHERE name = 'is_full'")
    site.wait_settled(2)
    assert sorted(sink.delivered()) == ["a-0", "b-0"]
    assert "PCAPI122" not in site.log()


@pytest.mark.skipif(VALGRIND or SANITIZED, reason="memory is measured in the plain build")
def test_memory_stays_flat_and_small(site, sink):
    site.queue_size = 32 << 20
    site.account_settings = {"ca_file": str(bundle(site))}
    feed, pid = site.start()
    sizes = []
    for turn in range(6):
        feed.push(10000, f"m{turn}", pad=500)
        peak = 0

        def are_delivered():
            nonlocal peak
            peak = max(peak, own_memory_kb(pid))
            return len(sink.delivered()) >= 10000 * (turn + 1)

        wait_for(are_delivered, "10,000 events", 60)
        sizes.append(peak)
    site.wait_settled(60000, 60)
    print(f"peak kB of each 10,000 events: {sizes}; {cpu_ticks(pid)} ticks of CPU for 60,000 events")
    assert max(sizes) < 24 * 1024
    assert sizes[-1] - sizes[1] < 2 * 1024


@pytest.mark.skipif(VALGRIND or SANITIZED, reason="memory is measured in the plain build")
def test_outage_does_not_grow_memory(site, sink):
    sink.answer = lambda r: Answer(503)
    site.queue_size = 32 << 20
    feed, pid = site.start()
    feed.push(30000, "a", pad=500)
    wait_for(lambda: len(site.states()) == 30000, "intake", 60)
    print(f"{own_memory_kb(pid)} kB with 30,000 events waiting")
    assert own_memory_kb(pid) < 24 * 1024
    sink.answer = accept
    site.wait_settled(30000, 90)
