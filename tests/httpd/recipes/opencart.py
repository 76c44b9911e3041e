"""OpenCart, as it was recorded; 3 and 4 differ in routes, field names and where the country is."""

from urllib.parse import urlencode

from steps import answer, event, fetch, page, provider, redirect, send

PERSON = {"firstname": "Ilse", "lastname": "Maier", "email": "ilse@example.com"}
KEYS = {"em": "ilse@example.com", "fn": "ilse", "ln": "maier", "ct": "austin", "st": "tx", "zp": "73301",
        "country": "us", "ph": "15125550143"}
ADDRESS = {"city": "Austin", "postcode": "73301", "country_id": "223", "zone_id": "3669"}


def order(version, number, status, code="cod"):
    """A row of the shop's table: the total is in its own currency, `currency_value` makes it the shopper's."""
    address = {f"{kind}_{key}": value for kind in ("payment", "shipping") for key, value in
               {"city": "Austin", "postcode": "73301", "zone_code": "TX", "iso_code_2": "US"}.items()}
    method = {"payment_code": code} if version == 3 else {"payment_method": {"name": "Pay", "code": f"{code}.{code}"}}
    return {"order_id": number, "order_status_id": status, **PERSON, "telephone": "512 555 0143", **address, **method,
            "total": "106.0000", "currency_code": "EUR", "currency_value": "0.80000000",
            "products": [{"product_id": 40, "quantity": "1", "price": "101.0000", "tax": "0.0000"}]}


def purchase(number, of=None):
    return event("checkout", f"checkout_{number}", KEYS, of, order_id=str(number), value="84.80", currency="EUR",
                 content_ids=["40"], num_items=1, contents=[{"id": "40", "quantity": 1, "item_price": "80.80"}])


def steps(version):
    dot = "." if version == 4 else "/"
    model = f"model/checkout/order{dot}"
    history = model + ("addHistory" if version == 4 else "addOrderHistory") + "/before"
    session = "OCSESSID=" + "c0ffee" * 4 + "aa; path=/" + ("; SameSite=Strict" if version == 4 else "")
    extension = "extension/opencart/payment/" if version == 4 else "extension/payment/"
    prefix = "shipping_" if version == 4 else ""
    details = {**PERSON, "telephone": "512 555 0143", **{prefix + k: v for k, v in ADDRESS.items()}}

    def route(name, more=""):
        return f"/index.php?route={name}{more}"

    def made(number):
        return model + "addOrder/after", [[{}], number, order(version, number, 0)]

    def becomes(number, before, after, code="cod"):
        return history, [[number, after], None, order(version, number, before, code)]

    add = route(f"checkout/cart{dot}add", "&language=en-gb" if version == 4 else "")
    save = route("checkout/register.save" if version == 4 else "checkout/guest/save")
    confirm = route("checkout/confirm.confirm" if version == 4 else "checkout/confirm")
    cod = route(f"{extension}cod{dot}confirm")
    return [
        page("ilse", "/?epik=@epik&utm_source=pinterest", event("page_visit"), answer=answer(cookies=[session])),
        page("ilse", route("product/category", "&path=20"), event("page_visit"),
             event("view_category", content_category="20")),
        page("ilse", route("product/product", "&path=20&product_id=40"), event("page_visit", content_ids=["40"])),
        page("ilse", route("product/search", "&search=phone"), event("page_visit"),
             event("search", search_string="phone")),
        send("ilse", add, "quantity=1&product_id=42", answer=answer({"error": {"option": {"218": "required"}}})),
        send("ilse", add, "quantity=2&product_id=40", event("add_to_cart", content_ids=["40"], num_items=2),
             answer=answer({"success": "Success: You have added a phone to your cart!"})),
        fetch("ilse", route(f"common/cart{dot}info"), answer=answer("<div id='cart'></div>")),
        page("ilse", route(f"common/cart{dot}info"), answer=answer("<div id='cart'></div>")),
        page("ilse", route("checkout/cart"), event("page_visit")),
        page("ilse", route("checkout/checkout"), event("page_visit"), event("initiate_checkout", "start_*")),
        page("ilse", route("checkout/checkout"), event("page_visit")),
        send("ilse", save, urlencode({**details, "email": "nobody"}),
             answer=answer({"error": {"email": "E-Mail Address does not appear to be valid!"}})),
        send("ilse", save, urlencode(details), answer=answer({"success": "saved"} if version == 4 else {})),
        fetch("ilse", confirm, answer=answer("<table></table>"), hooks=[made(1)]),
        fetch("ilse", confirm, answer=answer("<table></table>"), hooks=[made(2)]),
        fetch("ilse", cod, answer=answer({"error": "Payment method is required!"})),
        fetch("ilse", cod, purchase(2), answer=answer({"redirect": "http://localhost/index.php?route=checkout/success"}),
              hooks=[becomes(2, 0, 1)]),
        page("ilse", route("checkout/success"), event("page_visit")),
        page("ilse", route("checkout/success"), event("page_visit")),
        send("staff", route(f"api/order{dot}history"), "order_id=2&order_status_id=5", answer=answer({}),
             hooks=[becomes(2, 1, 5)]),

        fetch("ilse", confirm, answer=answer("<table></table>"), hooks=[made(3)]),
        provider(route(f"{extension}card{dot}callback"), "order=3&state=declined", answer=answer("ok"),
                 hooks=[becomes(3, 0, 8, "card")]),
        provider(route(f"{extension}card{dot}callback"), "order=3&state=paid", purchase(3, of="ilse"),
                 answer=answer("ok"), hooks=[becomes(3, 8, 2, "card")]),
        provider(route(f"{extension}card{dot}callback"), "order=3&state=paid", answer=answer("ok"),
                 hooks=[becomes(3, 2, 2, "card")]),
        fetch("ilse", confirm, answer=answer("<table></table>"), hooks=[made(4)]),
        provider(route(f"{extension}card{dot}callback"), "order=4&state=declined", answer=answer("ok"),
                 hooks=[becomes(4, 0, 8, "card")]),
        fetch("ilse", confirm, answer=answer("<table></table>"), hooks=[made(6)]),
        send("staff", route(f"api/order{dot}history"), "order_id=8&order_status_id=5", answer=answer({}),
             hooks=[becomes(8, 2, 5, "card")]),
        send("staff", route(f"api/order{dot}add"), "order_id=5", answer=answer({}),
             hooks=[(made(5)[0], made(5)[1]), becomes(5, 0, 2)]),
        send("ilse", route("account/register"), "email=ilse%40example.com", event("signup", "signup_7"),
             document=True, answer=redirect("http://localhost/index.php?route=account/success"),
             hooks=[(f"model/account/customer{dot}addCustomer/after", [[{}], 7, order(version, 0, 0)])]),
        page("crawler", route("product/product", "&product_id=40")),
    ]
