"""The queue full, backed up, or left behind by crashes."""

import os
import signal

from server import is_alive, wait_for
from sources import Backend, Browsers, Pages, body

SMALLEST = 256 * 1024
LEFT_BEHIND = 12 if os.environ.get("CAPI_LONG") else 3
OWN_PAGE = {"Sec-Fetch-Site": "same-origin"}


def stop_the_sender(shop):
    (sender,) = wait_for(shop.httpd.senders, "a sender")
    os.kill(sender, signal.SIGSTOP)
    return sender


def test_denial_far_behind_in_the_queue_is_heard_before_anything_is_sent(make_shop):
    """The sender takes in a thousand records at a time; a denial may be the last of more."""
    shop = make_shop(conf="PinterestCapiMergeWindow 0\nPinterestCapiFlush 1 1\n").open(kinds=())
    visitor = Pages(shop.httpd, shop.ledger, "visitor")
    crowd = Browsers(shop.httpd, shop.ledger, "crowd")
    sender = stop_the_sender(shop)
    assert visitor.show("yes", "id-yes", cookie="PHPSESSID=one")
    for call in range(1, 1202):
        crowd.say(call)
    assert visitor.show("no", "id-no", True, "PHPSESSID=one")
    os.kill(sender, signal.SIGCONT)
    shop.settle()
    assert "yes" not in shop.ledger.arrivals
    assert shop.ledger.count_said() == 1201


def kind_of(name, serial):
    return {**body(serial, f"id-{serial}"), "event_name": name}


def fill_with(shop, name):
    """Says events of one name, from browsers, until the queue takes no more; their serials."""
    taken = []
    while True:
        serial = f"{name}-{len(taken)}"
        answer = shop.httpd.post("/collect", kind_of(name, serial), OWN_PAGE)
        if answer.status == 503:
            assert answer.header("Retry-After")
            return taken
        assert answer.status == 200, answer.text
        taken.append(serial)


def test_full_queue_refuses_page_views_first_and_conversions_last(make_shop):
    shop = make_shop(queue_size=SMALLEST)
    shop.httpd.expect(r"PCAPI021: the queue is full")
    shop.look_without_module().open(kinds=())
    sender = stop_the_sender(shop)
    views = fill_with(shop, "page_visit")
    conversions = fill_with(shop, "checkout")
    assert shop.httpd.post("/collect", kind_of("page_visit", "late"), OWN_PAGE).status == 503
    shop.assert_unharmed()
    room = int(shop.httpd.status_auto()["PinterestCapiQueueSize"])
    assert len(views) > 2 * len(conversions) > 0, (len(views), len(conversions), room)
    shop.ledger.tell(views + conversions, "browser", 0)
    os.kill(sender, signal.SIGCONT)
    shop.settle()
    shop.load(kinds=(Pages,))
    shop.wait_said(10)


def test_queue_files_that_crashes_left_are_drained_and_removed(make_shop):
    shop = make_shop().open(kinds=(Browsers,))
    for _ in range(LEFT_BEHIND):
        shop.wait_said(20)
        stop_the_sender(shop)
        shop.wait_said(20)
        shop.kill_all()
    shop.wait_said(20)
    shop.settle()
    wait_for(lambda: len(list(shop.httpd.run.glob("queue.*"))) == 1, "the old files to go", 40)


def test_queue_that_leaves_no_room_for_another_is_taken_over(make_shop):
    """A crash must not keep the shop from starting again."""
    shop = make_shop(queue_size=SMALLEST)
    shop.httpd.expect(r"PCAPI059", r"PCAPI021: the queue is full")
    shop.mount("-t", "tmpfs", "-o", "size=400k,mode=755", "tmpfs", shop.httpd.run)
    shop.open(kinds=(Browsers,))
    for _ in range(2):
        shop.wait_said(20)
        stop_the_sender(shop)
        shop.wait_said(20)
        shop.kill_all()
        assert [path.name for path in shop.httpd.run.glob("queue.*")] == ["queue.1"]
    shop.wait_said(20)
    shop.settle()


def test_workers_of_a_killed_parent_go_on_and_the_next_httpd_gets_what_they_took(make_shop):
    """Their sender has ended with the parent: the queue keeps, endpoints that promise a disk say 503."""
    shop = make_shop().open(kinds=(Browsers, Backend))
    shop.wait_said(20, "backend")
    (sender,) = wait_for(shop.httpd.senders, "a sender")
    parent = shop.httpd.pid
    shop.httpd.kill(parent)
    wait_for(lambda: not is_alive(sender), "the sender to end")
    shop.wait_said(20, "browser")
    wait_for(lambda: sum(source.refused for source in shop.sources) > 0, "an answer of 503")
    shop.kill_who_is_left()
    shop.wait_recovery()
    shop.settle()
