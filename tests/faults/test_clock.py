"""The clock of the whole machine is set, forward and back, under load."""

import pathlib

import pytest

from server import BUILD, wait_for

LIBRARIES = sorted(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
# The sender's environment is made anew for it, so the library comes in through its program.
PROGRAM = """#!/bin/sh
export {environment}
exec {sender}
"""


@pytest.fixture
def clock(tmp_path):
    if not LIBRARIES:
        pytest.skip("libfaketime is not installed")
    for directory in (tmp_path, *tmp_path.parents[:2]):
        directory.chmod(0o755)
    path = tmp_path / "clock"
    path.write_text("+0")
    return path


def test_clock_that_is_set_forward_and_back_loses_and_delays_nothing(make_shop, clock):
    faketime = {"LD_PRELOAD": str(LIBRARIES[0]), "FAKETIME_TIMESTAMP_FILE": str(clock),
                "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    program = clock.parent / "pinterest-capi-sender"
    program.write_text(PROGRAM.format(
        environment=" ".join(f"{k}={v}" for k, v in faketime.items()),
        sender=BUILD / "pinterest-capi-sender"))
    program.chmod(0o755)
    shop = make_shop(env=faketime, conf=f"PinterestCapiSender {program}\n", pause=0.02).open()
    for word, setting in (("forward by 9000", "+9000"), ("back by 7200", "+1800")):
        shop.wait_said(50, "backend")
        clock.write_text(setting)
        wait_for(lambda: f"the clock was set {word} s" in shop.httpd.log_text(), "the sender to see")
        shop.wait_said(50, "backend")
    verdict = shop.settle(30)
    assert not verdict.unheard and not verdict.repeats
    assert not shop.httpd.sql("SELECT 1 FROM events WHERE state NOT IN (10, 12)")
