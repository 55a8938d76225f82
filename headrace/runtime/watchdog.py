"""An input that stands still without a word: told from one that waits, works, or says what it lacks (pure)."""

from dataclasses import dataclass
from typing import NamedTuple

from headrace.contracts.errors import HeadraceError

DEFAULT_STALL_SECONDS = 120


class Stalled(HeadraceError):
    """Records wait, and their reader has neither moved nor failed for long: the process ends, so that what
    supervises it starts it anew."""


class Sign(NamedTuple):
    """What an input shows of its progress: where it stands, how many signs of work its reader gave."""

    next_offset: int
    worked: int


@dataclass(frozen=True, slots=True)
class Standstill:
    """`seconds`: for how long an input has shown the same `sign` while records waited."""

    sign: Sign
    seconds: float = 0.0


def longer(before: Standstill | None, sign: Sign, passed: float) -> Standstill:
    """The standstill after a look that found records waiting, `passed` seconds after the look before."""
    if before is None or before.sign != sign:
        return Standstill(sign)
    return Standstill(sign, before.seconds + passed)
