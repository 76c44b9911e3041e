"""The demo shop behind a real consent manager: what a visitor answers decides what leaves."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import urllib.request

import pytest

pytest.importorskip("selenium")
from server import EPIK, MODULES, TOP, free_port, wait_for  # noqa: E402
from shop import order  # noqa: E402
from test_consent_managers import CookieConsent, Klaro, unpack  # noqa: E402

CONF = """
LoadModule substitute_module {modules}/mod_substitute.so
LoadModule filter_module {modules}/mod_filter.so
Alias /cmp/ {files}/
<Directory {files}>
  Require all granted
</Directory>
PinterestCapiConsentSignal auto
PinterestCapiConsentDefault denied
<Location /client.js>
  SetHandler pinterest-capi-client
</Location>
AddOutputFilterByType SUBSTITUTE text/html
Substitute "s|</head>|<link rel=stylesheet href=/cmp/manager.css><script src=/client.js></script><script src=/cmp/manager.js></script><script src=/cmp/run.js defer></script></head>|in"
"""


class Demo:
    """The demo as a user starts it, with a consent manager on every page."""

    def __init__(self, manager):
        package = unpack(manager.package)
        self.state = pathlib.Path(f"/tmp/pinterest-capi-consent-{os.getpid()}")
        self.port = free_port()
        self.environment = {**os.environ, "DEMO_PORT": str(self.port), "DEMO_STATE": str(self.state),
                            "DEMO_API_PORT": str(free_port())}
        self.run("start")
        self.base = f"http://localhost:{self.port}"
        files = self.state / "cmp"
        files.mkdir(mode=0o755)
        (files / "manager.js").write_bytes((package / manager.script).read_bytes())
        (files / "manager.css").write_bytes((package / manager.style).read_bytes())
        (files / "run.js").write_text(manager.page.replace("WIRING", manager.wiring))
        shutil.copytree(TOP / "conf" / "cmp", self.state / "bin" / "cmp", dirs_exist_ok=True)
        with open(self.state / "httpd.conf", "a", encoding="utf-8") as conf:
            conf.write(CONF.format(modules=MODULES, files=files))
        os.kill(int((self.state / "run" / "httpd.pid").read_text()), signal.SIGUSR1)
        wait_for(self.has_manager, "the manager on the demo's pages")

    def run(self, what):
        done = subprocess.run(["/usr/bin/python3", str(TOP / "demo" / "run.py"), what], text=True,
                              env=self.environment, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=240)
        assert done.returncode == 0, done.stdout

    def has_manager(self):
        with contextlib.suppress(OSError), urllib.request.urlopen(self.base) as page:
            return b"/cmp/manager.js" in page.read()

    def close(self):
        self.run("stop")
        shutil.rmtree(self.state, ignore_errors=True)

    def deliveries(self, event_id):
        url = f"{self.base}/pinterest-capi/deliveries.json?q={event_id}"
        with urllib.request.urlopen(url) as answer:
            return json.load(answer)["deliveries"]


@pytest.fixture(params=[CookieConsent, Klaro], ids=lambda c: c.__name__)
def demo(request):
    made = Demo(request.param)
    made.manager = request.param()
    yield made
    made.close()


class Visitor:
    """What the manager's helpers expect of a shop: a browser and its scripts."""

    def __init__(self, browser):
        self.visitor = browser

    def js(self, text):
        return self.visitor.execute_script(text)


def settled(demo, event_id):
    def look():
        rows = [d for d in demo.deliveries(event_id)
                if d["state"] in ("delivered", "suppressed", "rejected")]
        return rows[0] if rows else None
    return wait_for(look, f"{event_id} to be settled", 60)


def test_accepting_refusing_and_withdrawing_decide_what_leaves(demo, browser):
    manager, visitor = demo.manager, Visitor(browser)
    browser.get("about:blank")
    browser.execute_cdp_cmd("Network.clearBrowserCookies", {})

    browser.get(f"{demo.base}/?epik={EPIK}")
    assert not [c for c in browser.get_cookies() if c["name"] == "_epik"]
    manager.refuse(visitor)
    refused = settled(demo, order(browser))
    assert (refused["state"], refused["consent"]["state"]) == ("suppressed", "denied")

    browser.execute_cdp_cmd("Network.clearBrowserCookies", {})
    browser.get(f"{demo.base}/?epik={EPIK}")
    manager.accept(visitor)
    wait_for(lambda: [c for c in browser.get_cookies() if c["name"] == "_epik"],
             "the click id's cookie")
    granted = settled(demo, order(browser))
    assert (granted["state"], granted["consent"]["state"]) == ("delivered", "granted")
    assert {"click_id", "em", "client_ip_address"} <= set(granted["match_keys"])

    browser.get(demo.base)
    manager.withdraw(visitor)
    withdrawn = settled(demo, order(browser))
    assert (withdrawn["state"], withdrawn["consent"]["state"]) == ("suppressed", "denied")
    with contextlib.closing(sqlite3.connect(demo.state / "store" / "store.db")) as store:
        assert store.execute("SELECT count(*) FROM outbox").fetchone() == (0,)
