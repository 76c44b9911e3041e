"""The sender between a queue that any worker can write to and an API that may be anybody's."""

import re
import socket

from conftest import TOKEN, wait_for
from sink import Answer, results

LINE = re.compile(r"\[\w{3} \w{3} \d\d [\d:.]+ \d{4}\] \[pinterest_capi:\w+\] \[pid \d+\] PCAPI\d{3}: ")
CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
FORGED = "no\r\n[Thu Nov 26 00:00:00.000000 2026] [core:error] forged \x1b[31m"


def test_address_that_no_configuration_names_gets_nothing(site, sink):
    """A worker that was taken over names the account of its shop and a server of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        feed, _ = site.start()
        feed.push(1, "stolen", url=f"http://127.0.0.1:{listener.getsockname()[1]}/v5")
        feed.push(1, "own")
        site.wait_settled(1)
        wait_for(lambda: site.sql("SELECT 1 FROM destinations WHERE held_reason IS NOT NULL"), "a hold")
        assert TOKEN not in str(sink.requests)
        try:
            listener.accept()
        except BlockingIOError:
            return
    raise AssertionError("the sender called")


def test_words_of_others_forge_no_line_of_log_or_page(site, sink):
    """The API's in the store, a worker's in the log."""
    sink.answer = lambda request: Answer(200, results([FORGED] * len(request.ids)))
    feed, _ = site.start()
    feed.push(1, "a")
    feed.push(1, "b", account="1\x1b[31m\x07forged")
    site.wait_settled(1)
    (row,) = site.sql("SELECT error FROM events WHERE event_id LIKE 'a%'")
    assert "forged" in row["error"] and not CONTROLS.search(row["error"])
    site.wait_log("forged")
    assert all(LINE.match(line) for line in site.log().splitlines())
    assert not CONTROLS.search(site.log().replace("\n", ""))
