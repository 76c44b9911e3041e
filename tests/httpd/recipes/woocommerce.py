"""WooCommerce, as it was recorded: classic checkout with bank transfer, blocks with a payment provider."""

from urllib.parse import urlencode

from steps import answer, event, page, provider, redirect, send, step

FILES = ["woocommerce_fake.php", "woocommerce.php"]
CONF = "woocommerce.conf"

ANNA = {"billing_first_name": "Anna", "billing_last_name": "Kowalska", "billing_country": "US",
        "billing_address_1": "1 Main St", "billing_city": "San Jose", "billing_state": "CA",
        "billing_postcode": "95113", "billing_phone": "(408) 555-0142",
        "billing_email": "Anna@Example.com", "payment_method": "bacs"}
ANNA_KEYS = {"em": "anna@example.com", "ph": "14085550142", "fn": "anna", "ln": "kowalska",
             "ct": "sanjose", "st": "ca", "zp": "95113", "country": "us"}
BEN = {"first_name": "Ben", "last_name": "Okafor", "address_1": "2 Rue Haute", "city": "Bruxelles",
       "state": "", "postcode": "1000", "country": "BE", "email": "ben@example.com",
       "phone": "+32 2 555 12 12"}
BEN_KEYS = {"em": "ben@example.com", "ph": "3225551212", "fn": "ben", "ln": "okafor",
            "ct": "bruxelles", "zp": "1000", "country": "be"}

SESSION = "wp_woocommerce_session_0123456789abcdef0123456789abcdef"


def cart(mark, session=None):
    """Set-Cookie lines of an answer after which the cart is another one."""
    lines = ["woocommerce_items_in_cart=1; path=/", f"woocommerce_cart_hash={mark * 32}; path=/"]
    if session:
        lines.append(f"{SESSION}=t_{session}%7C1795000000%7C1794990000%7C{'e' * 32}; path=/; HttpOnly")
    return lines


EMPTIED = ["woocommerce_items_in_cart=0; Max-Age=0; path=/", "woocommerce_cart_hash=0; Max-Age=0; path=/"]


def order(number, method, person=None, via="checkout", total="64.00", currency="USD"):
    person = person or {f"billing_{k}": v for k, v in BEN.items()}
    return {"id": number, "payment_method": method, "created_via": via, "total": total, "currency": currency,
            "items": [{"product_id": 14, "variation_id": 0, "quantity": 1, "price": 18},
                      {"product_id": 11, "variation_id": 34, "quantity": 2, "price": 23}],
            **{k: v for k, v in person.items() if k.startswith("billing_")}}


def moves(number, before, after, *rest, **more):
    return "woocommerce_order_status_changed", [number, before, after, order(number, *rest, **more)]


def purchase(number, user, value, currency, of=None):
    return event("checkout", f"checkout_{number}", user, of, order_id=str(number), value=value, currency=currency,
                 content_ids=["14", "34"], num_items=3,
                 contents=[{"id": "14", "quantity": 1, "item_price": "18.00"},
                           {"id": "34", "quantity": 2, "item_price": "23.00"}])


def product(number):
    return answer(headers=[("Link", f'<http://localhost/wp-json/wp/v2/product/{number}>; rel="alternate"; '
                                    'title="JSON"; type="application/json"'),
                           ("Link", f"<http://localhost/?p={number}>; rel=shortlink")])


def batch(path, body):
    return {"requests": [{"path": path, "method": "POST", "body": body}]}


VARIATION = [("attribute_pa_color", "blue"), ("attribute_logo", "Yes"), ("quantity", "2"),
             ("add-to-cart", "11"), ("product_id", "11"), ("variation_id", "34")]
BLOCKS = {"billing_address": BEN, "shipping_address": BEN, "payment_method": "card"}

STEPS = [
    page("anna", "/?epik=@epik&utm_source=pinterest", event("page_visit")),
    send("anna", "/?wc-ajax=get_refreshed_fragments", "time=1794990000", answer=answer({"fragments": {}})),
    page("anna", "/?s=cap&post_type=product", event("search", search_string="cap"),
         answer=redirect("http://localhost/product/cap/")),
    page("anna", "/product/cap/", event("page_visit", content_ids=["16"]), answer=product(16)),
    page("anna", "/product-category/clothing/hoodies/", event("page_visit"),
         event("view_category", content_category="hoodies")),
    send("anna", "/?wc-ajax=add_to_cart", "product_sku=woo-sold-out&product_id=99&quantity=1",
         answer=answer({"error": True, "product_url": "http://localhost/product/sold-out/"})),
    send("anna", "/?wc-ajax=add_to_cart", "success_message=&product_sku=woo-beanie&product_id=14&quantity=1",
         event("add_to_cart", content_ids=["14"], num_items=1),
         answer=answer({"fragments": {}, "cart_hash": "a" * 32}, cookies=cart("a", "anna"))),
    send("anna", "/product/hoodie/", VARIATION, event("add_to_cart", content_ids=["34"], num_items=2),
         document=True, answer=answer(cookies=cart("b"))),
    send("anna", "/product/cap/", [("quantity", "900"), ("add-to-cart", "16")], document=True),
    page("anna", "/checkout/", event("page_visit"), event("initiate_checkout", "start_*")),
    page("anna", "/checkout/", event("page_visit")),
    send("anna", "/?wc-ajax=update_order_review", urlencode({"post_data": urlencode(ANNA)}),
         answer=answer({"result": "success", "fragments": {}})),
    send("anna", "/?wc-ajax=checkout", urlencode({**ANNA, "billing_email": "nobody"}),
         answer=answer({"result": "failure", "messages": "<ul class='woocommerce-error'></ul>"})),
    send("anna", "/?wc-ajax=checkout", urlencode(ANNA), purchase(40, ANNA_KEYS, "64.00", "USD"),
         hooks=[("woocommerce_checkout_order_processed", [40, {}, order(40, "bacs", ANNA)]),
                moves(40, "pending", "on-hold", "bacs", ANNA)],
         answer=answer({"result": "success", "redirect": "http://localhost/checkout/order-received/40/",
                        "order_id": 40}, cookies=EMPTIED)),
    page("anna", "/checkout/order-received/40/?key=wc_order_x", event("page_visit")),
    page("anna", "/checkout/order-received/40/?key=wc_order_x", event("page_visit")),
    send("staff", "/wp-admin/post.php", "post=40&order_status=wc-processing", document=True,
         answer=redirect("http://localhost/wp-admin/post.php?post=40"),
         hooks=[moves(40, "on-hold", "processing", "bacs", ANNA)]),
    page("staff", "/wp-admin/index.php"),
    step("shop", "POST", "/wp-cron.php?doing_wp_cron=1794990000.1", answer=answer("")),

    page("ben", "/?epik=@epik", event("page_visit")),
    page("ben", "/product/beanie/", event("page_visit", content_ids=["14"]), answer=product(14),
         headers={"Sec-Purpose": "prefetch"}),
    step("ben", "GET", "/wp-json/wc/store/v1/cart", headers={"Accept": "*/*", "Sec-Fetch-Dest": "empty"},
         answer=answer({"items": []})),
    send("ben", "/wp-json/wc/store/v1/batch", batch("/wc/store/v1/cart/add-item", {"id": 900, "quantity": 1}),
         answer=answer({"responses": [{"status": 400}]}, 207)),
    send("ben", "/wp-json/wc/store/v1/batch", batch("/wc/store/v1/cart/add-item", {"id": 22, "quantity": 1}),
         event("add_to_cart", content_ids=["22"], num_items=1),
         answer=answer({"responses": [{"status": 201}]}, 207, cookies=cart("c", "ben"))),
    send("ben", "/wp-json/wc/store/v1/cart/add-item", {"id": 14, "quantity": 2},
         event("add_to_cart", content_ids=["14"], num_items=2), answer=answer({}, 201, cookies=cart("d"))),
    page("ben", "/checkout/", event("page_visit"), event("initiate_checkout", "start_*")),
    send("ben", "/wp-json/wc/store/v1/batch?_locale=site",
         batch("/wc/store/v1/cart/update-customer", {"billing_address": {"email": "b@example.com"}}),
         answer=answer({"responses": [{"status": 200}]}, 207)),
    send("ben", "/wp-json/wc/store/v1/checkout?_locale=site",
         {**BLOCKS, "billing_address": {**BEN, "email": "no"}},
         answer=answer({"code": "rest_invalid_param"}, 400)),
    send("ben", "/wp-json/wc/store/v1/checkout?_locale=site", BLOCKS,
         hooks=[("woocommerce_store_api_checkout_order_processed", [order(41, "card", via="store-api")])],
         answer=answer({"order_id": 41, "status": "pending", "payment_result": {
             "redirect_url": "https://pay.example/41"}})),
    provider("/wc-api/card/", "order=41&paid=0",
             hooks=[moves(41, "pending", "failed", "card", via="store-api")], answer=answer("ok")),
    provider("/wc-api/card/", "order=41&paid=1", purchase(41, BEN_KEYS, "79.90", "EUR", of="ben"), answer=answer("ok"),
             hooks=[moves(41, "failed", "processing", "card", via="store-api", total="79.90", currency="EUR")]),
    provider("/wc-api/card/", "order=41&paid=1", answer=answer("ok"),
             hooks=[moves(41, "processing", "completed", "card", via="store-api")]),
    page("ben", "/checkout/order-received/41/?key=wc_order_y", event("page_visit")),
    send("ben", "/wp-json/wc/store/v1/checkout?_locale=site", BLOCKS,
         hooks=[("woocommerce_store_api_checkout_order_processed", [order(42, "card", via="store-api")])],
         answer=answer({"order_id": 42, "status": "pending"})),
    step("shop", "POST", "/wp-cron.php?doing_wp_cron=1794990600.1", answer=answer(""),
         hooks=[moves(42, "pending", "cancelled", "card", via="store-api")]),
    send("staff", "/wp-admin/post.php", "post=43&order_status=wc-processing", document=True,
         hooks=[moves(43, "pending", "processing", "card", via="admin")]),
    send("staff", "/wp-admin/post.php", "post=44&order_status=wc-completed", document=True,
         hooks=[moves(44, "processing", "completed", "card")]),
    provider("/wc-api/card/", "order=42&paid=0", answer=answer("ok"),
             hooks=[moves(42, "cancelled", "failed", "card", via="store-api")]),
    page("ben", "/?add-to-cart=16", event("add_to_cart", content_ids=["16"], num_items=1), event("page_visit"),
         answer=answer(cookies=cart("f"))),
    send("ben", "/my-account/", "email=ben%40example.com&register=Register", event("signup", "signup_7"),
         document=True, hooks=[("woocommerce_created_customer", [7])],
         answer=redirect("http://localhost/my-account/")),
    page("crawler", "/product/cap/", answer=product(16)),
]
