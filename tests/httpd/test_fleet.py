"""Two web servers of one shop, one database: what a visitor did on one is known on the other."""

import os
import shutil

import pytest

from databases import MariaDb, Postgres, running
from server import BROWSER, EPIK, SHOPPER, wait_for

# Any page may be asked for with ?order=…: a visit is tied to it, and the gateway's call is a purchase.
RULES = """
PinterestCapiBots keep
PinterestCapiMergeWindow 0
PinterestCapiBind order:%{{query:order}}
PinterestCapiMatch em %{{query:email}}
<Location "/paid.html">
  PinterestCapiEvent purchase event_id=paid_%{{query:order}} order_id=%{{query:order}} value=5 currency=EUR
</Location>
PinterestCapiStore {driver} "{params}"
"""


@pytest.fixture(scope="module", params=[Postgres, MariaDb])
def server(request):
    with running(request.param) as made:
        yield made


@pytest.fixture
def database(server):
    server.forget_all()
    return server


@pytest.fixture
def servers(database, make_httpd, api):
    """Two of them, with the same key."""
    conf = RULES.format(driver=database.name, params=database.params)
    one = make_httpd(api=api, conf=conf)
    wait_for((one.state / "key").exists, "the key")
    two = make_httpd(api=api, conf=conf, start=False)
    two.state.mkdir(mode=0o700)
    shutil.copy2(one.state / "key", two.state / "key")
    for name in (".", "key"):
        owner = (one.state / name).stat()
        os.chown(two.state / name, owner.st_uid, owner.st_gid)
    two.start()
    for httpd in (one, two):
        httpd.write("paid.html", "<p>Thank you")
    return one, two


def visit(httpd, page, agent=BROWSER, address=SHOPPER, **headers):
    return httpd.get(page, headers, agent=agent, address=address)


def test_a_payment_call_on_one_server_knows_the_visit_on_the_other(servers, database, api):
    one, two = servers
    visit(one, f"/?epik={EPIK}&order=41&email=shopper@example.com", Cookie="PHPSESSID=abc123")
    wait_for(lambda: database.look(f"SELECT name FROM {database.schema}visit_keys"), "the bind")
    visit(two, "/paid.html?order=41", agent="Gateway/1", address="198.51.100.9")
    wait_for(lambda: api.processed(), "the purchase")
    (event,) = api.processed()
    assert event["event_id"] == "paid_41"
    user = event["user_data"]
    assert (user["click_id"], user["client_ip_address"], user["client_user_agent"]) == \
        (EPIK, SHOPPER, BROWSER)
    assert len(user["em"]) == 1


def test_an_event_that_both_servers_heard_of_is_sent_once(servers, database, api):
    for httpd in servers:
        visit(httpd, f"/paid.html?order=42&epik={EPIK}&email=shopper@example.com",
              Cookie="PHPSESSID=abc123")
    wait_for(lambda: api.processed(), "the purchase")
    counters = f"SELECT sum(n) FROM {database.schema}counters WHERE hour = 0 AND what IN" \
        " ('merged', 'duplicate')"
    wait_for(lambda: database.look(counters) == [("1",)], "the second one to be counted")
    assert [event["event_id"] for event in api.processed()] == ["paid_42"]
