"""What becomes of an event by consent, region, rule and source: what reaches the API, what stays on
record, and that of a denied visitor nothing stays anywhere."""

import hashlib
import itertools
import json
import signal

import pytest

from server import ACCOUNT, BROWSER, EPIK, Browser, wait_for

SAY = """<?php if (isset($_GET['session'])) session_start();
foreach (json_decode(file_get_contents('php://input'), true) ?? [] as $name => $value)
  header("Pinterest-Capi-$name: " . (is_array($value) ? json_encode($value) : $value));
echo 'ok';"""

CONF = f"""
PinterestCapiConsentSignal cookie choice ^yes$ ^no$
PinterestCapiMergeWindow 0
PinterestCapiFlush 1000 1
<Location "/v5/ad_accounts">
  SetHandler pinterest-capi-events
</Location>
<Location "/collect">
  SetHandler pinterest-capi-collect
</Location>
<Location "/rule.php">
  PinterestCapiEvent lead event_id=%{{query:id}}
</Location>
SetEnvIf X-Region ^(..)$ REGION=$1
"""

REGIONS = {  # default, rule
    "EU": ("denied", "suppress"),
    "US": ("granted", "limited"),
    "GB": ("denied", "limited"),
    "CH": ("denied", "strip em ph"),
}
ACTIONS = {"suppress": 1, "strip em ph": 2, "limited": 3}
STATES = ("granted", "denied", "unanswered")
SOURCES = ("rule", "header", "backend", "browser")


def regions():
    return "".join(f"""
<If "%{{env:REGION}} == '{name}'">
  PinterestCapiConsentDefault {default}
  PinterestCapiOnDenied {rule}
</If>""" for name, (default, rule) in REGIONS.items())


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


class Person:
    """Values that nobody else has."""

    def __init__(self, number):
        self.id = f"case-{number}"
        self.email = f"planted{number:03}@example.com"
        self.phone = f"+4915123456{number:03}"
        self.address = f"203.0.113.{number}"
        self.agent = f"{BROWSER} Planted{number:03}x"
        self.click_id = f"dj0Planted{number:03}"
        self.custom = f"planted-sku-{number:03}"

    def planted(self):
        return [self.email, sha(self.email), self.phone, sha(self.phone[1:]), self.address + '"',
                f"Planted{self.id[5:].zfill(3)}x", self.click_id, self.custom]

    def user_data(self):
        return {"em": [sha(self.email)], "ph": [sha(self.phone[1:])], "click_id": self.click_id,
                "client_ip_address": self.address, "client_user_agent": self.agent}


def say(httpd, source, state, region, person):
    """One event of this person, by this way."""
    headers = {"X-Region": region, "Content-Type": "application/json"}
    if state != "unanswered":
        headers["Cookie"] = "choice=" + {"granted": "yes", "denied": "no"}[state]
    client = {"agent": person.agent, "address": person.address}
    match = {"email": person.email, "phone": person.phone}
    event = {"event_name": "lead", "event_id": person.id,
             "custom_data": {"content_ids": [person.custom]}}
    query = f"?epik={person.click_id}&id={person.id}"
    if source == "rule":
        answer = httpd.post("/rule.php" + query, {"Match": match}, headers, **client)
    elif source == "header":
        answer = httpd.post("/say.php" + query, {"Event": {**event, "user_data": match}}, headers,
                            **client)
    elif source == "browser":
        answer = httpd.post("/collect" + query, {**event, "user_data": match}, headers, **client)
    else:
        word = {} if state == "unanswered" else {"consent": state}
        answer = httpd.post(f"/v5/ad_accounts/{ACCOUNT}/events", {"data": [
            {**event, "action_source": "web", **word,
             "user_data": {**match, "click_id": person.click_id, "client_user_agent": person.agent,
                           "client_ip_address": person.address}}]},
            {"X-Region": region}, agent="shop/1")
    assert answer.status == 200, answer.text


def expected(state, region, person):
    """(action, user_data) of what reaches the API; None where nothing may."""
    default, rule = REGIONS[region]
    if state == "granted" or (state == "unanswered" and default == "granted"):
        return 0, person.user_data()
    if rule == "suppress":
        return None
    user_data = person.user_data()
    for key in rule.split()[1:]:
        user_data.pop(key, None)
    return ACTIONS[rule], user_data


def files_of(httpd):
    yield from (httpd.state / name for name in ("store.db", "store.db-wal"))
    yield from httpd.run.glob("queue.*")
    yield httpd.error_log


def found_anywhere(httpd, values):
    """Which of them are in the store, its log, the queue or error_log."""
    found = []
    for path in files_of(httpd):
        content = path.read_bytes() if path.exists() else b""
        found += [(path.name, value) for value in values if value.encode() in content]
    return found


def wait_erased(httpd):
    wal = httpd.state / "store.db-wal"
    wait_for(lambda: not httpd.sql("SELECT 1 FROM outbox"), "the outbox to be empty")
    wait_for(lambda: not wal.exists() or wal.stat().st_size == 0, "the log to be truncated")


def test_what_reaches_the_api_by_state_region_rule_and_source(make_httpd, api):
    httpd = make_httpd(api=api, php="fpm", conf=CONF + regions())
    for name in ("rule.php", "say.php"):
        httpd.write(name, SAY)
    cases = {}
    for number, (state, region, source) in enumerate(
            itertools.product(STATES, REGIONS, SOURCES), 1):
        person = Person(number)
        cases[person.id] = (state, region, source, person)
        say(httpd, source, state, region, person)
    rows = wait_for(lambda: (lambda r: r if len(r) == len(cases) else None)(httpd.sql(
        "SELECT * FROM events WHERE state >= 10")), "all events to be settled")
    wait_erased(httpd)
    arrived = {e["event_id"]: e for e in api.processed()}
    records = {row["event_id"]: row for row in rows}
    wrong = []
    for name, (state, region, source, person) in cases.items():
        want, got, row = expected(state, region, person), arrived.get(name), records[name]
        if want is None:
            right = got is None and row["state"] == 12 and row["action"] == 1 \
                and row["match_keys"] == 0 and row["on_denied"] is None
        else:
            action, user_data = want
            custom = {"content_ids": [person.custom]} if source != "rule" else {}
            if action == 3:
                custom["opt_out_type"] = "LDP"
            right = got and got["user_data"] == user_data and got.get("custom_data", {}) == custom \
                and row["state"] == 10 and row["action"] == action \
                and (row["stripped"] == 3) == (action == 2)
        signal = {"granted": "cookie choice", "denied": "cookie choice",
                  "unanswered": "default"}[state]
        if source == "backend" and state != "unanswered":
            signal = "backend"
        if not right or row["consent_signal"] != signal:
            wrong.append((state, region, source, got, row))
    assert not wrong
    everyone = [value for *_, person in cases.values() for value in person.planted()]
    assert found_anywhere(httpd, everyone) == []
    sent = json.dumps([r for r in api.events], default=str)
    for state, region, _, person in cases.values():
        if expected(state, region, person) is None:
            assert not [value for value in person.planted() if value in sent]
    counted = {row["what"]: row["n"] for row in httpd.sql(
        "SELECT what, SUM(n) AS n FROM counters WHERE what LIKE 'consent:%' GROUP BY what")}
    assert counted["consent:denied:cookie choice:suppressed"] == 3
    assert counted["consent:denied:backend:limited"] == 2
    assert counted["consent:denied:default:stripped"] == 4
    assert counted["consent:granted:default:sent"] == 4
    assert sum(counted.values()) == len(cases)


def open_shop(make_httpd, api, rule="suppress", extra=""):
    httpd = make_httpd(api=api, php="fpm", conf=CONF + f"""
PinterestCapiConsentDefault denied
PinterestCapiOnDenied {rule}
{extra}""")
    for name in ("rule.php", "say.php"):
        httpd.write(name, SAY)
    return httpd


def purchase(person, **more):
    return {"Event": {"event_name": "purchase", "event_id": person.id,
                      "user_data": {"email": person.email, "phone": person.phone},
                      "custom_data": {"content_ids": [person.custom]}}, **more}


def shopper_of(httpd, person, choice):
    shopper = Browser(httpd, person.address, person.agent)
    shopper.cookies = {"choice": choice, "PHPSESSID": f"s{person.id}"}
    return shopper


def deny_by_session(httpd, shopper):
    shopper.cookies["choice"] = "no"
    shopper.get("/say.php")


def deny_by_bound_key(httpd, shopper):
    httpd.post("/say.php", {"Bind": "order:10492", "Consent": "denied"}, agent="shop admin",
               address=None)


@pytest.mark.parametrize("deny", [deny_by_session, deny_by_bound_key])
@pytest.mark.parametrize("rule", ["suppress", "limited"])
def test_a_denial_before_the_purchases_retry(make_httpd, api, deny, rule):
    httpd = open_shop(make_httpd, api, rule)
    httpd.expect(r"pinterest_capi:(warn|error)")
    person = Person(7)
    shopper = shopper_of(httpd, person, "yes")
    shopper.get(f"/?epik={person.click_id}")
    api.behave({"status": 503, "times": None})
    shopper.post("/say.php", purchase(person, Bind="order:10492"))
    api.wait_requests(1)
    deny(httpd, shopper)
    if rule == "suppress":
        wait_for(lambda: httpd.sql("SELECT 1 FROM events WHERE state = 12 AND action = 1 AND"
                                   " consent = 2"), "the purchase to be withdrawn")
    else:
        wait_for(lambda: httpd.sql("SELECT 1 FROM visits WHERE consent = 2"), "the denial")
    tried = len(api.requests)
    api.behave()
    other = Person(8)
    shopper_of(httpd, other, "yes").post("/say.php", purchase(other))
    api.wait(1 if rule == "suppress" else 2)
    wait_erased(httpd)
    processed = {e["event_id"]: e for e in api.processed()}
    assert other.id in processed
    if rule == "suppress":
        assert person.id not in processed
        late = [r for r in api.requests[tried:] if person.id in str(r)]
        assert not late
    else:
        assert processed[person.id]["custom_data"]["opt_out_type"] == "LDP"
    assert found_anywhere(httpd, person.planted()) == []
    (visit,) = httpd.sql("SELECT * FROM visits WHERE consent = 2")
    assert not [visit[k] for k in ("click_id", "address", "agent", "user_data") if visit[k]]


def test_what_is_left_of_a_refused_batch_does_not_go_with_one_who_denied_since(make_httpd, api):
    httpd = open_shop(make_httpd, api, extra="PinterestCapiFlush 2 3")
    httpd.expect(r"pinterest_capi:(warn|error)")
    denied, other = Person(16), Person(17)
    api.behave({"status": 400, "delay": 2})
    shopper = shopper_of(httpd, denied, "yes")
    shopper.post("/say.php", purchase(denied))
    shopper_of(httpd, other, "yes").post("/say.php", purchase(other))
    wait_for(lambda: httpd.sql("SELECT 1 FROM attempts WHERE events = 2 AND finished_at IS NULL"),
             "the batch to be on its way")
    deny_by_session(httpd, shopper)
    wait_for(lambda: httpd.sql("SELECT 1 FROM visits WHERE consent = 2"), "the denial")
    assert httpd.sql("SELECT 1 FROM attempts WHERE finished_at IS NULL"), "the answer was too quick"
    (event,) = api.wait(1)
    assert event["event_id"] == other.id
    wait_erased(httpd)
    assert [r for r in api.requests[1:] if denied.id in str(r)] == []
    assert found_anywhere(httpd, denied.planted()) == []


def test_the_queue_never_holds_what_is_denied_for_sure(make_httpd, api):
    httpd = open_shop(make_httpd, api)
    (sender,) = wait_for(httpd.senders, "the sender")
    httpd.kill(sender, signal.SIGSTOP)
    try:
        cases = [(state, source) for state in ("denied", "unanswered")
                 for source in ("rule", "header", "browser")]
        people = [Person(20 + n) for n in range(len(cases))]
        for (state, source), person in zip(cases, people):
            say(httpd, source, state, "EU", person)
        granted = Person(30)
        say(httpd, "header", "granted", "EU", granted)

        def read_queue():
            queued = b"".join(path.read_bytes() for path in httpd.run.glob("queue.*"))
            everyone = [*people, granted]
            return queued if all(one.id.encode() in queued for one in everyone) else None

        queued = wait_for(read_queue, "all seven events in the queue")  # after their answers
        leaked = [(case, value) for case, person in zip(cases, people)
                  for value in person.planted() if value.encode() in queued]
        assert leaked == []
        # the search finds what is there
        assert sha(granted.email).encode() in queued and granted.click_id.encode() in queued
    finally:
        httpd.kill(sender, signal.SIGCONT)
    (event,) = api.wait(1)
    assert event["event_id"] == granted.id
    wait_erased(httpd)
    assert found_anywhere(httpd, granted.planted()) == []


def test_an_event_nobody_answered_for_is_sent_when_said_again_with_a_grant(make_httpd, api):
    httpd = open_shop(make_httpd, api)
    person = Person(9)
    say(httpd, "browser", "unanswered", "EU", person)
    wait_for(lambda: httpd.sql("SELECT 1 FROM events WHERE state = 12"), "the record")
    wait_erased(httpd)
    assert found_anywhere(httpd, person.planted()) == []
    say(httpd, "browser", "granted", "EU", person)
    (event,) = api.wait(1)
    assert event["user_data"] == person.user_data()
    assert event["custom_data"] == {"content_ids": [person.custom]}


def test_an_event_that_was_denied_stays_withheld_when_said_again_with_a_grant(make_httpd, api):
    httpd = open_shop(make_httpd, api)
    person, other = Person(10), Person(11)
    say(httpd, "browser", "denied", "EU", person)
    wait_for(lambda: httpd.sql("SELECT 1 FROM events WHERE state = 12"), "the record")
    say(httpd, "browser", "granted", "EU", person)
    say(httpd, "browser", "granted", "EU", other)
    api.wait(1)
    wait_for(lambda: httpd.sql("SELECT 1 FROM counters WHERE what = 'duplicate'"), "the duplicate")
    assert [e["event_id"] for e in api.processed()] == [other.id]


def test_what_php_said_for_the_visit_holds_for_its_next_request(make_httpd, api):
    httpd = open_shop(make_httpd, api)
    person = Person(12)
    shopper = Browser(httpd, person.address, person.agent)
    shopper.get("/say.php?session=1")
    shopper.post("/say.php?session=1", {"Consent": "granted"})
    wait_for(lambda: httpd.sql("SELECT 1 FROM visits WHERE consent = 1"), "the grant")
    shopper.post(f"/say.php?session=1&epik={person.click_id}", purchase(person))
    (event,) = api.wait(1)
    assert event["user_data"] == person.user_data()
    assert [row["consent_signal"] for row in httpd.sql("SELECT consent_signal FROM events")] == \
        ["header"]


def test_the_landing_pages_click_id_survives_until_the_banner_is_answered(make_httpd, api):
    httpd = open_shop(make_httpd, api)
    person = Person(13)
    shopper = Browser(httpd, person.address, person.agent)
    landing = f"/?epik={EPIK}&utm_source=pinterest"
    assert not shopper.get(landing).header_all("Set-Cookie")
    shopper.cookies = {"choice": "yes", "PHPSESSID": "abc"}
    answer = shopper.post("/say.php", purchase(person),
                          {"Referer": f"http://127.0.0.1:{httpd.port}{landing}"})
    assert [v for v in answer.header_all("Set-Cookie") if v.startswith(f"_epik={EPIK};")]
    (event,) = api.wait(1)
    assert event["user_data"]["click_id"] == EPIK
    (visit,) = wait_for(lambda: httpd.sql("SELECT click_id FROM visits"), "the context")
    assert visit["click_id"] == EPIK


def test_limited_names_the_place_by_match_keys_alone(make_httpd, api):
    httpd = open_shop(make_httpd, api, "limited", "PinterestCapiCountry DE")
    known, unknown = Person(14), Person(15)
    for person, place in ((known, {"state": "CA", "country": "US"}), (unknown, {})):
        shopper = shopper_of(httpd, person, "no")
        shopper.post("/say.php", purchase(person, Match={"email": person.email, **place}))
    events = {e["event_id"]: e for e in api.wait(2)}
    assert events[known.id]["user_data"]["st"] == [sha("ca")]
    assert events[known.id]["user_data"]["country"] == [sha("us")]
    assert not {"st", "country"} & set(events[unknown.id]["user_data"])
    assert all(e["custom_data"]["opt_out_type"] == "LDP" for e in events.values())


def test_access_logs_can_say_what_was_decided(make_httpd, api):
    httpd = open_shop(make_httpd, api, extra=f"""
LogFormat "%U %{{pinterest-consent}}n|%{{PINTEREST_CONSENT}}e" decided
CustomLog "logs.decided" decided
RewriteEngine On
RewriteRule ^/pretty$ /say.php [PT]
<Location "/off">
  PinterestCapi Off
</Location>""")
    path = httpd.root / "logs.decided"
    httpd.get("/say.php", {"Cookie": "choice=yes"})
    httpd.get("/say.php", {"Cookie": "choice=no"})
    httpd.get("/pretty")
    httpd.post("/say.php", {"Consent": "granted"}, {"Cookie": "choice=no"})
    httpd.get("/nowhere")
    httpd.get("/off")
    lines = wait_for(lambda: (lambda r: r if len(r) == 6 else None)(
        path.read_text().splitlines() if path.exists() else []), "six lines")
    assert sorted(lines) == ["/nowhere denied by default|denied",
                             "/off -|-",
                             "/say.php denied by cookie choice|denied",
                             "/say.php denied by default|denied",
                             "/say.php granted by cookie choice|granted",
                             "/say.php granted by header|granted"]
