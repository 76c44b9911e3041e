"""The built CGI, run as httpd runs it: a process with an environment."""

import dataclasses
import html.parser
import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from browser import axe, chrome  # noqa: F401: fixtures
from store import Store, TOP

sys.path.append(str(TOP / "tests"))
from waiting import wait_for  # noqa: E402

PROGRAM = pathlib.Path(os.environ.get("CAPI_CGI", TOP / "build/pinterest-capi.cgi"))


@dataclasses.dataclass
class Answer:
    status: int
    headers: dict
    body: bytes
    log: str

    @property
    def text(self):
        return self.body.decode("utf-8")

    @property
    def json(self):
        return json.loads(self.body)


class Cgi:
    def __init__(self, store=None):
        self.store = store

    def __call__(self, path="/", query="", method="GET", stdin=subprocess.DEVNULL, body=None,
                 **environment):
        given = {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query,
                 "SCRIPT_NAME": "/pinterest-capi", "REQUEST_URI": "/pinterest-capi" + path,
                 "GATEWAY_INTERFACE": "CGI/1.1", **environment}
        if self.store:
            given.setdefault("PINTEREST_CAPI_STORE", f"sqlite3 {self.store}")
            given.setdefault("PINTEREST_CAPI_ADMIN", "On")
            given.setdefault("PINTEREST_CAPI_RETENTION", "30")
        if body is not None:
            given = {"CONTENT_LENGTH": str(len(body)),
                     "CONTENT_TYPE": "application/x-www-form-urlencoded", **given}
        done = subprocess.run([PROGRAM], env=given, capture_output=True, timeout=60,
                              **({"stdin": stdin} if body is None else {"input": body}))
        assert done.returncode == 0, done.stderr.decode()
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode("ascii").split("\r\n"))
        return Answer(int(headers["Status"][:3]), headers, body, done.stderr.decode())


class Page(html.parser.HTMLParser):
    """What a page says: every tag with its attributes, and the text between them."""

    def __init__(self, markup):
        super().__init__()
        self.tags, self.words = [], []
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "store.db")
    yield made
    made.close()


@pytest.fixture
def cgi(store):
    return Cgi(store.path)


@pytest.fixture
def sender(store, tmp_path):
    """A process that the page takes for the sender, by its name."""
    program = tmp_path / "pinterest-capi-sender"
    shutil.copy("/bin/sleep", program)
    process = subprocess.Popen([program, "600"])
    comm = pathlib.Path(f"/proc/{process.pid}/comm")
    wait_for(lambda: "pinterest-capi" in comm.read_text(), "the program to be executed")
    store.note(sender_pid=process.pid, sender_stopped="")
    yield process
    process.kill()
    process.wait()
