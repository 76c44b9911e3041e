"""Real consent managers on a page of the shop: accept, refuse and withdraw give the right cookies,
the right calls of the Tag and the right events. The server reads the manager's own cookie."""

import json
import re
import shutil
import subprocess
import tarfile
import urllib.parse

import pytest

pytest.importorskip("selenium")
from selenium.common.exceptions import WebDriverException  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from server import EPIK, TOP, wait_for  # noqa: E402
from shop import PAGE, TAG  # noqa: E402

CONTEXT = "/api/cart/context"
OFFLINE = re.compile(r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ENETUNREACH")


unreachable = []  # asked once: without a network npm takes its time to say so


def unpack(name):
    """The package's folder below build/, at the version that package.json pins."""
    if not shutil.which("npm"):
        pytest.skip("npm is not installed")
    if unreachable:
        pytest.skip("npm reaches no registry from here")
    pinned = json.loads((TOP / "tests" / "browser" / "package.json").read_text())["dependencies"]
    folder = TOP / "build" / "consent-managers" / f"{name}-{pinned[name]}"
    if not (folder / "package").exists():
        folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(["npm", "pack", "--silent", "--fetch-retries=1",
                               f"{name}@{pinned[name]}"], cwd=folder,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=120)
        if OFFLINE.search(done.stdout):
            unreachable.append(name)
            pytest.skip("npm reaches no registry from here")
        assert done.returncode == 0, done.stdout
        (archive,) = folder.glob("*.tgz")
        with tarfile.open(archive) as files:
            files.extractall(folder)
    return folder / "package"


class Manager:
    """One manager: its script, its wiring, and where a visitor clicks."""

    def click(self, shop, selector):
        def clicked():
            try:
                shop.visitor.find_element(By.CSS_SELECTOR, selector).click()
                return True
            except WebDriverException:
                return False  # it is still sliding in
        wait_for(clicked, f"a click on {selector}")

    def said(self, shop):
        return urllib.parse.unquote(shop.cookies().get(self.cookie, ""))


class CookieConsent(Manager):
    package, script, cookie = "vanilla-cookieconsent", "dist/cookieconsent.umd.js", "cc_cookie"
    style = "dist/cookieconsent.css"
    granted, refused = '"categories":["necessary","marketing"]', '"categories":["necessary"]'
    wiring = "function () { pinterestCapi.consent(); }"
    # It hides from what drives this browser.
    page = """CookieConsent.run({
      hideFromBots: false, onFirstConsent: WIRING, onChange: WIRING,
      categories: {necessary: {enabled: true, readOnly: true}, marketing: {}},
      language: {default: 'en', translations: {en: {
        consentModal: {title: 'Cookies', acceptAllBtn: 'Yes', acceptNecessaryBtn: 'No'},
        preferencesModal: {title: 'Cookies', acceptAllBtn: 'Yes', acceptNecessaryBtn: 'No',
                           sections: []}}}}})"""

    def accept(self, shop):
        self.click(shop, "#cc-main .cm [data-role=all]")

    def refuse(self, shop):
        self.click(shop, "#cc-main .cm [data-role=necessary]")

    def withdraw(self, shop):
        shop.js("CookieConsent.showPreferences()")
        self.click(shop, "#cc-main .pm [data-role=necessary]")


class CookieConsentWithItsWord(CookieConsent):
    """As above, but the page says the answer itself, on every page, as many themes do."""
    wiring = "function () { pinterestCapi.consent(CookieConsent.acceptedCategory('marketing')); }"
    page = CookieConsent.page.replace("onFirstConsent", "onConsent")


class Klaro(Manager):
    package, script, cookie = "klaro", "dist/klaro.js", "klaro"
    style = "dist/klaro.css"
    granted, refused = '"pinterest":true', '"pinterest":false'
    # Klaro calls this on every page, before anybody has answered as well.
    wiring = "function () { pinterestCapi.consent(); }"
    page = """klaro.setup({
      storageMethod: 'cookie', acceptAll: true, lang: 'en', callback: WIRING,
      services: [{name: 'pinterest', title: 'Pinterest', purposes: ['marketing']}],
      translations: {en: {privacyPolicyUrl: '/privacy'}}})"""

    def accept(self, shop):
        self.click(shop, ".klaro .cookie-notice .cm-btn-success")

    def refuse(self, shop):
        self.click(shop, ".klaro .cookie-notice .cn-decline")

    def withdraw(self, shop):
        shop.js("klaro.show(undefined, true)")
        self.click(shop, ".klaro .cookie-modal .cm-purpose > label")
        self.click(shop, ".klaro .cookie-modal .cm-btn-accept")


@pytest.fixture(params=[CookieConsent, CookieConsentWithItsWord, Klaro], ids=lambda c: c.__name__)
def manager(request, shop, chrome):
    made = request.param()
    files = unpack(made.package)
    name = request.param.__name__.lower()
    made.path = f"/{name}/{request.node.originalname}.html"
    shop.write(f"{name}/manager.js", (files / made.script).read_bytes())
    shop.write(f"{name}/manager.css", (files / made.style).read_bytes())
    shop.write(f"{name}/run.js", made.page.replace("WIRING", made.wiring))
    shop.page(made.path, PAGE, f'<link rel="stylesheet" href="/{name}/manager.css">'
              f'<script src="/{name}/manager.js" defer></script>',
              f'<script src="/{name}/run.js" defer></script>')
    made.collected, made.posted = shop.collected(), shop.requests(CONTEXT).count("POST 200")
    shop.visit(f"{made.path}?epik={EPIK}")
    return made


def wait_told(shop, manager):
    """Until the page has told the server of an answer."""
    wait_for(lambda: shop.requests(CONTEXT).count("POST 200") > manager.posted, "the answer")
    shop.settle()
    manager.posted = shop.requests(CONTEXT).count("POST 200")


def tag_calls(shop):
    return [call[:2] for call in shop.tag() or []]


def test_accepting_tracks_the_landing_page_and_every_page_after(manager, shop):
    assert shop.collected() == manager.collected and shop.tag() is None
    manager.accept(shop)
    visit = shop.wait_delivered(manager.path)
    assert manager.granted in manager.said(shop)
    assert visit["event_name"] == "page_visit" and visit["user_data"]["click_id"] == EPIK
    assert shop.cookies()["_epik"] == EPIK
    assert tag_calls(shop) == [["setconsent", True], ["load", TAG], ["track", "pagevisit"]]
    assert shop.tag()[-1][2]["event_id"] == visit["event_id"]
    has_word = "pin_consent" in shop.cookies()
    assert has_word == isinstance(manager, CookieConsentWithItsWord)

    shop.visit(manager.path)
    shop.wait_delivered(manager.path, count=2)
    assert tag_calls(shop) == [["setconsent", True], ["load", TAG], ["track", "pagevisit"]]


def test_refusing_sends_nothing_from_this_page_or_the_next(manager, shop):
    manager.refuse(shop)
    wait_told(shop, manager)
    assert manager.refused in manager.said(shop)
    shop.visit(manager.path)
    shop.track("add_to_cart", {"content_ids": ["SKU-481"]})
    wait_for(lambda: shop.requests(CONTEXT)[-1].endswith("200"), "the next page's question")
    shop.settle()
    assert "_epik" not in shop.cookies()
    assert shop.delivered(manager.path) == []
    assert shop.collected() == manager.collected + 2  # the markers
    assert shop.tag() is None  # nobody loaded it


def test_withdrawing_stops_tag_and_api(manager, shop):
    manager.accept(shop)
    shop.wait_delivered(manager.path)
    wait_told(shop, manager)
    manager.withdraw(shop)
    wait_for(lambda: shop.tag()[-1] == ["setconsent", False], "the Tag to hear it")
    assert manager.refused in manager.said(shop)
    assert "_epik" not in shop.cookies()
    shop.track("add_to_cart", {"content_ids": ["SKU-481"]})
    shop.wait_delivered(manager.path)
    shop.visit(manager.path)
    shop.track("add_to_cart", {"content_ids": ["SKU-481"]})
    shop.wait_delivered(manager.path)
    assert shop.tag() is None


def test_a_page_that_nobody_answers_sends_nothing(manager, shop):
    shop.track("add_to_cart", {"content_ids": ["SKU-481"]})
    shop.visit("/index.html")
    shop.settle()
    assert shop.collected() == manager.collected + 1  # the marker
    assert shop.delivered(manager.path) == []
    assert not {"_epik", "pin_consent"} & set(shop.cookies())
