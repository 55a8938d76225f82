"""A row of the fault suite: orders stream in, something breaks, and the recount must find everything once. Then
the second evaluator must find every membership right."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tests.faults.orders import Event, shopping
from tests.faults.platform import Platform
from tests.faults.published import Findings

PATIENCE_SECONDS = 60.0
KILLED_SECONDS = 15.0
"""A killed process should have recovered by then."""


class LeftOut(Exception):
    """The fault cannot be done here; the message says why."""


Fault = Callable[[Platform], float]
"""Does its harm while orders stream in; returns the moment at which the fault was over (seconds since 1970)."""


@dataclass(frozen=True)
class Row:
    """`seconds`: over how long the orders come. `limit`: recovery in seconds that is aimed at. `events` makes the
    orders from a name for their customers, how many events, the seconds, and phone numbers."""

    name: str
    fault: Fault
    seconds: float = 3.0
    limit: float = PATIENCE_SECONDS
    events: Callable[[str, int, float, Iterator[str]], Sequence[Event]] = shopping


@dataclass(frozen=True)
class Result:
    row: str
    answered: int
    retries: int
    findings: Findings
    verified: int
    """How many memberships the second evaluator looked at: all, unless something else was found before."""
    recovery: float
    """Seconds from the end of the fault to the steady state; infinite when it did not come to that."""
    limit: float

    @property
    def fine(self) -> bool:
        """Everything is there once and things go on; how soon is told, not judged: a busy machine takes longer."""
        return not self.findings and math.isfinite(self.recovery)

    def __str__(self) -> str:
        lost, doubled = len(self.findings.lost), len(self.findings.doubled)
        counts = (
            f"{self.answered} answered ({self.retries} retries), {lost} lost, {doubled} doubled, "
            f"{self.verified} memberships verified"
        )
        late = f" (aim: {self.limit:.0f} s)" if self.recovery > self.limit else ""
        details = f"\n{self.findings}" if self.findings else ""
        return f"{self.row}: {counts}, recovered after {self.recovery:.1f} s{late}{details}"


def run(platform: Platform, row: Row, events: int, *, patience: float = PATIENCE_SECONDS) -> Result:
    """Stream at least `events` events while the row's fault happens, then recount everything that was ever
    answered on this platform, and verify every segment."""
    before = len(platform.answered)
    shoppers = platform.shop(row.events(platform.new_name(), events, row.seconds, platform.phones))
    try:
        over = row.fault(platform)
        recovered = platform.recovered(max(row.limit, patience))
    finally:
        platform.make_good()
        platform.answered += shoppers.finish()
    findings = platform.settled(patience)
    verified = 0 if findings else platform.verify(findings, patience)
    answered = len(platform.answered) - before
    recovery = max(0.0, recovered - over)
    return Result(row.name, answered, shoppers.retries, findings, verified, recovery, row.limit)
