"""The spans of sending: a claim of messages, and each call to a provider. Without anybody's address or id."""

from collections.abc import Sequence

from headrace.runtime.tracing import Attributes, Span, Tracing
from services.messenger.claims import Claim
from services.messenger.providers.port import Accepted, SendResult


def traced_claims(tracing: Tracing, channel: str, claims: Sequence[Claim], began: int) -> None:
    """A transaction that began at `began` (nanoseconds since the epoch) has claimed these."""
    if tracing.on and claims:
        traces = [claim.traceparent for claim in claims]
        attributes: Attributes = {"headrace.channel": channel, "headrace.messages": len(claims)}
        tracing.following(f"claim {channel}", "internal", traces, attributes, began=began).end()


def provider_call(tracing: Tracing, claim: Claim) -> Span:
    """The call that hands this message over."""
    return tracing.following(
        f"deliver {claim.channel}",
        "client",
        (claim.traceparent,),
        {
            "headrace.channel": claim.channel,
            "headrace.provider": claim.provider.name,
            "headrace.campaign": claim.campaign_id,
            "headrace.attempt": claim.attempt,
        },
    )


def note_result(span: Span, result: SendResult) -> None:
    """What the provider said."""
    span.note({"headrace.result": type(result).__name__.lower()})
    if not isinstance(result, Accepted):
        span.fail(result.reason)
