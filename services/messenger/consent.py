"""May this customer be messaged on this channel? Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from headrace.contracts.definition import Purpose
from headrace.contracts.instant import Millis

Refusal = Literal["no_consent", "suppressed"]


@dataclass(frozen=True, slots=True)
class Consent:
    """A channel's consent as the profile has it: granted or withdrawn, and since when."""

    status: str
    time: Millis


@dataclass(frozen=True, slots=True)
class Suppression:
    """An address that asked not to be written to (`unsubscribed`), and when."""

    reason: str
    at: Millis


def refusal(
    channel: str, purpose: Purpose, consents: Mapping[str, Consent], suppressions: Iterable[Suppression]
) -> Refusal | None:
    """Why this message must not be sent, or None.

    Marketing needs a grant for the channel. Transactional needs that it was not withdrawn: consent
    for that purpose, where there is any, else the channel's. Unsubscribing ends
    marketing at once, until a later grant: the newer word of the customer holds, a tie is a no.
    """
    consent = consents.get(channel)
    if purpose == "transactional":
        consent = consents.get(f"transactional/{channel}", consent)
        return "no_consent" if consent is not None and consent.status == "withdrawn" else None
    if consent is None or consent.status != "granted":
        return "no_consent"
    if any(consent.time <= suppression.at for suppression in suppressions):
        return "suppressed"
    return None
