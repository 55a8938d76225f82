"""Waiting for something to become true, instead of sleeping and hoping."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(predicate: Callable[[], T | None], timeout: float = 10.0, *, what: str = "") -> T:
    """Call `predicate` until it returns something true, and return that. Raises AssertionError with the last
    value after `timeout` seconds. A look that costs much is taken less often: looking must not starve what is
    looked at."""
    deadline = time.monotonic() + timeout
    while True:
        started = time.monotonic()
        value = predicate()
        if value:
            return value
        now = time.monotonic()
        if now > deadline:
            raise AssertionError(f"not within {timeout} s: {what or predicate} (last: {value!r})")
        time.sleep(max(0.02, now - started))
