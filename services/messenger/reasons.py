"""Why a message was not sent, or not yet: every reason there is, with a sentence that a marketer can read."""

from collections.abc import Mapping
from typing import Literal

SkipReason = Literal[
    "no_consent",
    "suppressed",
    "preference",
    "monthly_maximum",
    "frequency_cap",
    "spend_cap",
    "no_address",
    "no_profile",
    "template_missing",
    "campaign_deleted",
    "entry_too_old",
    "provider_unavailable",
    "merged",
    "erased",
    "segment_exited",
    "goal_reached",
    "exit_event",
]
DeferredReason = Literal["quiet_hours", "priority", "process_gone"]
FailedReason = Literal["template_error"]
UnknownReason = Literal["provider_changed", "restored"]

SKIP_REASONS: Mapping[SkipReason, str] = {
    "no_consent": "The customer has not consented to this channel, or has withdrawn the consent.",
    "suppressed": "The address or the customer is suppressed: unsubscribed, complained, bounced or opted out.",
    "preference": "The customer does not want this channel or this topic.",
    "monthly_maximum": "The customer has got as many messages within 30 days as the customer allows.",
    "frequency_cap": "The customer has got as many messages as a cap of the campaign or of the policy allows.",
    "spend_cap": "The day's budget for text messages, in all or to this country, is used up.",
    "no_address": "The customer has no usable address on this channel.",
    "no_profile": "The customer is no more: erased, or never known.",
    "template_missing": "There is no template for this channel.",
    "campaign_deleted": "The campaign was deleted.",
    "entry_too_old": "The step was due longer ago than the campaign's max_entry_age.",
    "provider_unavailable": "The provider could not be reached within the campaign's max_entry_age.",
    "merged": "The customer became one with another who is on the same way.",
    "erased": "The customer asked to be forgotten.",
    "segment_exited": "The customer left the segment before.",
    "goal_reached": "The customer reached the goal before.",
    "exit_event": "The customer did what ends the journey before.",
}
DEFERRED_REASONS: Mapping[DeferredReason, str] = {
    "quiet_hours": "It is night where the customer is: the message waits until it may be sent.",
    "priority": "Another campaign's message to the customer comes first.",
    "process_gone": "The process that was sending it ended, or no answer came. It is sent again where the"
    " provider recognises it.",
}
UNKNOWN_REASONS: Mapping[UnknownReason, str] = {
    "provider_changed": "It may have been sent by a provider that is no longer used, and is not sent again.",
    "restored": "It may have been sent before the database was restored from a backup, and is not sent again.",
}
FAILED_REASONS: Mapping[FailedReason, str] = {
    "template_error": "The template could not be rendered for this customer.",
}
_SENTENCES = dict[str, str](
    [
        *SKIP_REASONS.items(),
        *DEFERRED_REASONS.items(),
        *FAILED_REASONS.items(),
        *UNKNOWN_REASONS.items(),
    ]
)


def sentence(reason: str | None) -> str | None:
    """What a reason means; None for a provider's own."""
    if reason is None:
        return None
    return _SENTENCES.get(reason)
