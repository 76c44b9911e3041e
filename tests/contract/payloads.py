"""Request bodies that the contract allows and refuses, and events as people write them."""

import copy

HASH = "836f82db99121b3481011f16b49dfa5fbc714a0d1b1b9f784a1ebbbf5b39577f"
OTHER = "7e25b7844dc82e53d76a507d7f6130832c805e097c1e038793c36ce22c358132"
EPIK = ("dj0yJnU9b2JDcFFHekV4SHJNcmVrbFBkUEdqakh0akdUT1VjVVUmcD0yJm49cnNBQ3F2Q2dOVDBXWWhkWklr"
        "UGxBUSZ0PUFBQUFBR1BaY3Bv")
AGENT = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15"
NOW = 1776943380

FULL = {
    "event_name": "checkout",
    "action_source": "web",
    "event_time": NOW,
    "event_id": "ord_10492_purchase",
    "event_source_url": "https://shop.example/thank-you?order=10492",
    "opt_out": False,
    "partner_name": "ss-example",
    "language": "de",
    "app_id": "1", "app_name": "Shop", "app_version": "2.1", "device_brand": "Apple",
    "device_carrier": "None", "device_model": "MacBook", "device_type": "laptop",
    "os_version": "14.4", "wifi": True,
    "user_data": {
        **{key: [HASH] for key in ("em", "ph", "ge", "db", "fn", "ln", "ct", "st", "zp",
                                   "country", "external_id", "hashed_maids")},
        "client_ip_address": "203.0.113.42",
        "client_user_agent": AGENT,
        "click_id": EPIK,
        "partner_id": "ramp-1",
    },
    "custom_data": {
        "value": "129.95", "predicted_ltv": "400", "currency": "EUR", "order_id": "10492",
        "content_ids": ["SKU-481", "SKU-812"], "num_items": 3,
        "contents": [{"id": "SKU-481", "item_price": "44.95", "quantity": 2, "item_name": "Vase",
                      "item_category": "Home", "item_brand": "Ours"}],
        "search_string": "vase", "content_name": "Vase", "content_category": "Home",
        "content_brand": "Ours", "opt_out_type": "LDP",
    },
    "app_info": {"app_id": "1", "app_name": "Shop", "app_package_name": "example.shop",
                 "app_store": "none", "app_version": "2.1", "install_time": 1, "user_agent": AGENT,
                 "window_height": 900, "window_width": 1440},
    "device_info": {"battery_level": 80, "brand": "Apple", "carrier": "None", "cpu_cores": 8,
                    "external_storage_free_space": 1, "external_storage_size": 2,
                    "form_factor": "laptop", "kernel_version": "23", "languages": ["de", "en"],
                    "locale": "de-DE", "model": "MacBook", "network_type": "wifi",
                    "os_family": "macos", "os_name": "macOS", "os_release_name": "Sonoma",
                    "os_version": "14.4", "screen_density": 2, "screen_height": 1800,
                    "screen_width": 2880, "storage_free_space": 1, "storage_size": 2,
                    "timezone": "Europe/Berlin", "timezone_abbr": "CET", "type": "laptop"},
}


def event(**changes):
    """A small valid event; a change to None takes the key out."""
    made = {"event_name": "checkout", "action_source": "web", "event_time": NOW,
            "event_id": "ord_10492_purchase",
            "user_data": {"em": [HASH], "client_ip_address": "203.0.113.42",
                          "client_user_agent": AGENT, "click_id": EPIK},
            "custom_data": {"value": "129.95", "currency": "EUR",
                            "content_ids": ["SKU-481", "SKU-812"]}}
    made.update(copy.deepcopy(changes))
    return {key: value for key, value in made.items() if value is not None}


def batch(*events):
    return {"data": list(events)}


def user(**keys):
    return batch(event(user_data=keys))


def custom(**keys):
    return batch(event(custom_data=keys))


VALID = {
    "everything": batch(FULL),
    "small": batch(event()),
    "without custom_data": batch(event(custom_data=None)),
    "e-mail alone": user(em=[HASH]),
    "several hashes": user(em=[HASH, OTHER], ph=[OTHER]),
    "device id alone": user(hashed_maids=[HASH]),
    "address and browser alone": user(client_ip_address="2001:db8::1", client_user_agent="x"),
    "advertiser-defined name": batch(event(event_name="quiz-Finished_2")),
    "offline": batch(event(action_source="offline")),
    "two events": batch(event(), event(event_name="page_visit", event_id="p1")),
    "a thousand events": batch(*[event(event_id=f"p{i}") for i in range(1000)]),
    "cents": custom(value="0.05", currency="EUR"),
    "no cents": custom(value="1300", currency="JPY"),
}

# Pinterest's published schema refuses these, and so do we.
REFUSED = {
    "no data": {},
    "empty data": batch(),
    "data is no array": {"data": event()},
    "a thousand and one events": batch(*[event(event_id=f"p{i}") for i in range(1001)]),
    "unknown key beside data": {**batch(event()), "test": True},
    "unknown key in an event": batch(event(page_name="x")),
    "unknown key in custom_data": custom(value="1", category_name="x"),
    "the Tag's names in custom_data": custom(value="1", order_quantity=1),
    "unknown key in contents": custom(contents=[{"id": "1", "price": "2"}]),
    "brand id of a later version": custom(contents=[{"id": "1", "item_brand_id": "b"}]),
    "no name": batch(event(event_name=None)),
    "no id": batch(event(event_id=None)),
    "no time": batch(event(event_time=None)),
    "no action source": batch(event(action_source=None)),
    "no user data": batch(event(user_data=None)),
    "time is text": batch(event(event_time="1776943380")),
    "time has a fraction": batch(event(event_time=1776943380.5)),
    "value is a number": custom(value=129.95),
    "price is a number": custom(contents=[{"id": "1", "item_price": 2.5}]),
    "quantity is text": custom(contents=[{"id": "1", "quantity": "2"}]),
    "num_items is text": custom(num_items="2"),
    "content_ids is text": custom(content_ids="SKU-481"),
    "content_ids has numbers": custom(content_ids=[481]),
    "opt_out is text": batch(event(opt_out="false")),
    "e-mail is no array": user(em=HASH),
    "click id alone": user(click_id=EPIK),
    "phone alone": user(ph=[HASH]),
    "address without browser": user(client_ip_address="203.0.113.42"),
    "browser without address": user(client_user_agent=AGENT),
    "battery over full": batch(event(device_info={"battery_level": 101})),
    "unknown form factor": batch(event(device_info={"form_factor": "fridge"})),
}

# These the published schema lets pass, at a price: ignored fields, lost matches, double counts.
STRICTER = {
    "epik is not the API's name": user(em=[HASH], epik=EPIK),
    "unknown key in user_data": user(em=[HASH], gender="f"),
    "opt_out_type in the wrong place": user(em=[HASH], opt_out_type="LDP"),
    "raw e-mail": user(em=["john.doe@example.com"]),
    "upper-case hash": user(em=[HASH.upper()]),
    "no hash at all": user(em=[]),
    "money with a comma": custom(value="129,95"),
    "money with a currency": custom(value="129.95 EUR"),
    "currency in words": custom(currency="euro"),
    "empty id": batch(event(event_id="")),
    "null": custom(value=None, currency="EUR"),
    "click id with a space": user(em=[HASH], click_id="a b"),
    "unknown action source": batch(event(action_source="website")),
    "for Pinterest alone": custom(np="ss-example"),
}

GUIDE_USER = {"em": [HASH], "ph": [OTHER], "epik": "dj0yJnU9YzJ", "client_user_agent": AGENT,
              "client_ip_address": "203.0.113.42"}

# Events as shops, the guide and other integrations write them.
WRITTEN = {
    "the guide's add_to_cart": {
        "event_name": "add_to_cart", "action_source": "web", "event_time": NOW - 154,
        "event_id": "cart_10492_add_1",
        "user_data": {"epik": "dj0yJnU9YzJ", "client_ip_address": "203.0.113.42",
                      "client_user_agent": AGENT},
        "custom_data": {"value": 89.95, "currency": "EUR", "content_ids": ["SKU-481"]}},
    "the guide's checkout": {
        "event_name": "checkout", "action_source": "web", "event_time": NOW - 68,
        "event_id": "chk_10492_start", "user_data": GUIDE_USER},
    "the guide's purchase": {
        "event_name": "checkout_complete", "action_source": "web", "event_time": NOW,
        "event_id": "ord_10492_purchase", "user_data": GUIDE_USER,
        "custom_data": {"value": 129.95, "currency": "EUR",
                        "content_ids": ["SKU-481", "SKU-812"]}},
    "the guide's lead": {
        "event_name": "lead", "action_source": "web", "event_time": NOW - 1,
        "event_id": "lead_77821_submit", "user_data": {k: v for k, v in GUIDE_USER.items()
                                                       if k != "ph"}},
    "raw match keys": {
        "event_name": "purchase", "event_id": "o1",
        "user_data": {"email": " John.Doe@Example.COM ", "phone": "+49 171 1234567",
                      "first_name": "Élodie", "last_name": "O'Connor", "gender": "F",
                      "birthdate": "1997-12-26", "city": "St. Louis", "state": "US-CA",
                      "zip": "94025-1234", "country": "US", "external_id": ["u1", "u2"]}},
    "contents alone": {
        "event_name": "purchase", "event_id": "o2", "user_data": {"em": HASH},
        "custom_data": {"value": "1299.999", "currency": "eur", "contents": [
            {"id": 481, "item_price": 44.95, "quantity": "2"}, {"id": "812", "quantity": 1}]}},
    "yen": {"event_name": "purchase", "event_id": "o3", "user_data": {"em": HASH},
            "custom_data": {"value": 1299.5, "currency": "JPY"}},
    "the Tag's names": {
        "event_name": "add_to_cart", "event_id": "o4", "user_data": {"em": HASH},
        "custom_data": {"value": 1, "order_quantity": 2, "line_items": [{"product_id": "1"}],
                        "np": "x", "category_name": "y"}},
    "nulls": {"event_name": "lead", "event_id": "o5", "language": None, "opt_out": None,
              "user_data": {"em": HASH, "ph": None, "click_id": None},
              "custom_data": {"value": None, "content_ids": None, "contents": []}},
    "no id and no time": {"event_name": "search", "user_data": {"em": HASH},
                          "custom_data": {"search_string": "vase"}},
    "PHP's empty objects": {"event_name": "page_visit", "event_id": "o6", "user_data": [],
                            "custom_data": []},
}
