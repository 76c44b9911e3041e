"""What the stand-in says of a request: our schema first, then what Pinterest checks of each event."""

import json
import pathlib
import re
import time

import jsonschema

SCHEMA_FILE = (pathlib.Path(__file__).resolve().parents[1] /
               "tests/contract/conversion-events.schema.json")
TOO_OLD = 7 * 86400  # seconds; the documented bound of event_time
STANDARD = frozenset(
    "add_payment_info add_to_cart add_to_wishlist app_install app_open checkout contact custom "
    "customize_product find_location initiate_checkout lead page_visit schedule search signup "
    "start_trial submit_application subscribe view_category view_content watch_video".split())
HASHED = frozenset("em ph ge db fn ln ct st zp country external_id hashed_maids".split())
ERRORS = {  # status: (code, message), as the API words them
    400: (4196, "The request was invalid."),
    401: (2, "Authentication failed."),
    403: (29, "You are not permitted to access that resource."),
    404: (0, "Not found."),
    405: (0, "Method not allowed."),
    411: (0, "Length required."),
    413: (0, "The request is too large."),
    415: (4196, "Invalid request: Content-Type must be application/json"),
    422: (953, "The action could not be processed properly due to some or all data provided being "
               "invalid."),
    429: (8, "This request exceeded a rate limit. This can happen if the client exceeds one\nof "
             "the published rate limits within a short time window."),
    503: (4197, "The endpoint has been ramped down and is currently not accepting any traffic."),
}


def guide_schema(schema):
    """The same for wire format `guide`: epik for click_id, money as numbers."""
    schema = json.loads(json.dumps(schema))
    money = {"type": "number"}
    event = schema["properties"]["data"]["items"]["properties"]
    user, custom = event["user_data"]["properties"], event["custom_data"]["properties"]
    user["epik"] = user.pop("click_id")
    custom["value"] = custom["predicted_ltv"] = money
    custom["contents"]["items"]["properties"]["item_price"] = money
    return schema


class Checker:
    """The schema, compiled once: the request's frame, and one event."""

    def __init__(self, schema):
        data = schema["properties"]["data"]
        frame = json.loads(json.dumps(schema))
        frame["properties"]["data"] = {k: v for k, v in data.items() if k != "items"}
        self.frame = jsonschema.Draft7Validator(frame)
        self.event = jsonschema.Draft7Validator(data["items"])

    def frame_error(self, body):
        error = next(self.frame.iter_errors(body), None)
        return error.message if error else None

    def event_error(self, event):
        """(spoils the batch, message): a value that is no hash costs its event only."""
        unhashed = None
        for error in self.event.iter_errors(event):
            path = list(error.path)
            if error.validator != "pattern" or path[0] != "user_data" or path[1] not in HASHED:
                return True, error.message
            unhashed = f"{path[1]} is not hashed with SHA-256, or not in lower-case hex."
        return False, unhashed


def event_problem(event, now):
    """What Pinterest says of a well-formed event that it will not take; None if it does."""
    when = event["event_time"]
    what = "past" if when < now - TOO_OLD else "future" if when > now else None
    return what and (f"Invalid event_timestamp parameter. Given timestamp is in the {what}. "
                     f"Current timestamp: {now}, Given event_timestamp: {when}")


def result(error=None, warning=""):
    return {"status": "failed" if error else "processed", "error_message": error or "",
            "warning_message": warning}


def report(results):
    """(status, body) of a batch whose results are these."""
    details = {"num_events_received": len(results),
               "num_events_processed": sum(r["status"] == "processed" for r in results),
               "events": results}
    if details["num_events_processed"] == len(results):
        return 200, details
    return 422, error_body(422, details=details)


def error_body(status, code=None, message=None, details=None):
    usual = ERRORS.get(status, (0, "Something went wrong on our end."))
    body = {"code": usual[0] if code is None else code, "message": message or usual[1]}
    if details is not None:
        body["details"] = details
    return body


def strict_json(text):
    def refuse(constant):
        raise ValueError(f"{constant} is not JSON")
    return json.loads(text.decode("utf-8"), parse_constant=refuse)


class Judge:
    def __init__(self):
        schema = json.loads(SCHEMA_FILE.read_text())
        self.checkers = {"v5": Checker(schema), "guide": Checker(guide_schema(schema))}

    def judge(self, body, wire, fail=None):
        """(status, answer, results) of a batch; results is None where it is refused as a whole."""
        checker, now = self.checkers[wire], int(time.time())
        message = checker.frame_error(body)
        if message is not None:
            return self.refuse(message)
        results = []
        for event in body["data"]:
            spoils, message = checker.event_error(event)
            if spoils:
                return self.refuse(message)
            problem = message or event_problem(event, now)
            if not problem and fail and re.search(fail, event["event_id"]):
                problem = "Event was refused on request."
            name = event["event_name"]
            results.append(result(problem, "" if name in STANDARD or wire == "guide" else
                                  f"event_name {name} is not a standard event."))
        return *report(results), results

    @staticmethod
    def refuse(message):
        return 400, error_body(400, message="Invalid request: " + message), None
