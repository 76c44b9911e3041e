"""What attackers try, and what stops them; docs/security.md says which test is for which threat."""

import json
import os
import pathlib
import pwd
import re
import shutil

import pytest

import server as harness
from server import ACCOUNT, EPIK, TOKEN, wait_for

PATH = f"/v5/ad_accounts/{ACCOUNT}/events"
JSON = {"Content-Type": "application/json"}
EM = ["836f82db99121b3481011f16b49dfa5fbc714a0d1b1b9f784a1ebbbf5b39577f"]
CONF = """
PinterestCapiMergeWindow 0
PinterestCapiFlush 1000 1
<Location "/collect">
  SetHandler pinterest-capi-collect
</Location>
<Location "/context">
  SetHandler pinterest-capi-context
</Location>
<Location "/v5/ad_accounts">
  SetHandler pinterest-capi-events
</Location>
<Location "/server-status">
  SetHandler server-status
</Location>
"""


def event(event_id, name="lead", **more):
    return {"event_name": name, "action_source": "web", "event_id": event_id,
            "user_data": {"em": EM}, **more}


def peak_memory(pids):
    """The most that any of these processes ever held of its own, in bytes."""
    return max(int(re.search(r"VmHWM:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text())[1])
               for pid in pids) << 10


# --- a visitor's request: how much ---

@pytest.mark.parametrize("path", ["/collect", "/context", PATH])
def test_a_body_that_would_fill_memory_is_refused_unread(make_httpd, path):
    httpd = make_httpd(conf=CONF)
    httpd.get("/")
    before = peak_memory(httpd.workers())
    for filling in ("{},", "[],", '"",', "0,"):
        body = '{"event_name":"lead","custom_data":{"x":[' + filling * (2000000 // len(filling)) + "0]}}"
        answer = httpd.post(path, body, JSON)
        assert answer.status == 413, answer.text
    assert peak_memory(httpd.workers()) - before < 32 << 20


def test_who_is_over_the_limit_is_told_before_the_body_is_read(make_httpd):
    httpd = make_httpd(conf=CONF + "PinterestCapiCollectLimit 1\n")
    assert httpd.post("/collect", event("one")).status == 200
    assert httpd.post("/collect", "no JSON at all", JSON).status == 429


def test_json_answers_are_never_taken_for_pages(make_httpd):
    httpd = make_httpd(conf=CONF)
    evil = {"event_name": "<script>alert(1)</script>", "event_id": "e"}
    for answer in (httpd.post("/collect", evil), httpd.get("/context"), httpd.post(PATH, {"data": [evil]})):
        assert answer.header("Content-Type") == "application/json"
        assert answer.header("X-Content-Type-Options") == "nosniff"


# --- files ---

def test_a_link_in_the_place_of_the_state_directory_gives_nothing_away(make_httpd):
    """Who can write above the state directory aims it at a directory of root's."""
    httpd = make_httpd(start=False, conf=CONF)
    httpd.expect(r"PCAPI057", r"AH00016", r"AH00020")
    valuable = httpd.root / "bin"
    valuable.mkdir(mode=0o755)
    httpd.state.symlink_to(valuable)
    httpd.configure()
    httpd.httpd("-k", "start", check=False)
    httpd.wait_log(r"PCAPI057.*chown -R")
    wait_for(lambda: not httpd.is_listening(), "httpd to give up")
    assert valuable.stat().st_uid == 0 and list(valuable.iterdir()) == []


def test_a_link_of_roots_own_to_the_senders_directory_is_followed(make_httpd):
    httpd = make_httpd(start=False, conf=CONF)
    elsewhere = httpd.root / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    shutil.chown(elsewhere, httpd.USER)
    httpd.state.symlink_to(elsewhere)
    httpd.start()
    assert httpd.post(PATH, {"data": [event("one")]}).status == 200
    assert (elsewhere / "store.db").exists()


def test_installed_sender_can_be_run_but_not_read(tmp_path):
    """Then the kernel closes the process to its own user before its first instruction."""
    harness.subprocess.run(["make", "-s", "-f", "Makefile.apxs", "install", f"DESTDIR={tmp_path}"],
                           cwd=harness.TOP, check=True)
    (program,) = tmp_path.rglob("pinterest-capi-sender")
    assert program.stat().st_mode & 0o777 == 0o711
