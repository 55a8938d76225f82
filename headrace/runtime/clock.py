"""The wall clock, for `main` to hand down: nothing else reads it."""

import time

from headrace.contracts.instant import Millis


def now_ms() -> Millis:
    return time.time_ns() // 1_000_000
