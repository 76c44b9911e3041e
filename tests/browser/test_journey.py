"""One paid journey in a real browser on the demo shop; then the admin page shows the purchase."""

import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import time
import urllib.request

import pytest

pytest.importorskip("selenium")
from selenium.webdriver.common.by import By  # noqa: E402
from shop import chromium, order  # noqa: E402

TOP = pathlib.Path(__file__).resolve().parents[2]
EPIK = ("dj0yJnU9WEYtVVZpSEJQQ195RGRwWVh2Skg4Y1R2WmlJbkk2bGomcD0xJm49WHgtUHBKbThGSVlHYjFjQVZTUFFF"
        "dyZ0PUFBQUFBR1JGbW1V")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The demo as a user starts it, on ports and in a directory of its own."""
    state = pathlib.Path(f"/tmp/pinterest-capi-browser-{os.getpid()}")
    environment = {**os.environ, "DEMO_PORT": str(free_port()), "DEMO_API_PORT": str(free_port()),
                   "DEMO_STATE": str(state)}
    run = [shutil.which("python3", path="/usr/bin") or "python3", str(TOP / "demo" / "run.py")]
    started = subprocess.run(run + ["start"], env=environment, text=True, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, timeout=240)
    try:
        assert started.returncode == 0, started.stdout
        yield {"out": started.stdout, "base": f"http://localhost:{environment['DEMO_PORT']}",
               "api": f"https://localhost:{environment['DEMO_API_PORT']}", "state": state}
    finally:
        subprocess.run(run + ["stop"], env=environment, timeout=120, check=False)
        shutil.rmtree(state, ignore_errors=True)


@pytest.fixture
def chrome(tmp_path):
    driver = chromium(tmp_path)
    yield driver
    driver.quit()


def test_the_demo_prints_the_delivered_purchase(demo):
    purchase = json.loads(re.search(r"^\{.*?^\}", demo["out"], re.M | re.S)[0])
    assert purchase["event_name"] == "checkout"
    assert purchase["custom_data"]["value"] == "129.95"
    assert purchase["user_data"]["click_id"]
    assert re.fullmatch(r"[0-9a-f]{64}", purchase["user_data"]["em"][0])


def test_a_paid_journey_in_chromium_ends_on_the_admin_page(demo, chrome):
    base = demo["base"]
    chrome.get(f"{base}/?epik={EPIK}")
    assert any(c["name"] == "_epik" and c["value"] == EPIK for c in chrome.get_cookies())
    event_id = order(chrome)

    deadline = time.monotonic() + 40
    row = None
    while row is None and time.monotonic() < deadline:
        chrome.get(f"{base}/pinterest-capi/?q={event_id}")
        rows = [r for r in chrome.find_elements(By.CSS_SELECTOR, "tr")
                if event_id in r.text and "delivered" in r.text.lower()]
        row = rows[0].text if rows else None
        if row is None:
            time.sleep(0.5)
    assert row, f"{event_id} is not shown as delivered"
    with urllib.request.urlopen(f"{base}/pinterest-capi/deliveries.json?q={event_id}") as answer:
        (delivery,) = json.load(answer)["deliveries"]
    assert delivery["sent_as"] == "checkout" and delivery["state"] == "delivered"
    assert {"em", "click_id", "client_ip_address", "client_user_agent"} <= \
        set(delivery["match_keys"])
    severe = [entry for entry in chrome.get_log("browser")
              if entry["level"] == "SEVERE" and "favicon" not in entry["message"]]
    assert severe == []
