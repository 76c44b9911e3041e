"""Module and sender under valgrind, over a journey that passes through every room of both."""

import contextlib
import os
import signal
import subprocess
import time

import pytest

import server as harness
from server import ACCOUNT, EPIK, IS_SANITIZED, wait_for

MEMCHECK = ["/usr/bin/valgrind", "-q", "--vgdb=no", "--fair-sched=yes", "--leak-check=full",
            "--errors-for-leak-kinds=definite", "--show-leak-kinds=definite",
            f"--suppressions={harness.TOP}/tests/httpd/valgrind.supp"]
SLOW = 60  # seconds: a start is a fifth of one, but not under valgrind beside other tests
CONF = r"""
PinterestCapiMergeWindow 0
PinterestCapiConsentSignal auto
PinterestCapiVisitCookie shop_visit
PinterestCapiEvent page_visit
PinterestCapiEvent add_to_cart event_id=%{form:id} "content_ids=%{form:sku}" "when='%{answer_json:/ok}' == 'true'"
PinterestCapiEvent add_to_wishlist event_id=%{json:/id} "content_ids=%{json:/items/*/sku}"
PinterestCapiMatch em %{form:email}
PinterestCapiBind order:%{form:order}
<Location "/collect">
  SetHandler pinterest-capi-collect
</Location>
<Location "/context">
  SetHandler pinterest-capi-context
</Location>
<Location "/client.js">
  SetHandler pinterest-capi-client
</Location>
<Location "/v5/ad_accounts">
  SetHandler pinterest-capi-events
</Location>
<Location "/server-status">
  SetHandler server-status
</Location>
<Location "/said.html">
  Header set Pinterest-Capi-Event "{\"event_name\":\"lead\",\"event_id\":\"said\"}"
  Header set Pinterest-Capi-Match "{\"email\":\"a@shop.example\"}"
  Header set Pinterest-Capi-Bind "order:1"
</Location>
"""
MULTIPART = ('--b\r\nContent-Disposition: form-data; name="id"\r\n\r\nm\r\n--b\r\nContent-Disposition: '
             'form-data; name="email"\r\n\r\na@shop.example\r\n--b--\r\n')


def event(event_id, **more):
    return {"event_name": "lead", "event_id": event_id, "user_data": {"email": "a@shop.example",
            "phone": "+49 170 1234567", "birthdate": "1990-01-02", "city": "Köln"}, **more}


def walk(httpd):
    """The visitor's requests; all are answered."""
    form = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": "PHPSESSID=s"}
    denied = {"Cookie": f"pin_consent=v1.d.{int(time.time())}.x; PHPSESSID=t"}
    return [httpd.get(f"/?epik={EPIK}", {"Cookie": "PHPSESSID=s; _ga=x"}), httpd.get("/said.html"),
            httpd.get("/", denied), httpd.get("/client.js"), httpd.get("/nowhere"),
            httpd.post("/ok.cgi", "id=f&sku=A&email=a%40shop.example&order=1", form),
            httpd.post("/ok.cgi", '{"id":"j","items":[{"sku":"B"}]}', {"Content-Type": "application/json"}),
            httpd.post("/ok.cgi", MULTIPART, {"Content-Type": "multipart/form-data; boundary=b"}),
            httpd.post("/context", {"epik": EPIK, "bind": "cart:1"}, {**denied, "Content-Type":
                                                                      "application/json"}),
            httpd.post("/collect", {"data": [event("c"), {"event_name": "pagevist"}]}),
            httpd.post("/collect", "no JSON"), httpd.get("/server-status", address=None)]


@pytest.mark.skipif(IS_SANITIZED, reason="sanitizers and valgrind do not go together")
def test_a_journey_under_valgrind_finds_nothing(api, make_httpd):
    httpd = make_httpd(api=api, start=False, conf=CONF, mpm="prefork", extra_modules=["cgi"])
    httpd.expect(r"PCAPI058")  # valgrind knows no pidfd
    reports = httpd.root / "valgrind"
    reports.mkdir()
    reports.chmod(0o777)
    sender = httpd.root / "pinterest-capi-sender"
    os.mkfifo(httpd.root / "silence")
    os.chmod(httpd.root / "silence", 0o666)
    # valgrind's own report would take the place of the parent's pidfd
    sender.write_text(f"#!/bin/sh\nexec 6<>{httpd.root}/silence\nexec {' '.join(MEMCHECK)} "
                      f"--log-file={reports}/sender {harness.BUILD}/pinterest-capi-sender\n")
    sender.chmod(0o755)
    (httpd.root / "cmp").symlink_to(harness.TOP / "conf" / "cmp")
    httpd.write("said.html", "said")
    httpd.write("ok.cgi", "#!/bin/sh\ncat >/dev/null\nprintf 'Content-Type: application/json\\n\\n{\"ok\":true}'\n").chmod(0o755)
    httpd.conf += f"PinterestCapiSender {sender}\n<Directory {httpd.docs}>\nOptions +ExecCGI\n" \
                  "AddHandler cgi-script .cgi\n</Directory>\n"
    httpd.configure()
    process = subprocess.Popen([*MEMCHECK, f"--log-file={reports}/httpd.%p", harness.HTTPD, "-X",
                                "-d", str(httpd.root), "-f", str(httpd.conf_file)])
    try:
        wait_for(lambda: process.poll() is not None or httpd.is_listening(), "httpd to listen", SLOW)
        statuses = [answer.status for answer in walk(httpd)]
        path = f"/v5/ad_accounts/{ACCOUNT}/events"
        wait_for(lambda: httpd.post(path, {"data": [event("b")]}).status == 200, "the sender", SLOW)
        api.wait(8, SLOW)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        process.wait(SLOW)
    wait_for(lambda: not httpd.senders(), "the sender to end", SLOW)
    assert statuses.count(200) >= 9, statuses
    found = "".join(path.read_text() for path in reports.iterdir())
    assert not [line for line in found.splitlines() if "==" in line and "unlink" not in line], found
