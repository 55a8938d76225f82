"""May this customer be messaged on this channel? Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from headrace.contracts.definition import Purpose
from headrace.contracts.instant import Millis

UNSUBSCRIBED, COMPLAINED, BOUNCED, OPTED_OUT = "unsubscribed", "complained", "bounced", "opted_out"
SUPPRESSIONS = (UNSUBSCRIBED, COMPLAINED, BOUNCED, OPTED_OUT)
"""Why an address is suppressed: its owner unsubscribed, or called a message spam; it does not exist; or its owner
told the provider to stop."""

Refusal = Literal["no_consent", "suppressed"]


@dataclass(frozen=True, slots=True)
class Consent:
    """A channel's consent as the profile has it: granted or withdrawn, and since when."""

    status: str
    time: Millis


@dataclass(frozen=True, slots=True)
class Suppression:
    """An address that is not to be written to, why (one of the reasons above), and since when."""

    reason: str
    at: Millis


def refusal(
    channel: str, purpose: Purpose, consents: Mapping[str, Consent], suppressions: Iterable[Suppression]
) -> Refusal | None:
    """Why this message must not be sent, or None.

    Marketing needs a grant for the channel. Transactional needs that it was not withdrawn: consent for that
    purpose, where there is any, else the channel's. Unsubscribing ends marketing at once, until a later grant: the
    newer word of the customer holds, a tie is a no. A complaint ends it until it is lifted. An address that
    bounced, or that the provider says has opted out, gets nothing at all until then.
    """
    found = list(suppressions)
    consent = consents.get(channel)
    if any(one.reason in (BOUNCED, OPTED_OUT) for one in found):
        return "suppressed"
    if purpose == "transactional":
        consent = consents.get(f"transactional/{channel}", consent)
        return "no_consent" if consent is not None and consent.status == "withdrawn" else None
    if consent is None or consent.status != "granted":
        return "no_consent"
    if any(one.reason != UNSUBSCRIBED or consent.time <= one.at for one in found):
        return "suppressed"
    return None
