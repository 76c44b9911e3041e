"""The shop never notices: bytes and headers are the same with the module on and off."""

import os

import pytest

from server import EPIK, wait_for

ECHO = """<?php
header('X-Shop: yes');
header('Cache-Control: public, max-age=60');
setcookie('shop', '1');
$body = file_get_contents('php://input');
echo 'method=', $_SERVER['REQUEST_METHOD'], "\\n", 'len=', strlen($body), "\\n",
     'sum=', hash('sha256', $body), "\\n", 'get=', json_encode($_GET), "\\n",
     'post=', json_encode($_POST), "\\n", 'files=', json_encode(array_map(
     fn($f) => [$f['name'], $f['size'], hash_file('sha256', $f['tmp_name'])], $_FILES)), "\\n",
     'cookie=', json_encode($_COOKIE);
"""
PRIVATE = """<?php
header('Pinterest-Capi-Event: {"event_name":"lead","event_id":"l1"}');
header('Pinterest-Capi-Match: {"email":"a@b.example"}');
header('Pinterest-Capi-Bind: order:1');
header('Pinterest-Capi-Consent: granted');
if (isset($_GET['status'])) { http_response_code((int)$_GET['status']); }
if (isset($_GET['to'])) { header('Location: ' . $_GET['to']); }
echo 'private';
"""


def headers_that_matter(answer, without=()):
    return sorted((k.lower(), v) for k, v in answer.headers
                  if k.lower() not in ("date", "etag", "last-modified", *without))


def multipart(size):
    boundary = "----b0undary"
    content = os.urandom(size)
    body = (f"--{boundary}\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.bin\"\r\n"
            "Content-Type: application/octet-stream\r\n\r\n").encode() + content + \
        f"\r\n--{boundary}--\r\n".encode()
    return {"Content-Type": f"multipart/form-data; boundary={boundary}"}, body


def requests_of_a_shop():
    big_headers, big = multipart(700_000)
    return [
        ("GET", "/echo.php?a=1&b%5B%5D=2", {}, None),
        ("GET", f"/echo.php?x={'y' * 2000}", {"Cookie": "PHPSESSID=1; _ga=2"}, None),
        ("POST", "/echo.php", {"Content-Type": "application/x-www-form-urlencoded"},
         "a=1&b=" + "z" * 20000),
        ("POST", "/echo.php", {"Content-Type": "application/json"}, '{"a": [1, 2, {"b": null}]}'),
        ("POST", "/echo.php", big_headers, big),
        ("PUT", "/echo.php", {"Content-Type": "text/plain"}, "put"),
        ("HEAD", "/echo.php", {}, None),
        ("OPTIONS", "/echo.php", {}, None),
        ("GET", "/index.html", {"Range": "bytes=2-9"}, None),
        ("GET", "/missing", {}, None),
        ("GET", "/dir", {}, None),
    ]


def test_pages_are_byte_identical_with_the_module_on_and_off(make_httpd, api, php):
    rule = "PinterestCapiEvent page_visit"
    servers = [make_httpd(api=api, conf=rule, **php), make_httpd(module=False, **php)]
    for server in servers:
        server.write("echo.php", ECHO)
        server.write("dir/index.html", "<p>dir")
    for method, path, headers, body in requests_of_a_shop():
        on, off = (s.request(method, path, headers, body) for s in servers)
        for answer, server in zip((on, off), servers):
            answer.headers = [(k, v.replace(f":{server.port}", ":PORT")) for k, v in answer.headers]
        assert on.status == off.status, path
        assert on.body.replace(str(servers[0].port).encode(), b"PORT") == \
            off.body.replace(str(servers[1].port).encode(), b"PORT"), (method, path)
        assert headers_that_matter(on) == headers_that_matter(off), (method, path)


def test_only_our_cookie_and_its_cache_control_differ_on_a_landing_page(make_httpd, api):
    on = make_httpd(api=api, mpm="event", php="fpm")
    off = make_httpd(module=False, mpm="event", php="fpm")
    for server in (on, off):
        server.write("echo.php", ECHO)
    answers = [s.get(f"/echo.php?epik={EPIK}") for s in (on, off)]
    assert answers[0].body == answers[1].body
    cookies = [v for v in answers[0].header_all("Set-Cookie") if v.startswith("_epik=")]
    assert len(cookies) == 1
    for part in (f"_epik={EPIK}", "Path=/", "SameSite=Lax", "Max-Age=31536000"):
        assert part.lower() in [p.strip().lower() for p in cookies[0].split(";")]
    assert "httponly" not in cookies[0].lower() and "secure" not in cookies[0].lower()
    control = answers[0].header("Cache-Control")
    assert "private" in control and "public" not in control and "max-age=60" in control
    rest = [headers_that_matter(a, ("cache-control", "set-cookie")) for a in answers]
    assert rest[0] == rest[1]


@pytest.mark.parametrize("enabled", ["On", "Off"])
def test_private_headers_never_reach_a_client(make_httpd, api, php, enabled):
    httpd = make_httpd(api=api, conf=f"PinterestCapi {enabled}\nErrorDocument 404 /sorry.html\n"
                       "PinterestCapiMergeWindow 0", **php)
    httpd.write("private.php", PRIVATE)
    httpd.write("sorry.html", "<p>sorry")
    for status in ("200", "404", "500", "302&to=/x", "403", "304"):
        for method in ("GET", "HEAD"):
            answer = httpd.request(method, f"/private.php?status={status}")
            assert answer.status == int(status[:3])
            leaked = [k for k, _ in answer.headers if k.lower().startswith("pinterest-capi")]
            assert not leaked, (method, status)


def test_permalinks_of_a_rewrite_keep_their_location_rules(make_httpd, api, php):
    httpd = make_httpd(api=api, conf="""
PinterestCapiMergeWindow 0
<Location "/product/">
  PinterestCapiEvent view_content "event_id=v_%{REQUEST_URI}"
</Location>
<Location "/index.php">
  PinterestCapiEvent search event_id=never
</Location>""", **php)
    httpd.write("index.php", "<?php echo 'front';")
    httpd.write(".htaccess", "RewriteEngine On\nRewriteRule ^index\\.php$ - [L]\n"
                "RewriteCond %{REQUEST_FILENAME} !-f\nRewriteCond %{REQUEST_FILENAME} !-d\n"
                "RewriteRule . /index.php [L]\n")
    assert httpd.get("/product/cap/").text == "front"
    (event,) = wait_for(lambda: api.processed(), "the event")
    assert (event["event_name"], event["event_id"]) == ("view_content", "v_/product/cap/")
    assert event["event_source_url"].endswith("/product/cap/")


@pytest.mark.parametrize("rewrite", ["RewriteEngine On\nRewriteRule ^/product/ /index.php [PT]",
                                     "FallbackResource /index.php"])
def test_permalinks_of_the_server_configuration_keep_their_location_rules(make_httpd, api, rewrite):
    httpd = make_httpd(api=api, mpm="event", php="fpm", conf=f"""
PinterestCapiMergeWindow 0
{rewrite}
<Location "/product/">
  PinterestCapiEvent view_content "event_id=v_%{{REQUEST_URI}}"
</Location>""")
    httpd.write("index.php", "<?php echo 'front';")
    assert httpd.get("/product/cap/").text == "front"
    (event,) = wait_for(lambda: api.processed(), "the event")
    assert event["event_id"] == "v_/product/cap/"


CACHE = """
CacheRoot {root}/cache
CacheEnable disk /
CacheQuickHandler {quick}
CacheIgnoreQueryString On
ExpiresActive On
ExpiresDefault "access plus 1 hour"
CacheHeader on
PinterestCapiEvent page_visit
"""


def epik_cookies(answer):
    return [v.split(";")[0] for v in answer.header_all("Set-Cookie") if v.startswith("_epik=")]


@pytest.mark.parametrize("quick", ["on", "off"])
def test_a_cached_page_never_carries_another_visitors_cookie(make_httpd, api, quick):
    httpd = make_httpd(start=False, api=api, mpm="event", extra_modules=["cache", "cache_disk"])
    cache = httpd.root / "cache"
    cache.mkdir()
    os.chmod(cache, 0o777)
    httpd.conf = CACHE.format(root=httpd.root, quick=quick)
    httpd.start()
    page = httpd.write("page.html", "<!doctype html><title>Cached</title>")
    os.utime(page, (1700000000, 1700000000))  # a page that changed just now is always revalidated
    assert epik_cookies(httpd.get(f"/page.html?epik={EPIK}")) == [f"_epik={EPIK}"]
    wait_for(lambda: list(cache.rglob("*.header")), "the page to be cached")
    plain = [httpd.get("/page.html") for _ in range(3)]
    assert all("HIT" in (a.header("X-Cache") or "") for a in plain), "nothing was cached"
    assert [epik_cookies(a) for a in plain] == [[], [], []]
    stranger = httpd.get(f"/page.html?epik={EPIK}x")
    assert "HIT" in stranger.header("X-Cache")
    assert epik_cookies(stranger) in ([], [f"_epik={EPIK}x"])
    for stored in cache.rglob("*.header"):
        assert b"_epik=" not in stored.read_bytes()
