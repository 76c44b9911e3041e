"""Settings that decide what a request becomes: of hosts side by side, and of sections."""

import json
import time

import pytest

from server import (ACCOUNT, BROWSER, EPIK, HAS_PHP_MODULE, SENTINEL, SHOPPER, TOKEN, TOP, Httpd,
                    wait_for)

HOSTS = {
    "keep": "PinterestCapiBots keep",
    "drop": "PinterestCapiPrefetch drop",
    "dial": "PinterestCapiCountry DE\nPinterestCapiMatch ph %{query:ph}",
    "quiet": "PinterestCapiEpikCookie Off",
    "own": "PinterestCapiSessionCookie another",
    "bare": "PinterestCapiSessionCookie none\nPinterestCapiCollectOrigin none https://b.example",
    "more": "PinterestCapiCollectOrigin https://b.example",
}
CONF = SENTINEL + """
PinterestCapiConsentSignal cookie ok ^yes$ ^no$
PinterestCapiUrlParameters a b
PinterestCapiMatch em %{query:em}
PinterestCapiBind order:%{query:o}
PinterestCapiCollectOrigin https://a.example
<Location "/collect">
  SetHandler pinterest-capi-collect
</Location>
PinterestCapiEvent lead event_id=%{query:id}
PinterestCapiEvent page_visit "when=%{query:id} == ''"
<Location "/inner">
  PinterestCapiConsentSignal cookie ok2 ^yes$ ^no$
  PinterestCapiUrlParameters c
  PinterestCapiBind cart:%{query:o}
</Location>
<Location "/bare">
  PinterestCapiConsentSignal none
  PinterestCapiUrlParameters none c
  PinterestCapiMatch none
  PinterestCapiBind none
</Location>
<Location "/young">
  PinterestCapiConsentDefault denied
  PinterestCapiConsentSignal auto
  PinterestCapiConsentMaxAge 10
</Location>
<Location "/ageless">
  PinterestCapiConsentDefault denied
  PinterestCapiConsentSignal auto
  PinterestCapiConsentMaxAge 0
</Location>
<Location "/env">
  PinterestCapiConsentSignal env SAID
  PinterestCapiConsentSignal gpc strict
</Location>
<Location "/order">
  PinterestCapiEvent none
  PinterestCapiEvent purchase event_id=%{query:id} order_id=%{query:o} context=%{query:c}
  PinterestCapiEvent search event_id=s%{query:id} order_id=n_%{query:o} context=order:%{query:c}
</Location>
SetEnvIf X-Said (.+) SAID=$1
AddOutputFilter INCLUDES .shtml
Options +Includes
"""


@pytest.fixture(scope="module")
def httpd():
    server = Httpd(mpm="event", php="fpm", extra_modules=["include"])
    server.conf = CONF + "".join(
        f"<VirtualHost *:{server.port}>\nServerName {'https://' if name == 'safe' else ''}{name}.example"
        f"\nDocumentRoot {server.docs}\n{lines}\n</VirtualHost>\n"
        for name, lines in {"localhost": "", "safe": "", **HOSTS}.items())
    server.expect(r"PCAPI1\d\d")
    for place in ("inner", "bare", "young", "ageless", "env", "order"):
        server.write(f"{place}/index.html", "<!doctype html>")
    server.write("page.shtml", '<!doctype html><!--#include virtual="/index.html" -->'
                 '<!--#echo var="PINTEREST_CONSENT" -->')
    server.write("say.php", "<?php header($_GET['header']); echo 'x';")
    server.write("show.php", "<?php echo json_encode(array_intersect_key($_SERVER, array_flip("
                             "['PINTEREST_EPIK', 'PINTEREST_CONSENT', 'PINTEREST_EVENT_ID'])));")
    try:
        server.start().recorded()
        yield server
        server.stop()
        assert server.unexpected_lines() == []
    finally:
        server.close()


def fresh():
    return f"n{time.monotonic_ns()}"


def lead(httpd, path="/", headers=None, host=None, query="", **options):
    """(answer, rows) of a request that the rule for all places makes a lead of."""
    headers = {**(headers or {}), **({"Host": f"{host}.example"} if host else {})}
    return httpd.recorded("GET", f"{path}?id={fresh()}{query}", headers, **options)


# --- lists ---

@pytest.mark.parametrize("path, kept", [("/", "a=1&b=2"), ("/inner/", "a=1&b=2&c=3"), ("/bare/", "c=3")])
def test_url_parameters_of_an_inner_section_add_up_and_none_empties(httpd, path, kept):
    _, (row,) = lead(httpd, path, query="&a=1&b=2&c=3&d=4")
    assert row["body"]["event_source_url"] == f"http://127.0.0.1:{httpd.port}{path}?{kept}"


@pytest.mark.parametrize("path, cookie, consent", [
    ("/", "ok=no", 2), ("/", "ok2=no", 1), ("/inner/", "ok=no", 2), ("/inner/", "ok2=no", 2),
    ("/bare/", "ok=no", 1)])
def test_signals_of_an_inner_section_add_up_and_none_empties(httpd, path, cookie, consent):
    _, (row,) = lead(httpd, path, {"Cookie": cookie})
    assert row["consent"] == consent


@pytest.mark.parametrize("path, count", [("/", 1), ("/inner/", 2), ("/bare/", 0)])
def test_binds_of_an_inner_section_add_up_and_none_empties(httpd, path, count):
    number = "SELECT count(*) AS n FROM visit_keys"
    (before,) = httpd.sql(number)
    lead(httpd, path, query=f"&o={fresh()}")
    assert httpd.sql(number)[0]["n"] - before["n"] == count


@pytest.mark.parametrize("host, origins", [("more", "ab"), ("bare", "b"), ("quiet", "a")])
def test_origins_of_a_host_add_up_and_none_empties(httpd, host, origins):
    allowed = [letter for letter in "ab" if httpd.recorded(
        "POST", "/collect", {"Host": f"{host}.example", "Origin": f"https://{letter}.example"},
        json.dumps({"event_name": "signup", "event_id": fresh()}))[0].status == 200]
    assert allowed == list(origins)


# --- consent ---

@pytest.mark.parametrize("path, days, consent", [("/young/", 9, 1), ("/young/", 11, 2),
                                                 ("/ageless/", 5000, 1)])
def test_a_grant_counts_as_long_as_its_section_says(httpd, path, days, consent):
    said = f"pin_consent=v1.g.{int(time.time()) - days * 86400}.test"
    _, (row,) = lead(httpd, path, {"Cookie": said})
    assert (row["consent"], row["consent_signal"]) == \
        (consent, "bridge" if consent == 1 else "default")


@pytest.mark.parametrize("cookie, headers, consent", [
    ("ok=yes", {}, 1), ("ok=no; ok=yes", {}, 2), ("ok=yes; ok=no", {}, 2),
    ("ok=yes", {"Sec-GPC": "1"}, 2), ("ok=no", {"X-Said": "granted"}, 1),
    ("ok=yes", {"X-Said": "denied"}, 2), ("ok=yes", {"X-Said": "granted", "Sec-GPC": "1"}, 1),
    ("ok=no", {"X-Said": "perhaps"}, 2)])
def test_a_denial_outdoes_a_grant_and_a_variable_both(httpd, cookie, headers, consent):
    _, (row,) = lead(httpd, "/env/", {"Cookie": cookie, **headers})
    assert row["consent"] == consent


# --- what the request knows ---

def test_a_variable_is_heard_again_after_the_answer(make_httpd):
    if not HAS_PHP_MODULE:
        pytest.skip("libapache2-mod-php is not installed")
    httpd = make_httpd(mpm="prefork", php="mod", conf=SENTINEL + """
PinterestCapiConsentSignal env SAID
PinterestCapiEvent lead""")
    httpd.expect(r"PCAPI1\d\d")
    httpd.write("set.php", "<?php apache_setenv('SAID', 'denied'); echo $_SERVER['PINTEREST_CONSENT'];")
    answer, (row,) = httpd.recorded("GET", "/set.php")
    assert answer.text == "granted"
    assert (row["consent"], row["consent_signal"]) == (2, "env SAID")


def test_programs_are_told_what_the_request_knows(httpd):
    said = json.loads(httpd.recorded("GET", f"/show.php?epik={EPIK}")[0].text)
    assert (said["PINTEREST_EPIK"], said["PINTEREST_CONSENT"]) == (EPIK, "granted")
    answer, (row,) = httpd.recorded("GET", "/show.php")
    said = json.loads(answer.text)
    assert "PINTEREST_EPIK" not in said
    assert row["event_id"] == said["PINTEREST_EVENT_ID"]


CGI = """#!/bin/sh
echo 'Pinterest-Capi-Event: {"event_name":"signup","event_id":"cgi"}'
echo 'Pinterest-Capi-Consent: granted'
echo 'Content-Type: text/plain'
echo
echo "$PINTEREST_CONSENT $PINTEREST_EPIK $PINTEREST_EVENT_ID"
"""


def test_a_cgi_program_is_told_and_heard_as_php_is(make_httpd):
    httpd = make_httpd(mpm="event", extra_modules=["cgid"], start=False)
    httpd.conf = SENTINEL + (f"ScriptSock {httpd.run}/cgisock\nScriptAlias /cgi/ {httpd.root}/cgi/\n"
                             "PinterestCapiConsentDefault denied\n"
                             f"<Directory {httpd.root}/cgi>\nRequire all granted\n</Directory>")
    httpd.expect(r"PCAPI1\d\d")
    script = httpd.root / "cgi" / "say"
    script.write_text(CGI)
    script.chmod(0o755)
    httpd.start()
    answer, rows = httpd.recorded("GET", f"/cgi/say?epik={EPIK}")
    assert answer.text.split()[:2] == ["denied", EPIK] and len(answer.text.split()[2]) == 36
    assert not [k for k, _ in answer.getheaders() if k.lower().startswith("pinterest")]
    (row,) = rows
    assert (row["event_id"], row["consent"], row["consent_signal"]) == ("cgi", 1, "header")


def test_a_subrequest_is_no_request_of_its_own(httpd):
    answer, rows = httpd.recorded("GET", "/page.shtml")
    assert "Hello" in answer.text and answer.text.endswith("granted")
    assert [(r["name"], r["body"]["event_source_url"]) for r in rows] == \
        [("page_visit", f"http://127.0.0.1:{httpd.port}/page.shtml")]


@pytest.mark.parametrize("cookies", [
    ("PHPSESSID=s{0}", "PHPSESSID=s{0}"), ("OCSESSID=o{0}", "OCSESSID=o{0}"),
    ("session-=w{0}", "session-=w{0}"), ("zenid=z{0}", "zenid=z{0}"),
    ("wp_woocommerce_session_a1=t_{0}%7C1785%7C1784%7Cab", "wp_woocommerce_session_b2=t_{0}%7C19%7Ccd")])
def test_cookies_that_name_a_visit_by_default(httpd, cookies):
    number = "SELECT count(*) AS n FROM visits"
    (before,) = httpd.sql(number)
    key = fresh()
    for cookie in cookies:
        lead(httpd, headers={"Cookie": cookie.format(key)})
    assert httpd.sql(number)[0]["n"] == before["n"] + 1
    for host in ("own", "bare"):
        lead(httpd, headers={"Cookie": cookies[0].format(fresh())}, host=host)
    assert httpd.sql(number)[0]["n"] == before["n"] + 1, "a cookie that is not named any more counts"


def test_a_national_phone_number_is_of_the_hosts_country(httpd):
    _, (row,) = lead(httpd, host="dial", query="&ph=030%20123456")
    _, (foreign,) = lead(httpd, query="&ph=030%20123456")
    assert len(row["body"]["user_data"]["ph"]) == 1 and "ph" not in foreign["body"]["user_data"]


@pytest.mark.parametrize("host, flags", [("quiet", None), ("safe", True), ("localhost", False)])
def test_the_click_ids_cookie_is_secure_on_https_and_can_be_switched_off(httpd, host, flags):
    answer, _ = httpd.recorded("GET", f"/?epik={EPIK}", {"Host": f"{host}.example"})
    cookies = [v for k, v in answer.getheaders() if k == "Set-Cookie" and v.startswith("_epik=")]
    assert [("; Secure" in c) for c in cookies] == ([] if flags is None else [flags])


# --- who counts ---

AGENTS = ["curl/8.5.0", "python-requests/2.31", "Mozilla/5.0 (compatible; Googlebot/2.1)",
          "UptimeRobot/2.0", "Mozilla/5.0 HeadlessChrome/120"]


@pytest.mark.parametrize("agent", AGENTS)
def test_bots_count_where_they_are_kept_and_never_silence_php(httpd, agent):
    assert lead(httpd, agent=agent)[1] == []
    assert len(lead(httpd, agent=agent, host="keep")[1]) == 1
    for method in ("GET", "HEAD"):
        said = f'Pinterest-Capi-Event:{{"event_name":"signup","event_id":"{fresh()}"}}'
        _, rows = httpd.recorded(method, f"/say.php?header={said}", agent=agent)
        assert [r["name"] for r in rows] == ["signup"]


@pytest.mark.parametrize("purpose, host, count", [
    ({"Sec-Purpose": "prefetch"}, None, 1), ({"Sec-Purpose": "prefetch"}, "drop", 0),
    ({"Sec-Purpose": "prefetch;prerender"}, None, 0), ({"Sec-Purpose": "prefetch;prerender"}, "keep", 0),
    ({"Purpose": "prefetch"}, "drop", 0)])
def test_prefetches_count_unless_dropped_and_prerenders_never(httpd, purpose, host, count):
    assert len(lead(httpd, headers=purpose, host=host)[1]) == count


# --- orders ---

def test_an_order_or_context_with_an_empty_part_is_none(httpd):
    _, rows = httpd.recorded("GET", f"/order/?id={fresh()}")
    assert [r["name"] for r in rows] == ["purchase", "search"]
    assert [bool(r["wants_key"]) for r in rows] == [False, False]
    assert all("custom_data" not in r["body"] for r in rows)
    _, rows = httpd.recorded("GET", f"/order/?id={fresh()}&o=7&c=8", {"Cookie": "PHPSESSID=mine"})
    assert [r["body"]["custom_data"]["order_id"] for r in rows] == ["7", "n_7"]
    assert [bool(r["wants_key"]) for r in rows] == [False, True]
    assert all("client_ip_address" not in r["body"]["user_data"] for r in rows[1:])


# --- where it goes ---

def test_each_account_is_sent_with_its_own_token(make_httpd):
    from standin import StandIn
    other = "549755885176"
    with StandIn(tokens={TOKEN: [ACCOUNT], "pina_OTHER": [other]}) as api:
        httpd = make_httpd(api=api, start=False, conf=f"""
PinterestCapiMergeWindow 0
PinterestCapiTokenFile other {other}
PinterestCapiEvent lead event_id=%{{query:id}}
<Location "/b">
  PinterestCapiAdAccount {other}
</Location>""")
        (httpd.root / "other").write_text("pina_OTHER\n")
        (httpd.root / "other").chmod(0o600)
        httpd.write("b/index.html", "b")
        httpd.start()
        httpd.get("/?id=one")
        httpd.get("/b/?id=two")
        wait_for(lambda: len(api.processed()) == 2, "both events")
        assert sorted((r["account"], r["status"]) for r in api.requests) == \
            [(ACCOUNT, 200), (other, 200)]


def test_test_mode_says_so_and_sends_private_addresses(make_httpd, api):
    httpd = make_httpd(api=api, conf="PinterestCapiTest On\nPinterestCapiMergeWindow 0\n"
                                     "PinterestCapiEvent page_visit")
    httpd.get("/", address="192.168.1.20")
    wait_for(lambda: api.requests, "the request")
    assert api.requests[0]["test"]
    assert api.events[0]["event"]["user_data"]["client_ip_address"] == "192.168.1.20"


def test_the_smallest_configuration_sends_page_visits(make_httpd, api):
    reference = (TOP / "docs/directives.md").read_text()
    start = reference.index("    PinterestCapi On\n")
    lines = reference[start:reference.index("\n\n", start)]
    httpd = make_httpd(api=api, settings=False, start=False)
    httpd.conf = lines.replace("/etc/apache2/pinterest.token", str(httpd.token_file))
    httpd.start()
    httpd.get("/", {"Cookie": f"pin_consent=v1.g.{int(time.time())}.test"})
    (event,) = wait_for(api.processed, "the page visit")
    assert (event["event_name"], event["user_data"]["client_user_agent"]) == ("page_visit", BROWSER)
    assert event["user_data"]["client_ip_address"] == SHOPPER
