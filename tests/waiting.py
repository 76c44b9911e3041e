"""Waiting for what other processes do: the one place where a test polls."""

import os
import pathlib
import time

PATIENCE = 60 if os.environ.get("CAPI_VALGRIND") == "1" else 20


def wait_for(condition, what, timeout=PATIENCE):
    """Polls until condition() is true and returns its value; fails with a sentence otherwise."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout:.0f} s for {what}")
        time.sleep(0.02)


def is_alive(pid):
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
