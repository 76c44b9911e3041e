"""What attackers try, and what stops them; docs/security.md says which test is for which threat."""

import contextlib
import json
import os
import pathlib
import re
import secrets
import shutil
import socket
import subprocess
import tempfile
import time

import pytest

import server as harness
from standin import StandIn
from server import ACCOUNT, EPIK, HAS_PHP_MODULE, IS_SANITIZED, TOKEN, Browser, wait_for

PATH = f"/v5/ad_accounts/{ACCOUNT}/events"
JSON = {"Content-Type": "application/json"}
EM = ["836f82db99121b3481011f16b49dfa5fbc714a0d1b1b9f784a1ebbbf5b39577f"]
CONF = """
PinterestCapiMergeWindow 0
PinterestCapiFlush 1000 1
<Location "/collect">
  SetHandler pinterest-capi-collect
</Location>
<Location "/context">
  SetHandler pinterest-capi-context
</Location>
<Location "/v5/ad_accounts">
  SetHandler pinterest-capi-events
</Location>
<Location "/server-status">
  SetHandler server-status
</Location>
"""


def event(event_id, name="lead", **more):
    return {"event_name": name, "action_source": "web", "event_id": event_id,
            "user_data": {"em": EM}, **more}


def peak_memory(pids):
    """The most that any of these processes ever held of its own, in bytes."""
    return max(int(re.search(r"VmHWM:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text())[1])
               for pid in pids) << 10


def run_as_worker(code, *arguments):
    """What a Python program says that runs as httpd's workers, PHP and CGI do."""
    done = subprocess.run(["/usr/bin/python3", "-I", "-c", code, *map(str, arguments)], cwd="/",
                          user=harness.Httpd.USER, group=harness.Httpd.USER, extra_groups=[],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
    assert done.returncode == 0, done.stdout
    return done.stdout


# --- the token ---

# Reads all that this user can: its own descriptors and environment, every process, every file below
# the server's root. The needle comes reversed, or the search would find its own arguments.
ROBBER = """#!/usr/bin/python3 -I
import os, pathlib, sys
root, needle = pathlib.Path("{root}"), "{reversed}"[::-1].encode()
def look(place, read):
    try:
        if needle in read():
            print("FOUND", place)
    except OSError:
        pass
def memory(process):
    with open(process / "maps") as maps, open(process / "mem", "rb", 0) as mem:
        spans = [line.split()[0].split("-") for line in maps if " rw" in line]
        for low, high in ((int(a, 16), int(b, 16)) for a, b in spans):
            mem.seek(low)
            yield mem.read(min(high - low, 64 << 20))
print("Content-Type: text/plain\\n")
for number in range(3, 64):
    look(f"descriptor {{number}}", lambda: os.pread(number, 1 << 20, 0))
for process in pathlib.Path("/proc").iterdir():
    if process.name.isdigit() and int(process.name) != os.getpid():
        for name in ("environ", "cmdline"):
            look(process / name, lambda: (process / name).read_bytes())
        look(process / "mem", lambda: b"".join(memory(process)))
        for number in range(64):
            held = process / "fd" / str(number)
            look(held, lambda: held.read_bytes() if held.is_file() else b"")
for folder, _, names in os.walk(root):
    for name in names:
        path = pathlib.Path(folder, name)
        if path.is_file():
            look(path, path.read_bytes)
print("DONE")
"""


def plant_robber(httpd, token):
    script = httpd.root / "cgi" / "robber"
    script.write_text(ROBBER.format(root=httpd.root, reversed=token[::-1]))
    script.chmod(0o755)
    return script


@pytest.fixture
def token():
    """One that is in no other test's memory."""
    return "pina_" + secrets.token_hex(24)


@pytest.fixture
def api(token):
    with StandIn(tokens=[token, TOKEN]) as running:
        yield running


@pytest.mark.parametrize("thief", ["cgi", "php", "own user"])
@pytest.mark.skipif(IS_SANITIZED, reason="the shadow of a sanitizer is terabytes")
def test_the_token_is_out_of_reach_of_workers_php_and_cgi(api, make_httpd, token, thief):
    if thief == "php" and not HAS_PHP_MODULE:
        pytest.skip("libapache2-mod-php is not installed")
    httpd = make_httpd(api=api, mpm="prefork", php="mod" if thief == "php" else None,
                       extra_modules=["cgi"], start=False, conf=CONF)
    httpd.conf += f"ScriptAlias /cgi {httpd.root}/cgi/robber\n<Directory {httpd.root}/cgi>\n" \
                  "Require all granted\n</Directory>\n"
    httpd.token_file.write_text(token)
    script = plant_robber(httpd, token)
    httpd.write("steal.php", f"<?php echo shell_exec('{script}'), getenv('X'), "
                             "print_r($_SERVER, true), print_r(getenv(), true);")
    httpd.start()
    assert httpd.post(PATH, {"data": [event("one")]}).status == 200
    api.wait(1)
    steal = {"cgi": lambda: httpd.get("/cgi").text, "php": lambda: httpd.get("/steal.php").text,
             "own user": lambda: run_as_worker(script.read_text())}[thief]
    loot = steal()
    assert "DONE" in loot and "FOUND" not in loot and token not in loot
    for page in ("/server-status", "/server-status?auto", "/nowhere"):
        assert token not in httpd.get(page, address=None).text
    assert token not in httpd.log_text()
    bait = httpd.write("bait", token)
    assert f"FOUND {bait}" in steal()


def test_with_a_user_of_its_own_the_sender_shares_no_file_with_workers(api, make_httpd, mpm):
    httpd = make_httpd(api=api, mpm=mpm, conf=CONF + "PinterestCapiUser nobody nogroup\n")
    assert httpd.post(PATH, {"data": [event("one")]}).status == 200
    files = [httpd.state, *httpd.run.glob("queue.*"), *httpd.state.iterdir(), httpd.token_file]
    assert len(files) >= 5
    opened = run_as_worker("import os, sys\nfor path in sys.argv[1:]:\n  for how in (os.O_RDONLY, "
                           "os.O_WRONLY):\n    try: os.open(path, how); print(path)\n"
                           "    except OSError: pass", *files)
    assert opened == ""
    assert httpd.post("/collect", event("two")).status == 200
    wait_for(lambda: len(httpd.sql("SELECT 1 FROM events")) == 2, "the worker's event")


def test_no_worker_can_cut_the_queue(api, make_httpd, mpm):
    """A file that was cut kills with SIGBUS whoever looks at its mapping: httpd's parent, too."""
    httpd = make_httpd(api=api, mpm=mpm, conf=CONF)
    wait_for(httpd.senders, "the sender")

    def modes(pid):
        """How the queue is open there; nothing where the process has ended."""
        found = set()
        with contextlib.suppress(FileNotFoundError):
            for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
                if "/queue." in os.readlink(fd):
                    flags = (fd.parents[1] / "fdinfo" / fd.name).read_text()
                    found.add(int(re.search(r"flags:\s+(\d+)", flags)[1], 8) & os.O_ACCMODE)
        return found
    wait_for(lambda: set().union(*map(modes, httpd.workers())) == {os.O_RDONLY},
             "workers, also those just forked, to hold the queue for reading only")
    assert modes(httpd.pid) == {os.O_RDONLY, os.O_RDWR}


SUEXEC = pathlib.Path("/usr/lib/apache2/suexec")


@pytest.fixture
def suexec_folder():
    """suexec runs nothing outside /var/www, and nothing where its log cannot be."""
    if not SUEXEC.exists():
        pytest.skip("apache2-suexec-pristine is not installed")
    needed = [pathlib.Path("/var/www"), pathlib.Path("/var/log/apache2")]
    ours = [folder for folder in needed if not folder.exists()]
    for folder in ours:
        folder.mkdir()
    folder = pathlib.Path(tempfile.mkdtemp(dir=needed[0], prefix="pinterest-capi-"))
    folder.chmod(0o755)
    shutil.chown(folder, "nobody", "nogroup")
    yield folder
    for made in [folder, *ours]:
        shutil.rmtree(made)


def test_the_page_runs_as_the_senders_user_through_suexec(api, make_httpd, suexec_folder):
    """The wrapper of docs/security.md: suexec passes none of the module's variables."""
    wrapper = suexec_folder / "pinterest-capi.cgi"
    httpd = make_httpd(api=api, start=False, mpm="prefork", extra_modules=["cgi", "suexec"], conf=CONF + f"""
PinterestCapiUser nobody nogroup
SuexecUserGroup nobody nogroup
ScriptAlias /pinterest-capi {wrapper}
<Directory {suexec_folder}>
Require all granted
</Directory>
""")
    httpd.expect(r"AH01232")
    wrapper.write_text(f"""#!/bin/sh
export PINTEREST_CAPI_STORE="sqlite3 {httpd.state}/store.db" PINTEREST_CAPI_ADMIN=On
exec {harness.BUILD}/pinterest-capi.cgi
""")
    wrapper.chmod(0o755)
    shutil.chown(wrapper, "nobody", "nogroup")
    httpd.start()
    assert httpd.post(PATH, {"data": [event("one")]}).status == 200
    answer = httpd.get("/pinterest-capi/deliveries.json")
    assert answer.status == 200, answer.text
    assert [delivery["event_id"] for delivery in answer.json()["deliveries"]] == ["one"]


# --- a visitor's request: how much ---

@pytest.mark.parametrize("path", ["/collect", "/context", PATH])
def test_a_body_that_would_fill_memory_is_refused_unread(api, make_httpd, path):
    httpd = make_httpd(api=api, conf=CONF)
    httpd.get("/")
    before = peak_memory(httpd.workers())
    for filling in ("{},", "[],", '"",', "0,"):
        body = '{"event_name":"lead","custom_data":{"x":[' + filling * (2000000 // len(filling)) + "0]}}"
        answer = httpd.post(path, body, JSON)
        assert answer.status == 413, answer.text
    assert peak_memory(httpd.workers()) - before < 32 << 20


def test_who_is_over_the_limit_is_told_before_the_body_is_read(api, make_httpd):
    httpd = make_httpd(api=api, conf=CONF + "PinterestCapiCollectLimit 1\n")
    assert httpd.post("/collect", event("one")).status == 200
    assert httpd.post("/collect", "no JSON at all", JSON).status == 429


def test_json_answers_are_never_taken_for_pages(api, make_httpd):
    httpd = make_httpd(api=api, conf=CONF)
    evil = {"event_name": "<script>alert(1)</script>", "event_id": "e"}
    for answer in (httpd.post("/collect", evil), httpd.get("/context"), httpd.post(PATH, {"data": [evil]})):
        assert answer.header("Content-Type") == "application/json"
        assert answer.header("X-Content-Type-Options") == "nosniff"


# --- files ---

def test_a_link_in_the_place_of_the_state_directory_gives_nothing_away(api, make_httpd):
    """Who can write above the state directory aims it at a directory of root's."""
    httpd = make_httpd(api=api, start=False, conf=CONF)
    httpd.expect(r"PCAPI057", r"AH00016", r"AH00020")
    valuable = httpd.root / "bin"
    valuable.mkdir(mode=0o755)
    httpd.state.symlink_to(valuable)
    httpd.configure()
    httpd.httpd("-k", "start", check=False)
    httpd.wait_log(r"PCAPI057.*chown -R")
    wait_for(lambda: not httpd.is_listening(), "httpd to give up")
    assert valuable.stat().st_uid == 0 and list(valuable.iterdir()) == []


def test_a_link_of_roots_own_to_the_senders_directory_is_followed(api, make_httpd):
    httpd = make_httpd(api=api, start=False, conf=CONF)
    elsewhere = httpd.root / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    shutil.chown(elsewhere, httpd.USER)
    httpd.state.symlink_to(elsewhere)
    httpd.start()
    assert httpd.post(PATH, {"data": [event("one")]}).status == 200
    assert (elsewhere / "store.db").exists()


def test_installed_sender_can_be_run_but_not_read(tmp_path):
    """Then the kernel closes the process to its own user before its first instruction."""
    subprocess.run(["make", "-s", "-f", "Makefile.apxs", "install", f"DESTDIR={tmp_path}"],
                           cwd=harness.TOP, check=True)
    (program,) = tmp_path.rglob("pinterest-capi-sender")
    assert program.stat().st_mode & 0o777 == 0o711


def test_a_link_in_the_runtime_directory_is_not_taken_for_a_queue(api, make_httpd):
    httpd = make_httpd(api=api, start=False, conf=CONF)
    victim = httpd.root / "victim"
    victim.write_bytes(b"x" * (1 << 20))
    (httpd.run / "queue.1").symlink_to(victim)
    (httpd.run / "queue.2").symlink_to(httpd.root / "nowhere")
    httpd.start()
    assert httpd.post(PATH, {"data": [event("one")]}).status == 200
    assert victim.read_bytes() == b"x" * (1 << 20) and not (httpd.root / "nowhere").exists()
    queue = httpd.run / "queue.3"
    assert queue.stat().st_mode & 0o777 == 0o600 and queue.stat().st_uid == 0


def test_no_directive_of_ours_is_allowed_in_htaccess(api, make_httpd):
    """AllowOverride All is what the harness's document root has."""
    header = (harness.TOP / "src/module/module.h").read_text()
    names = re.findall(r'#define CAPI_DIR_\w+\s+"(\w+)"', header)
    assert len(names) >= 38
    httpd = make_httpd(api=api, conf=CONF)
    httpd.expect(r"not allowed here")
    httpd.write("a/index.html", "x")
    for name in names:
        httpd.write("a/.htaccess", f"{name} 1\n")
        assert httpd.get("/a/").status == 500, name
        httpd.wait_log(rf"{name} not allowed here")


# --- a visitor's request: what it says ---

def ask_the_page(httpd, path):
    done = subprocess.run([harness.BUILD / "pinterest-capi.cgi"], stdout=subprocess.PIPE, text=True, env={
        "PINTEREST_CAPI_STORE": f"sqlite3 {httpd.state}/store.db", "PINTEREST_CAPI_ADMIN": "On",
        "REQUEST_METHOD": "GET", "PATH_INFO": path, "SCRIPT_NAME": "/page"}, check=True)
    return done.stdout.partition("\n\n")[2]


SCRIPT = "\"><script>alert(1)</script>'); DROP TABLE events;--"


def test_hostile_words_stay_words_from_the_request_to_the_page(api, make_httpd):
    httpd = make_httpd(api=api, conf=CONF + "PinterestCapiEvent lead event_id=%{query:id} "
                                   "search_string=%{query:q}\n")
    forged = "x%0d%0aSet-Cookie:%20evil=1%0d%0a[core:error]%20forged"
    answers = [httpd.get(f"/?epik={forged}&q={forged}&id=rule"),
               httpd.get("/", {"Cookie": "_epik=a\"; evil=1", "Referer": f"http://localhost/?{forged}"}),
               httpd.post("/context", {"epik": "x\r\nSet-Cookie: evil=1", "bind": "cart:\r\n1"}, JSON),
               httpd.post("/collect", event("c", event_source_url="http://localhost/\r\nx")),
               httpd.post(PATH, {"data": [event(SCRIPT, order_id=SCRIPT, context=SCRIPT,
                                                custom_data={"search_string": SCRIPT})]})]
    assert not [value for answer in answers for value in answer.header_all("Set-Cookie") if "evil" in value]
    wait_for(lambda: len(httpd.sql("SELECT 1 FROM events")) >= 3, "the events")
    assert httpd.sql("SELECT 1 FROM events WHERE event_id = ?", SCRIPT)
    assert "forged" not in httpd.log_text()
    page, data, metrics = (ask_the_page(httpd, path) for path in ("/", "/deliveries.json", "/metrics"))
    assert "<script>alert" not in page and "&lt;script&gt;alert" in page
    assert SCRIPT in [delivery["event_id"] for delivery in json.loads(data)["deliveries"]]
    assert metrics.endswith("# EOF\n") and "alert(1)" not in metrics


@pytest.mark.parametrize("has_denied", [False, True])
def test_an_id_that_a_stranger_took_first_is_still_the_shops(api, make_httpd, has_denied):
    httpd = make_httpd(api=api, conf=CONF + "PinterestCapiConsentSignal auto\n")
    stranger = Browser(httpd, address="198.51.100.66")
    stranger.cookies = {"pin_consent": f"v1.{'d' if has_denied else 'g'}.{int(time.time())}.x"}
    for name in ("checkout_complete", "lead"):
        forged = event("checkout_10492", name, order_id="10492", custom_data={"value": 9999})
        assert stranger.post("/collect", forged, JSON).status == 200
    wait_for(lambda: len(httpd.sql("SELECT 1 FROM events")) == 2, "the stranger's words")
    shops = [event("checkout_10492", name, custom_data={"value": 49.9, "currency": "EUR"})
             for name in ("checkout", "lead")]
    assert httpd.post(PATH, {"data": shops}).status == 200

    def sent():
        return {e["event_name"] for e in api.processed() if e["custom_data"].get("value") == "49.90"}
    wait_for(lambda: sent() == {"checkout", "lead"}, "the shop's own words")


HOSTS = """
<VirtualHost *:{port}>
ServerName one.example
PinterestCapiEvent page_visit
</VirtualHost>
<VirtualHost *:{port}>
ServerName two.example
PinterestCapiAdAccount 222
PinterestCapiTokenFile {token} 222
</VirtualHost>
<VirtualHost *:{port}>
ServerName test.example
PinterestCapiTest On
</VirtualHost>
"""


def test_hosts_accounts_and_test_mode_never_meet(api, make_httpd):
    httpd = make_httpd(api=api, start=False, conf=CONF)
    httpd.conf += HOSTS.format(port=httpd.port, token=httpd.token_file)
    httpd.start()
    for host, account in (("one.example", ACCOUNT), ("two.example", "222"), ("test.example", ACCOUNT)):
        headers = {"Cookie": "PHPSESSID=onesession", "Host": host, **JSON}
        known = {"epik": EPIK} if host == "one.example" else {}
        assert httpd.post("/context", {"bind": "cart:7", **known}, headers).status == 200
        assert httpd.post("/collect", event("visit"), headers).status == 200
        assert httpd.post(f"/v5/ad_accounts/{account}/events",
                          {"data": [event("hook", context="cart:7")]}, headers).status == 200
    api.wait(2 * 3)
    clicks = {}
    for entry in api.events:
        clicks.setdefault((entry["account"], entry["test"]), []).append(
            (entry["event"]["event_id"], entry["event"]["user_data"].get("click_id")))
    for place, heard in clicks.items():
        own = EPIK if place == (ACCOUNT, False) else None
        assert sorted(heard) == [("hook", own), ("visit", own)]


def test_what_comes_slowly_is_ended_by_mod_reqtimeout_and_keeps_nobody(api, make_httpd):
    httpd = make_httpd(api=api, extra_modules=["reqtimeout"],
                       conf=CONF + "Timeout 60\nRequestReadTimeout header=2 body=1\n")
    slow = []
    for path in ("/collect", PATH) * 6:
        connection = socket.create_connection(("127.0.0.1", httpd.port), 20)
        connection.sendall(f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json"
                           "\r\nContent-Length: 9000\r\n\r\n{\"data\":[".encode())
        slow.append(connection)
    assert httpd.post(PATH, {"data": [event("one")]}).status == 200
    assert {connection.recv(12) for connection in slow} == {b"HTTP/1.1 408"}
    for connection in slow:
        connection.close()


def test_a_flood_of_cookies_and_headers_is_served_like_any_request(api, make_httpd, mpm):
    httpd = make_httpd(api=api, mpm=mpm, conf=CONF + "PinterestCapiConsentSignal auto\n"
                                                     "PinterestCapiEvent page_visit\n")
    httpd.get("/")
    before = peak_memory(httpd.workers())
    for line in (";" * 8000, "a=;" * 2600, "_epik=x;" * 1000, "pin_consent=v1.g;" * 450, "=" * 8000):
        assert httpd.get("/", {"Cookie": line}).status == 200
        # what httpd itself refuses: together they are longer than one header may be
        assert httpd.request("GET", "/", [("Cookie", line)] * 90).status == 400
    many = [(f"X-{n}", "y" * 8000) for n in range(90)]
    many.append(("Referer", "http://localhost/?" + "epik&" * 1500))
    assert httpd.request("GET", "/", many).status == 200
    assert peak_memory(httpd.workers()) - before < 64 << 20


def test_the_sample_lets_nobody_outside_in(make_httpd):
    sample = (harness.TOP / "conf" / "pinterest_capi.conf").read_text()
    httpd = make_httpd(start=False, settings=False, extra_modules=["cgid"])
    httpd.expect(r"AH01630")
    httpd.conf = sample.replace("/etc/apache2/pinterest.token", str(httpd.token_file)).replace(
        "/usr/lib/pinterest-capi/pinterest-capi.cgi", str(harness.BUILD / "pinterest-capi.cgi"))
    httpd.start()
    assert httpd.post(PATH, {"data": [event("one")]}).status == 403
    assert httpd.get("/pinterest-capi/").status == 403
    assert httpd.post(PATH, {"data": [event("one")]}, address=None).status == 200
    assert httpd.get("/pinterest-capi/", address=None).status == 200
