"""Zen Cart, from its source: a money order, a declined card, a PayPal notification."""

from urllib.parse import urlencode

from steps import answer, event, page, provider, redirect, send

FILES = ["zencart_fake.php", "zencart.php"]
CONF = "zencart.conf"

ACCOUNT = {"action": "process", "firstname": "Rosa", "lastname": "Lindt", "email_address": "rosa@example.com",
           "telephone": "503-555-0144", "street_address": "4 Elm St", "city": "Portland", "state": "Oregon",
           "postcode": "97201", "zone_country_id": "223"}
KEYS = {"em": "rosa@example.com", "ph": "15035550144", "fn": "rosa", "ln": "lindt", "ct": "portland",
        "zp": "97201", "country": "us"}
ORDER = {"info": {"order_status": 1, "total": 50.0, "currency": "USD", "currency_value": 1.0},
         "customer": {"email_address": "rosa@example.com", "telephone": "503-555-0144"},
         "billing": {"firstname": "Rosa", "lastname": "Lindt", "city": "Portland", "postcode": "97201",
                     "country": {"iso_code_2": "US"}},
         "products": [{"id": "12:0a1b", "qty": 2, "final_price": 22.5, "tax": 0}]}
MADE = "NOTIFY_CHECKOUT_PROCESS_AFTER_ORDER_CREATE_ADD_PRODUCTS"


def at(name, more=""):
    return f"/index.php?main_page={name}{more}"


def to(name):
    return redirect(f"http://localhost/index.php?main_page={name}")


def add(number):
    return [("cart_quantity", "2"), ("products_id", number), ("id[1]", "4"), ("securityToken", "aa11")]


PURCHASE = {"value": "50.00", "currency": "USD", "content_ids": ["12"], "num_items": 2,
            "contents": [{"id": "12", "quantity": 2, "item_price": "22.50"}]}

STEPS = [
    page("rosa", "/?epik=@epik", event("page_visit"), answer=answer(cookies=["zenid=0123abcd4567; path=/"])),
    page("rosa", at("index", "&cPath=3_10"), event("page_visit"), event("view_category", content_category="3_10")),
    page("rosa", at("product_info", "&products_id=12"), event("page_visit", content_ids=["12"])),
    page("rosa", at("search_result", "&keyword=mouse"), event("page_visit"), event("search", search_string="mouse")),
    send("rosa", at("product_info", "&products_id=13&action=add_product"), add("13"), document=True),
    send("rosa", at("product_info", "&products_id=12&action=add_product"), add("12"),
         event("add_to_cart", content_ids=["12"], num_items=2), document=True, answer=to("shopping_cart")),
    page("rosa", at("index", "&cPath=3&action=buy_now&products_id=14"),
         event("add_to_cart", content_ids=["14"], num_items=1), answer=to("shopping_cart")),
    page("rosa", at("index", "&cPath=3&action=buy_now&products_id=15"), answer=to("product_info&products_id=15")),
    send("rosa", at("create_account"), urlencode({**ACCOUNT, "email_address": "no"}), document=True),
    send("rosa", at("create_account"), urlencode(ACCOUNT), event("signup"), document=True,
         answer=to("create_account_success")),
    page("rosa", at("checkout_shipping"), event("page_visit"), event("initiate_checkout", "start_*")),
    page("rosa", at("checkout_shipping"), event("page_visit")),
    send("rosa", at("checkout_process"), "btn_submit.x=1", document=True, answer=to("checkout_payment")),
    send("rosa", at("checkout_process"), "btn_submit.x=1", event("checkout", "checkout_9", KEYS, order_id="9", **PURCHASE),
         document=True, answer=to("checkout_success"), hooks=[(MADE, [9, ORDER])]),
    page("rosa", at("checkout_success"), event("page_visit")),
    page("rosa", at("checkout_success"), event("page_visit")),
    provider("/ipn_main_handler.php", "txn_type=web_accept&payment_status=Failed", answer=answer("")),
    page("crawler", at("index", "&cPath=3&action=buy_now&products_id=14"), answer=to("shopping_cart")),
]
