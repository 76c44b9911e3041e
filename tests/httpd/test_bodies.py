"""Bodies that rules read: whatever way they come, the program behind httpd sees what it would see
without us, at the same time."""

import gzip
import hashlib
import http.client
import json
import os
import socket
import time

import pytest

from server import BROWSER, SHOPPER, wait_for

NOW = "PinterestCapiMergeWindow 0\n"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
CONF = NOW + """
<Location "/echo.php">
  PinterestCapiEvent lead event_id=%{query:id} "search_string=[%{form:sku}%{json:/sku}]"
</Location>
<Location "/static.html">
  PinterestCapiEvent lead event_id=%{query:id} "search_string=[%{form:sku}%{json:/sku}]"
</Location>
"""
ECHO = """<?php
$body = file_get_contents('php://input');
header('X-Body: ' . strlen($body) . ' ' . hash('sha256', $body));
echo json_encode([$_SERVER['REQUEST_METHOD'], $_SERVER['CONTENT_LENGTH'] ?? null,
    $_SERVER['HTTP_TRANSFER_ENCODING'] ?? null, strlen($body), hash('sha256', $body), $_POST,
    array_map(fn($f) => [$f['name'], $f['size'], $f['error'] ? '' : hash_file('sha256', $f['tmp_name'])], $_FILES)], JSON_INVALID_UTF8_SUBSTITUTE);
"""


def body_of(body):
    return hashlib.sha256(body).hexdigest()


@pytest.fixture
def shop(make_httpd, api, php):
    def start(conf=CONF, **options):
        httpd = make_httpd(api=api, conf=conf, **{**php, **options})
        httpd.write("echo.php", ECHO)
        httpd.write("static.html", "<p>Nobody reads a body here")
        return httpd
    return start


def said(api, wanted):
    """{event_id: what the functions gave} once all of `wanted` are there."""
    wait_for(lambda: wanted <= {e["event_id"] for e in api.processed()}, f"the events {wanted}")
    return {e["event_id"]: e["custom_data"]["search_string"][1:-1] for e in api.processed()}


def raw(httpd, *pieces, pause=0.0, timeout=10):
    """All that is answered to bytes sent as they are."""
    with socket.create_connection(("127.0.0.1", httpd.port), timeout) as s:
        for piece in pieces if pause else [b"".join(pieces)]:
            s.sendall(piece)
            time.sleep(pause)
        s.shutdown(socket.SHUT_WR)
        answer = b""
        while True:
            got = s.recv(65536)
            if not got:
                return answer
            answer += got


def head(path, *lines, method="POST"):
    return (f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: {BROWSER}\r\n"
            f"X-Forwarded-For: {SHOPPER}\r\n" + "".join(line + "\r\n" for line in lines) +
            "\r\n").encode()


TYPE = "Content-Type: application/x-www-form-urlencoded"


def chunked(body, size):
    parts = [body[i:i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in parts) + b"0\r\n\r\n"


def multipart(fields, files=()):
    lines = []
    for name, value in fields:
        lines.append(f'--bound\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
                     .encode())
    for name, content in files:
        lines.append(f'--bound\r\nContent-Disposition: form-data; name="{name}"; filename="a.bin"\r\n'
                     "Content-Type: application/octet-stream\r\n\r\n".encode() + content + b"\r\n")
    return {"Content-Type": "multipart/form-data; boundary=bound"}, b"".join(lines) + b"--bound--\r\n"


def test_bodies_are_read_in_every_way_they_come(shop, api):
    httpd = shop()
    sku = b"sku=A1&rest=" + b"x" * 30000
    httpd.post("/echo.php?id=length", sku, FORM)
    httpd.post("/echo.php?id=charset", sku, {"Content-Type": FORM["Content-Type"] + "; charset=UTF-8"})
    httpd.post("/echo.php?id=json", {"sku": "A1"})
    httpd.post("/echo.php?id=plusjson", '{"sku":"A1"}', {"Content-Type": "application/vnd.shop+json"})
    headers, body = multipart([("a", "1"), ("sku", "A1")], [("file", os.urandom(20000))])
    answer = httpd.post("/echo.php?id=multipart", body, headers)
    assert answer.json()[5] == {"a": "1", "sku": "A1"} and answer.json()[6]["file"][1] == 20000
    httpd.request("PUT", "/echo.php?id=put", {"Content-Type": "application/json"}, '{"sku":"A1"}')
    httpd.post("/static.html?id=ignored", sku, FORM)
    # more than httpd prefetches of a chunked body, php-fpm never gets to see
    raw(httpd, head("/echo.php?id=chunked", TYPE, "Transfer-Encoding: chunked", "Connection: close"),
        chunked(sku[:5000], 1000))
    httpd.post("/echo.php?id=text", sku, {"Content-Type": "text/plain"})
    found = said(api, {"length", "charset", "json", "plusjson", "multipart", "put", "ignored",
                       "chunked", "text"})
    assert found.pop("text") == ""
    assert set(found.values()) == {"A1"}, found


def test_pipelined_requests_keep_their_bodies_apart(shop, api):
    httpd = shop()
    requests = b""
    for i in range(5):
        body = b"sku=P%d" % i
        requests += head(f"/echo.php?id=p{i}", TYPE, f"Content-Length: {len(body)}",
                         "Connection: " + ("close" if i == 4 else "keep-alive")) + body
    assert raw(httpd, requests).count(b"HTTP/1.1 200") == 5
    assert said(api, {f"p{i}" for i in range(5)}) == {f"p{i}": f"P{i}" for i in range(5)}


def test_expect_100_continue_is_answered_as_before(shop, api):
    httpd = shop()
    with socket.create_connection(("127.0.0.1", httpd.port), 10) as s:
        s.sendall(head("/echo.php?id=expect", TYPE, "Content-Length: 6", "Expect: 100-continue",
                       "Connection: close"))
        assert s.recv(1000).startswith(b"HTTP/1.1 100")
        s.sendall(b"sku=A1")
        answer = b""
        while chunk := s.recv(65536):
            answer += chunk
        assert b"HTTP/1.1 200" in answer
    assert said(api, {"expect"}) == {"expect": "A1"}


def test_a_body_that_is_cut_short_has_no_values(shop, api):
    httpd = shop()
    httpd.expect(r"AH0107[015]", r"Connection reset", r"AH0\d+.*(read|body|input)",
                 r"proxy_fcgi:error", r"php")
    raw(httpd, head("/echo.php?id=cut", TYPE, "Content-Length: 100", "Connection: close"),
        b"sku=A1&rest=")
    raw(httpd, head("/echo.php?id=cutchunk", TYPE, "Transfer-Encoding: chunked", "Connection: close"),
        b"6\r\nsku=A1\r\n20\r\nabc")
    httpd.post("/echo.php?id=after", "sku=B", FORM)
    found = said(api, {"after"})
    assert found.pop("after") == "B"
    assert set(found.values()) <= {""}, found


def test_bodies_beyond_the_limit_pass_and_have_no_values(shop, api):
    httpd = shop(CONF + "PinterestCapiBodyLimit 1000\n"
                 '<Location "/echo.php/wide">\nPinterestCapiBodyLimit 3000\n'
                 "PinterestCapiEvent none\n"
                 'PinterestCapiEvent lead event_id=%{query:id} "search_string=[%{form:sku}]"\n'
                 "</Location>\n")

    def of(length):
        return b"sku=A1&r=" + b"x" * (length - 9)
    for place, length in (("/echo.php", 1000), ("/echo.php", 1001), ("/echo.php/wide", 3000),
                          ("/echo.php/wide", 3001)):
        body = of(length)
        answer = httpd.post(f"{place}?id=l{length}", body, FORM)
        assert answer.json()[3:5] == [length, body_of(body)]
        for size in (7, 4000):
            raw(httpd, head(f"{place}?id=c{length}-{size}", TYPE, "Connection: close",
                            "Transfer-Encoding: chunked"), chunked(body, size))
    found = said(api, {f"{kind}{n}{tail}" for n in (1000, 1001, 3000, 3001)
                       for kind, tail in (("l", ""), ("c", "-7"), ("c", "-4000"))})
    assert {k for k, v in found.items() if v} == {
        f"{kind}{n}{tail}" for n in (1000, 3000) for kind, tail in (("l", ""), ("c", "-7"),
                                                                    ("c", "-4000"))}


def test_a_big_upload_is_never_copied(shop, api):
    httpd = shop()
    content = os.urandom(1_500_000)
    headers, body = multipart([("sku", "A1")], [("file", content)])
    answer = httpd.post("/echo.php?id=big", body, headers).json()
    assert answer[6]["file"] == ["a.bin", len(content), body_of(content)]
    assert said(api, {"big"}) == {"big": ""}


def test_compressed_bodies_are_read_where_httpd_inflates_them(shop, api):
    httpd = shop(CONF + '<Location "/echo.php/inflate">\nSetInputFilter DEFLATE\n</Location>',
                 extra_modules=["deflate"])
    packed = gzip.compress(b"sku=A1&rest=" + b"x" * 5000)
    headers = {**FORM, "Content-Encoding": "gzip"}
    plain = httpd.post("/echo.php?id=packed", packed, headers).json()
    assert plain[3:5] == [len(packed), body_of(packed)]
    httpd.post("/echo.php/inflate?id=inflated", packed, headers)
    grown = gzip.compress(b"sku=A1&rest=" + os.urandom(50000).hex().encode())
    assert len(grown) < 65536  # and more than that where it is inflated
    httpd.post("/echo.php/inflate?id=grown", grown, headers)
    found = said(api, {"packed", "inflated", "grown"})
    assert found == {"packed": "", "inflated": "A1", "grown": ""}


HTACCESS = "RewriteEngine On\nRewriteRule ^item/ /echo.php [QSA,L]\n"


def test_a_permalink_keeps_its_body_through_the_redirect(shop, api):
    httpd = shop(CONF.replace("/echo.php", "/item/"))
    httpd.write(".htaccess", HTACCESS)
    assert httpd.post("/item/7?id=moved", "sku=A1", FORM).json()[5] == {"sku": "A1"}
    httpd.post("/item/7?id=movedjson", {"sku": "A1"})
    assert said(api, {"moved", "movedjson"}) == {"moved": "A1", "movedjson": "A1"}


def test_answers_are_read_before_they_are_compressed(shop, api):
    httpd = shop(NOW + """
SetOutputFilter DEFLATE
PinterestCapiBodyLimit 2000
PinterestCapiEvent lead event_id=%{query:id} "search_string=[%{answer_json:/order_id}]"
""", extra_modules=["deflate"])
    httpd.write("answer.php", """<?php
header('Content-Type: text/html');
if (isset($_GET['zip'])) { header('Content-Encoding: gzip'); echo gzencode('{"order_id":1}'); exit; }
echo $_GET['before'] ?? '', '{"order_id":', $_GET['n'], ',"x":"', str_repeat('x', (int)$_GET['more']);
flush();
echo '"}';
""")
    for name, query in (("small", "n=41&more=10"), ("edge", "n=42&more=1970"), ("over", "n=43&more=3000"),
                        ("page", "n=44&more=1&before=<p>"), ("bom", "n=45&more=1&before=%EF%BB%BF"),
                        ("zip", "zip=1")):
        answer = httpd.get(f"/answer.php?id={name}&{query}", {"Accept-Encoding": "gzip"})
        text = gzip.decompress(answer.body) if answer.header("Content-Encoding") else answer.body
        assert b'"order_id"' in text
    found = said(api, {"small", "edge", "over", "page", "bom", "zip"})
    assert found == {"small": "41", "edge": "42", "over": "", "page": "", "bom": "45", "zip": ""}


SLOW = """<?php
while (ob_get_level()) { ob_end_clean(); }
header('Content-Type: application/json');
header('X-Accel-Buffering: no');
echo '{"order_id":41,';
flush();
$in = fopen('php://input', 'r');
usleep(1500000);
echo '"x":1}';
"""


def test_what_php_flushes_goes_out_at_once(make_httpd, api):
    """A copy that waited for the end would hold the first half back for a second and a half."""
    httpd = make_httpd(api=api, mpm="prefork", php="mod", conf=NOW + """
PinterestCapiEvent lead event_id=slow "search_string=[%{answer_json:/order_id}]" """)
    httpd.write("slow.php", SLOW)
    connection = http.client.HTTPConnection("127.0.0.1", httpd.port, timeout=10)
    connection.request("GET", "/slow.php", headers={"User-Agent": BROWSER, "X-Forwarded-For": SHOPPER})
    response = connection.getresponse()
    begun = time.monotonic()
    assert response.read1(15) == b'{"order_id":41,'
    assert response.read() == b'"x":1}'
    assert time.monotonic() - begun > 1, "the first half came only with the second"
    connection.close()
    assert said(api, {"slow"}) == {"slow": "41"}


def test_a_slow_body_reaches_the_program_as_it_comes(make_httpd, api):
    """mod_php reads a PUT while the visitor still sends: its first read returns before the rest is."""
    httpd = make_httpd(api=api, mpm="prefork", php="mod", conf=CONF)
    httpd.write("echo.php", """<?php
ini_set('output_buffering', '0');
$in = fopen('php://input', 'r');
$first = fread($in, 8192);
$at = microtime(true);
$rest = stream_get_contents($in);
echo json_encode([strlen($first), microtime(true) - $at, strlen($first . $rest)]);
""")
    answer = raw(httpd, head("/echo.php?id=slow", "Content-Type: application/json",
                             "Content-Length: 20012", "Connection: close", method="PUT"),
                 b'{"sku":"A1","r":"' + b"x" * 8983, b"x" * 11010 + b'"}', pause=0.8)
    first, waited, total = json.loads(answer.rpartition(b"\r\n\r\n")[2])
    assert (first, total) == (8192, 20012) and waited > 0.4
    assert said(api, {"slow"}) == {"slow": "A1"}


def views_of(httpd):
    """What PHP sees of requests of all kinds, and what the visitor gets."""
    headers, upload = multipart([("sku", "A1"), ("items[0][sku]", "B")], [("f", b"\0\1" * 5000)])
    requests = [(FORM, b"a=1&b=2"), (FORM, b"&&&=%%%" * 50), ({"Content-Type": "application/json"},
                                                             b'{"sku":"A1"}'),
                ({"Content-Type": "application/json"}, b"\xff\xfe{"), (headers, upload),
                (headers, upload[:-9]), ({}, b"x" * 100000), (FORM, b"")]
    answers = []
    for more, body in requests:
        got = httpd.post("/echo.php?id=x", body, more)
        answers.append((got.status, got.body, sorted((k, v) for k, v in got.headers if k != "Date")))
    for size in (1, 100, 9000):
        got = raw(httpd, head("/echo.php?id=x", TYPE, "Transfer-Encoding: chunked",
                              "Connection: close"), chunked(b"sku=A1&" * 100, size))
        answers.append(got.partition(b"\r\n\r\n")[2])
    return answers


def test_php_sees_the_same_bytes_with_and_without_us(make_httpd, api, php):
    on = make_httpd(api=api, conf=CONF, **php)
    off = make_httpd(module=False, **php)
    for httpd in (on, off):
        httpd.write("echo.php", ECHO)
    assert views_of(on) == views_of(off)


def h2_request(httpd, requests):
    """Status of each (path, headers, body), all of them streams of one connection, their data frames
    in turns."""
    import h2.config
    import h2.connection
    import h2.events
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    connection.initiate_connection()
    left, statuses = {}, {}
    for path, headers, body in requests:
        stream = connection.get_next_available_stream_id()
        connection.send_headers(stream, [
            (":method", "POST"), (":path", path), (":scheme", "http"), (":authority", "localhost"),
            ("user-agent", BROWSER), ("x-forwarded-for", SHOPPER)] + headers)
        left[stream] = body
    order = list(left)
    with socket.create_connection(("127.0.0.1", httpd.port), 20) as s:
        while len(statuses) < len(order):
            for stream in [x for x in order if left.get(x) is not None]:
                piece, rest = left[stream][:1000], left[stream][1000:]
                if connection.local_flow_control_window(stream) >= len(piece):
                    connection.send_data(stream, piece, end_stream=not rest)
                    left[stream] = rest or None
            s.sendall(connection.data_to_send())
            if any(v is not None for v in left.values()) and \
                    connection.outbound_flow_control_window > 1000:
                continue
            for event in connection.receive_data(s.recv(65536)):
                if isinstance(event, h2.events.ResponseReceived):
                    found = {k.decode() if isinstance(k, bytes) else k: v for k, v in event.headers}
                    statuses[event.stream_id] = int(found[":status"])
                elif isinstance(event, h2.events.StreamReset):
                    statuses.setdefault(event.stream_id, 0)
                    left[event.stream_id] = None
            s.sendall(connection.data_to_send())
    return [statuses[x] for x in order]


def test_http2_streams_keep_their_bodies_apart(make_httpd, api):
    pytest.importorskip("h2")
    httpd = make_httpd(api=api, mpm="event", php="fpm", extra_modules=["http2"],
                       conf="Protocols h2c http/1.1\n" + CONF)
    httpd.write("echo.php", ECHO)
    httpd.write("static.html", "<p>Nobody reads a body here")
    form = [("content-type", FORM["Content-Type"])]
    requests = []
    for i in range(6):
        body = f"sku=H{i}&rest=".encode() + b"x" * (9000 + i)
        requests.append((f"/echo.php?id=h{i}", form + [("content-length", str(len(body)))], body))
    requests.append(("/echo.php?id=json", [("content-type", "application/json")], b'{"sku":"J1"}'))
    requests.append(("/static.html?id=unread", form, b"sku=A1"))
    assert h2_request(httpd, requests) == [200] * 8
    found = said(api, {f"h{i}" for i in range(6)} | {"json", "unread"})
    assert found.pop("unread") in ("", "A1")  # nobody reads it, and httpd does not drain it
    assert found == {**{f"h{i}": f"H{i}" for i in range(6)}, "json": "J1"}


def test_a_proxied_program_gets_the_same_request(make_httpd, api):
    """mod_proxy_http frames a body by what stands before it: a filter of ours must not count."""
    backend = make_httpd(module=False, mpm="event", php="fpm")
    backend.write("echo.php", ECHO)
    proxy = (f"<Location /echo.php>\nProxyPass http://127.0.0.1:{backend.port}/echo.php\n</Location>")
    on = make_httpd(api=api, extra_modules=["proxy", "proxy_http"], conf=CONF + proxy)
    off = make_httpd(module=False, extra_modules=["proxy", "proxy_http"], conf=proxy)
    seen = []
    for httpd in (on, off):
        answers = [httpd.post("/echo.php?id=p1", b"sku=A1&r=" + b"x" * 50000, FORM).body]
        answers.append(raw(httpd, head("/echo.php?id=p2", TYPE, "Transfer-Encoding: chunked"),
                           chunked(b"sku=A1&" * 100, 50)).partition(b"\r\n\r\n")[2])
        seen.append(answers)
    assert seen[0] == seen[1]
    assert said(api, {"p1", "p2"}) == {"p1": "A1", "p2": "A1"}
