"""Why a message was not sent, or not yet: every reason there is, with a sentence that a marketer can read."""

from collections.abc import Mapping

SKIP_REASONS: Mapping[str, str] = {
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
DEFERRED_REASONS: Mapping[str, str] = {
    "quiet_hours": "It is night where the customer is: the message waits until it may be sent.",
    "priority": "Another campaign's message to the customer comes first.",
    "process_gone": "The process that was sending it ended: it is sent again where the provider recognises it.",
}
FAILED_REASONS: Mapping[str, str] = {
    "template_error": "The template could not be rendered for this customer.",
}


def sentence(reason: str | None) -> str | None:
    """What a reason means; None for a provider's own."""
    if reason is None:
        return None
    return SKIP_REASONS.get(reason) or DEFERRED_REASONS.get(reason) or FAILED_REASONS.get(reason)
