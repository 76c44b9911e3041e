"""The store's disk full, its directory read-only, its file locked, cut, spoilt or gone."""

import errno
import os
import signal
import sqlite3
import subprocess
import time

import pytest

from server import wait_for
from sources import Backend, Browsers, Pages

FULL_SEC = float(os.environ.get("CAPI_FULL_SEC", "1"))

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root may mount a small disk")


def fill(path):
    with open(path, "wb", buffering=0) as ballast:
        for size in (1 << 16, 1 << 12):
            try:
                while True:
                    ballast.write(bytes(size))
            except OSError as error:
                assert error.errno == errno.ENOSPC


def lines_with(shop, number):
    return [line for line in shop.httpd.log_text().splitlines() if number in line]


def refused_by_backend(shop):
    return sum(s.refused for s in shop.sources if isinstance(s, Backend))


def test_full_disk_refuses_what_it_cannot_keep_and_goes_on_by_itself(make_shop):
    shop = make_shop(disk="64m", pause=0.02, size=5)
    shop.httpd.expect(r"PCAPI110")
    shop.look_without_module().open()
    shop.wait_said(50)
    (sender,) = shop.httpd.senders()
    ballast = shop.httpd.state / "ballast"
    fill(ballast)
    wait_for(lambda: refused_by_backend(shop) > 0, "answers of 503")
    before = shop.ledger.count_said()
    shop.assert_unharmed()
    time.sleep(FULL_SEC)
    shop.assert_unharmed()
    print(f"{shop.ledger.count_said() - before} events into the queue in {FULL_SEC:.0f} s and more")
    ballast.unlink()
    shop.wait_recovery()
    assert not sum(source.broken for source in shop.sources)
    shop.settle()
    assert shop.httpd.senders() == [sender]
    assert len(lines_with(shop, "PCAPI110")) == len(lines_with(shop, "PCAPI111")) == 1


def test_sender_that_starts_on_a_full_disk_waits_for_room(make_shop):
    shop = make_shop(disk="40m", pause=0.02)
    shop.httpd.expect(r"PCAPI11[025]")
    shop.look_without_module().open()
    shop.wait_said(50, "backend")
    ballast = shop.httpd.state / "ballast"
    fill(ballast)
    wait_for(lambda: refused_by_backend(shop) > 0, "answers of 503")
    shop.kill_sender()
    time.sleep(FULL_SEC)
    shop.assert_unharmed()
    ballast.unlink()
    shop.wait_recovery()
    shop.settle()


def test_read_only_directory_keeps_events_in_the_queue(make_shop):
    shop = make_shop(disk="40m", pause=0.02)
    shop.httpd.expect(r"PCAPI105")
    shop.look_without_module().open()
    shop.wait_said(20, "backend")
    state = shop.httpd.state
    shop.mount("--bind", state, state)
    subprocess.run(["mount", "-o", "remount,bind,ro", str(state)], check=True)
    shop.kill_sender()
    wait_for(lambda: lines_with(shop, "PCAPI105"), "a complaint")
    wait_for(lambda: refused_by_backend(shop) > 0, "answers of 503")
    shop.assert_unharmed()
    time.sleep(FULL_SEC)
    shop.unmount()
    shop.wait_recovery()
    shop.settle()
    assert len(lines_with(shop, "PCAPI105")) == len(lines_with(shop, "PCAPI055")) == 1


def test_store_that_another_process_locks_loses_nothing(make_shop):
    shop = make_shop(pause=0.02)
    shop.httpd.expect(r"PCAPI110")
    shop.look_without_module().open()
    shop.wait_said(20, "backend")
    other = sqlite3.connect(shop.httpd.state / "store.db", timeout=60, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    wait_for(lambda: lines_with(shop, "PCAPI110"), "the sender to say so")
    wait_for(lambda: refused_by_backend(shop) > 0, "answers of 503")
    shop.assert_unharmed()
    time.sleep(FULL_SEC)
    other.execute("ROLLBACK")
    other.close()
    shop.wait_recovery()
    shop.settle()
    assert len(lines_with(shop, "PCAPI110")) == len(lines_with(shop, "PCAPI111")) == 1


def cut(path):
    os.truncate(path, os.path.getsize(path) // 2)


def empty(path):
    os.truncate(path, 0)


def spoil(path):
    with open(path, "r+b") as store:
        for place in range(0, os.path.getsize(path), 4096):
            store.seek(place + 100)
            store.write(b"spoilt " * 100)


def remove(path):
    path.unlink()


def replace(path):
    (path.parent / "other").touch()
    os.chown(path.parent / "other", path.stat().st_uid, path.stat().st_gid)
    os.replace(path.parent / "other", path)


# How the sender comes to know it: by a commit, or, where it reads only what it remembers, by its next
# start.
LOSSES = [(cut, signal.SIGCONT), (spoil, signal.SIGKILL), (remove, signal.SIGCONT)]
if os.environ.get("CAPI_LONG"):
    LOSSES += [(empty, signal.SIGCONT), (replace, signal.SIGCONT)]


@pytest.mark.parametrize("damage,sig", LOSSES)
def test_lost_store_is_told_and_followed_by_a_new_one_that_gets_all_of_the_queue(
        make_shop, damage, sig):
    shop = make_shop(pause=0.02)
    shop.httpd.expect(r"PCAPI11[36]")
    shop.look_without_module().open()
    shop.wait_said(20)
    shop.settle()
    wait_for(lambda: (shop.httpd.state / "store.db-wal").stat().st_size == 0,
             "all to be in the file itself")
    shop.begin_new_ledger()
    (sender,) = shop.httpd.senders()
    os.kill(sender, signal.SIGSTOP)
    shop.load(kinds=(Browsers, Pages))
    shop.wait_said(20)
    damage(shop.httpd.state / "store.db")
    os.kill(sender, sig)
    shop.load(kinds=(Backend,))
    shop.wait_recovery()
    shop.assert_unharmed()
    shop.settle(is_store_whole=False)
    assert len(lines_with(shop, "PCAPI116")) == (sig == signal.SIGCONT)
    aside = {path.name.split("-")[1] for path in shop.httpd.state.glob("store.db.corrupt-*")}
    assert len(aside) == len(lines_with(shop, "PCAPI113"))
    # What is left of an emptied file is a new one or a damaged one.
    assert damage is empty or len(aside) == (damage in (cut, spoil))
