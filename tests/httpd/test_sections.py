"""The sections that count are those of the request as the visitor sent it, whatever carries it on;
hosts keep to themselves; a cache's quick handler knows the host only."""

import os
import re

import pytest

from server import ACCOUNT, BROWSER, EPIK, SHOPPER, wait_for

BASE = """
PinterestCapiApiUrl http://127.0.0.1:9/v5
PinterestCapiMergeWindow 3600
"""
LOCATIONS = """
<Location "/product/">
  PinterestCapiEvent view_content "event_id=v_%{REQUEST_URI}"
  PinterestCapiConsentDefault denied
</Location>
<Location "/index.php">
  PinterestCapiEvent search event_id=never
  PinterestCapiConsentDefault granted
</Location>
<LocationMatch "^/$">
  PinterestCapiEvent contact event_id=home_%{query:n}
</LocationMatch>
<If "%{REQUEST_URI} =~ m#^/product/#">
  PinterestCapiEvent signup event_id=if_%{REQUEST_URI}
</If>
<If "%{REQUEST_URI} == '/index.php'">
  PinterestCapiEvent schedule event_id=never
</If>
<Files "index.php">
  PinterestCapiEvent lead event_id=f_%{REQUEST_URI}
</Files>
"""
HTACCESS = """RewriteEngine On
RewriteRule ^index\\.php$ - [L]
RewriteCond %{REQUEST_FILENAME} !-f
RewriteCond %{REQUEST_FILENAME} !-d
RewriteRule . /index.php [L]
"""
WAYS = {
    "server rewrite": "RewriteEngine On\nRewriteRule ^/product/ /index.php [PT]",
    "directory rewrite": "<Directory {docs}>\nRewriteEngine On\nRewriteRule ^product/ /index.php [L]\n"
                         "</Directory>",
    "FallbackResource": "FallbackResource /index.php",
    "htaccess": "",
}


@pytest.fixture
def start(make_httpd):
    def run(conf, **options):
        httpd = make_httpd(start=False, mpm="event", conf="", **options)
        httpd.expect(r"PCAPI1\d\d")
        httpd.conf = BASE + conf.replace("{docs}", str(httpd.docs)).replace("{port}", str(httpd.port))
        return httpd.start()
    return run


def stored(httpd, count):
    """The events, once there are so many, by name."""
    def rows():
        found = httpd.sql("SELECT * FROM events ORDER BY id")
        return found if len(found) >= count else None
    return {row["name"]: row for row in wait_for(rows, f"{count} events")}


@pytest.mark.parametrize("way", WAYS)
def test_a_permalink_keeps_its_sections_and_gains_none(start, way):
    httpd = start(LOCATIONS + WAYS[way], php="fpm")
    httpd.write("index.php", "<?php echo 'front ', $_SERVER['PINTEREST_CONSENT'];")
    if way == "htaccess":
        httpd.write(".htaccess", HTACCESS)
    assert httpd.get("/product/cap/").text == "front denied"
    expected = {"view_content", "signup"} | ({"lead"} if way not in ("htaccess", "directory rewrite")
                                             else set())
    rows = stored(httpd, len(expected))
    assert set(rows) == expected
    assert rows["view_content"]["event_id"] == "v_/product/cap/"
    assert {r["consent"] for r in rows.values()} == {2}


def test_the_index_of_a_directory_keeps_the_sections_of_the_directory(start):
    httpd = start(LOCATIONS, php="fpm")
    (httpd.docs / "index.html").unlink()
    httpd.write("index.php", "<?php echo 'front ', $_SERVER['PINTEREST_CONSENT'];")
    assert httpd.get("/?n=1").text == "front granted"
    assert set(stored(httpd, 2)) == {"contact", "lead"}


def test_an_error_page_leaves_the_sections_alone(start):
    httpd = start("""
ErrorDocument 403 /sorry.html
<Location "/secret">
  Require all denied
  PinterestCapiConsentDefault denied
</Location>
<Location "/sorry.html">
  PinterestCapiEvent lead event_id=never
</Location>
PinterestCapiEvent contact event_id=%{query:n}
Header always set X-Consent %{PINTEREST_CONSENT}e""")
    httpd.expect(r"AH01630")
    httpd.write("sorry.html", "sorry")
    answer = httpd.get("/secret")
    assert (answer.status, answer.text, answer.header("X-Consent")) == (403, "sorry", "denied")
    httpd.get("/?n=end")
    assert set(stored(httpd, 1)) == {"contact"}


def test_hosts_have_accounts_names_and_settings_of_their_own(start):
    other = "549755885176"
    httpd = start(f"""
PinterestCapiTokenFile token {other}
PinterestCapiEvent lead event_id=%{{query:n}}
<VirtualHost *:{{port}}>
  ServerName a.example
  DocumentRoot {{docs}}
  PinterestCapiEvent signup event_id=%{{query:n}}
</VirtualHost>
<VirtualHost *:{{port}}>
  ServerName b.example
  DocumentRoot {{docs}}
  PinterestCapiAdAccount {other}
  PinterestCapiEvent none
  PinterestCapiEventNames pinterest
  PinterestCapiEvent checkout event_id=%{{query:n}} order_id=%{{query:n}}
</VirtualHost>
<VirtualHost *:{{port}}>
  ServerName c.example
  DocumentRoot {{docs}}
  PinterestCapi Off
</VirtualHost>""")
    for name in "abc":
        httpd.get(f"/?n={name}", {"Host": f"{name}.example", "Cookie": "PHPSESSID=1"})
    rows = stored(httpd, 3)
    assert {(r["name"], r["event_id"]) for r in rows.values()} == \
        {("lead", "a"), ("signup", "a"), ("checkout", "b")}
    accounts = {r["id"]: r["account"] for r in httpd.sql("SELECT * FROM destinations")}
    assert accounts[rows["checkout"]["destination"]] == other
    assert accounts[rows["lead"]["destination"]] == ACCOUNT


CACHE = """
CacheRoot {root}/cache
CacheEnable disk /
CacheQuickHandler {quick}
CacheDefaultExpire 3600
CacheHeader on
PinterestCapiEvent page_visit
"""


def cached(make_httpd, quick, conf=""):
    httpd = make_httpd(start=False, mpm="event", extra_modules=["cache", "cache_disk"])
    (httpd.root / "cache").mkdir()
    os.chmod(httpd.root / "cache", 0o777)
    httpd.conf = BASE + CACHE.format(root=httpd.root, quick=quick) + conf
    httpd.expect(r"PCAPI1\d\d")
    os.utime(httpd.write("page.html", "<!doctype html><p>x"), (1700000000, 1700000000))
    httpd.start()
    httpd.get("/page.html")
    wait_for(lambda: list((httpd.root / "cache").rglob("*.header")), "the page to be cached")
    return httpd


@pytest.mark.parametrize("quick", ["on", "off"])
def test_a_page_from_the_cache_is_a_page_visit_with_its_own_visitor(make_httpd, quick):
    httpd = cached(make_httpd, quick)
    stored(httpd, 1)
    answer = httpd.get("/page.html", {"Cookie": f"_epik={EPIK}"})
    assert "HIT" in answer.header("X-Cache")
    rows = wait_for(lambda: httpd.sql("SELECT e.*, o.payload FROM events e JOIN outbox o "
                                      "ON o.event = e.id ORDER BY e.id")[1:], "the second visit")
    (row,) = rows
    assert EPIK in row["payload"] and SHOPPER in row["payload"]
    assert row["name"] == "page_visit" and row["consent"] == 1


def test_where_a_section_decides_about_consent_a_quick_answer_does_not_know(make_httpd):
    section = '<Location "/members">\nPinterestCapiConsentDefault denied\n</Location>\n'
    httpd = cached(make_httpd, "on", section)
    stored(httpd, 1)
    assert "HIT" in httpd.get("/page.html").header("X-Cache")
    wait_for(lambda: len(httpd.sql("SELECT 1 FROM events")) == 2, "two visits")
    assert [r["consent"] for r in httpd.sql("SELECT * FROM events ORDER BY id")] == [1, 0]


def test_headers_that_a_cache_kept_from_before_are_taken_out(make_httpd):
    httpd = cached(make_httpd, "on")
    for path in (httpd.root / "cache").rglob("*.header"):
        # of the same length, so that the file stays what mod_cache_disk wrote
        old = re.search(rb"ETag: [^\r]+", path.read_bytes())[0]
        new = b"Pinterest-Capi-Bind: ".ljust(len(old), b"x")
        path.write_bytes(path.read_bytes().replace(old, new))
    answer = httpd.get("/page.html")
    assert "HIT" in answer.header("X-Cache")
    assert answer.header("ETag") is None, "the cache did not serve what was put there"
    assert not [k for k, _ in answer.headers if k.lower().startswith("pinterest")]


def test_a_session_cookie_of_ones_own_counts_by_its_group(start):
    httpd = start("PinterestCapiSessionCookie sid_* ^([^.]+)\n"
                  "PinterestCapiEvent lead event_id=%{query:n}\n"
                  "PinterestCapiEpikCookie On domain=.shop.example max-age=60")
    first = httpd.get(f"/?n=1&epik={EPIK}", {"Cookie": "sid_a=same.1"})
    (cookie,) = first.header_all("Set-Cookie")
    assert cookie.lower().startswith(f"_epik={EPIK.lower()};")
    assert "domain=.shop.example" in cookie.lower() and "max-age=60" in cookie.lower()
    httpd.get("/?n=2", {"Cookie": "other=1; sid_b=same.2"})
    httpd.get("/?n=3", {"Cookie": "PHPSESSID=same"})
    wait_for(lambda: len(httpd.sql("SELECT 1 FROM events")) == 3, "three events")
    wait_for(lambda: len(httpd.sql("SELECT 1 FROM visits")) == 1, "one visit")


def test_names_that_browsers_may_say_are_those_of_the_section(start):
    httpd = start("""
<Location "/collect">
  SetHandler pinterest-capi-collect
  PinterestCapiCollectAllow none lead
</Location>""")
    for name in ("lead", "signup"):
        answer = httpd.post("/collect", {"event_name": name, "event_id": name},
                            {"Sec-Fetch-Site": "same-origin"}, agent=BROWSER)
        assert answer.status == 200, answer.text
    stored(httpd, 2)
    claims = httpd.sql("SELECT e.name FROM events e JOIN outbox o ON o.event = e.id "
                       "WHERE o.flags & 1")
    assert [r["name"] for r in claims] == ["signup"]


def test_a_proxy_that_nobody_reads_is_told(start):
    import http.client
    httpd = start("RemoteIPHeader X-Nothing\nMaxKeepAliveRequests 0\n")
    httpd.expect(r"PCAPI031")
    connection = http.client.HTTPConnection("127.0.0.1", httpd.port, timeout=20)
    for _ in range(1000):  # one connection stays with one process, and each counts for itself
        connection.request("GET", "/", headers={"X-Forwarded-For": SHOPPER})
        connection.getresponse().read()
    connection.close()
    httpd.wait_log(r"PCAPI031: most requests")
