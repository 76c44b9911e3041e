"""Consent: cookie in, decision out, in PINTEREST_CONSENT and in the event's record."""

import json

import pytest

from server import EPIK, TOP, wait_for

CMP = TOP / "conf" / "cmp"
EXAMPLES = json.loads((TOP / "tests/unit/consent/cmp.json").read_text())
NEEDS = {"moove": "KEY=advanced", "commanders-act": "CAT=3", "tealium": "N=3",
         "real-cookie-banner": "GROUP=45"}
SHOW = "<?php echo $_SERVER['PINTEREST_CONSENT'] ?? 'unset';"


def cookies_of(name, state):
    example = EXAMPLES[name]
    cookie = example["cookie"] + ("7" if example["cookie"][-1] in "-:" else "")
    pairs = [f"{cookie}={example[state]}"]
    pairs += [f"{k}={v}" for k, v in example.get("companions", {}).get(state, {}).items()]
    return "; ".join(pairs)


def section(place, *lines):
    return f"<Location /{place}>\n" + "\n".join(lines) + "\n</Location>\n"


def test_every_consent_manager_decides_through_httpd(make_httpd, api):
    conf = "".join(section(f"cmp/{name}", "PinterestCapiConsentSignal none",
                           f"PinterestCapiConsentSignal cmp {name} {NEEDS.get(name, '')}",
                           "PinterestCapiEvent lead event_id=%{query:id}")
                   for name in EXAMPLES)
    httpd = make_httpd(api=api, mpm="event", php="fpm", settings=False, conf=f"""
PinterestCapi On
PinterestCapiAdAccount 549755885175
PinterestCapiTokenFile token
PinterestCapiConsentSignal gpc
PinterestCapiMergeWindow 0
{conf}""")
    wrong, wanted = [], {}
    for name in EXAMPLES:
        httpd.write(f"cmp/{name}/show.php", SHOW)
        for state in ("granted", "denied", "unanswered"):
            if state in EXAMPLES[name]:
                said = httpd.get(f"/cmp/{name}/show.php?id={name}-{state}",
                                 {"Cookie": cookies_of(name, state)}).text
                wanted[f"{name}-{state}"] = {"unanswered": (0, "none")}.get(
                    state, (1 if state == "granted" else 2, f"cmp {name}"))
                if said != {"unanswered": "unknown"}.get(state, state):
                    wrong.append((name, state, said))
    assert wrong == []
    recorded = "SELECT event_id, consent, consent_signal FROM events"
    wait_for(lambda: len(httpd.sql(recorded)) == len(wanted), "a record of each")
    assert {row["event_id"]: (row["consent"], row["consent_signal"])
            for row in httpd.sql(recorded)} == wanted


@pytest.mark.parametrize("cookie, headers, want", [
    ("", {}, "denied"),
    ("wp_consent_marketing=allow", {}, "granted"),
    ("wp_consent_marketing=allow; usprivacy=1YYN", {}, "denied"),
    ("wp_consent_marketing=allow; CookieConsent=0", {}, "denied"),
    ("pin_consent=v1.g.{now}.t", {}, "granted"),
    ("pin_consent=v1.d.{now}.t", {}, "denied"),
    ("pin_consent=v1.g.1500000000.t", {}, "denied"),
    ("wp_consent_marketing=allow", {"Sec-GPC": "1"}, "granted"),
])
def test_auto_reads_all_of_them(make_httpd, api, cookie, headers, want):
    import time
    httpd = make_httpd(api=api, mpm="event", php="fpm", conf="""
PinterestCapiConsentSignal auto
PinterestCapiConsentDefault denied""")
    httpd.write("show.php", SHOW)
    cookie = cookie.replace("{now}", str(int(time.time()) - 60))
    assert httpd.get("/show.php", {"Cookie": cookie, **headers}).text == want


def test_regions_are_made_with_if(make_httpd, api):
    httpd = make_httpd(api=api, mpm="event", php="fpm", conf="""
PinterestCapiConsentDefault denied
SetEnvIf X-Country ^(..)$ COUNTRY=$1
<If "%{env:COUNTRY} == 'US'">
  PinterestCapiConsentDefault granted
  PinterestCapiConsentSignal gpc strict
</If>""")
    httpd.write("show.php", SHOW)
    assert httpd.get("/show.php", {"X-Country": "DE"}).text == "denied"
    assert httpd.get("/show.php", {"X-Country": "US"}).text == "granted"
    assert httpd.get("/show.php", {"X-Country": "US", "Sec-GPC": "1"}).text == "denied"


def test_the_record_names_the_signal_that_decided(make_httpd, api):
    httpd = make_httpd(api=api, mpm="event", conf="""
PinterestCapiEvent page_visit
PinterestCapiConsentSignal auto
PinterestCapiConsentDefault denied""")
    httpd.get("/?n=1", {"Cookie": "wp_consent_marketing=allow"})
    httpd.get("/?n=2", {"Cookie": "CookieConsent=0"})
    httpd.get("/?n=3")
    rows = wait_for(lambda: (lambda r: r if len(r) == 3 else None)(httpd.sql(
        "SELECT consent, consent_signal FROM events WHERE state >= 10 ORDER BY id")), "3 records")
    assert {(r["consent"], r["consent_signal"]) for r in rows} == \
        {(1, "cmp wp-consent-api"), (2, "cmp cookiebot"), (2, "default")}
    assert len(api.processed()) == 1


@pytest.mark.parametrize("line, words", [
    ("cmp nobody", "no such consent manager"),
    ("cmp moove", "needs the parameter KEY"),
    ("cmp moove KEY=a*b", "letters, digits"),
    ("cookie consent", "GRANT-REGEX"),
    ("cookie consent (", "missing closing parenthesis"),
    ("cmp onetrust CATEGORY=C4", "parameters are GROUP"),
    ("gpc perhaps", "strict"),
    ("auto tcf", "takes no option"),
    ("tcf purposes=0", "purposes=1,3,4,7"),
    ("telepathy", "is no signal of consent"),
])
def test_a_wrong_signal_stops_configtest_with_one_line(make_httpd, line, words):
    httpd = make_httpd(start=False, conf=f"PinterestCapiConsentSignal {line}")
    ok, text = httpd.configtest()
    text += httpd.log_text()
    httpd.expect("PCAPI009")
    assert not ok
    (told,) = [part for part in text.splitlines() if "PinterestCapiConsentSignal" in part]
    assert line.split()[-1] in told and words in told


def test_without_a_grant_nothing_is_set_and_no_context_is_kept(make_httpd, api):
    httpd = make_httpd(api=api, mpm="event", php="fpm", conf="""
PinterestCapiEvent page_visit
PinterestCapiConsentSignal auto
PinterestCapiConsentDefault denied""")
    httpd.write("shop.php", "<?php session_start(); header('Pinterest-Capi-Bind: order:1');"
                "header('Pinterest-Capi-Match: {\"email\":\"a@b.example\"}'); echo 'x';")
    answer = httpd.get(f"/shop.php?epik={EPIK}", {"Cookie": "CookieConsent=0; PHPSESSID=s1"})
    assert not [v for v in answer.header_all("Set-Cookie") if "_epik" in v]
    wait_for(lambda: httpd.sql("SELECT 1 FROM events"), "the record")
    for visit in httpd.sql("SELECT * FROM visits"):
        assert not visit["click_id"] and not visit["address"] and not visit["user_data"]


VECTORS = TOP / "tests/unit/consent"


def decisions(httpd, cookie, values):
    """What PHP is told for each value of the cookie, over one connection."""
    import http.client
    connection = http.client.HTTPConnection("127.0.0.1", httpd.port, timeout=20)
    said = []
    for value in values:
        connection.request("GET", "/show.php", headers={"Cookie": f"{cookie}={value}",
                                                        "User-Agent": "Mozilla/5.0"})
        said.append(connection.getresponse().read().decode())
    connection.close()
    return said


def test_every_tc_string_decides_through_httpd(make_httpd, api):
    httpd = make_httpd(api=api, mpm="event", php="fpm", settings=False, conf="""
PinterestCapi On
PinterestCapiAdAccount 549755885175
PinterestCapiTokenFile token
PinterestCapiConsentMaxAge 0
PinterestCapiConsentSignal tcf purposes=1,3,4,7""")
    httpd.write("show.php", SHOW)
    vectors = [v for v in json.loads((VECTORS / "tcf.json").read_text())["tcf"]
               if len(v["tc"]) < 7000 and not set(v["tc"]) & set(" ;\"")]
    wanted = [v.get("all", "unknown") for v in vectors]
    said = decisions(httpd, "euconsent-v2", [v["tc"] for v in vectors])
    assert [(v["name"], s) for v, s in zip(vectors, said)] == \
        [(v["name"], w) for v, w in zip(vectors, wanted)]
    assert len(vectors) > 50


def test_every_gpp_and_us_privacy_string_decides_through_httpd(make_httpd, api):
    httpd = make_httpd(api=api, mpm="event", php="fpm", settings=False, conf="""
PinterestCapi On
PinterestCapiAdAccount 549755885175
PinterestCapiTokenFile token
PinterestCapiConsentSignal gpp
PinterestCapiConsentSignal usprivacy""")
    httpd.write("show.php", SHOW)
    vectors = json.loads((VECTORS / "us.json").read_text())
    for kind, cookie in (("gpp", "OTGPPConsent"), ("usp", "usprivacy")):
        rows = [v for v in vectors[kind] if not set(v[kind]) & set("; ") and "%" not in v[kind]]
        wanted = ["denied" if v["says"] == "opted_out" else "unknown" for v in rows]
        said = decisions(httpd, cookie, [v[kind] for v in rows])
        assert list(zip((v[kind] for v in rows), said)) == \
            list(zip((v[kind] for v in rows), wanted))
