"""The page in Chromium: served from its CGI, shown in a size and a scheme, looked at by axe-core."""

import http.server
import pathlib
import shutil
import subprocess
import threading

import pytest

HERE = pathlib.Path(__file__).resolve().parent


class Handler(http.server.BaseHTTPRequestHandler):
    cgi = None

    def do_GET(self):
        path, _, query = self.path.partition("?")
        size = self.headers.get("Content-Length")
        told = {f"HTTP_{name.upper().replace('-', '_')}": value
                for name, value in self.headers.items()}
        answer = self.cgi(path, query, self.command, body=self.rfile.read(int(size)) if size else
                          None, **told)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)

    do_POST = do_GET

    def log_message(self, *words):
        pass


def serve(cgi):
    """The page at an address, as httpd would serve it."""
    handler = type("Site", (Handler,), {"cgi": staticmethod(cgi)})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="session")
def chrome(tmp_path_factory):
    webdriver = pytest.importorskip("selenium.webdriver")
    service = pytest.importorskip("selenium.webdriver.chrome.service")
    binary = shutil.which("chromium")
    if not binary or not pathlib.Path("/usr/bin/chromedriver").exists():
        pytest.skip("chromium and chromium-driver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                 "--force-color-profile=srgb", "--disable-background-networking",
                 f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=service.Service("/usr/bin/chromedriver"))
    yield driver
    driver.quit()


@pytest.fixture(scope="session")
def axe(tmp_path_factory):
    """axe-core as npm has it, at the version of package.json."""
    if not shutil.which("npm"):
        pytest.skip("npm is not installed")
    folder = tmp_path_factory.mktemp("axe")
    shutil.copy(HERE / "package.json", folder)
    done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"],
                          cwd=folder, capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        pytest.skip("npm cannot install axe-core here")
    return (folder / "node_modules/axe-core/axe.min.js").read_text()


def show(chrome, address, scheme="light", width=1280, height=1000):
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600})
    chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {
        "features": [{"name": "prefers-color-scheme", "value": scheme}]})
    chrome.get_log("browser")
    chrome.get_log("performance")
    chrome.get(address)


def violations(chrome, axe):
    chrome.execute_cdp_cmd("Runtime.evaluate", {"expression": axe})
    found = chrome.execute_async_script(
        "axe.run(document, {resultTypes: ['violations']}).then(arguments[arguments.length - 1])")
    assert len(found["passes"]) > 10
    return [(v["id"], [node["html"] for node in v["nodes"]]) for v in found["violations"]]
