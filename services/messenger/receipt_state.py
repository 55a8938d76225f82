"""What a receipt makes of a message: forward only, whatever the order in which receipts come. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from headrace.contracts.message import Outcome
from services.messenger.receipts.port import ReceiptOutcome

_OPEN = frozenset({"claimed", "unknown"})


@dataclass(frozen=True, slots=True)
class Known:
    """What the ledger says of a message."""

    status: str
    opened: bool = False
    complained: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """What changes: the status (None: it stays), and the outcomes to tell, in order."""

    status: str | None
    told: Sequence[Outcome] = ()


def step(known: Known, outcome: ReceiptOutcome) -> Step:
    """A receipt that is late, or says what is known, changes nothing. What was delivered is not taken back: who
    opened or complained has got it."""
    if outcome == "complained":
        before = _forward(known.status, "delivered")
        return Step(before.status, (*before.told, *(() if known.complained else ("complained",))))
    if outcome == "opened":
        before = _forward(known.status, "delivered")
        return Step(before.status, (*before.told, *(() if known.opened else ("opened",))))
    return _forward(known.status, outcome)


def _forward(status: str, outcome: str) -> Step:
    accepted: tuple[Outcome, ...] = ("accepted",) if status in _OPEN else ()
    if outcome == "accepted" and status in _OPEN:
        return Step("accepted", accepted)
    if outcome == "delivered" and (status in _OPEN or status == "accepted"):
        return Step("delivered", (*accepted, "delivered"))
    if outcome in ("failed", "bounced") and (status in _OPEN or status == "accepted"):
        ended: Outcome = "failed" if outcome == "failed" else "bounced"
        return Step(ended, (ended,))
    return Step(None)
