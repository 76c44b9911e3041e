"""Troubles: each is told from the data with cause and mend, and goes away when it is mended."""

import re
import subprocess

import pytest

from conftest import PROGRAM, Page

GOOD = ("em", "click_id", "client_ip_address")


def troubles(cgi):
    return re.findall(r'data-trouble="(\w+)"', cgi("/").text)


def orders(store, shop, count=50, **event):
    for _ in range(count):
        orders.number += 1
        store.event(shop, f"order_{orders.number}", **{"keys": GOOD, **event})


orders.number = 0


@pytest.fixture
def shop(store):
    return store.destination()


def test_a_shop_that_does_well_has_none(cgi, store, shop):
    assert troubles(cgi) == []
    orders(store, shop)
    store.count(shop, "checkout", "consent:granted:default:sent", n=50)
    assert troubles(cgi) == [] and "Troubles" not in Page(cgi("/").text).text


@pytest.mark.parametrize("status, reason, found", [
    (401, "the API does not accept the token of account 1 (status 401): put a valid one", "token"),
    (403, "the token in '/t' may not send events for account 1 (status 403): check", "account"),
    (404, "the API knows no account 1 or no such address (status 404): check", "account"),
    (302, "unexpected answer for account 1 (status 302): check PinterestCapiApiUrl", "hold")])
def test_a_hold_is_told_by_its_answer(cgi, store, shop, status, reason, found):
    store.db.execute("UPDATE destinations SET held_since = 1, held_reason = ?", (reason,))
    store.attempt(shop, 500)
    assert troubles(cgi) == [found]
    assert reason in Page(cgi("/").text).text
    store.db.execute("UPDATE destinations SET held_since = NULL, held_reason = NULL")
    store.attempt(shop, 200)
    assert troubles(cgi) == []


@pytest.mark.parametrize("status, found", [(429, "rate"), (503, "api"), (0, "api")])
def test_an_api_that_does_not_take_events(cgi, store, shop, status, found):
    store.note(sender_pid=1)
    store.event(shop, "w", state="retrying", count=False)
    store.attempt(shop, status, error="no answer")
    assert found in troubles(cgi)
    store.attempt(shop, 200)
    assert found not in troubles(cgi)


@pytest.mark.parametrize("error, found", [
    ("Given timestamp is in the past. Current timestamp: 1727469267", "time"),
    ("'a@b.de' in em is not a sha256 hash", "user_data"),
    ("Invalid currency EURO", "custom_data"),
    ("Additional properties are not allowed", "rejected")])
def test_a_rejection_is_told_by_its_reason_until_enough_good_ones_went_by(cgi, store, shop, error,
                                                                          found):
    store.event(shop, "bad", state="rejected", error=error)
    orders(store, shop, 49)
    assert troubles(cgi) == [found]
    assert error in Page(cgi("/").text).text
    orders(store, shop, 1)
    assert troubles(cgi) == []


@pytest.mark.parametrize("bad, found", [
    ({"keys": ("em", "client_ip_address")}, "click_id"),
    ({"keys": ("em", "click_id")}, "address"),
    ({"keys": ("click_id", "client_ip_address")}, "match")])
def test_keys_that_are_missing(cgi, store, shop, bad, found):
    orders(store, shop, **bad)
    assert troubles(cgi) == [found]
    orders(store, shop)
    assert troubles(cgi) == []


def test_purchases_without_an_id_of_their_own(cgi, store, shop):
    orders(store, shop)
    store.db.execute("UPDATE events SET is_named = 0")
    assert troubles(cgi) == ["event_id"]
    orders(store, shop)
    assert troubles(cgi) == []


def test_clocks_and_late_events(cgi, store, shop):
    orders(store, shop, happened=store.now + 300)
    assert troubles(cgi) == ["clock"]
    orders(store, shop, happened=store.now - 7200)
    assert "offline" in troubles(cgi)
    orders(store, shop)
    assert "offline" not in troubles(cgi)


def test_consent_that_is_never_granted_and_ids_that_come_again(cgi, store, shop):
    store.count(shop, "page_visit", "consent:denied:default:suppressed", n=30)
    store.count(shop, "page_visit", "received", n=60)
    store.count(shop, "page_visit", "duplicate", n=40)
    assert troubles(cgi) == ["consent", "duplicates"]
    store.count(shop, "page_visit", "consent:granted:tcf:sent")
    store.count(shop, "page_visit", "received", n=600)
    assert troubles(cgi) == []


# --- the same in a shell ---


def shell(*arguments, **environment):
    done = subprocess.run([PROGRAM, *arguments], env=environment, capture_output=True, text=True,
                          timeout=60)
    return done.returncode, done.stdout, done.stderr


def test_check_says_what_is_wrong_and_what_to_do(store, shop):
    store.path.chmod(0o600)
    orders(store, shop)
    code, out, _ = shell("check", str(store.path))
    assert code == 0 and "No trouble" in out and "FAIL" not in out
    store.path.chmod(0o644)
    code, out, _ = shell("check", str(store.path))
    assert code == 1 and "LOOK  The store can be opened by other users" in out
    store.db.execute("UPDATE destinations SET held_since = 1, held_reason = 'no (status 401): do'")
    code, out, _ = shell("check", PINTEREST_CAPI_STORE=f"sqlite3 {store.path}")
    assert code == 2 and "FAIL  Account 549755885175 is on hold" in out
    assert "apachectl graceful" in out


def test_status_tail_and_metrics_print_what_the_page_shows(store, shop):
    store.event(shop, "order_1\x1b[31m\u202e", "checkout", state="rejected", error="Invalid value")
    code, out, _ = shell("status", f"sqlite3 {store.path}")
    assert code == 0 and "Rejected" in out and "549755885175, live" in out
    code, out, _ = shell("tail", str(store.path))
    assert code == 0 and "rejected     checkout  order_1?[31m?\n" in out and "Invalid value" in out
    code, out, _ = shell("metrics", str(store.path))
    assert code == 0 and 'pinterest_capi_events_24h{outcome="rejected"} 1\n' in out


def test_what_is_not_understood_or_not_there(tmp_path):
    for words in ((), ("help",), ("status", "a", "b")):
        code, out, err = shell(*words)
        assert (code, out) == (64, "") and err.startswith("Usage:")
    code, out, err = shell("status", str(tmp_path / "none.db"))
    assert (code, out) == (66, "") and len(err) > 20


def test_a_query_string_is_no_command(cgi, store):
    """httpd hands a query without `=` over as arguments."""
    done = subprocess.run([PROGRAM, "status", str(store.path)], capture_output=True, text=True, env={
        "REQUEST_METHOD": "GET", "GATEWAY_INTERFACE": "CGI/1.1", "PATH_INFO": "/",
        "QUERY_STRING": "status+x"})
    assert done.stdout.startswith("Cache-Control: no-store\nStatus: 403 ")
