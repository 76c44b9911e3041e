"""One paid journey through the demo shop, as a visitor's browser makes it, and what the API has to know of it."""

import base64
import hashlib
import http.cookiejar
import re
import secrets
import struct
import time
import urllib.error
import urllib.parse
import urllib.request

SHOPPER = "203.0.113.42"
BROWSER = ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 "
           "(KHTML, like Gecko) Version/17.4 Safari/605.1.15")
JANE = {"email": "Jane.Doe@Example.com", "phone": "+49 30 901820", "first_name": "Jane",
        "last_name": "Doe", "street": "Karl-Marx-Allee 1", "zip": "10178", "city": "Berlin",
        "country": "DE"}


class Trouble(Exception):
    """What went wrong, as a sentence for the person who started the demo."""


def fresh_click_id():
    """A click id as Pinterest builds them: 108 characters, made now."""
    letters = base64.urlsafe_b64encode
    parts = (f"v=2&u={letters(secrets.token_bytes(24)).decode()}"
             f"&p=1&n={letters(secrets.token_bytes(16)).decode().rstrip('=')}"
             f"&t={letters(struct.pack('>Q', int(time.time()))).decode().rstrip('=')}")
    return letters(parts.encode()).decode().rstrip("=")


class Shopper:
    """A visitor with a browser: cookies, and the headers that browsers send."""

    def __init__(self, base):
        self.base, self.last = base, None
        jar = http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))

    def open(self, path, form=None):
        headers = {"User-Agent": BROWSER, "X-Forwarded-For": SHOPPER,
                   "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                   "Accept-Language": "de-DE,de;q=0.9,en;q=0.8", "Sec-Fetch-Dest": "document",
                   "Sec-Fetch-Mode": "navigate", "Sec-Fetch-User": "?1",
                   "Sec-Fetch-Site": "same-origin" if self.last else "cross-site",
                   "Referer": self.last or "https://www.pinterest.com/"}
        body = urllib.parse.urlencode(form).encode() if form else None
        request = urllib.request.Request(self.base + path, data=body, headers=headers)
        try:
            with self.opener.open(request, timeout=20) as answer:
                self.last = answer.url
                return answer.read().decode()
        except urllib.error.HTTPError as error:
            raise Trouble(f"the shop answers {path} with {error.code}")


def walk(base, click_id):
    """From the ad to the thank-you page; returns the order's number. The payment provider calls
    the shop by itself afterwards."""
    shopper = Shopper(base)
    shopper.open(f"/?utm_source=pinterest&utm_medium=paid&epik={click_id}")
    for sku in ("SKU-481", "SKU-812"):
        shopper.open(f"/product.php?product_id={sku}")
        shopper.open("/cart.php", {"action": "add", "sku": sku, "quantity": 1})
    shopper.open("/checkout.php")
    page = shopper.open("/checkout.php", JANE)
    found = re.search(r'data-test="order-id">(\d+)<', page)
    if not found:
        raise Trouble("the shop took no order: its last page was no thank-you page")
    return found[1]


def shortfall(purchase, click_id, wire):
    """What the purchase lacks, one line each."""
    def digest(text):
        return [hashlib.sha256(text.encode()).hexdigest()]

    user, custom = purchase["user_data"], purchase["custom_data"]
    guide = wire == "guide"
    wanted = [
        ("event_name", purchase["event_name"], "checkout_complete" if guide else "checkout"),
        ("click id", user.get("epik" if guide else "click_id"), click_id),
        ("client_ip_address", user.get("client_ip_address"), SHOPPER),
        ("client_user_agent", user.get("client_user_agent"), BROWSER),
        ("em", user.get("em"), digest(JANE["email"].lower())),
        ("ph", user.get("ph"), digest(re.sub(r"\D", "", JANE["phone"]))),
        ("value", custom.get("value"), 129.95 if guide else "129.95"),
        ("currency", custom.get("currency"), "EUR"),
        ("content_ids", custom.get("content_ids"), ["SKU-481", "SKU-812"])]
    return [f"{name} is {is_!r} and should be {should!r}" for name, is_, should in wanted
            if is_ != should]
