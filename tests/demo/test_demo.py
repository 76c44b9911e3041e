"""The demo as people start it: what it prints, what it leaves, and what its shop refuses."""

import json
import os
import pathlib
import re
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/httpd"))

from server import HAS_PHP_MODULE, PHP_FPM, free_port  # noqa: E402

HEX = re.compile(r"[0-9a-f]{64}")


class Demo:
    def __init__(self, state, **settings):
        self.state, self.port = state, free_port()
        self.environment = {**os.environ, "DEMO_STATE": str(state), "DEMO_PORT": str(self.port),
                            "DEMO_API_PORT": str(free_port()), **settings}
        self.base = f"http://127.0.0.1:{self.port}"
        self.out = ""

    def run(self, command):
        done = subprocess.run(["/usr/bin/python3", str(TOP / "demo/run.py"), command], text=True,
                              env=self.environment, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=240)
        self.out = done.stdout
        return done.returncode

    def purchase(self):
        return json.loads(re.search(r"^\{.*?^\}", self.out, re.M | re.S)[0])

    def control(self, what):
        address = re.search(r"(http://\S+/_control)/requests", self.out)[1]
        with urllib.request.urlopen(f"{address}/{what}", timeout=60) as answer:
            return json.load(answer)

    def processes(self):
        """Command lines of everything that names the demo's directory."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                except OSError:
                    continue
                if f"{self.state}/" in line:
                    found.append(line)
        return found


@pytest.fixture
def demo():
    """demo(**environment) starts one that succeeds."""
    started = []

    def start(**settings):
        made = Demo(pathlib.Path(f"/tmp/pinterest-capi-demo-test-{os.getpid()}"), **settings)
        started.append(made)
        assert made.run("start") == 0, made.out
        return made

    yield start
    for made in started:
        made.run("stop")


@pytest.mark.parametrize("php", ["fpm", "mod"])
def test_demo_delivers_the_purchase_and_stops_without_a_trace(demo, php):
    if not (HAS_PHP_MODULE if php == "mod" else PHP_FPM):
        pytest.skip(f"PHP as {php} is not installed")
    running = demo(DEMO_PHP=php)
    purchase = running.purchase()
    assert purchase["event_name"] == "checkout"
    assert re.fullmatch(r"ord_\d+_purchase", purchase["event_id"])
    assert re.fullmatch(r"dj0yJnU9[A-Za-z0-9_-]{100}", purchase["user_data"]["click_id"])
    assert purchase["user_data"]["client_ip_address"] == "203.0.113.42"
    assert purchase["user_data"]["client_user_agent"].startswith("Mozilla/5.0 (Macintosh")
    assert HEX.fullmatch(purchase["user_data"]["em"][0])
    assert purchase["custom_data"]["value"] == "129.95"
    assert purchase["custom_data"]["currency"] == "EUR"
    assert purchase["custom_data"]["content_ids"] == ["SKU-481", "SKU-812"]
    assert {r["status"] for r in running.control("requests")} == {200}
    assert running.processes()
    assert running.run("stop") == 0
    assert running.processes() == []
    assert not running.state.exists()


def test_wire_format_guide_is_the_guides_payload_and_nothing_else(demo):
    purchase = demo(DEMO_WIRE="guide").purchase()
    assert set(purchase) == {"event_name", "action_source", "event_time", "event_id", "user_data",
                             "custom_data"}
    assert purchase["event_name"] == "checkout_complete"
    assert purchase["action_source"] == "web"
    assert isinstance(purchase["event_time"], int)
    user = purchase["user_data"]
    assert set(user) == {"em", "ph", "epik", "client_ip_address", "client_user_agent"}
    assert HEX.fullmatch(user["em"][0]) and HEX.fullmatch(user["ph"][0])
    assert purchase["custom_data"] == {"value": 129.95, "currency": "EUR",
                                       "content_ids": ["SKU-481", "SKU-812"]}


def test_shop_refuses_a_webhook_that_the_provider_did_not_sign(demo):
    running = demo()
    for path, body, status in (("/webhook.php", b'{"order":"10492"}', 403),
                               ("/shop.php", None, 403), ("/goods.php", None, 403)):
        request = urllib.request.Request(running.base + path, data=body,
                                         headers={"X-Payment-Signature": "0" * 64})
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=20)
        assert refused.value.code == status
    ids = [e["event_id"] for e in running.control("processed")]
    assert len(ids) == len(set(ids))


def test_directory_of_somebody_else_is_left_alone(tmp_path):
    (tmp_path / "precious").write_text("mine")
    other = Demo(tmp_path)
    assert other.run("start") == 1
    assert "set DEMO_STATE" in other.out
    assert other.run("stop") == 0
    assert (tmp_path / "precious").read_text() == "mine"
