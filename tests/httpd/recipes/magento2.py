"""Magento 2, from its source: check or money order, and a gateway that is paid by its notification."""

from steps import answer, event, fetch, page, provider, redirect, send

FILES = ["told_fake.php", "magento2_fake.php", "magento2/Observer/Shop.php"]
CONF = "magento2.conf"

ADDRESS = {"firstname": "Tara", "lastname": "Singh", "telephone": "+1 212 555 0147", "city": "New York",
           "postcode": "10001", "countryId": "US", "region": "New York", "regionCode": "NY", "regionId": 43}
KEYS = {"em": "tara@example.com", "ph": "12125550147", "fn": "tara", "ln": "singh", "ct": "newyork", "st": "ny",
        "zp": "10001", "country": "us"}


def order(number, state, before=None, offline=False, ip="203.0.113.11"):
    return {"incrementId": number, "state": state, "origData": {"state": before}, "remoteIp": ip,
            "payment": {"methodInstance": {"isOffline": offline}}, "customerEmail": "tara@example.com",
            "billingAddress": ADDRESS, "grandTotal": "39.0000", "orderCurrencyCode": "USD",
            "allVisibleItems": [{"productId": 1, "qtyOrdered": "1.0000", "priceInclTax": "34.0000"}]}


def saved(*args, **more):
    return "sales_order_save_commit_after", {"order": order(*args, **more)}


def placed(*args, **more):
    return "checkout_submit_all_after", {"order": order(*args, **more)}


def purchase(number, of=None):
    return event("checkout", f"checkout_{number}", KEYS, of, order_id=number, value="39.00", currency="USD",
                 content_ids=["1"], num_items=1, contents=[{"id": "1", "quantity": 1, "item_price": "34.00"}])


def add(product):
    return [("product", product), ("selected_configurable_option", ""), ("item", product), ("form_key", "k"),
            ("super_attribute[93]", "49"), ("qty", "2")]


PAYMENT = {"cartId": "mask", "email": "tara@example.com", "paymentMethod": {"method": "checkmo"},
           "billingAddress": ADDRESS}
ORDER = "/rest/default/V1/guest-carts/mask/payment-information"

STEPS = [
    page("tara", "/?epik=@epik", event("page_visit"), answer=answer(cookies=["PHPSESSID=a9e110; path=/"])),
    page("tara", "/catalog/category/view/s/bags/id/4/", event("page_visit"), event("view_category", content_category="4")),
    page("tara", "/catalog/product/view/id/1", event("page_visit", content_ids=["1"])),
    page("tara", "/catalogsearch/result/?q=bag", event("page_visit"), event("search", search_string="bag")),
    fetch("tara", "/customer/section/load/?sections=cart", answer=answer({"cart": {}})),
    send("tara", "/checkout/cart/add/uenc/aHR0cA~~/product/2/", add("2"),
         answer=answer({"backUrl": "http://localhost/bag.html"})),
    send("tara", "/checkout/cart/add/uenc/aHR0cA~~/product/1/", add("1"),
         event("add_to_cart", content_ids=["1"], num_items=2), answer=answer([])),
    page("tara", "/checkout/", event("page_visit"), event("initiate_checkout", "start_*")),
    page("tara", "/checkout/", event("page_visit")),
    send("tara", "/rest/default/V1/guest-carts/mask/shipping-information", {"addressInformation": {}},
         answer=answer({"payment_methods": []})),
    send("tara", "/rest/default/V1/guest-carts/mask/set-payment-information", PAYMENT,
         answer=answer("true", kind="application/json")),
    send("tara", ORDER, {**PAYMENT, "email": "no"}, answer=answer({"message": "declined"}, 400)),
    send("tara", ORDER, PAYMENT, purchase("000000001"), answer=answer('"1"', kind="application/json"),
         hooks=[saved("000000001", "new", offline=True), placed("000000001", "new", offline=True)]),
    page("tara", "/checkout/onepage/success/", event("page_visit")),
    page("tara", "/checkout/onepage/success/", answer=redirect("http://localhost/checkout/cart/")),
    send("staff", "/admin_x/sales/order_invoice/save/order_id/1/", "", document=True,
         hooks=[saved("000000001", "processing", "new", offline=True)],
         answer=redirect("http://localhost/admin_x/sales/order/view/order_id/1/")),

    page("uma", "/?epik=@epik", event("page_visit"), answer=answer(cookies=["PHPSESSID=a9e111; path=/"])),
    send("uma", ORDER, PAYMENT, answer=answer('"2"', kind="application/json"),
         hooks=[saved("000000002", "pending_payment"), placed("000000002", "pending_payment")]),
    provider("/paypal/ipn/", "payment_status=Denied", answer=answer(""),
             hooks=[saved("000000002", "pending_payment", "pending_payment")]),
    provider("/paypal/ipn/", "payment_status=Completed", purchase("000000002", of="uma"), answer=answer(""),
             hooks=[saved("000000002", "processing", "pending_payment")]),
    provider("/paypal/ipn/", "payment_status=Completed", answer=answer(""),
             hooks=[saved("000000002", "complete", "processing")]),
    send("uma", "/graphql", {"query": "mutation { placeOrder }"}, purchase("000000003"), answer=answer({"data": {}}),
         hooks=[saved("000000003", "processing"), placed("000000003", "processing")]),
    send("uma", ORDER, PAYMENT, answer=answer('"4"', kind="application/json"),
         hooks=[saved("000000004", "pending_payment"), placed("000000004", "pending_payment")]),
    send("staff", "/admin_x/admin/order_shipment/save/order_id/6/", "", document=True,
         hooks=[saved("000000006", "complete", "processing")]),
    send("staff", "/admin_x/sales/order_create/save/", "", document=True,
         hooks=[saved("000000005", "processing", ip=""), placed("000000005", "processing", ip="")]),
    send("uma", "/customer/account/createpost/", "email=uma%40example.com", event("signup", "signup_7"), document=True,
         hooks=[("customer_register_success", {"customer": {"id": 7}})],
         answer=redirect("http://localhost/customer/account/")),
]
