"""What a table of steps is made of: requests as a browser, a script on a page, a payment provider or the shop itself makes
them, with the answer of the shop and the events that must come of it."""

import json
import uuid

HTML = "text/html; charset=UTF-8"
PAGE = "<!doctype html><title>Shop</title><p>Hello"
URLENCODED = "application/x-www-form-urlencoded; charset=UTF-8"
HOST = "http://localhost"


def answer(body=PAGE, status=200, kind=None, headers=(), cookies=()):
    if not isinstance(body, str):
        body, kind = json.dumps(body), kind or "application/json; charset=UTF-8"
    return {"status": status, "type": kind or HTML, "body": body,
            "headers": [list(h) for h in headers] + [["Set-Cookie", c] for c in cookies]}


def redirect(location, status=302, **more):
    headers = [("Location", location), *more.pop("headers", ())]
    return answer("", status, headers=headers, **more)


def event(name, event_id="*", user=None, of=None, **custom):
    """`event_id`: `*` is one that the module made; `start_*` any with that beginning. `user`: all match keys, in clear;
    None where they do not matter. `of`: the visitor, where somebody else's request reports the event."""
    return {"name": name, "id": event_id, "custom": custom, "user": user, "of": of}


def step(who, method, path, events=(), answer=answer(), hooks=(), headers=None, body=None):
    """`who`: a visitor, `provider` (no cookies, another address) or `shop` (a call to itself)."""
    return {"who": who, "method": method, "path": path, "headers": headers or {}, "body": body,
            "answer": answer, "hooks": [list(h) for h in hooks], "events": list(events)}


def page(who, path, *events, **more):
    headers = {"Accept": "text/html,application/xhtml+xml", "Sec-Fetch-Dest": "document",
               "Sec-Fetch-Mode": "navigate", **more.pop("headers", {})}
    return step(who, "GET", path, events, headers=headers, **more)


def multipart(fields):
    """(content type, body) as a browser's FormData makes them."""
    boundary = "----WebKitFormBoundary" + uuid.uuid4().hex[:16]
    parts = [f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
             for name, value in fields]
    return f"multipart/form-data; boundary={boundary}", "".join(parts) + f"--{boundary}--\r\n"


def send(who, path, body, *events, document=False, **more):
    """POST: a string is urlencoded, a list of pairs multipart, a dictionary JSON."""
    kind = URLENCODED
    if isinstance(body, list):
        kind, body = multipart(body)
    elif isinstance(body, dict):
        kind, body = "application/json", json.dumps(body)
    headers = {"Content-Type": kind, "Referer": f"{HOST}/somewhere/",
               "Accept": "text/html" if document else "*/*",
               "Sec-Fetch-Dest": "document" if document else "empty", **more.pop("headers", {})}
    return step(who, "POST", path, events, headers=headers, body=body, **more)


def fetch(who, path, *events, **more):
    headers = {"Accept": "*/*", "Sec-Fetch-Dest": "empty", "X-Requested-With": "XMLHttpRequest",
               "Referer": f"{HOST}/somewhere/", **more.pop("headers", {})}
    return step(who, "GET", path, events, headers=headers, **more)


def provider(path, body="", *events, **more):
    return send("provider", path, body, *events, **more)
