"""Sylius, from its source: 1.x with winzou's state machine, 2.0 with Symfony's."""

from urllib.parse import urlencode

from steps import answer, event, page, provider, redirect, send

FILES = ["told_fake.php", "sylius_fake.php", "sylius.php"]
CONF = "sylius.conf"

PERSON = {"firstName": "Nora", "lastName": "Berg", "phoneNumber": "+47 22 55 01 45", "city": "Oslo",
          "postcode": "0150", "countryCode": "NO"}
KEYS = {"em": "nora@example.com", "ph": "4722550145", "fn": "nora", "ln": "berg", "ct": "oslo", "zp": "0150",
        "country": "no"}


def order(number, factory):
    return {"number": number, "total": 12995, "currencyCode": "NOK", "customer": {"email": "nora@example.com"},
            "billingAddress": PERSON, "lastPayment": {"method": {"gatewayConfig": {"factoryName": factory}}},
            "items": [{"variant": {"code": "mug-blue"}, "quantity": 1, "unitPrice": 12000}]}


def purchase(number, of=None):
    return event("checkout", f"checkout_{number}", KEYS, of, order_id=number, value="129.95", currency="NOK",
                 content_ids=["mug-blue"], num_items=1,
                 contents=[{"id": "mug-blue", "quantity": 1, "item_price": "120.00"}])


def address(prefix, email="nora@example.com"):
    return urlencode({"_method": "PUT", f"{prefix}[customer][email]": email,
                      **{f"{prefix}[billingAddress][{k}]": v for k, v in PERSON.items()}})


def workflow(name, number, factory):
    return f"workflow.{name}", {"subject": order(number, factory)}


def winzou(graph, transition, number, factory):
    return "winzou.state_machine.post_transition", {"transition": transition, "stateMachine": {
        "graph": graph, "object": order(number, factory)}}


ADDED = ("sylius.cart_item_add", {"subject": {"cartItem": {"variant": {"code": "mug-blue"}, "quantity": 1}}})

STEPS = [
    page("nora", "/en_US/?epik=@epik", event("page_visit"), answer=answer(cookies=["PHPSESSID=5e551on; path=/"])),
    page("nora", "/en_US/taxons/mugs", event("page_visit"), event("view_category", content_category="mugs")),
    page("nora", "/en_US/taxons/mugs?criteria%5Bsearch%5D%5Bvalue%5D=blue", event("page_visit"),
         event("view_category", content_category="mugs"), event("search", search_string="blue")),
    send("nora", "/en_US/ajax/cart/add?productId=1", "sylius_add_to_cart%5BcartItem%5D%5Bquantity%5D=999999",
         answer=answer({"errors": {"cartItem": ["not enough"]}}, 400)),
    send("nora", "/en_US/ajax/cart/add?productId=1", "sylius_add_to_cart%5BcartItem%5D%5Bquantity%5D=1",
         event("add_to_cart", content_ids=["mug-blue"], num_items=1), answer=answer("", 201, "application/json"),
         hooks=[ADDED]),
    page("nora", "/en_US/checkout/address", event("page_visit"), event("initiate_checkout", "start_*")),
    page("nora", "/en_US/checkout/address", event("page_visit")),
    send("nora", "/en_US/checkout/address", address("sylius_checkout_address", "no"), document=True,
         answer=answer(status=422)),
    send("nora", "/en_US/checkout/address", address("sylius_checkout_address"), document=True,
         answer=redirect("http://localhost/en_US/checkout/select-shipping")),
    send("nora", "/en_US/checkout/complete", "_method=PUT", purchase("000000001"), document=True,
         answer=redirect("http://localhost/en_US/order/thank-you"),
         hooks=[winzou("sylius_order_checkout", "address", "000000001", "offline"),
                winzou("sylius_order_checkout", "complete", "000000001", "offline")]),
    page("nora", "/en_US/order/thank-you", event("page_visit")),
    page("nora", "/en_US/order/thank-you", event("page_visit")),
    send("staff", "/admin/orders/1/payments/1/complete", "_method=PUT", document=True,
         answer=redirect("http://localhost/admin/orders/1"),
         hooks=[winzou("sylius_order_payment", "pay", "000000001", "offline")]),
    page("staff", "/admin/"),

    page("olav", "/en_US/?epik=@epik", event("page_visit"), answer=answer(cookies=["PHPSESSID=5e552on; path=/"])),
    send("olav", "/en_US/_components/sylius_shop:product:add_to_cart_form/addToCart", [("data", "{}")],
         event("add_to_cart", content_ids=["mug-blue"], num_items=1), answer=answer("", 204), hooks=[ADDED]),
    send("olav", "/en_US/checkout/address", address("sylius_shop_checkout_address"), document=True,
         answer=redirect("http://localhost/en_US/checkout/select-shipping")),
    send("olav", "/en_US/checkout/complete", "_method=PUT", document=True,
         answer=redirect("https://pay.example/2"),
         hooks=[workflow("sylius_order_checkout.completed.complete", "000000002", "card")]),
    provider("/payment/notify/unsafe/card", "state=failed", answer=answer("")),
    provider("/payment/notify/unsafe/card", "state=paid", purchase("000000002", of="olav"), answer=answer(""),
             hooks=[workflow("sylius_order_payment.completed.pay", "000000002", "card")]),
    provider("/payment/notify/unsafe/card", "state=paid", answer=answer(""),
             hooks=[workflow("sylius_order_payment.completed.pay", "000000002", "card")]),
    send("olav", "/en_US/checkout/complete", "_method=PUT", document=True,
         answer=redirect("https://pay.example/3"),
         hooks=[workflow("sylius_order_checkout.completed.complete", "000000003", "card")]),
    send("olav", "/en_US/register", "sylius_customer_registration%5Bemail%5D=olav%40example.com",
         event("signup", "signup_7"), document=True, answer=redirect("http://localhost/en_US/login"),
         hooks=[("sylius.customer.post_register", {"subject": {"id": 7}})]),
]
