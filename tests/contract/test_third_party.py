"""A client of Pinterest's API that nobody here wrote: generated from Pinterest's own OpenAPI document
by openapi-typescript-codegen, unmodified, only its base URL says this server."""

import hashlib
import json
import pathlib
import re
import shutil
import subprocess
import sys
import time

import pytest

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parents[1]
sys.path[:0] = [str(TOP / "tests" / "httpd"), str(TOP / "demo")]

from server import ACCOUNT, TOKEN, Httpd, wait_for  # noqa: E402
from standin import StandIn  # noqa: E402

DOCUMENT = TOP.parent / "shared" / "pinterest" / "openapi-events-5.23.json"
SOURCES = HERE / "third-party"
EM = hashlib.sha256(b"ada@example.com").hexdigest()
CONF = """
PinterestCapiMergeWindow 0
PinterestCapiFlush 1 0
<Location "/v5/ad_accounts">
  SetHandler pinterest-capi-events
</Location>
"""


def npm(*command, folder):
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=300)
    if re.search(r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ENETUNREACH", done.stdout):
        pytest.skip("npm reaches no registry from here")
    assert done.returncode == 0, done.stdout[-2000:]


def build():
    """Generates and compiles the client below build/; once for each version of what makes it."""
    made_of = [DOCUMENT, *sorted(SOURCES.iterdir())]
    mark = hashlib.sha256(b"".join(path.read_bytes() for path in made_of)).hexdigest()[:16]
    folder = TOP / "build" / "third-party" / mark
    if not (folder / "js" / "index.js").exists():
        folder.mkdir(parents=True, exist_ok=True)
        for path in SOURCES.iterdir():
            shutil.copy(path, folder)
        npm("npm", "install", "--ignore-scripts", "--no-package-lock", "--no-audit", "--no-fund",
            folder=folder)
        npm("node_modules/.bin/openapi", "--input", str(DOCUMENT), "--output", "generated",
            "--client", "fetch", folder=folder)
        npm("node_modules/.bin/tsc", "-p", ".", folder=folder)
    return folder


@pytest.fixture(scope="module")
def client():
    """client(server, batch, account=…) → what the client's caller hears."""
    if not DOCUMENT.exists():
        pytest.skip("Pinterest's OpenAPI document is not here")
    if not shutil.which("npm") or not shutil.which("node"):
        pytest.skip("npm is not installed")
    folder = build()

    def send(server, *events, account=ACCOUNT):
        done = subprocess.run(["node", str(folder / "send.js"), f"http://127.0.0.1:{server.port}/v5",
                               account, TOKEN], input=json.dumps({"data": list(events)}),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return send


@pytest.fixture(scope="module")
def api():
    with StandIn(tokens=[TOKEN]) as running:
        yield running


@pytest.fixture(scope="module")
def server(api):
    running = Httpd(api=api, conf=CONF)
    try:
        yield running.start()
        running.stop()
        assert running.unexpected_lines() == []
    finally:
        running.close()


def purchase(event_id, **more):
    """Without an order_id, which would wait for its order's context."""
    return {"event_name": "checkout", "action_source": "web", "event_id": event_id,
            "event_time": int(time.time()) - 30, "user_data": {"em": [EM], "click_id": "dj0yJnU9"},
            "custom_data": {"value": "129.95", "currency": "EUR"}, **more}


def delivered(api, *event_ids):
    def all_there():
        found = {e["event_id"]: e for e in api.processed()}
        return [found[i] for i in event_ids] if set(event_ids) <= set(found) else None
    return wait_for(all_there, f"{event_ids} at the API")


def test_its_events_are_taken_and_delivered_as_they_are(client, server, api):
    events = [purchase("third-1"), purchase("third-2", event_name="initiate_checkout")]
    said = client(server, *events)
    assert said["status"] == 200
    assert said["body"]["num_events_received"] == said["body"]["num_events_processed"] == 2
    assert [e["status"] for e in said["body"]["events"]] == ["processed"] * 2
    assert delivered(api, "third-1", "third-2") == events


def test_a_bad_event_gets_pinterests_422_and_the_good_ones_are_delivered(client, server, api):
    bad = purchase("third-bad", user_data={"click_id": "dj0yJnU9"})
    bad["event_name"] = "chekout"
    said = client(server, purchase("third-3"), bad, purchase("third-4"))
    assert said["status"] == 422
    assert said["message"] == "Not all events were successfully processed."  # the document's word
    assert said["body"]["code"] == 953 and said["body"]["message"]
    details = said["body"]["details"]
    assert (details["num_events_received"], details["num_events_processed"]) == (3, 2)
    assert [e["status"] for e in details["events"]] == ["processed", "failed", "processed"]
    assert "checkout" in details["events"][1]["error_message"]
    delivered(api, "third-3", "third-4")
    assert server.sql("SELECT 1 FROM events WHERE event_id = 'third-bad'") == []


def test_it_is_told_of_a_foreign_account_and_of_an_empty_batch(client, server):
    said = client(server, purchase("third-5"), account="549000000000")
    assert (said["status"], said["body"]["code"]) == (403, 29)
    assert client(server)["status"] == 400
