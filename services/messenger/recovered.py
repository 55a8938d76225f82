"""What the log says became of a message, of which the ledger has forgotten it. Pure."""

from dataclasses import dataclass, replace
from typing import Any

from headrace.contracts.instant import Millis
from headrace.contracts.message import MessageOutcome, Outcome

_STATUSES: frozenset[Outcome] = frozenset({"accepted", "delivered", "failed", "bounced", "skipped", "unknown"})
_SENT: frozenset[Outcome] = frozenset({"accepted", "unknown"})
_FORWARD = {
    "accepted": frozenset({"delivered", "failed", "bounced"}),
    "unknown": frozenset({"accepted", "delivered", "failed", "bounced"}),
}


@dataclass(frozen=True, slots=True)
class Fate:
    """Of message `id`, in the order of the columns of `recovered`. `status` None: the backup knew how it was
    settled, and only responses came since. `sent_at`: when it was handed over, or may have been; `settled_at`: the
    last outcome that gave it its status, else the first one."""

    id: str
    status: str | None
    reason: str | None
    provider: str | None
    provider_message_id: str | None
    sent_at: Millis | None
    settled_at: Millis
    delivered_at: Millis | None = None
    opened_at: Millis | None = None
    machine_opened_at: Millis | None = None
    clicked_at: Millis | None = None
    unsubscribed_at: Millis | None = None
    complained_at: Millis | None = None


def heard(known: Fate | None, told: MessageOutcome) -> Fate:
    """With one more outcome, in the order in which they were published: the ledger only told what moved a message
    forward, so that the last word holds. Hearing one twice changes nothing."""
    fate = known or Fate(told.id, None, None, None, None, None, told.at)
    fate = replace(
        fate,
        provider=told.provider or fate.provider,
        provider_message_id=told.provider_message_id or fate.provider_message_id,
    )
    if told.outcome in _STATUSES:
        return _settled(fate, told)
    column = "machine_opened_at" if told.machine and told.outcome == "opened" else f"{told.outcome}_at"
    first: dict[str, Any] = {column: told.at}
    return fate if getattr(fate, column) is not None else replace(fate, **first)


def moves(status: str, to: str | None) -> bool:
    """Whether a message that is settled as `status` moves on to `to`: forward only."""
    return to is not None and to in _FORWARD.get(status, ())


def _settled(fate: Fate, told: MessageOutcome) -> Fate:
    sent = told.at if told.outcome in _SENT and fate.sent_at is None else fate.sent_at
    delivered = told.at if told.outcome == "delivered" and fate.delivered_at is None else fate.delivered_at
    return replace(
        fate,
        status=told.outcome,
        reason=told.reason,
        sent_at=sent,
        delivered_at=delivered,
        settled_at=told.at,
    )
