"""Processes that die or are replaced under load lose nothing that was accepted."""

import os
import signal
import time

from chaos import Chaos
from harness import HOLDING_MODULE, mutex_holder
from server import BUILD, wait_for

KILLS = int(os.environ.get("CAPI_KILLS", "15"))
# Fails its first three starts, one of them in the middle of things, then is the sender.
STUMBLING = """#!/bin/sh
count=$(cat {count} 2>/dev/null || echo 0)
echo $((count + 1)) > {count}
case $count in
0) exit 1 ;;
1) kill -SEGV $$ ;;
2) exit 127 ;;
esac
exec {sender}
"""


def test_kills_and_restarts_at_random_lose_nothing(make_shop, rng, kind):
    shop = make_shop(**kind).open()
    Chaos(shop, rng).run(KILLS, KILLS // 5)
    shop.wait_said(100)
    shop.settle()
    shop.check_incidents()


def test_killed_senders_lose_not_even_what_was_promised_to_nobody(make_shop):
    """Workers live on, so every page's event is in the queue. Requests are repeated, and only they."""
    shop = make_shop()
    shop.delay = 0.05
    shop.open()
    shop.wait_said(1, "backend")
    for sig in (signal.SIGKILL, signal.SIGSEGV) * 2:
        shop.wait_said(50)  # a sender that has worked is replaced at once
        wait_for(lambda: shop.kill_sender(sig), "a sender to kill")
        shop.wait_recovery()
    verdict = shop.settle()
    assert not verdict.unheard
    assert shop.check_incidents() == [str(pid) for pid in shop.killed]


def test_reloads_every_few_hundred_milliseconds_leave_one_sender_and_lose_nothing(make_shop, kind):
    shop = make_shop(**kind).open()
    for how in (signal.SIGUSR1, signal.SIGHUP):
        for _ in range(4):
            os.kill(shop.httpd.pid, how)
            time.sleep(0.25)
        shop.count_hit()
        shop.wait_said(50)
    shop.settle()
    wait_for(lambda: len(shop.httpd.senders()) == 1, "one sender to be left")


def test_two_generations_at_once_and_either_killed(make_shop):
    shop = make_shop()
    shop.open()
    shop.wait_said(20)
    for victim in (0, 1):
        (old,) = wait_for(lambda: len(shop.httpd.senders()) == 1 and shop.httpd.senders(),
                          "one sender")
        shop.delay, before = 3, len(shop.sink.requests)
        wait_for(lambda: len(shop.sink.requests) > before and shop.sink.in_flight,
                 "a request that is long in flight")
        os.kill(shop.httpd.pid, signal.SIGUSR1)
        both = wait_for(lambda: len(shop.httpd.senders()) == 2 and shop.httpd.senders(),
                        "two senders")
        assert old in both
        both.sort(key=lambda pid: pid != old)
        shop.kill_one_sender(both[victim])
        shop.delay = 0
        shop.wait_recovery()
    shop.settle()


def test_sender_that_fails_its_first_starts_is_waited_for(make_shop, tmp_path):
    for directory in (tmp_path, *tmp_path.parents[:2]):
        directory.chmod(0o755)
    counted = tmp_path / "counted"
    counted.mkdir()
    counted.chmod(0o777)
    program = tmp_path / "pinterest-capi-sender"
    program.write_text(STUMBLING.format(count=counted / "starts",
                                        sender=BUILD / "pinterest-capi-sender"))
    program.chmod(0o755)
    shop = make_shop(conf=f"PinterestCapiSender {program}\n").look_without_module().open()
    shop.assert_unharmed()
    wait_for(lambda: sum(s.refused for s in shop.sources) > 0, "an answer of 503")
    wait_for(lambda: (counted / "starts").exists() and (counted / "starts").read_text() == "4\n",
             "the fourth start", 30)
    shop.wait_recovery()
    verdict = shop.settle()
    assert not verdict.unheard and not verdict.repeats
    assert shop.httpd.log_text().count("PCAPI055") == 3


def test_workers_that_die_with_the_queues_mutex_leave_nothing_torn(make_shop, kind):
    shop = make_shop(**kind)
    shop.httpd.module_file = HOLDING_MODULE
    shop.open()
    for sig in (signal.SIGKILL, signal.SIGSEGV) * 3:
        holder = wait_for(lambda: mutex_holder(shop.httpd), "a worker that holds the mutex")
        shop.count_hit()
        shop.httpd.kill(holder, sig)
        shop.wait_recovery()
    assert int(shop.httpd.status_auto()["PinterestCapiQueueRecoveredLocks"]) > 0
    shop.settle()
    assert "PCAPI121" not in shop.httpd.log_text()


def stop_a_mutex_holder(httpd):
    """Stopped, not dead: nobody can take the mutex from it."""
    def stopped():
        holder = mutex_holder(httpd)
        if not holder:
            return None
        os.kill(holder, signal.SIGSTOP)
        if mutex_holder(httpd) == holder:
            return holder
        os.kill(holder, signal.SIGCONT)
        return None

    return wait_for(stopped, "a stopped worker that holds the mutex")


def test_worker_that_never_gives_the_mutex_back_keeps_nobody_waiting(make_shop):
    shop = make_shop(mpm="prefork", php="mod")
    shop.httpd.module_file = HOLDING_MODULE
    shop.look_without_module().open()
    holder = stop_a_mutex_holder(shop.httpd)
    shop.count_hit()
    shop.assert_unharmed()
    refused = sum(source.refused for source in shop.sources)
    wait_for(lambda: sum(s.refused for s in shop.sources) > refused + 5, "answers of 503")
    assert int(shop.httpd.status_auto()["PinterestCapiQueueLockTimeouts"]) > 0
    shop.httpd.kill(holder)
    shop.wait_recovery()
    shop.settle()
