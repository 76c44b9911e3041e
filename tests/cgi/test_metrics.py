"""What monitoring reads: /metrics in both dialects, the samples in conf/monitoring, status.json."""

import json
import re
import shutil
import subprocess

import pytest

from store import TOP

SAMPLE = re.compile(r'^(?P<name>[a-z_0-9]+)(?P<labels>\{[^\n]*\})? (?P<value>[0-9.]+)$')
SUFFIXES = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_sum", "_count"]}
PROMTOOL = shutil.which("promtool")
ALERTS = TOP / "conf/monitoring/alerts.yml"
DASHBOARD = TOP / "conf/monitoring/grafana.json"


def families(text, dialect="open"):
    """Every sample stands below the declaration of its family, and each family in one piece."""
    seen, found, kind, family = set(), {}, None, None
    for line in text.splitlines():
        if line.startswith("# HELP "):
            family = line.split()[2]
            assert family not in seen and family not in found, line
            seen.add(family)
        elif line.startswith("# TYPE "):
            assert line.split()[2] == family, line
            kind = line.split()[3]
        elif line != "# EOF":
            sample = SAMPLE.match(line)
            assert sample, line
            suffixes = [""] if dialect == "plain" and kind == "counter" else SUFFIXES[kind]
            assert sample["name"] in [family + suffix for suffix in suffixes], line
            key = sample["name"] + (sample["labels"] or "")
            assert key not in found, line
            found[key] = float(sample["value"])
    return found


@pytest.fixture
def filled(store):
    shop, other = store.destination(), store.destination("7", held="the token is refused: renew it")
    for account in (shop, other):
        for name in ("checkout", "page_visit"):
            store.total(account, name, "received", 10)
            store.total(account, name, "delivered", 7)
            store.total(account, name, "latency:5", 4)
            store.total(account, name, "latency:3600", 2)
            store.total(account, name, "latency:+Inf", 1)
            store.total(account, name, "latency_seconds", 90000)
    store.event(other, "w", state="queued", received=store.now - 300)
    store.note(queue_size=1000, queue_used=20, queue_dropped_page=3, sender_starts=4)
    return store


LABELS = re.compile(r'\{(?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)+\}')


@pytest.mark.parametrize("evil", ['x"} 1\npinterest_capi_forged 7\n#', "\\", '\\"', "a\\\n"])
def test_words_of_others_stay_inside_their_label(cgi, store, evil):
    shop = store.destination(account=evil, api_url=evil, held=evil)
    store.total(shop, evil, "received", 1)
    store.total(shop, evil, "delivered", 1)
    found = families(cgi("/metrics").text)
    assert not [key for key in found if key.startswith("pinterest_capi_forged")]
    labels = [key.partition("{")[2] for key in found if "{" in key]
    assert labels and all(LABELS.fullmatch("{" + label) for label in labels)


def value_of(found, name, *labels):
    values = [value for key, value in found.items()
              if key.split("{")[0] == name and all(label in key for label in labels)]
    assert len(values) == 1, (name, labels, values)
    return values[0]


def test_counters_histogram_and_holds_are_told_by_account_and_event(cgi, filled):
    found = families(cgi("/metrics").text)
    mine = ('account="549755885175"', 'event="checkout"')
    assert value_of(found, "pinterest_capi_events_total", 'outcome="delivered"', *mine) == 7
    assert value_of(found, "pinterest_capi_events_total", 'outcome="received"', *mine) == 10
    assert value_of(found, "pinterest_capi_account_held", 'account="7"') == 1
    assert value_of(found, "pinterest_capi_account_held", 'account="549755885175"') == 0
    assert value_of(found, "pinterest_capi_account_oldest_waiting_seconds", 'account="7"') >= 300
    assert value_of(found, "pinterest_capi_sender_starts_total") == 4
    assert value_of(found, "pinterest_capi_queue_dropped_total", 'kind="page"') == 3
    bucket = "pinterest_capi_delivery_latency_seconds_bucket"
    counts = [value_of(found, bucket, 'account="7"', f'le="{le}"')
              for le in ("1.0", "5.0", "900.0", "3600.0", "86400.0", "+Inf")]
    assert counts == [0, 8, 8, 12, 12, 14]
    assert value_of(found, "pinterest_capi_delivery_latency_seconds_count", 'account="7"') == 14
    assert value_of(found, "pinterest_capi_delivery_latency_seconds_sum", 'account="7"') == 180000


def test_the_older_text_format_is_there_for_who_accepts_nothing_else(cgi, filled):
    plain = cgi("/metrics", HTTP_ACCEPT="text/plain;version=0.0.4")
    assert plain.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    both = cgi("/metrics", HTTP_ACCEPT="application/openmetrics-text;version=1.0.0,text/plain;q=.5")
    assert both.headers["Content-Type"].startswith("application/openmetrics-text")
    assert both.headers["Vary"] == "Accept"
    assert "# EOF" not in plain.text and both.text.endswith("# EOF\n")
    assert set(families(plain.text, "plain")) == set(families(both.text))


@pytest.mark.skipif(not PROMTOOL, reason="promtool is not installed")
def test_promtool_finds_nothing_to_say(cgi, filled):
    text = cgi("/metrics", HTTP_ACCEPT="text/plain").body
    done = subprocess.run([PROMTOOL, "check", "metrics"], input=text, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    done = subprocess.run([PROMTOOL, "check", "rules", ALERTS], capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", [ALERTS, DASHBOARD], ids=lambda file: file.name)
def test_samples_ask_for_nothing_that_metrics_does_not_have(cgi, filled, file):
    known = {key.split("{")[0] for key in families(cgi("/metrics").text)}
    text = file.read_text()
    asked = set(re.findall(r"\bpinterest_capi_[a-z_0-9]+", text))
    assert len(asked) > 5 and asked <= known
    if file == DASHBOARD:
        panels = json.loads(text)["panels"]
        assert len({panel["id"] for panel in panels}) == len(panels) > 8


STATUS = {"generated_at", "accounts", "waiting", "oldest_waiting", "sender", "queue", "seen",
          "complaint", "catalogs", "last_24h", "latency", "consent", "has_events", "verdict",
          "broken"}
ACCOUNT = {"account", "api_url", "test", "wire", "state", "held", "waiting", "oldest_waiting",
           "last_attempt"}


def test_status_keeps_its_fields_whatever_is_there(cgi, store, filled):
    status = cgi("/status.json").json["status"]
    assert STATUS <= set(status) and ACCOUNT <= set(status["accounts"][0])
    assert set(status["sender"]) == {"pid", "alive", "started", "starts", "version", "last_intake"}
    assert {"size", "used", "dropped_page", "dropped_conversion", "broken_records"} == set(
        status["queue"])
    for table in ("notes", "destinations", "events", "outbox", "counters"):
        store.db.execute(f"DELETE FROM {table}")
    empty = cgi("/status.json").json["status"]
    assert set(empty) == set(status) and empty["accounts"] == [] and empty["queue"] is None


def test_a_simple_monitor_sees_a_503_while_delivery_is_broken(cgi, store):
    assert cgi("/status.json").status == 200
    shop = store.destination(held="Pinterest refused the token: put a new one")
    answer = cgi("/status.json")
    assert answer.status == 503
    assert answer.json["status"]["broken"] is True
    assert answer.json["status"]["verdict"]["state"] == "held"
    store.db.execute("UPDATE destinations SET held_since = NULL, held_reason = NULL")
    assert cgi("/status.json").status == 200
    store.event(shop, "w", state="queued")
    stopped = cgi("/status.json")
    assert stopped.status == 503 and stopped.json["status"]["verdict"]["state"] == "stopped"


# --- the same numbers for people ---


def test_time_to_delivery_is_told_by_quantiles_of_the_day(cgi, store):
    shop = store.destination()
    store.event(shop, "w", state="queued")
    store.count(shop, "checkout", "latency:5", n=60)
    store.count(shop, "page_visit", "latency:60", n=36)
    store.count(shop, "page_visit", "latency:21600", n=4)
    store.count(shop, "page_visit", "latency:1", store.now - 30 * 3600, n=1000)
    store.total(shop, "page_visit", "latency:1", 1000)
    assert cgi("/status.json").json["status"]["latency"] == {
        "events": 100, "p50": 5, "p95": 59, "late": 4}
    assert "Half of them within" in cgi("/").text


def test_the_score_says_what_would_raise_it_and_how_it_changed(cgi, store):
    shop = store.destination()
    store.event(shop, "w", state="queued")
    week = store.now - 8 * 86400
    for when, mails in ((store.now, 20), (week, 60)):
        store.count(shop, "checkout", "delivered", when, 100)
        store.count(shop, "checkout", "key:click_id", when, 40)
        store.count(shop, "checkout", "key:em", when, mails)
        store.count(shop, "checkout", "key:client_ip_address", when, 100)
    text = cgi("/").text
    assert "28 of 100" in text  # 35 * .4 + 30 * .2 + 8
    assert "\N{MINUS SIGN}12 to the week before" in text
    assert "Up to 24 more with e-mail" in text
    store.count(shop, "checkout", "key:em", n=80)
    assert "52 of 100" in cgi("/").text and "with phone" in cgi("/").text
    assert "of 100" not in cgi("/", "account=none").text
