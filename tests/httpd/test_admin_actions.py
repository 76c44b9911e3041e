"""The page's actions, all the way: a form through httpd and the CGI, the sender that does it, the
stand-in API that hears of it, and the page that tells. And who may do none of that."""

import base64
import hashlib
import pathlib
import re
import subprocess
import sys
import time

import pytest

from server import ACCOUNT, BUILD, SHOPPER, TOP, wait_for

sys.path.append(str(TOP / "tests/cgi"))
from forms import form_of, forms_of  # noqa: E402

PERSON = "jane.roe@example.com"
HASH = hashlib.sha256(PERSON.encode()).hexdigest()
EVENTS = f"/v5/ad_accounts/{ACCOUNT}/events"

CONF = """
PinterestCapiMergeWindow 0
PinterestCapiFlush 1000 1
PinterestCapiSessionCookie sid
<Location "/v5/ad_accounts">
  SetHandler pinterest-capi-events
</Location>
<Location "/visit">
  PinterestCapiMatch em "%{{query:mail}}"
  PinterestCapiEvent page_visit
</Location>
<Directory "{build}">
  Require all granted
</Directory>
ScriptAlias "/pinterest-capi" "{build}/pinterest-capi.cgi"
ScriptAlias "/reader" "{build}/pinterest-capi.cgi"
<Location "/pinterest-capi">
  PinterestCapi Off
  PinterestCapiAdmin Write
  AuthType Basic
  AuthName page
  AuthBasicProvider file
  AuthUserFile "{users}"
  Require valid-user
</Location>
<Location "/reader">
  PinterestCapi Off
  PinterestCapiAdmin On
  Require all granted
</Location>
"""


class Shop:
    """The page as one user sees it, and the shop behind it."""

    def __init__(self, httpd, api, user="alice"):
        self.httpd, self.api, self.user = httpd, api, user

    def headers(self, **more):
        secret = base64.b64encode(f"{self.user}:pass-{self.user}".encode()).decode()
        return {"Authorization": f"Basic {secret}", **more}

    def page(self, path="/", prefix="/pinterest-capi"):
        answer = self.httpd.get(prefix + path, self.headers())
        assert answer.status == 200
        return answer.text

    def post(self, form, body=None, prefix="/pinterest-capi", headers=None):
        headers = {"Sec-Fetch-Site": "same-origin"} if headers is None else headers
        return self.httpd.post(f"{prefix}/actions", form.body() if body is None else body,
                               self.headers(**{"Content-Type": "application/x-www-form-urlencoded",
                                               **headers}))

    def do(self, action, path="/", **filled):
        """Presses a button, follows the answer and waits until the page says what came of it."""
        form = form_of(self.page(path), action)
        answer = self.post(form, form.body(**filled))
        assert answer.status == 303, answer.text
        where = answer.header("Location").removeprefix(".")
        page = wait_for(lambda: (page := self.page(where)) and "data-pending" not in page and page,
                        f"{action} to be done")
        return re.search(r'class="asked is-(\w+)".*?</strong> (.*?)</p>', page, re.S).groups()

    def say(self, *ids, **user_data):
        user = {"em": [hashlib.sha256(b"other@example.com").hexdigest()], **user_data}
        answer = self.httpd.post(EVENTS, {"data": [
            {"event_name": "checkout", "event_id": name, "action_source": "web",
             "event_time": int(time.time()), "user_data": user} for name in ids]}, address=None)
        assert answer.status == 200, answer.text

    def states(self):
        return {row["event_id"]: row["state"] for row in
                self.httpd.sql("SELECT event_id, state FROM events")}

    def wait_states(self, state, *ids):
        wait_for(lambda: {self.states().get(name) for name in ids} == {state},
                 f"{ids} to be in state {state}: {self.states()}")


@pytest.fixture
def httpd(make_httpd, api):
    httpd = make_httpd(api=api, start=False, extra_modules=[
        "cgid", "authn_core", "authn_file", "authz_user", "auth_basic"])
    httpd.top = f"ScriptSock {httpd.run}/cgid"
    users = httpd.root / "users"
    users.write_text("".join(
        f"{name}:" + subprocess.check_output(["openssl", "passwd", "-apr1", f"pass-{name}"],
                                             text=True) for name in ("alice", "bob")))
    httpd.conf = CONF.format(build=BUILD, users=users)
    httpd.write("visit/index.html", "<!doctype html><title>Visit</title>")
    httpd.expect(r"PCAPI20[34]: admin page: ")
    start(httpd)
    return httpd


def start(httpd):
    """Up to the sender's first notes. Root does not look into the store before it is open: for a
    moment SQLite's files would be root's, and closed to the sender."""
    httpd.start()
    httpd.wait_log("PCAPI100: sender")
    wait_for(lambda: httpd.sql("SELECT 1 FROM notes WHERE name = 'sender_pid'"), "the sender")


@pytest.fixture
def shop(httpd, api):
    return Shop(httpd, api)


def test_a_test_event_goes_to_pinterest_and_comes_back(shop, api):
    look, said = shop.do("test")
    assert look == "delivered" and "Pinterest took the test event: status 200" in said
    (entry,) = api.events
    assert entry["test"] and entry["processed"] and entry["event"]["event_name"] == "page_visit"
    assert "alice" in shop.page() and "PCAPI204: admin page: alice asks: test" in shop.httpd.log_text()


def test_pause_and_resume(shop, api):
    assert shop.do("pause")[0] == "delivered"
    shop.say("a", "b")
    assert shop.do("test")[0] == "delivered"  # the sender has had its turn since
    assert "Paused by alice at " in shop.page()
    assert [entry for entry in api.events if not entry["test"]] == []
    status = shop.httpd.get("/reader/status.json").json()["status"]
    assert status["accounts"][0]["state"] == "paused" and status["waiting"]["held"] == 2
    assert not status["broken"]
    shop.httpd.restart()
    wait_for(lambda: "Paused by alice at " in shop.page(), "the pause to outlive its sender")
    bob = Shop(shop.httpd, api, "bob")
    assert bob.do("resume")[0] == "delivered"
    shop.wait_states(10, "a", "b")
    assert "PCAPI204: admin page: bob asks: resume" in shop.httpd.log_text()


def test_held_events_are_tried_at_once(shop, api):
    shop.httpd.expect(r"PCAPI130")
    api.behave({"status": 401, "times": None})
    shop.say("a")
    wait_for(lambda: shop.httpd.sql("SELECT 1 FROM destinations WHERE held_since > 0"), "a hold")
    look, said = shop.do("try")
    assert look == "rejected" and "Still on hold: the API does not accept the token" in said
    api.reset()
    assert shop.do("try")[0] == "delivered"
    shop.wait_states(10, "a")


def test_rejected_events_go_again_under_their_ids(shop, api):
    shop.httpd.expect(r"PCAPI144")
    api.behave({"fail": ".", "times": None})
    shop.say("a", "b", "c")
    shop.wait_states(11, "a", "b", "c")
    api.reset()
    first = shop.httpd.sql("SELECT id FROM events WHERE event_id = 'b'")[0]["id"]
    assert HASH[:8] not in shop.page(f"/deliveries/{first}")
    look, said = shop.do("retry", f"/deliveries/{first}")
    assert look == "delivered" and "under the same event id" in said
    shop.wait_states(10, "b")
    page = shop.page(f"/deliveries/{first}")
    assert page.count("HTTP 200") >= 1 and "has been erased" in page
    assert "2 rejected events are in line again" in shop.do("retry")[1]
    shop.wait_states(10, "a", "c")
    assert sorted(event["event_id"] for event in api.processed()) == ["a", "b", "c"]


def places(httpd):
    """Everything this server keeps: state, queue, runtime directory, logs."""
    return [path for folder in (httpd.state, httpd.run) for path in folder.rglob("*")
            if path.is_file()] + [httpd.error_log]


def test_a_forgotten_person_is_nowhere(shop, api):
    assert shop.do("pause")[0] == "delivered"
    shop.say("hers", em=[HASH])
    shop.say("another")
    shop.httpd.get(f"/visit/?mail={PERSON}", {"Cookie": "sid=12345678901234567890"})
    wait_for(lambda: shop.httpd.sql("SELECT 1 FROM visits"), "the visit")
    assert any(HASH.encode() in path.read_bytes() for path in places(shop.httpd))
    look, said = shop.do("forget", person=" Jane.Roe@Example.com ")
    assert look == "delivered" and said.startswith("1 context and ")
    for word in (HASH, PERSON, "Jane.Roe"):
        assert [path.name for path in places(shop.httpd) if word.encode() in path.read_bytes()] == []
    assert shop.states()["hers"] == 12 and shop.states()["another"] == 0
    assert HASH not in shop.page()
    assert shop.do("resume")[0] == "delivered"
    shop.wait_states(10, "another")
    assert HASH not in str(api.events)


@pytest.mark.parametrize("headers", [
    {"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.example"}, {"Origin": "null"}, {}])
def test_another_site_may_ask_for_nothing(shop, headers):
    assert shop.post(form_of(shop.page(), "pause"), headers=headers).status == 403
    assert shop.httpd.sql("SELECT 1 FROM asks") == []


def test_an_old_browser_is_known_by_its_origin(shop):
    origin = {"Origin": f"http://127.0.0.1:{shop.httpd.port}"}
    assert shop.post(form_of(shop.page(), "pause"), headers=origin).status == 303


def test_forms_of_others_and_of_nobody_are_refused(shop):
    form = form_of(shop.page(), "pause")
    assert Shop(shop.httpd, shop.api, "bob").post(form).status == 403
    form.fields["token"] = form.fields["token"][::-1]
    assert shop.post(form).status == 403
    del form.fields["token"]
    assert shop.post(form).status == 403
    assert shop.httpd.sql("SELECT 1 FROM asks") == []


def test_where_the_page_is_only_to_be_read(shop):
    form = form_of(shop.page(), "pause")
    assert forms_of(shop.page(prefix="/reader")) == []
    assert shop.post(form, prefix="/reader").status == 403
    assert shop.httpd.get(f"/pinterest-capi/actions?{form.body().decode()}",
                          shop.headers()).status == 405
    assert shop.httpd.get("/pinterest-capi/").status == 401
    assert shop.httpd.post("/pinterest-capi/actions", form.body(),
                           {"Sec-Fetch-Site": "same-origin"}).status == 401
    assert shop.httpd.sql("SELECT 1 FROM asks") == []


def test_with_the_sample_configuration_nobody_but_the_local_machine_sees_the_page(make_httpd, api):
    httpd = make_httpd(api=api, start=False, settings=False, extra_modules=["cgid"])
    httpd.top = f"ScriptSock {httpd.run}/cgid"
    sample = pathlib.Path(TOP / "conf/pinterest_capi.conf").read_text()
    for old, new in (("/etc/apache2/pinterest.token", str(httpd.token_file)),
                     ("/usr/lib/pinterest-capi/pinterest-capi.cgi", f"{BUILD}/pinterest-capi.cgi")):
        assert old in sample
        sample = sample.replace(old, new)
    httpd.conf = sample + f'<Directory "{BUILD}">\nRequire all granted\n</Directory>\n'
    httpd.expect(r"AH01630: client denied by server configuration", r"PCAPI20[034]: ")
    start(httpd)
    for path in ("", "/", "/deliveries/1", "/deliveries.json", "/coverage.json", "/status.json",
                 "/metrics", "/style.css", "/script.js", "/actions", "/none"):
        where = f"/pinterest-capi{path}"
        for address in (SHOPPER, "10.1.2.3", "2001:db8::1"):
            for method in ("GET", "HEAD", "POST"):
                assert httpd.request(method, where, address=address).status == 403
        assert httpd.get(where, address=None).status != 403
    assert httpd.get("/pinterest-capi/", address=None).status == 200
    local = httpd.post("/pinterest-capi/actions", b"action=pause", {"Sec-Fetch-Site": "same-origin"},
                       address=None)
    assert local.status == 403  # the sample says On, not Write


def shell(httpd, *words, **options):
    done = subprocess.run([f"{BUILD}/pinterest-capi.cgi", *words, f"{httpd.state}/store.db"],
                          capture_output=True, text=True, timeout=60, env={}, **options)
    return done.returncode, done.stdout + done.stderr


def test_check_tries_the_way_to_pinterest(shop, api):
    user = {"user": shop.httpd.USER, "group": shop.httpd.USER, "extra_groups": []}
    code, out = shell(shop.httpd, "check", **user)
    assert code == 0, out
    for line in ("ok    httpd has accepted its directives, and the sender runs with them since 20",
                 f"ok    Account {ACCOUNT}: Pinterest took the test event: status 200",
                 "ok    Nobody else can open the store", "ok    No trouble is to be seen"):
        assert line in out
    api.behave({"status": 401, "times": None})
    code, out = shell(shop.httpd, "check", **user)
    assert code == 2 and f"FAIL  Account {ACCOUNT}: a test event did not come through" in out
    assert "put a valid conversion access token into" in out


def test_the_shell_does_what_the_page_does(shop, api):
    """As root, too: what it leaves in the state directory stays the sender's."""
    assert shell(shop.httpd, "pause") == (
        0, "Nothing goes out until somebody resumes it; events are kept.\n")
    shop.say("a", em=[HASH])
    wait_for(lambda: shop.states(), "the event")
    assert shell(shop.httpd, "forget", input=f"{PERSON}\n") == (0, "0 contexts and 1 event erased.\n")
    assert shell(shop.httpd, "resume")[0] == 0
    shop.say("b")
    shop.wait_states(10, "b")
    assert {path.owner() for path in shop.httpd.state.iterdir()} == {shop.httpd.USER}
    stranger = {"user": "nobody", "group": "nogroup", "extra_groups": []}
    code, out = shell(shop.httpd, "pause", **stranger)
    assert code == 66 and shop.httpd.sql("SELECT COUNT(*) AS n FROM asks")[0]["n"] == 3
