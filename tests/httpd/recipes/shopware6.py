"""Shopware 6, from its source: an invoice, and a card paid through its provider's page."""

from urllib.parse import urlencode

from steps import answer, event, fetch, page, provider, redirect, send

FILES = ["told_fake.php", "shopware6_fake.php", "shopware6/src/Subscriber.php"]
CONF = "shopware6.conf"

PRODUCT, CATEGORY, UUID = "1a" * 16, "2b" * 16, "3c" * 16
OWN = "Shopware\\Core\\Checkout\\Payment\\Cart\\PaymentHandler\\"
ADDRESS = {"firstName": "Uwe", "lastName": "Kraft", "city": "Berlin", "zipcode": "10178",
           "phoneNumber": "+49 30 5550148", "country": {"iso": "DE"}}
KEYS = {"em": "uwe@example.com", "ph": "49305550148", "fn": "uwe", "ln": "kraft", "ct": "berlin", "zp": "10178",
        "country": "de"}
ITEM = {"type": "product", "referencedId": PRODUCT, "quantity": 2, "unitPrice": 19.99,
        "payload": {"productNumber": "SW10001"}}
SALES = {"currency": {"isoCode": "EUR"}}
ADDED = ("Shopware\\Core\\Checkout\\Cart\\Event\\AfterLineItemAddedEvent", {
    "lineItems": [{"id": PRODUCT, "quantity": 2}, {"id": "code"}], "salesChannelContext": SALES,
    "cart": {PRODUCT: {"type": "product", "referencedId": PRODUCT, "quantity": 3, "price": {"unitPrice": 19.99},
                       "payloadValue": {"productNumber": "SW10001"}}, "code": {"type": "promotion"}}})
REFUSED = (ADDED[0], {"lineItems": [{"id": "99" * 16, "quantity": 2}], "salesChannelContext": SALES,
                      "cart": {"code": {"type": "promotion"}}})
CART = {"currency": "EUR", "content_ids": ["SW10001"], "num_items": 2,
        "contents": [{"id": "SW10001", "quantity": 2, "item_price": "19.99"}]}


def order(number, handler):
    return {"order": {
        "orderNumber": number, "amountTotal": 44.97, "currency": {"isoCode": "EUR"}, "billingAddressId": "4d" * 16,
        "orderCustomer": {"email": "uwe@example.com"}, "addresses": {"4d" * 16: ADDRESS},
        "transactions": {"last": {"paymentMethod": {"handlerIdentifier": handler}}}, "lineItems": [
            {**ITEM, "payload": {**ITEM["payload"]}}]}}


def placed(number, handler):
    return "checkout.order.placed", order(number, handler)


def enters(state, number):
    return f"state_enter.order_transaction.state.{state}", order(number, "Card\\Handler")


def purchase(number, of=None):
    return event("checkout", f"checkout_{number}", KEYS, of, order_id=number, value="44.97", **CART)


def add(product):
    return [("redirectTo", "frontend.cart.offcanvas"), (f"lineItems[{product}][id]", product),
            (f"lineItems[{product}][type]", "product"), (f"lineItems[{product}][referencedId]", product),
            (f"lineItems[{product}][quantity]", "2")]


def register(email):
    return urlencode({"email": email, "billingAddress[countryId]": "5e" * 16, "createCustomerAccount": "0",
                      **{f"billingAddress[{k}]": v for k, v in ADDRESS.items() if k != "country"}})


def session(mark):
    return answer(cookies=[f"session-={mark * 16}; path=/; httponly; samesite=lax"])


STEPS = [
    page("uwe", "/?epik=@epik", event("page_visit"), answer=session("a1")),
    page("uwe", f"/navigation/{CATEGORY}", event("page_visit"), event("view_category", content_category=CATEGORY)),
    page("uwe", f"/detail/{PRODUCT}", event("page_visit", content_ids=[PRODUCT])),
    page("uwe", "/search?search=lamp", event("page_visit"), event("search", search_string="lamp")),
    fetch("uwe", "/widgets/checkout/info", answer=answer("<span>0</span>")),
    send("uwe", "/checkout/line-item/add", add("99" * 16), answer=answer("<div>not found</div>"),
         hooks=[REFUSED]),
    send("uwe", "/checkout/line-item/add", add(PRODUCT), event("add_to_cart", **CART),
         answer=answer("<div>cart</div>", cookies=["sw-states=cart-filled; path=/"]), hooks=[ADDED]),
    fetch("uwe", "/checkout/offcanvas", answer=answer("<div>cart</div>")),
    page("uwe", "/checkout/register", event("page_visit")),
    send("uwe", "/account/register", register("no"), document=True),
    send("uwe", "/account/register", register("uwe@example.com"), document=True,
         answer=redirect("http://localhost/checkout/confirm", cookies=["session-=" + "b2" * 16 + "; path=/"])),
    page("uwe", "/checkout/confirm", event("page_visit"), event("initiate_checkout", "start_*")),
    page("uwe", "/checkout/confirm", event("page_visit")),
    send("uwe", "/checkout/order", "tos=off", document=True),
    send("uwe", "/checkout/order", "tos=on", purchase("10001"), document=True,
         answer=redirect(f"http://localhost/checkout/finish?orderId={UUID}"),
         hooks=[placed("10001", OWN + "InvoicePayment")]),
    page("uwe", f"/checkout/finish?orderId={UUID}", event("page_visit")),
    page("uwe", f"/checkout/finish?orderId={UUID}", event("page_visit")),
    send("staff", "/api/_action/order_transaction/1/state/paid", {}, hooks=[enters("paid", "10001")],
         answer=answer({})),
    page("staff", "/admin"),

    page("vera", "/?epik=@epik", event("page_visit"), answer=session("c3")),
    send("vera", "/checkout/order", "tos=on", document=True, answer=redirect("https://pay.example/2"),
         hooks=[placed("10002", "Card\\Handler")]),
    provider("/payment/card/webhook", "state=failed", answer=answer("")),
    provider("/payment/card/webhook", "state=paid", purchase("10002", of="vera"), answer=answer(""),
             hooks=[enters("paid", "10002")]),
    provider("/payment/card/webhook", "state=paid", answer=answer(""), hooks=[enters("paid", "10002")]),
    page("vera", "/payment/finalize-transaction?_sw_payment_token=t",
         answer=redirect(f"http://localhost/checkout/finish?orderId={UUID}")),
    send("vera", "/checkout/order", "tos=on", document=True, answer=redirect("https://pay.example/3"),
         hooks=[placed("10003", "Card\\Handler")]),
    send("vera", "/account/register", register("vera@example.com"), event("signup", "signup_7"), document=True,
         hooks=[("checkout.customer.register", {"customer": {"id": "7"}})],
         answer=redirect("http://localhost/account")),
]
