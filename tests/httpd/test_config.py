"""What configtest refuses, in one line with directive, value and mend, and what it lets pass."""

import pytest

from server import ACCOUNT

OTHER = "549755885176"


def host(httpd, *lines, name="shop.example"):
    return "\n".join([f"<VirtualHost *:{httpd.port}>", f"ServerName {name}", *lines,
                      "</VirtualHost>"])


def section(*lines, location="/shop"):
    return "\n".join([f"<Location {location}>", *lines, "</Location>"])


@pytest.fixture
def configtest(make_httpd):
    def run(conf, settings=True, top=""):
        httpd = make_httpd(start=False, mpm="event", settings=settings, top=top)
        httpd.conf = conf(httpd) if callable(conf) else conf
        return httpd.configtest()
    return run


BAD_LINES = [
    ("PinterestCapi perhaps", ("PinterestCapi", "'perhaps'", "Off or On")),
    ("PinterestCapiAdAccount 12a4", ("PinterestCapiAdAccount", "12a4", "digits")),
    ("PinterestCapiAdAccount 1234567890123456789", ("PinterestCapiAdAccount", "18")),
    ("PinterestCapiTokenFile /nowhere/token", ("PinterestCapiTokenFile", "/nowhere/token")),
    ("PinterestCapiTokenFile /tmp", ("PinterestCapiTokenFile", "'/tmp'", "regular file")),
    ("PinterestCapiTokenFile /etc/hosts 12x", ("PinterestCapiTokenFile", "12x")),
    ("PinterestCapiApiUrl http://api.example/v5", ("PinterestCapiApiUrl", "https://")),
    ("PinterestCapiApiUrl http://127.evil.example/v5", ("PinterestCapiApiUrl", "https://")),
    ("PinterestCapiApiUrl https://user:pass@api.example/v5", ("PinterestCapiApiUrl", "user")),
    ("PinterestCapiApiUrl nonsense", ("PinterestCapiApiUrl", "nonsense")),
    ("PinterestCapiApiUrl https://api.example:99999/v5", ("PinterestCapiApiUrl", ":99999")),
    ("PinterestCapiApiCAFile /nowhere/ca.pem", ("PinterestCapiApiCAFile", "/nowhere/ca.pem")),
    ("PinterestCapiCatalog /nowhere/feed.tsv", ("PinterestCapiCatalog", "/nowhere/feed.tsv", "TSV")),
    ("PinterestCapiCatalog /etc", ("PinterestCapiCatalog", "/etc", "no regular file")),
    ("PinterestCapiProxy ftp://proxy:1", ("PinterestCapiProxy", "http://")),
    ("PinterestCapiProxy proxy", ("PinterestCapiProxy", "'proxy'", "http://proxy")),
    ("PinterestCapiTest maybe", ("PinterestCapiTest", "'maybe'", "Off or On")),
    ("PinterestCapiWireFormat v6", ("PinterestCapiWireFormat", "v6", "v5 or guide")),
    ("PinterestCapiEventNames ga4", ("PinterestCapiEventNames", "ga4")),
    ("PinterestCapiEventName a/b c", ("PinterestCapiEventName", "a/b")),
    ("PinterestCapiConsentDefault yes", ("PinterestCapiConsentDefault", "yes", "granted")),
    ("PinterestCapiSessionCookie a=b", ("PinterestCapiSessionCookie", "a=b")),
    ("PinterestCapiSessionCookie sid (", ("PinterestCapiSessionCookie", "regular expression")),
    ("PinterestCapiEpikCookie On max-age=x", ("PinterestCapiEpikCookie", "'x'")),
    ("PinterestCapiEpikCookie On domain=a;b", ("PinterestCapiEpikCookie", "domain=a;b")),
    ("PinterestCapiUrlParameters a=b", ("PinterestCapiUrlParameters", "a=b")),
    ("PinterestCapiCountry Germany", ("PinterestCapiCountry", "Germany")),
    ("PinterestCapiCountry UK", ("PinterestCapiCountry", "'UK'", "GB")),
    ("PinterestCapiOnDenied drop", ("PinterestCapiOnDenied", "'drop'", "suppress")),
    ("PinterestCapiOnDenied strip name", ("PinterestCapiOnDenied", "'name'", "em, ph")),
    ("PinterestCapiOnDenied limited em", ("PinterestCapiOnDenied", "'limited em'", "strip KEY")),
    ("PinterestCapiConsentMaxAge old", ("PinterestCapiConsentMaxAge", "'old'", "whole number")),
    ("PinterestCapiCollectOrigin shop", ("PinterestCapiCollectOrigin", "'shop'", "https://shop.ex")),
    ("PinterestCapiBots maybe", ("PinterestCapiBots", "maybe", "drop")),
    ("PinterestCapiPrefetch maybe", ("PinterestCapiPrefetch", "maybe", "count")),
    ("PinterestCapiCollectAllow buy", ("PinterestCapiCollectAllow", "buy")),
    ("PinterestCapiFlush 0 1", ("PinterestCapiFlush", "'0'", "1000")),
    ("PinterestCapiFlush 1001 1", ("PinterestCapiFlush", "1001")),
    ("PinterestCapiMergeWindow -1", ("PinterestCapiMergeWindow", "-1")),
    ("PinterestCapiMaxAge 0", ("PinterestCapiMaxAge",)),
    ("PinterestCapiMaxAge 99999999999999999999", ("PinterestCapiMaxAge", "whole number")),
    ("PinterestCapiStateDir /nowhere/at/all", ("PinterestCapiStateDir", "/nowhere/at/all")),
    ("PinterestCapiStateDir /etc/hosts", ("PinterestCapiStateDir", "/etc/hosts")),
    ("PinterestCapiStore oracle", ("PinterestCapiStore", "oracle", "sqlite3")),
    ("PinterestCapiStore pgsql", ("PinterestCapiStore", "pgsql")),
    ("PinterestCapiQueueSize 1000", ("PinterestCapiQueueSize", "1000", "262144")),
    ("PinterestCapiQueueSize 64M", ("PinterestCapiQueueSize", "64M")),
    ("PinterestCapiRetention 0", ("PinterestCapiRetention",)),
    ("PinterestCapiSender /nowhere/sender", ("PinterestCapiSender", "/nowhere/sender")),
    ("PinterestCapiSender httpd.conf", ("PinterestCapiSender", "/httpd.conf", "no program")),
    ("PinterestCapiMatch em one two", ("PinterestCapiMatch", "'em one two'", "KEY EXPR")),
    ("PinterestCapiBind a b", ("PinterestCapiBind", "'a b'", "EXPR")),
    ("PinterestCapiAdmin maybe", ("PinterestCapiAdmin", "maybe", "Write")),
    ("PinterestCapiEvent pagevisits", ("PinterestCapiEvent", "pagevisits", "did you mean")),
    ("PinterestCapiEvent checkout order_id=%{query:o}", ("PinterestCapiEvent", "checkout",
                                                         "purchase")),
    ("PinterestCapiEvent page_visit price=1", ("PinterestCapiEvent", "price=1", "content_ids")),
    ("PinterestCapiEvent page_visit value", ("PinterestCapiEvent", "'value'", "KEY")),
    ("PinterestCapiEvent page_visit value=%{nosuch:x}", ("PinterestCapiEvent", "%{nosuch:x}",
                                                         "nosuch")),
    ('PinterestCapiEvent page_visit "when=%{REQUEST_URI} =~"', ("PinterestCapiEvent", "when=",
                                                                "syntax")),
    ("PinterestCapiEvent page_visit when=true when=true", ("PinterestCapiEvent", "second")),
    ("PinterestCapiEvent", ("PinterestCapiEvent", "NAME")),
]


@pytest.mark.parametrize("line, words", BAD_LINES, ids=[line for line, _ in BAD_LINES])
def test_a_wrong_value_is_named_with_its_mend(configtest, line, words):
    ok, text = configtest(line)
    assert not ok, text
    told = [part for part in text.splitlines() if words[0] in part and "Syntax error" not in part]
    assert len(told) == 1, text
    assert all(word in told[0] for word in words), told[0]


GOOD_LINES = [
    "PinterestCapiApiUrl http://127.0.0.1:8080/v5/",
    "PinterestCapiApiUrl http://localhost:8080/v5",
    "PinterestCapiApiUrl http://[::1]:8080/v5",
    "PinterestCapiEvent purchase order_id=%{query:o}",
    "PinterestCapiEventNames pinterest\nPinterestCapiEvent checkout order_id=%{query:o}",
    "PinterestCapiEventName my_event my_event\nPinterestCapiEvent my_event\n"
    "PinterestCapiCollectAllow my_event",
    "PinterestCapiEpikCookie Off",
    "PinterestCapiOnDenied Limited",
    "PinterestCapiOnDenied strip email epik client_ip_address",
    "PinterestCapiEpikCookie On domain=.shop.example max-age=60",
    "PinterestCapiSessionCookie sid_* ^([^.]+)",
    "PinterestCapiCollectAllow all",
    "PinterestCapiUrlParameters none",
    "PinterestCapiEvent none",
    "PinterestCapiStore sqlite3",
    "PinterestCapiFlush 1 0",
    "PinterestCapiCatalog /etc/hosts",
    "PinterestCapiCatalog /etc/not-yet-there.tsv",
    'PinterestCapiEvent page_visit "when=%{query:a} == %{cookie:b}"',
    "PinterestCapiTokenFile token 549755885176",
]


@pytest.mark.parametrize("line", GOOD_LINES)
def test_a_right_line_passes(configtest, line):
    ok, text = configtest(line)
    assert ok, text


@pytest.mark.parametrize("directive", ["PinterestCapiStateDir /tmp", "PinterestCapiRetention 3",
                                       "PinterestCapiQueueSize 1000000", "PinterestCapiUser www-data",
                                       "PinterestCapiStore sqlite3", "PinterestCapiSender /bin/true"])
def test_settings_of_the_main_server_are_refused_in_a_host(configtest, directive):
    ok, text = configtest(lambda httpd: host(httpd, directive))
    assert not ok and directive.split()[0] in text


@pytest.mark.parametrize("directive", [
    "PinterestCapiTokenFile token", "PinterestCapiApiUrl https://a.example/",
    "PinterestCapiApiCAFile /etc/hosts", "PinterestCapiProxy http://a:1", "PinterestCapiTest On",
    "PinterestCapiWireFormat v5", "PinterestCapiEventName a a", "PinterestCapiSessionCookie a",
    "PinterestCapiVisitCookie Off", "PinterestCapiEpikCookie Off", "PinterestCapiCountry DE",
    "PinterestCapiBots keep", "PinterestCapiPrefetch drop",
    "PinterestCapiCollectOrigin https://a.example", "PinterestCapiCollectLimit 5",
    "PinterestCapiCatalog /etc/hosts", "PinterestCapiFlush 1 1", "PinterestCapiMergeWindow 5",
    "PinterestCapiMaxAge 5"])
def test_settings_of_a_host_are_refused_in_a_section(configtest, directive):
    ok, text = configtest(section(directive))
    assert not ok and directive.split()[0] in text and "not allowed" in text


OF_SECTIONS = [
    "PinterestCapi On", f"PinterestCapiAdAccount {ACCOUNT}", "PinterestCapiEventNames guide",
    "PinterestCapiConsentDefault denied", "PinterestCapiConsentSignal gpc",
    "PinterestCapiConsentMaxAge 1", "PinterestCapiOnDenied suppress", "PinterestCapiUrlParameters a",
    "PinterestCapiAdmin Off", "PinterestCapiEvent lead", "PinterestCapiMatch em %{query:e}",
    "PinterestCapiBind a", "PinterestCapiBodyLimit 1", "PinterestCapiCollectAllow lead"]


def test_settings_of_a_section_are_refused_in_htaccess(make_httpd, api):
    httpd = make_httpd(api=api, mpm="event", conf="\n".join(
        section(line, location=f"/{n}") for n, line in enumerate(OF_SECTIONS)))
    httpd.expect(r"not allowed here")
    for number, line in enumerate(OF_SECTIONS):
        httpd.write(f"{number}/.htaccess", line + "\n")
        httpd.write(f"{number}/index.html", "x")
        assert httpd.get(f"/{number}/").status == 500, line
        httpd.wait_log(line.split()[0] + " not allowed here")


@pytest.mark.parametrize("line", ["PinterestCapiEvent page_vist", "PinterestCapiCollectAllow buy"])
def test_a_wrong_name_is_refused_where_nothing_is_switched_on(configtest, line):
    ok, text = configtest(line, settings=False)
    assert not ok and line.split()[0] in text and line.split()[1] in text


def test_on_without_an_account_is_refused(configtest):
    ok, text = configtest("PinterestCapi On\nPinterestCapiConsentDefault denied", settings=False)
    assert not ok and "PCAPI001" in text and "PinterestCapiAdAccount" in text


def test_on_without_a_token_is_refused(configtest):
    ok, text = configtest(f"PinterestCapi On\nPinterestCapiAdAccount {ACCOUNT}\n"
                          "PinterestCapiConsentDefault denied", settings=False)
    assert not ok and "PCAPI002" in text and ACCOUNT in text and "PinterestCapiTokenFile" in text


def test_on_without_a_word_on_consent_is_refused(configtest):
    ok, text = configtest(f"PinterestCapi On\nPinterestCapiAdAccount {ACCOUNT}\n"
                          "PinterestCapiTokenFile token", settings=False)
    assert not ok and "PCAPI003" in text and "PinterestCapiConsentDefault" in text


def test_a_host_that_empties_the_signals_has_no_word_on_consent(configtest):
    ok, text = configtest(lambda httpd: "PinterestCapi On\n"
                          f"PinterestCapiAdAccount {ACCOUNT}\nPinterestCapiTokenFile token\n"
                          "PinterestCapiConsentSignal gpc\n" +
                          host(httpd, "PinterestCapiConsentSignal none"), settings=False)
    assert not ok and "PCAPI003" in text and "shop.example" in text


def test_an_account_of_a_section_needs_a_token_of_its_own(configtest):
    ok, text = configtest(section(f"PinterestCapiAdAccount {OTHER}"))
    assert not ok and "PCAPI002" in text and OTHER in text
    ok, text = configtest(section(f"PinterestCapiAdAccount {OTHER}") +
                          f"\nPinterestCapiTokenFile token {OTHER}")
    assert ok, text


def test_on_in_a_section_needs_account_token_and_consent(configtest):
    ok, text = configtest(section("PinterestCapi On"), settings=False)
    assert not ok and "PCAPI001" in text
    ok, text = configtest(section("PinterestCapi On", f"PinterestCapiAdAccount {ACCOUNT}"),
                          settings=False)
    assert not ok and "PCAPI002" in text
    ok, text = configtest(section("PinterestCapi On", f"PinterestCapiAdAccount {ACCOUNT}") +
                          f"\nPinterestCapiTokenFile token {ACCOUNT}", settings=False)
    assert not ok and "PCAPI003" in text
    ok, text = configtest(section("PinterestCapi On", f"PinterestCapiAdAccount {ACCOUNT}",
                                  "PinterestCapiConsentDefault denied") +
                          f"\nPinterestCapiTokenFile token {ACCOUNT}", settings=False)
    assert ok, text


def test_the_main_server_may_say_on_for_its_hosts(configtest):
    def conf(httpd):
        return "PinterestCapi On\n" + host(httpd, f"PinterestCapiAdAccount {ACCOUNT}",
                                           "PinterestCapiTokenFile token",
                                           "PinterestCapiConsentDefault denied")
    ok, text = configtest(conf, settings=False)
    assert ok, text


def test_a_host_does_not_borrow_the_token_of_another_account(configtest):
    ok, text = configtest(lambda httpd: host(httpd, f"PinterestCapiAdAccount {OTHER}"))
    assert not ok and "PCAPI002" in text and OTHER in text and "shop.example" in text


def test_a_rule_in_a_host_is_read_with_the_names_of_that_host(configtest):
    rule = section("PinterestCapiEvent checkout order_id=%{query:o}")
    ok, text = configtest(lambda httpd: host(httpd, "PinterestCapiEventNames pinterest", rule))
    assert ok, text
    ok, text = configtest(lambda httpd: host(httpd, rule))
    assert not ok and "PCAPI004" in text


def test_a_token_that_others_can_read_is_a_warning(make_httpd, configtest):
    httpd = make_httpd(start=False, mpm="event")
    httpd.token_file.chmod(0o644)
    ok, text = httpd.configtest()
    assert ok and "PCAPI008" in text and str(httpd.token_file) in text


def test_the_configuration_is_printed_without_looking_at_files(make_httpd):
    httpd = make_httpd(start=False, mpm="event")
    httpd.configure()
    httpd.token_file.unlink()
    assert httpd.httpd("-S", check=False).returncode == 0
    assert not httpd.state.exists()


def test_configtest_makes_nothing(make_httpd):
    httpd = make_httpd(start=False, mpm="event")
    ok, text = httpd.configtest()
    assert ok, text
    assert not httpd.state.exists() and not list(httpd.run.iterdir())


def test_the_sample_configuration_is_accepted(make_httpd):
    httpd = make_httpd(start=False, mpm="event", settings=False, extra_modules=["cgid"])
    import server
    sample = (server.TOP / "conf/pinterest_capi.conf").read_text()
    httpd.conf = sample.replace("/etc/apache2/pinterest.token", str(httpd.token_file))
    ok, text = httpd.configtest()
    assert ok, text
