"""Actions, as far as the page goes: who may ask, what becomes of a form, what is told of it. The
sender's part is in tests/sender/test_asks.py, both together in tests/httpd/test_admin_actions.py."""

import json
import re
import uuid

import pytest

from conftest import Cgi, Page
from forms import form_of, forms_of

HERE = {"HTTP_SEC_FETCH_SITE": "same-origin", "REMOTE_USER": "alice"}
HASH = "973dfe463ec85785f5f95af5ba3906eedb2d931c24e69824a89ea65dba4e813b"  # of test@example.com
KINDS = ["test", "pause", "forget"]


class Writer(Cgi):
    """The CGI with PinterestCapiAdmin Write."""

    def __call__(self, *path, **environment):
        return super().__call__(*path, **{"PINTEREST_CAPI_ADMIN": "Write", "REMOTE_USER": "alice",
                                          **environment})

    def send(self, form, body=None, **environment):
        return self("/actions", method="POST", body=form.body() if body is None else body,
                    **{**HERE, **environment})


@pytest.fixture
def writer(store):
    store.destination()
    return Writer(store.path)


def asks(store):
    names = ("kind", "destination", "event", "subject", "asked_by")
    return [dict(zip(names, row)) for row in
            store.db.execute(f"SELECT {', '.join(names)} FROM asks ORDER BY id")]


def test_forms_are_shown_to_who_may_write_alone(cgi, writer):
    assert [form.action for form in forms_of(writer("/").text)] == ["test", "pause", "forget"]
    assert forms_of(cgi("/").text) == []
    assert "Forget" not in cgi("/").text


def test_a_form_becomes_one_ask_and_leads_back(writer, store):
    form = form_of(writer("/").text, "pause")
    answer = writer.send(form)
    assert answer.status == 303
    assert answer.headers["Location"] == f"./?asked={form.fields['id']}"
    assert writer.send(form).status == 303  # pressed twice, or loaded anew
    assert asks(store) == [{"kind": "pause", "destination": 1, "event": None, "subject": None,
                            "asked_by": "alice"}]
    assert answer.log == "PCAPI204: admin page: alice asks: pause of account 549755885175\n"


@pytest.mark.parametrize("person, hashed", [
    ("test@example.com", HASH), (" Test@Example.COM ", HASH),
    ("+49 (30) 123-4567", None), ("0049 30 1234567", None)])
def test_a_person_is_hashed_as_shops_do_and_written_nowhere(writer, store, person, hashed):
    form = form_of(writer("/").text, "forget")
    answer = writer.send(form, form.body(person=person))
    assert answer.status == 303
    (ask,) = asks(store)
    assert ask["subject"] == hashed if hashed else re.fullmatch("[0-9a-f]{64}", ask["subject"])
    assert "xample" not in answer.log and "1234567" not in answer.log
    stored = b"".join(path.read_bytes() for path in store.path.parent.glob("store.db*"))
    assert b"xample.c" not in stored.lower() and b"1234567" not in stored
    # The page tells of it without telling who it was.
    assert ask["subject"] not in writer("/", f"asked={form.fields['id']}").text


@pytest.mark.parametrize("person", ["", "hello", "1234567", "@", HASH, "a" * 300])
def test_what_is_no_person_erases_nothing(writer, store, person):
    form = form_of(writer("/").text, "forget")
    answer = writer.send(form, form.body(person=person))
    assert answer.status == 400 and "Nothing was erased" in answer.text
    assert asks(store) == []


def test_where_the_page_may_only_be_read_a_post_is_refused(writer, store):
    form = form_of(writer("/").text, "pause")
    for admin in ("On", "", "write please"):
        answer = writer.send(form, PINTEREST_CAPI_ADMIN=admin)
        assert answer.status == 403 and "PCAPI203" in answer.log
    assert asks(store) == []


@pytest.mark.parametrize("headers, status", [
    ({"HTTP_SEC_FETCH_SITE": "cross-site"}, 403), ({"HTTP_SEC_FETCH_SITE": "same-site"}, 403),
    ({"HTTP_SEC_FETCH_SITE": "none"}, 403), ({}, 403),
    ({"HTTP_ORIGIN": "https://evil.example"}, 403), ({"HTTP_ORIGIN": "null"}, 403),
    ({"HTTP_ORIGIN": "https://shop.example.evil"}, 403),
    ({"HTTP_ORIGIN": "https://shop.example", "HTTP_SEC_FETCH_SITE": "cross-site"}, 403),
    ({"HTTP_ORIGIN": "https://shop.example"}, 303), ({"HTTP_SEC_FETCH_SITE": "same-origin"}, 303)])
def test_only_the_page_itself_may_ask(writer, store, headers, status):
    form = form_of(writer("/").text, "pause")
    answer = writer("/actions", method="POST", body=form.body(), HTTP_HOST="shop.example", **headers)
    assert answer.status == status
    assert len(asks(store)) == (status == 303)


def old_id(form):
    """The id of a form that was shown 13 hours earlier."""
    msec = int(form.fields["id"].replace("-", "")[:12], 16) - 13 * 3600 * 1000
    return f"{msec >> 16:08x}-{msec & 0xffff:04x}{form.fields['id'][13:]}"


@pytest.mark.parametrize("change", [
    lambda form: form.fields.pop("token"), lambda form: form.fields.pop("id"),
    lambda form: form.fields.update(token="0" * 32),
    lambda form: form.fields.update(token=form.fields["token"].upper()),
    lambda form: form.fields.update(id=str(uuid.uuid4())),
    lambda form: form.fields.update(id=old_id(form))])
def test_a_form_that_is_not_ours_is_refused(writer, store, change):
    form = form_of(writer("/").text, "pause")
    change(form)
    answer = writer.send(form)
    assert answer.status == 403 and asks(store) == []
    assert "go back to the page" in answer.text


def test_a_form_is_of_one_user_and_one_store(writer, store):
    form = form_of(writer("/").text, "pause")
    assert writer.send(form, REMOTE_USER="bob").status == 403
    assert writer.send(form, REMOTE_USER="").status == 403
    store.db.execute("UPDATE meta SET value = ? WHERE name = 'page_secret'", ("f" * 32,))
    assert writer.send(form).status == 403
    assert asks(store) == []


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_reading_never_asks(writer, store, method):
    form = form_of(writer("/").text, "pause")
    query = form.body().decode()
    assert writer("/actions", query, method=method, **HERE).status == 405
    assert writer("/", query, method=method, **HERE).status == 200
    assert asks(store) == []
    assert writer("/", method="POST", body=form.body(), **HERE).status == 405


@pytest.mark.parametrize("body, kind", [
    (b"", None), (b"x" * 8193, None), (None, "text/plain"), (None, "application/json"),
    (b"\0\xff&&==&%%%=%", None)])
def test_a_body_that_is_no_form_is_refused(writer, store, body, kind):
    form = form_of(writer("/").text, "pause")
    answer = writer.send(form, body, **({"CONTENT_TYPE": kind} if kind else {}))
    assert answer.status in (400, 403) and asks(store) == []


@pytest.mark.parametrize("fields", [
    {"action": "dance"}, {"action": ""}, {"account": ""}, {"account": "-1"}, {"account": "x"},
    {"account": "0"}, {"account": "2"}, {"account": "1" * 30}])
def test_an_ask_that_means_nothing_is_refused(writer, store, fields):
    form = form_of(writer("/").text, "pause")
    answer = writer.send(form, form.body(**fields))
    assert answer.status == 400 and asks(store) == []


def test_without_signing_in_the_log_has_the_address(writer, store):
    page = writer("/", REMOTE_USER="").text
    answer = writer.send(form_of(page, "test"), REMOTE_USER="", REMOTE_ADDR="127.0.0.1")
    assert answer.status == 303
    assert asks(store)[0]["asked_by"] == "somebody at 127.0.0.1"


def test_the_page_tells_what_came_of_it_and_keeps_a_log(writer, store, cgi):
    form = form_of(writer("/").text, "pause")
    writer.send(form)
    asked = f"asked={form.fields['id']}"
    page = writer("/", asked).text
    assert "data-pending" in page and "Pause: asked." in Page(page).text
    store.db.execute("UPDATE asks SET done_at = asked_at, is_well = 1, outcome = 'Nothing goes out.'")
    page = writer("/", asked).text
    assert "data-pending" not in page and "Pause: done. Nothing goes out." in Page(page).text
    log = Page(cgi("/").text).text  # who may only read sees what was done as well
    assert "Action log" in log and "alice Pause account 549755885175" in log
    assert "asked=" not in writer("/", "asked=%3Cscript%3E").text


def test_a_store_that_no_sender_has_opened_has_nobody_to_ask(writer, store):
    store.db.execute("DELETE FROM meta WHERE name = 'page_secret'")
    assert writer("/").status == 200 and forms_of(writer("/").text) == []


def test_a_paused_account_is_told_everywhere(writer, store, sender):
    store.db.execute("UPDATE destinations SET paused_at = ?, paused_by = 'alice'",
                     (int((store.now - 86400 * 3) * 1e6),))
    event = store.event(1, "w", state="queued")
    status = writer("/status.json")
    assert status.status == 200  # on purpose: nothing is broken
    account = status.json["status"]["accounts"][0]
    assert account["state"] == "paused" and account["paused"]["by"] == "alice"
    verdict = status.json["status"]["verdict"]
    assert verdict["state"] == "paused"
    assert re.fullmatch(r"Paused by alice at \d\d:\d\d on \d+ \w{3} \(UTC\): 1 event waits",
                        verdict["sentence"])
    assert status.json["status"]["waiting"]["held"] == 1
    assert 'pinterest_capi_account_paused{account="549755885175"' in writer("/metrics").text
    page = writer("/")
    assert [form.action for form in forms_of(page.text)] == ["test", "resume", "forget"]
    assert verdict["sentence"] in Page(page.text).text
    assert "held" in Page(writer(f"/deliveries/{event}").text).text


def test_what_can_be_tried_and_sent_again_is_offered(writer, store):
    store.event(1, "w", state="queued")
    kept(store, store.event(1, "r", state="rejected"), due=(1 << 62) + 5)
    assert [form.action for form in forms_of(writer("/").text)] == ["test", "try", "retry", "pause",
                                                                   "forget"]
    assert "1 is kept for 7 days" in Page(writer("/").text).text


# --- one delivery ---


def kept(store, event, payload="{}", source=3, due=0):
    store.db.execute("DELETE FROM outbox WHERE event = ?", (event,))
    store.insert("outbox", event=event, destination=1, due=due, ready_at=0, expires_at=0, flags=0,
                 source=source, match_keys=0, payload=payload)


def payload_of(page):
    return [json.loads(text) for text in
            re.findall(r"<code>(\{.*?\})</code></pre>", page.replace("&quot;", '"'), re.S)]


def test_a_waiting_delivery_shows_what_will_go_and_nobody_in_it(writer, store):
    event = store.event(1, "w", state="queued")
    agent = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)"
    kept(store, event, json.dumps({"event_name": "checkout", "event_id": "w", "user_data": {
        "em": [HASH], "client_ip_address": "203.0.113.42", "client_user_agent": agent,
        "click_id": "dj0yJnU9b2JDcFFHekV4SHJN"}, "custom_data": {"value": "72.39"}}))
    store.insert("layers", event=event, source=4, payload=json.dumps(
        {"event_name": "checkout", "user_data": {"ph": [HASH[::-1]],
                                                 "client_ip_address": "2001:db8:1::7"}}))
    page = writer(f"/deliveries/{event}").text
    backend, header = payload_of(page)
    assert header["user_data"] == {"em": ["973dfe46\u2026"], "client_ip_address": "203.0.\u2026",
                                   "client_user_agent": "Mozilla/5.0 (Macintosh; \u2026",
                                   "click_id": "dj0yJnU9\u2026"}
    assert header["custom_data"] == {"value": "72.39"}
    assert backend["user_data"] == {"ph": [HASH[::-1][:8] + "\u2026"],
                                    "client_ip_address": "2001:db8:\u2026"}
    for secret in (HASH, HASH[::-1], "203.0.113", "db8:1", "Intel", "JDcF"):
        assert secret not in page
    assert "Several sources said it" in page


def test_a_settled_delivery_says_that_its_data_is_erased(writer, store):
    event = store.event(1, "d")
    page = Page(writer(f"/deliveries/{event}").text)
    assert "Its user data has been erased" in page.text and page.all("pre") == []


def test_a_forgotten_delivery_says_so(writer, store):
    event = store.event(1, "f", state="suppressed", consent="denied", signal="forget request",
                        error="erased: this person was forgotten")
    page = Page(writer(f"/deliveries/{event}").text).text
    assert "Its person was forgotten before it was sent" in page and "denied, by forget request" in page


def test_a_rejected_delivery_can_be_sent_again_while_its_data_is_kept(writer, store, cgi):
    event = store.event(1, "r", state="rejected")
    assert forms_of(writer(f"/deliveries/{event}").text) == []
    kept(store, event, due=(1 << 62) + 5)
    assert forms_of(cgi(f"/deliveries/{event}").text) == []
    form = form_of(writer(f"/deliveries/{event}").text, "retry")
    answer = writer.send(form)
    assert answer.headers["Location"] == f"./deliveries/{event}?asked={form.fields['id']}"
    assert asks(store)[0] == {"kind": "retry", "destination": None, "event": event,
                              "subject": None, "asked_by": "alice"}
    page = Page(writer(f"/deliveries/{event}", f"asked={form.fields['id']}").text)
    assert "Send again: asked." in page.text


def test_hostile_words_are_inert_in_payloads_and_in_the_log(writer, store):
    event = store.event(1, "w", state="queued")
    evil = '"><script>\u202e\x1b</code></pre>'
    kept(store, event, json.dumps({"user_data": {"em": [evil, 7, None], "st": evil, "db": {}},
                                   "custom_data": {evil: [evil]}}))
    form = form_of(writer("/", REMOTE_USER="<script>\u202e\x1b").text, "pause")
    writer.send(form, REMOTE_USER="<script>\u202e\x1b")
    store.db.execute("UPDATE asks SET done_at = 1, outcome = '<script>'")
    for page in (writer(f"/deliveries/{event}").text, writer("/").text):
        assert len(Page(page).all("script")) == 1 and "\u202e" not in page and "\x1b" not in page
    kept(store, event, "no JSON <script>")
    assert writer(f"/deliveries/{event}").status == 200
