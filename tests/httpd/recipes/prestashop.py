"""PrestaShop, from its source and documentation: a bank transfer, and a card whose order the provider's call makes."""

from urllib.parse import urlencode

from steps import answer, event, fetch, page, provider, redirect, send

FILES = ["prestashop_fake.php", "prestashop.php"]
CONF = "prestashop.conf"

KEYS = {"em": "lea@example.com", "ph": "33155550146", "fn": "lea", "ln": "martin", "ct": "paris", "zp": "75001",
        "country": "fr"}
ROWS = {
    "Customer": {2: {"email": "lea@example.com"}, 7: {"email": "lea@example.com"}, 8: {"is_guest": 1}},
    "Address": {4: {"firstname": "Lea", "lastname": "Martin", "city": "Paris", "postcode": "75001", "id_country": 8,
                    "id_state": 0, "phone": "01 55 55 01 46", "phone_mobile": ""}},
    "Country": {8: {"iso_code": "FR"}}, "Currency": {1: {"iso_code": "EUR"}},
    "OrderState": {2: {"paid": 1}, 3: {"paid": 1}, 8: {"paid": 0}, 10: {"paid": 0}},
    "Cart": {5: {"nbProducts": 1, "getOrderTotal": 28.68}, 6: {"nbProducts": 1, "getOrderTotal": 28.68},
             9: {"nbProducts": 0, "getOrderTotal": 0}},
}


def shop(number, cart, module, status):
    order = {"module": module, "current_state": status, "id_customer": 2, "id_address_invoice": 4, "id_currency": 1,
             "id_cart": cart, "total_paid_tax_incl": "28.680000", "getProducts": [
                 {"product_id": 1, "product_quantity": 2, "unit_price_tax_incl": "14.340000"}]}
    return {**ROWS, "Order": {number: order}}


def looks(cart):
    return "actionFrontControllerSetMedia", ["order", cart, ROWS, {}]


def saves(cart, name="cart"):
    return "actionCartSave", [name, cart, ROWS, {}]


def makes(number, cart, module):
    return "actionValidateOrder", ["", cart, shop(number, cart, module, 0), {"order": number}]


def becomes(number, cart, module, before, after):
    return "actionOrderStatusUpdate", ["", cart, shop(number, cart, module, before),
                                       {"id_order": number, "newOrderStatus": after}]


def purchase(number, of=None):
    return event("checkout", f"checkout_{number}", KEYS, of, order_id=str(number), value="28.68", currency="EUR",
                 content_ids=["1"], num_items=2, contents=[{"id": "1", "quantity": 2, "item_price": "14.34"}])


def add(product):
    return urlencode({"token": "aa11", "id_product": product, "id_customization": 0, "qty": 2, "add": 1,
                      "action": "update"})


START = {"value": "28.68", "currency": "EUR"}

STEPS = [
    page("lea", "/?epik=@epik", event("page_visit")),
    page("lea", "/3-clothes", event("page_visit"), event("view_category", content_category="clothes")),
    page("lea", "/men/1-2-hummingbird-printed-t-shirt.html", event("page_visit", content_ids=["1"])),
    page("lea", "/index.php?controller=product&id_product=4", event("page_visit", content_ids=["4"])),
    page("lea", "/search?controller=search&s=mug", event("page_visit"), event("search", search_string="mug")),
    send("lea", "/cart", add(9), answer=answer({"hasError": True, "errors": ["not enough in stock"]})),
    send("lea", "/cart", add(1), event("add_to_cart", content_ids=["1"], num_items=2), hooks=[saves(5)],
         answer=answer({"success": True, "id_product": 1, "quantity": 2})),
    send("lea", "/cart", "token=aa11&action=refresh&ajax=1", answer=answer({"success": True})),
    page("lea", "/order", event("page_visit"), event("initiate_checkout", "start_5", **START), hooks=[looks(5)]),
    page("lea", "/order", event("page_visit"), hooks=[looks(5)]),
    send("lea", "/order", "submitCreate=1&email=no", document=True, hooks=[looks(5)]),
    page("lea", "/order", event("page_visit"), hooks=[looks(9)]),
    send("lea", "/module/ps_wirepayment/validation", "", purchase(11), document=True,
         hooks=[makes(11, 5, "ps_wirepayment"), becomes(11, 5, "ps_wirepayment", 0, 10)],
         answer=redirect("http://localhost/order-confirmation?id_cart=5&id_order=11")),
    page("lea", "/order-confirmation?id_cart=5&id_module=1&id_order=11&key=k", event("page_visit")),
    page("lea", "/order-confirmation?id_cart=5&id_module=1&id_order=11&key=k", event("page_visit")),
    send("staff", "/admin123/index.php", "id_order=11", document=True,
         hooks=[becomes(11, 5, "ps_wirepayment", 10, 2)]),

    page("marc", "/?epik=@epik", event("page_visit")),
    send("marc", "/cart", add(1), event("add_to_cart", content_ids=["1"], num_items=2), hooks=[saves(6)],
         answer=answer({"success": True})),
    fetch("marc", "/module/ps_shoppingcart/ajax", answer=answer({"preview": ""})),
    provider("/module/card/callback", "cart=6&state=declined", answer=answer("ok"),
             hooks=[saves(6, "module-card-callback"), makes(12, 6, "card"), becomes(12, 6, "card", 0, 8)]),
    provider("/module/card/callback", "cart=6&state=paid", purchase(13, of="marc"), answer=answer("ok"),
             hooks=[makes(13, 6, "card"), becomes(13, 6, "card", 0, 2)]),
    provider("/module/card/callback", "cart=6&state=paid", answer=answer("ok"),
             hooks=[becomes(13, 6, "card", 2, 3)]),
    send("staff", "/admin123/index.php", "id_order=14", document=True, hooks=[becomes(14, 6, "card", 2, 3)]),
    send("marc", "/registration", "email=marc%40example.com", event("signup", "signup_7"), document=True,
         hooks=[("actionCustomerAccountAdd", ["registration", 6, ROWS, {"newCustomer": 7}])],
         answer=redirect("http://localhost/my-account")),
    send("marc", "/order", "submitCreate=1&email=marc%40example.com", document=True,
         hooks=[("actionCustomerAccountAdd", ["order", 6, ROWS, {"newCustomer": 8}])],
         answer=redirect("http://localhost/order")),
]
