"""Fixtures: a stand-in API, and httpd made to order. An unexpected line in error_log fails a test."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "demo"))

import server as harness  # noqa: E402


@pytest.fixture
def api():
    from standin import StandIn
    with StandIn(tokens=[harness.TOKEN]) as running:
        yield running


@pytest.fixture
def make_httpd(request):
    """make_httpd(mpm=…, php=…, conf=…, api=…) starts one; start=False only prepares it."""
    made = []

    def make(start=True, **options):
        httpd = harness.Httpd(**options)
        made.append(httpd)
        return httpd.start() if start else httpd

    yield make
    unexpected = []
    for httpd in made:
        try:
            httpd.stop()
        finally:
            unexpected += httpd.unexpected_lines()
            httpd.close()
    assert not unexpected, "unexpected lines in error_log:\n" + "\n".join(unexpected[:20])


@pytest.fixture(params=["event", "prefork"])
def mpm(request):
    return request.param


@pytest.fixture(params=["event-fpm", "prefork-mod"])
def php(request):
    """Keyword arguments of make_httpd for each way to run PHP."""
    mpm, kind = request.param.split("-")
    if kind == "mod" and not harness.HAS_PHP_MODULE:
        pytest.skip("libapache2-mod-php is not installed")
    if kind == "fpm" and not harness.PHP_FPM:
        pytest.skip("php-fpm is not installed")
    return {"mpm": mpm, "php": kind}
