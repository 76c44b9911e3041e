"""A shop of static pages with the browser client, and what a test asks of it and of Chromium."""

import pathlib
import re
import shutil
import time

import pytest
from server import Httpd, wait_for

AGENT = ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
         "Chrome/130.0.0.0 Safari/537.36")
TAG = "2612345678901"
PAGE = f'data-tag="{TAG}" data-page'

CONF = """
PinterestCapiConsentSignal auto
PinterestCapiConsentDefault denied
PinterestCapiCollectAllow all
PinterestCapiCollectLimit 100000
PinterestCapiMergeWindow 0
PinterestCapiFlush 1 0
# A browser on this machine has an address that is never sent.
RequestHeader setifempty X-Forwarded-For 203.0.113.42 early
LogFormat "%m %U %>s" short
CustomLog access.log short
<Location "/pinterest-capi.js">
  SetHandler pinterest-capi-client
</Location>
<LocationMatch "/api/tracklayer/pinterest-capi$">
  SetHandler pinterest-capi-collect
</LocationMatch>
<LocationMatch "/api/cart/context$">
  SetHandler pinterest-capi-context
</LocationMatch>
<Location "/limited">
  PinterestCapiOnDenied limited
</Location>
# Pages that this server's module does not see, as from a CDN.
<Location "/elsewhere">
  PinterestCapi Off
</Location>
CacheRoot {root}/cache
CacheEnable disk /cached
CacheHeader on
<Location "/cached">
  Header set Cache-Control "public, max-age=600"
</Location>
<Location "/csp">
  Header set Content-Security-Policy "default-src 'none'; script-src 'nonce-r4nd0m'; connect-src 'self'"
</Location>
"""


def chromium(profile, agent=None):
    """A headless Chromium that leaves the machine alone; skips where there is none."""
    selenium = pytest.importorskip("selenium.webdriver")
    from selenium.webdriver.chrome.service import Service
    binary = shutil.which("chromium")
    if not binary or not pathlib.Path("/usr/bin/chromedriver").exists():
        pytest.skip("chromium and chromium-driver are not installed")
    options = selenium.ChromeOptions()
    options.binary_location = binary
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-sync",
             f"--user-data-dir={profile}/profile", "--window-size=1280,900"]
    for flag in flags + ([f"--user-agent={agent}"] if agent else []):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return selenium.Chrome(options=options, service=Service("/usr/bin/chromedriver"))


def find(driver, selector):
    """The element, once it is there: a click that leads to another page returns before that page."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait
    return WebDriverWait(driver, 30).until(
        lambda page: page.find_element(By.CSS_SELECTOR, selector), selector)


def order(driver):
    """From the demo shop's landing page to its thank-you page; the id that the purchase will have."""
    find(driver, "[data-test=product]").click()
    find(driver, "[data-test=add-to-cart]").click()
    find(driver, "[data-test=checkout]").click()
    for name, value in {"email": "Ada.Lovelace@Example.com", "phone": "+49 30 1234567",
                        "first_name": "Ada", "last_name": "Lovelace", "city": "Berlin",
                        "zip": "10115"}.items():
        field = find(driver, f"[name={name}]")
        field.clear()
        field.send_keys(value)
    find(driver, "[data-test=place-order]").click()
    number = find(driver, "[data-test=order-id]").text.strip()
    return f"ord_{number}_purchase"


class Shop(Httpd):
    def __init__(self, api):
        super().__init__(api=api, extra_modules=["cache", "cache_disk"])
        self.conf = CONF.replace("{root}", str(self.root))
        self.visitor = None
        (self.root / "cache").mkdir()
        shutil.chown(self.root / "cache", self.USER)
        self.markers = 0

    def url(self, path):
        return f"http://localhost:{self.port}{path}"

    def page(self, path, client=PAGE, head="", body=""):
        """A page with the client on it, written anew."""
        self.write(path.lstrip("/"), f"<!doctype html><meta charset=utf-8><title>{path}</title>"
                   f'{head}<script src="/pinterest-capi.js" defer {client}></script>{body}')
        return path

    def visit(self, path):
        self.visitor.get(self.url(path))

    def grant(self, letter="g"):
        """The visitor has answered on an earlier visit; leaves the browser on a bare page."""
        self.visit("/index.html")
        self.visitor.add_cookie({"name": "pin_consent", "path": "/",
                                 "value": f"v1.{letter}.{int(time.time()) - 60}.test"})

    def js(self, script, *arguments):
        return self.visitor.execute_script(script, *arguments)

    def track(self, name, given):
        return self.js("return pinterestCapi.track(arguments[0], arguments[1])", name, given)

    def cookies(self):
        return {c["name"]: c["value"] for c in self.visitor.get_cookies()}

    def tag(self):
        """The calls that wait for the Tag, or that a test's own pintrk has seen."""
        return self.js("return window.pintrk ? pintrk.queue : null")

    def wait_tag(self, *call):
        """Until the Tag has had a call that begins so; returns the whole call."""
        def found():
            return next((c for c in self.tag() or [] if c[:len(call)] == list(call)), None)
        return wait_for(found, f"pintrk{call}")

    # --- what arrived ---

    def requests(self, path):
        """How often a path was asked for, as "METHOD status"."""
        log = self.root / "access.log"
        lines = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
        return [f"{method} {status}" for method, url, status in lines if url == path]

    def wait_requests(self, path, count):
        return wait_for(lambda: len(self.requests(path)) >= count, f"{count} requests of {path}")

    def collected(self):
        return len(self.requests("/api/tracklayer/pinterest-capi"))

    def delivered(self, path=None, event_id=None):
        return [e for e in self.api.processed()
                if (event_id is None or e["event_id"] == event_id) and
                (path is None or re.sub(r"^https?://[^/]*|\?.*$", "",
                                        e.get("event_source_url", "")) == path)]

    def wait_delivered(self, path=None, event_id=None, count=1):
        """Exactly `count` events of a page or an id, seen after a later event arrived."""
        wait_for(lambda: len(self.delivered(path, event_id)) >= count,
                 f"{count} events of {path or event_id}")
        self.settle()
        found = self.delivered(path, event_id)
        assert len(found) == count, found
        return found[0] if count == 1 else found

    def settle(self):
        """Until an event that is said now has arrived: what came before it has, too."""
        self.markers += 1
        marker = f"marker-{self.markers}"
        answer = self.post("/api/tracklayer/pinterest-capi",
                           {"event_name": "lead", "event_id": marker},
                           {"Cookie": f"pin_consent=v1.g.{int(time.time())}.test"})
        assert answer.status == 200
        wait_for(lambda: self.delivered(event_id=marker), "the marker")
