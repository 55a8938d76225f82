"""What the preferences page offers a customer, and what becomes of what the customer chose. Pure."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from headrace.contracts.communication import Communication, read_communication
from headrace.contracts.profile_event import ConsentStatus
from services.messenger.consent import BOUNCED, Suppression, refusal
from services.messenger.customer import Customer

CHANNELS = ("email", "sms", "viber", "whatsapp")


@dataclass(frozen=True, slots=True)
class Standing:
    """How it is now: channels that can be chosen and whether messages are sent there, topics and whether they are
    wanted. `consented`: channels where consent holds, also when the customer's choice leaves them out; `granted`:
    every consent that there is, by channel or purpose/channel."""

    channels: Mapping[str, bool]
    topics: Mapping[str, bool]
    said: Communication
    consented: Collection[str]
    granted: Collection[str]


@dataclass(frozen=True, slots=True)
class Choice:
    """What the form says. `offered` and `shown` are the channels and topics that stood on it: what did not is left
    as it is."""

    offered: Collection[str] = ()
    channels: Collection[str] = ()
    shown: Collection[str] = ()
    topics: Collection[str] = ()
    monthly_maximum: int | None = None
    preferred: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """How the customer is to be written to from now on, and the consents that change."""

    communication: Communication
    consents: Mapping[str, ConsentStatus] = field(default_factory=dict)


def standing(
    customer: Customer,
    addressed: Collection[str],
    suppressions: Mapping[str, Collection[Suppression]],
    topics: Iterable[str],
) -> Standing:
    """`addressed`: the channels with an address, `suppressions` those of the addresses. A channel can be chosen
    that has an address or a consent, unless the address does not exist."""
    said = read_communication(customer.traits)
    offered = [
        channel
        for channel in CHANNELS
        if (channel in addressed or channel in customer.consents)
        and not any(one.reason == BOUNCED for one in suppressions.get(channel, ()))
    ]
    consented = [
        channel
        for channel in offered
        if refusal(channel, "marketing", customer.consents, suppressions.get(channel, ())) is None
    ]
    return Standing(
        {channel: channel in consented and said.allows(channel, None) for channel in offered},
        {topic: said.topics is None or topic in said.topics for topic in topics},
        said,
        consented,
        [name for name, consent in customer.consents.items() if consent.status == "granted"],
    )


def decide(now: Standing, choice: Choice) -> Decision:
    """Ticking a channel consents to it, taking the tick away withdraws; what is left as it was changes nothing."""
    offered = set(choice.offered) & now.channels.keys()
    added = {channel for channel in choice.channels if channel in offered and not now.channels[channel]}
    removed = {channel for channel in offered if now.channels[channel] and channel not in choice.channels}
    consents: dict[str, ConsentStatus] = dict.fromkeys(sorted(added - set(now.consented)), "granted")
    consents |= dict.fromkeys(sorted(removed), "withdrawn")
    channels = _changed(now.said.channels, CHANNELS, added, removed)
    preferred = choice.preferred if choice.preferred in offered else None
    if preferred is not None and channels is not None and preferred not in channels:
        preferred = None
    communication = Communication(channels, _topics(now, choice), choice.monthly_maximum, preferred)
    return Decision(communication, consents)


def without_topic(now: Standing, topic: str) -> Decision:
    """Everything as it is, but for this topic."""
    said = now.said
    topics = _changed(said.topics, [*now.topics, topic], set(), {topic})
    return Decision(Communication(said.channels, topics, said.monthly_maximum, said.preferred))


def stop(now: Standing) -> Decision:
    """Every consent is withdrawn, whatever its purpose, and refused where there was none: nothing is sent any
    more. What was chosen stays, should the customer come back."""
    channels = sorted({*now.channels, *now.granted})
    return Decision(now.said, dict.fromkeys(channels, "withdrawn"))


def _topics(now: Standing, choice: Choice) -> tuple[str, ...] | None:
    shown = set(choice.shown) & now.topics.keys()
    added = {topic for topic in choice.topics if topic in shown}
    return _changed(now.said.topics, list(now.topics), added, shown - added)


def _changed(
    before: tuple[str, ...] | None, known: Collection[str], added: Collection[str], removed: Collection[str]
) -> tuple[str, ...] | None:
    """The only ones that are wanted, as before where nothing changes; None, no restriction, when all that are
    known have come to be wanted."""
    base = set(known if before is None else before)
    wanted = (base | set(added)) - set(removed)
    if wanted == base:
        return before
    return None if wanted >= set(known) else tuple(sorted(wanted))
