"""Fixtures: a shop under load, made to order, and the seed of a test that leaves things to chance."""

import pathlib
import shutil
import sys
import tempfile

import pytest

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / name) for name in ("faults", "httpd", "sender")]

import harness  # noqa: E402


@pytest.fixture
def make_shop():
    """make_shop(mpm=…, php=…, conf=…) prepares one; open() starts it."""
    folder, made = tempfile.mkdtemp(prefix="capi-faults-"), []
    pathlib.Path(folder).chmod(0o755)

    def make(**options):
        made.append(harness.Shop(folder, **options))
        return made[-1]

    yield make
    for shop in made:
        shop.close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def rng():
    return harness.seed()


@pytest.fixture(params=["event-fpm", "prefork-mod"])
def kind(request):
    mpm, php = request.param.split("-")
    return {"mpm": mpm, "php": php}
