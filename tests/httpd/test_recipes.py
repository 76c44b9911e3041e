"""Recipes of shop systems: what was seen on running shops, replayed, makes exactly the events it should."""

import collections
import hashlib
import importlib
import json
import pathlib
import re
import shutil
import sys

import pytest

from server import BROWSER, EPIK, TOP, Browser, wait_for

HERE = pathlib.Path(__file__).resolve().parent / "recipes"
RECIPES = TOP / "conf" / "recipes"
CLIENT = TOP / "client" / "PinterestCapi.php"
sys.path.insert(0, str(HERE))

from steps import answer, event, fetch, page, provider, send  # noqa: E402

FRONT_CONTROLLER = """RewriteEngine On
RewriteCond %{REQUEST_FILENAME} !-f
RewriteRule . /index.php [L]
"""
END = "the_end"
HASHED = frozenset("em ph fn ln ct st zp country ge db external_id".split())
SHOPS = ["woocommerce", "opencart3", "opencart4", "prestashop", "magento2", "shopware6", "zencart", "sylius"]
CRAWLER = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


class Replay:
    """A shop that answers as it was recorded, its visitors, and what must come of it."""

    def __init__(self, make_httpd, api, conf, files, php):
        self.api, self.files, self.steps, self.visitors = api, files, [], {}
        self.httpd = make_httpd(api=api, conf=f"PinterestCapiMergeWindow 0\nPinterestCapiCountry US\n{conf}",
                                **php)
        (self.httpd.docs / "index.html").unlink()
        self.httpd.write(".htaccess", FRONT_CONTROLLER)
        shutil.copy(HERE / "responder.php", self.httpd.docs / "index.php")

    def address(self, who):
        return f"203.0.113.{10 + sorted(self.names).index(who)}"

    def click_id(self, who):
        return EPIK + who.encode().hex()

    def walk(self, steps):
        self.steps = steps
        self.names = {s["who"] for s in steps} | {END}
        files = [str(f) for f in self.files]
        self.httpd.write("steps.json", json.dumps({"steps": steps, "files": files}))
        for number, one in enumerate(steps):
            got = self.request(number, one)
            assert got.status == one["answer"]["status"], (number, one["path"], got.text[:500])
            assert got.text == one["answer"]["body"], (number, one["path"], got.text[:500])

    def request(self, number, one):
        headers = {**one["headers"], "X-Step": str(number)}
        headers = {k: v.replace("http://localhost", f"http://localhost:{self.httpd.port}")
                   if k == "Referer" else v for k, v in headers.items()}
        headers["Host"] = f"localhost:{self.httpd.port}"
        path = one["path"].replace("@epik", self.click_id(one["who"]))
        if one["who"] == "provider":
            return self.httpd.request(one["method"], path, headers, one["body"], agent="PayProvider/2.0",
                                      address="198.51.100.7")
        if one["who"] == "shop":
            return self.httpd.request(one["method"], path, headers, one["body"],
                                      agent="WordPress/7.1; http://localhost", address=None)
        agent = CRAWLER if one["who"] == "crawler" else BROWSER
        visitor = self.visitors.setdefault(one["who"], Browser(self.httpd, self.address(one["who"]), agent))
        return visitor.request(one["method"], path, headers, one["body"])

    def events(self):
        """All that the API got, once everything is settled."""
        wait_for(lambda: not self.httpd.sql("SELECT 1 FROM outbox") and
                 any(e["event_id"] == END for e in self.api.processed()), "everything to be settled", 40)
        return [e for e in self.api.processed() if e["event_id"] != END]


def without_chance(event_id):
    """Ids that the module makes, without what differs from run to run."""
    event_id = re.sub(r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f-]{21}(-[a-z_0-9-]+)?$", "*", event_id)
    return re.sub(r"^start_[0-9a-f]{40}$", "start_*", event_id)


def shown(name, event_id, custom):
    return f"{name} {event_id} {json.dumps(custom, sort_keys=True)}"


def check(replay):
    got = replay.events()
    wanted = [(one["who"], e) for one in replay.steps for e in one["events"] if e["id"] != END]
    counted = collections.Counter(shown(e["event_name"], without_chance(e["event_id"]), e.get("custom_data", {}))
                                  for e in got)
    hoped = collections.Counter(shown(e["name"], e["id"], e["custom"]) for _, e in wanted)
    surplus, missing = sorted((counted - hoped).elements()), sorted((hoped - counted).elements())
    assert not surplus and not missing, "\n".join(["not expected:", *surplus, "missing:", *missing])
    assert len({(e["event_name"], e["event_id"]) for e in got}) == len(got)
    for one in got:
        assert one["user_data"]["client_user_agent"] == BROWSER, one
    check_people(replay, got, wanted)


def check_people(replay, got, wanted):
    """Whose purchase it is: address and click id of the visitor who made the order, all match keys."""
    for who, hope in wanted:
        if hope["user"] is None:
            continue
        (one,) = [e for e in got if (e["event_name"], e["event_id"]) == (hope["name"], hope["id"])]
        who = hope["of"] or who
        user = one["user_data"]
        assert {k: v for k, v in user.items() if k in HASHED} == {k: [sha(v)] for k, v in hope["user"].items()}
        assert user["client_ip_address"] == replay.address(who), one
        assert user["click_id"] == replay.click_id(who), one


def the_end():
    return fetch(END, "/the-end.html", event("lead", END),
                 answer=answer(headers=[("Pinterest-Capi-Event",
                                         json.dumps({"event_name": "lead", "event_id": END}))]))


def load(shop):
    table = importlib.import_module(shop)
    files = [CLIENT] + [HERE / f if f.endswith("_fake.php") else RECIPES / f for f in table.FILES]
    return table, files


@pytest.mark.parametrize("shop", SHOPS)
def test_recorded_traffic_makes_exactly_the_expected_events(make_httpd, api, php, shop):
    table, files = load(shop)
    replay = Replay(make_httpd, api, f"Include {RECIPES}/{table.CONF}", files, php)
    replay.walk(table.STEPS + [the_end()])
    check(replay)


@pytest.mark.parametrize("recipe", sorted(path.name for path in RECIPES.glob("*.conf")))
def test_a_recipe_passes_configtest_with_the_sample(make_httpd, recipe):
    sample = (TOP / "conf" / "pinterest_capi.conf").read_text()
    httpd = make_httpd(start=False, settings=False, extra_modules=["cgid"])
    httpd.conf = sample.replace("/etc/apache2/pinterest.token", str(httpd.token_file)) + (
        f"<VirtualHost *:{httpd.port}>\nInclude {RECIPES / recipe}\n</VirtualHost>\n")
    ok, text = httpd.configtest()
    assert ok, text


def test_every_recipe_is_replayed_and_documented():
    tables = [load(shop)[0] for shop in SHOPS]
    assert {path.name for path in RECIPES.glob("*.conf")} == {table.CONF for table in tables}
    hooks = {path.relative_to(RECIPES).parts[0] for path in RECIPES.rglob("*.php")}
    assert hooks == {table.FILES[-1].partition("/")[0] for table in tables}
    text = (TOP / "docs" / "recipes.md").read_text()
    assert not [name for name in hooks | {table.CONF for table in tables} if f"`{name}" not in text]


def test_woocommerces_own_requests_carry_all_keys_of_a_purchase(make_httpd, api, php):
    """Blocks, by configuration alone; the payment webhook says no more than order, value and currency."""
    import woocommerce as shop
    said = {"event_name": "purchase", "event_id": "checkout_41", "order_id": "41",
            "custom_data": {"value": "79.90", "currency": "EUR"}}
    replay = Replay(make_httpd, api, f"Include {RECIPES}/woocommerce.conf", [], php)
    replay.walk([
        page("ben", "/?epik=@epik", event("page_visit")),
        send("ben", "/wp-json/wc/store/v1/cart/add-item", {"id": 14, "quantity": 2},
             event("add_to_cart", content_ids=["14"], num_items=2),
             answer=answer({}, 201, cookies=shop.cart("d", "ben"))),
        page("ben", "/checkout/", event("page_visit"), event("initiate_checkout", "start_*")),
        send("ben", "/wp-json/wc/store/v1/checkout?_locale=site", shop.BLOCKS,
             answer=answer({"order_id": 41, "status": "pending"})),
        provider("/wc-api/card/", "order=41",
                 event("checkout", "checkout_41", shop.BEN_KEYS, "ben", order_id="41", value="79.90",
                       currency="EUR"),
                 answer=answer("ok", headers=[("Pinterest-Capi-Event", json.dumps(said))])),
        the_end()])
    check(replay)


def test_without_its_hook_a_recipe_reports_no_purchase(make_httpd, api, php):
    """What the traffic shows of an order is no proof that it is paid."""
    import opencart4 as shop
    steps = [{**one, "hooks": [], "events": [e for e in one["events"] if e["name"] not in ("checkout", "signup")]}
             for one in shop.STEPS]
    replay = Replay(make_httpd, api, f"Include {RECIPES}/{shop.CONF}", [], php)
    replay.walk(steps + [the_end()])
    check(replay)
