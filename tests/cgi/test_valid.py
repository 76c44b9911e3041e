"""Every page is valid HTML, as tidy sees it."""

import re
import shutil
import subprocess

import pytest

from forms import form_of
from test_actions import Writer, kept
from test_browser import fill

TIDY = shutil.which("tidy")
# It is older than groups in <dl>, than <meter>, and than two attributes.
KNOWN = ("trimming empty <meter>", 'proprietary attribute "aria-current"',
         '<title> proprietary attribute "id"')


def complaints(markup):
    plain = re.sub(rb"<div[^>]*><dt>", b"<dt>", markup).replace(b"</dd></div>", b"</dd>")
    done = subprocess.run([TIDY, "-q", "-e", "--gnu-emacs", "no"], input=plain,
                          capture_output=True)
    assert done.returncode < 2, done.stderr.decode()
    return [line for line in done.stderr.decode().splitlines()
            if line and not any(word in line for word in KNOWN)]


@pytest.mark.skipif(not TIDY, reason="tidy is not installed")
def test_every_page_is_valid(cgi, store):
    assert complaints(cgi("/").body) == []  # before the first event
    fill(store, 0)
    bad = store.event(1, "<b>", "<i>", state="rejected", error="Invalid &lt; currency",
                      warning='"quoted"')
    held = store.destination("7", held="no token (status 401): put one into /t")
    store.event(held, "w", state="queued")
    store.note(complaint="event_name 'chekout' is not known", complained_at=int(store.now * 1e6))
    for path, query in (("/", ""), ("/", "period=30d"), ("/", "q=none&state=held&account=7"),
                        ("/", "since=2001-01-01&until=2002-01-01"), (f"/deliveries/{bad}", ""),
                        ("/deliveries/99999", ""), ("/nothing", ""), ("/", "limit=x")):
        assert complaints(cgi(path, query).body) == [], (path, query)


@pytest.mark.skipif(not TIDY, reason="tidy is not installed")
def test_pages_with_forms_are_valid(store):
    writer = Writer(store.path)
    assert complaints(writer("/").body) == []
    fill(store, 0)
    bad = store.event(1, "<b>", "<i>", state="rejected")
    kept(store, bad, '{"user_data": {"em": ["a<b>"]}}', due=(1 << 62) + 5)
    store.event(1, "w", state="queued")
    writer.send(form_of(writer("/").text, "pause"))
    name, = store.db.execute("SELECT id FROM asks").fetchone()
    assert complaints(writer("/", f"asked={name}").body) == []
    store.db.execute("UPDATE asks SET done_at = 1, is_well = 0, outcome = '<No & no>'")
    for path, query in (("/", f"asked={name}"), (f"/deliveries/{bad}", f"asked={name}")):
        assert complaints(writer(path, query).body) == []
    answer = writer("/actions", method="POST", body=b"x")
    assert answer.status == 403 and complaints(answer.body) == []
