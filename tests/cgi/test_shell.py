"""The page's actions and `check` for people without a browser. What the sender does with them is in
tests/httpd/test_admin_actions.py."""

import getpass
import re
import subprocess

import pytest

from conftest import PROGRAM
from test_actions import HASH, asks


@pytest.fixture
def run(store):
    def run(*words, said=""):
        done = subprocess.run([PROGRAM, *words, str(store.path)], env={}, input=said, text=True,
                              capture_output=True, timeout=60)
        return done.returncode, done.stdout, done.stderr
    store.destination()
    store.path.chmod(0o600)
    return run


@pytest.mark.parametrize("words, asked", [
    (["pause"], ("pause", 1, None)), (["resume"], ("resume", 1, None)), (["test"], ("test", 1, None)),
    (["try"], ("try", 1, None)), (["retry"], ("retry", 1, None)),
    (["retry", "--delivery", "7"], ("retry", None, 7)),
    (["pause", "--account", "549755885175"], ("pause", 1, None))])
def test_an_action_is_asked_for_by_who_runs_it(run, store, words, asked):
    code, out, _ = run(*words)
    assert code == 1 and "does what was asked when it starts" in out
    assert asks(store) == [{"kind": asked[0], "destination": asked[1], "event": asked[2],
                            "subject": None, "asked_by": f"{getpass.getuser()} (shell)"}]


def test_a_person_comes_by_standard_input(run, store):
    assert run("forget", said="test@example.com\n")[0] == 1
    assert asks(store)[0]["subject"] == HASH
    for said in ("", "hello\n"):
        code, _, err = run("forget", said=said)
        assert code == 64 and "neither an e-mail address" in err
    assert len(asks(store)) == 1


def test_of_several_accounts_one_must_be_named_and_live_goes_before_test(run, store):
    store.destination("7", test=1)
    assert run("pause")[0] == 64 and asks(store) == []
    assert run("pause", "--account", "8")[0] == 64 and asks(store) == []
    run("pause", "--account", "7")
    live = store.destination("7")
    run("resume", "--account", "7")
    assert [(ask["kind"], ask["destination"]) for ask in asks(store)] == [("pause", 2),
                                                                         ("resume", live)]


@pytest.mark.parametrize("words", [["dance"], ["pause", "--account"], ["pause", "--what", "1"],
                                   ["pause", "a", "b"], []])
def test_what_is_not_understood_asks_for_nothing(run, store, words):
    code, out, err = run(*words)
    assert code in (64, 66) and out == "" and asks(store) == []


def test_check_looks_at_files_consent_addresses_and_pauses(run, store):
    store.db.execute("UPDATE destinations SET paused_at = 1e15, paused_by = 'alice'")
    store.count(1, "page_visit", "consent:granted:usercentrics:sent", n=3)
    store.count(1, "page_visit", "delivered", n=4)
    store.count(1, "page_visit", "key:client_ip_address", n=3)
    key = store.path.parent / "key"
    key.write_bytes(b"x" * 32)
    key.chmod(0o644)
    store.path.parent.chmod(0o777)
    code, out, _ = run("check")
    assert code == 1
    for line in ("LOOK  The key that visits are hashed with can be opened by other users",
                 "LOOK  Other users may write into the state directory",
                 "LOOK  Account 549755885175 is paused by alice since 2001-09-09",
                 "ok    Consent was said in the last 24 hours by: usercentrics",
                 "ok    75% of the events of 24 hours carry a visitor's address"):
        assert line in out, out
    key.chmod(0o600)
    store.path.parent.chmod(0o700)
    store.db.execute("UPDATE destinations SET paused_at = NULL")
    code, out, _ = run("check")
    assert code == 0 and "ok    Nobody else can open the store" in out and "LOOK" not in out


def test_check_of_an_empty_store_says_where_to_begin(run, store):
    store.db.execute("DELETE FROM destinations")
    code, out, _ = run("check")
    assert code == 1 and "LOOK  No account is configured" in out
    assert "Open a page, answer the banner" in out
    store.destination()
    store.count(1, "page_visit", "consent:granted:default:sent", n=3)
    assert re.search("note  No consent signal was seen in 24 hours", run("check")[1])
