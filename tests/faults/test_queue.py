"""The queue full, backed up, or left behind by crashes."""

import os
import signal

from server import wait_for
from sources import Backend, Browsers, Pages

SMALLEST = 256 * 1024


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
