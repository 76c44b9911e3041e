"""Our schema against Pinterest's published ones, and what the project sends against both."""

import contextlib
import copy
import hashlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent), str(TOP / "demo")]

import payloads  # noqa: E402
from standin_judge import guide_schema  # noqa: E402

PUBLISHED = TOP.parent / "shared" / "pinterest"
NEEDS_PUBLISHED = pytest.mark.skipif(not PUBLISHED.is_dir(),
                                     reason="Pinterest's published schemas are not here")
VERSIONS = ("5.23", "5.28")
OURS = json.loads((pathlib.Path(__file__).parent / "conversion-events.schema.json").read_text())


def validator(schema):
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema)


@pytest.fixture(scope="session")
def ours():
    return validator(OURS)


@pytest.fixture(scope="session")
def published():
    return {v: validator(json.loads(
        (PUBLISHED / f"conversion-events-request-{v}.schema.json").read_text()))
        for v in VERSIONS}


def problem(schema, body):
    """The first thing that is wrong; None where all is well."""
    error = next(schema.iter_errors(body), None)
    return error and f"{'/'.join(map(str, error.path))}: {error.message}"[:300]


# --- the schemas ---

@pytest.mark.parametrize("name", payloads.VALID)
def test_valid_payload_passes_our_schema(ours, name):
    assert problem(ours, payloads.VALID[name]) is None


@pytest.mark.parametrize("name", [*payloads.REFUSED, *payloads.STRICTER])
def test_invalid_payload_fails_our_schema(ours, name):
    body = {**payloads.REFUSED, **payloads.STRICTER}[name]
    assert problem(ours, body) is not None


@NEEDS_PUBLISHED
@pytest.mark.parametrize("version", VERSIONS)
def test_published_schema_agrees_with_the_fixtures(published, version):
    for name, body in {**payloads.VALID, **payloads.STRICTER}.items():
        assert problem(published[version], body) is None, name
    for name, body in payloads.REFUSED.items():
        later = version == "5.28" and name == "brand id of a later version"
        assert later or problem(published[version], body), name


ODD = [None, "", "x", "1.5", 0, -1, 1, 1.5, 10 ** 20, True, [], {}, [None], ["x"], [1], [{}],
       {"x": 1}, "y" * 500, "z" * 20000, ["x"] * 200]


def places(value, path=()):
    """Every place in a JSON value, as a path."""
    yield path
    if isinstance(value, dict):
        for key in value:
            yield from places(value[key], (*path, key))
    if isinstance(value, list) and value:
        yield from places(value[0], (*path, 0))


def parent_of(body, path):
    for step in path[:-1]:
        body = body[step]
    return body


def mutants(body):
    """(what was done, body): each place lost, odd, or with a key too many."""
    for path in places(body):
        place = "/".join(map(str, path))
        if path:
            lost = copy.deepcopy(body)
            del parent_of(lost, path)[path[-1]]
            yield f"{place} is gone", lost
        for value in ODD:
            odd = copy.deepcopy(body) if path else value
            if path:
                parent_of(odd, path)[path[-1]] = value
            yield f"{place} is {value!r:.30}", odd
        if isinstance(parent_of(body, (*path, None)), dict):
            for key in ("unknown", "epik", "value", "event_name", "em"):
                more = copy.deepcopy(body)
                parent_of(more, (*path, None)).setdefault(key, "x")
                yield f"{place} has {key} too", more


@NEEDS_PUBLISHED
def test_our_schema_is_nowhere_laxer_than_the_published_ones(ours, published):
    tried = accepted = 0
    for name in ("everything", "small", "device id alone", "address and browser alone"):
        for what, body in mutants(payloads.VALID[name]):
            tried += 1
            if problem(ours, body):
                continue
            accepted += 1
            for version in VERSIONS:
                assert problem(published[version], body) is None, f"{name}: {what}"
    assert tried > 2500 and accepted > 200


# --- what the project makes of an event ---

class Canonical:
    """The project's own parser and wire formats, a line in and a line out."""

    def __init__(self, program):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)

    def __call__(self, event, **rest):
        self.process.stdin.write(json.dumps({"event": event, "now": payloads.NOW, **rest}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"the program ended ({self.process.wait()}) at {event!r}"
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(10) == 0


@pytest.fixture(scope="session", params=["build", "build-address-undefined"])
def canonical(request):
    program = TOP / request.param / "tests/canonical"
    if not program.exists():
        pytest.skip(f"{request.param}/tests/canonical is not built")
    running = Canonical(program)
    yield running
    running.close()


@pytest.fixture(scope="session")
def check(ours):
    """check(answer): the v5 and the guide text of one event are what they must be."""
    schemas = {"ours": ours}
    if PUBLISHED.is_dir():
        for version in VERSIONS:
            path = PUBLISHED / f"conversion-events-request-{version}.schema.json"
            schemas[version] = validator(json.loads(path.read_text()))
    relay = validator(guide_schema(OURS))

    def check(answer):
        v5, guide = json.loads(answer["v5"]), json.loads(answer["guide"])
        if answer["sendable"]:
            for name, schema in schemas.items():
                assert problem(schema, {"data": [v5]}) is None, f"{name}: {answer['v5']}"
            assert problem(relay, {"data": [guide]}) is None, answer["guide"]
        assert_same_event(v5, guide)
        return v5

    return check


def assert_same_event(v5, guide):
    """The guide's letter says what v5 says, in its own spelling."""
    user, custom = dict(guide["user_data"]), dict(guide.get("custom_data", {}))
    if "epik" in user:
        user["click_id"] = user.pop("epik")
    assert user == v5["user_data"]
    assert set(custom) == set(v5.get("custom_data", {}))
    for key in ("value", "predicted_ltv"):
        if key in custom:
            assert isinstance(custom[key], (int, float))
            assert custom[key] == pytest.approx(float(v5["custom_data"][key]), rel=1e-14)


CLIENT = {"address": "203.0.113.42", "agent": payloads.AGENT, "click_id": payloads.EPIK,
          "url": "https://shop.example/cap"}


@pytest.mark.parametrize("name", payloads.WRITTEN)
def test_event_as_people_write_it_leaves_valid(canonical, check, name):
    answer = canonical(payloads.WRITTEN[name], **CLIENT)
    assert answer.get("sendable"), answer
    check(answer)


def test_purchase_of_the_guide_leaves_as_the_api_wants_it(canonical, check):
    v5 = check(canonical(payloads.WRITTEN["the guide's purchase"]))
    assert v5["event_name"] == "checkout"
    assert v5["user_data"]["click_id"] == "dj0yJnU9YzJ" and "epik" not in v5["user_data"]
    assert v5["custom_data"] == {"value": "129.95", "currency": "EUR",
                                 "content_ids": ["SKU-481", "SKU-812"]}


@pytest.mark.parametrize("name", [n for n in payloads.WRITTEN if n.startswith("the guide's")])
def test_guide_format_is_the_guides_letter(canonical, name):
    """Byte for byte apart from the order of keys, which JSON does not have."""
    answer = canonical(payloads.WRITTEN[name])
    assert json.loads(answer["guide"]) == payloads.WRITTEN[name]
    if "value" in answer["guide"]:
        value = payloads.WRITTEN[name]["custom_data"]["value"]
        assert re.search(rf'"value":{value}[,}}]', answer["guide"])


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-2 ** 63, 2 ** 63 - 1) |
    st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner,
                                                                max_size=4), max_leaves=8)
TEXT = st.text(st.characters(blacklist_categories=("Cs",)), max_size=60)
MONEY = st.one_of(st.decimals(-10, 10 ** 9, places=3).map(str), st.floats(0, 1e9), JUNK,
                  st.integers(0, 10 ** 12), st.sampled_from(["129.95", "1e3", "1,299.00", "12 €"]))
HASHES = st.sampled_from([payloads.HASH, payloads.HASH.upper(), "ab", "", [payloads.HASH] * 3])
PERSON = st.one_of(TEXT, HASHES, JUNK, st.lists(TEXT | HASHES, max_size=4))
USER_KEYS = ("em ph ge db fn ln ct st zp country external_id email phone gender birthdate "
             "first_name last_name city state zip hashed_maids").split()
CONTENT = st.fixed_dictionaries({}, optional={
    "id": TEXT | st.integers() | JUNK, "item_price": MONEY, "item_name": TEXT | JUNK,
    "quantity": st.integers(-3, 5000) | JUNK, "item_category": TEXT, "item_brand": TEXT,
    "item_brand_id": TEXT, "sku": TEXT})
CUSTOM = st.fixed_dictionaries({}, optional={
    "value": MONEY, "predicted_ltv": MONEY, "order_id": TEXT | st.integers() | JUNK,
    "currency": st.sampled_from(["EUR", "eur", "JPY", "KWD", "euro", ""]) | JUNK,
    "content_ids": st.lists(TEXT | st.integers(), max_size=5) | JUNK,
    "contents": st.lists(CONTENT | JUNK, max_size=4) | JUNK, "num_items": st.integers() | JUNK,
    "search_string": TEXT | JUNK, "content_name": TEXT, "content_brand": JUNK,
    "opt_out_type": st.sampled_from(["LDP", "ldp", "x"]) | JUNK, "np": TEXT, "other": JUNK})
DEVICE = st.dictionaries(st.sampled_from(list(payloads.FULL["device_info"]) + ["other"]), JUNK)
APP = st.dictionaries(st.sampled_from(list(payloads.FULL["app_info"]) + ["other"]), JUNK)
EVENT = st.fixed_dictionaries(
    {"event_name": st.sampled_from(["checkout_complete", "purchase", "page_visit", "search",
                                    "begin_checkout", "lead", "add_to_cart", "nonsense"])},
    optional={
        "event_id": TEXT | st.integers() | JUNK, "event_time": st.integers(-5, 2 ** 40) | JUNK,
        "action_source": st.sampled_from(["web", "offline", "", "x"]),
        "event_source_url": st.sampled_from(["https://shop.example/a?b=1", "x"]) | TEXT | JUNK,
        "opt_out": st.booleans() | JUNK, "language": TEXT | st.sampled_from(["de", "de-DE"]),
        "partner_name": TEXT, "wifi": JUNK, "order_id": TEXT | JUNK, "device_brand": JUNK,
        "user_data": st.dictionaries(st.sampled_from(USER_KEYS), PERSON) | JUNK |
        st.fixed_dictionaries({"em": HASHES}, optional={
            "click_id": TEXT, "epik": st.just(payloads.EPIK) | JUNK, "partner_id": TEXT | JUNK,
            "client_ip_address": st.ip_addresses().map(str) | TEXT | JUNK,
            "client_user_agent": TEXT | JUNK}),
        "custom_data": CUSTOM | JUNK, "device_info": DEVICE | JUNK, "app_info": APP | JUNK,
        "other": JUNK})

THOROUGH = settings(max_examples=600, deadline=None, derandomize=True, database=None,
                    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large,
                                           HealthCheck.filter_too_much])


@THOROUGH
@given(event=EVENT, names=st.sampled_from(["guide", "pinterest"]),
       client=st.sampled_from([CLIENT, {}]))
def test_whatever_comes_in_leaves_valid_or_not_at_all(canonical, check, event, names, client):
    answer = canonical(event, names=names, **client)
    if "v5" in answer:
        check(answer)
    else:
        assert answer["message"]


@THOROUGH
@given(key=st.sampled_from(USER_KEYS), secret=st.from_regex(r"[A-Za-z]{12,20}@[a-z]{6}\.example",
                                                             fullmatch=True))
def test_no_personal_data_leaves_unhashed(canonical, key, secret):
    answer = canonical({"event_name": "lead", "event_id": "1", "user_data": {key: [secret]}},
                       **CLIENT)
    assert secret.lower() not in json.dumps(answer).lower()
    if key == "email":
        digest = hashlib.sha256(secret.lower().encode()).hexdigest()
        assert json.loads(answer["v5"])["user_data"]["em"] == [digest]


# --- a third party's validator ---

def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def install_prism():
    """Prism as package-lock.json pins it, below build/; once for each version of that file."""
    here = pathlib.Path(__file__).parent
    mark = hashlib.sha256((here / "package-lock.json").read_bytes()).hexdigest()[:16]
    folder = TOP / "build" / "prism" / mark
    program = folder / "node_modules/.bin/prism"
    if not program.exists():
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(here / name, folder)
        done = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
                              cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=600)
        if re.search(r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ENETUNREACH", done.stdout):
            pytest.skip("npm reaches no registry from here")
        assert done.returncode == 0 and program.exists(), done.stdout[-2000:]
    return program


@pytest.fixture(scope="module")
def prism(tmp_path_factory):
    """post(body) → status, from Prism on Pinterest's own OpenAPI document."""
    if not PUBLISHED.is_dir():
        pytest.skip("Pinterest's OpenAPI document is not here")
    if not shutil.which("npm"):
        pytest.skip("npm is not installed")
    program, port = install_prism(), free_port()
    log = tmp_path_factory.mktemp("prism") / "log"
    with log.open("w") as output:
        process = subprocess.Popen([program, "mock", "-h", "127.0.0.1", "-p", str(port),
                                    str(PUBLISHED / "openapi-events-5.23.json")],
                                   stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
    deadline = time.monotonic() + 60
    while "is listening" not in log.read_text():
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)

    def post(text):
        # A connection each: Prism closes one that rests for five seconds.
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as line:
            line.request("POST", "/ad_accounts/549755885175/events?test=true", text,
                         {"Authorization": "Bearer x", "Content-Type": "application/json"})
            return line.getresponse().status

    yield post
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_third_party_validator_agrees_with_the_fixtures(prism):
    wrong = [name for name, body in {**payloads.VALID, **payloads.STRICTER}.items()
             if prism(json.dumps(body)) != 200]
    wrong += [name for name, body in payloads.REFUSED.items() if prism(json.dumps(body)) < 400]
    assert wrong == []


def test_third_party_validator_takes_what_the_project_sends(prism, canonical):
    for name, event in payloads.WRITTEN.items():
        answer = canonical(event, **CLIENT)
        assert prism('{"data":[' + answer["v5"] + "]}") == 200, f"{name}: {answer['v5']}"
