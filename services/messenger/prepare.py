"""What becomes of a due message: the finished text, or the reason why it is not sent. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Literal

from headrace.contracts.campaign import CampaignDefinition
from headrace.contracts.campaign_steps import WebhookStep
from headrace.contracts.communication import read_communication
from headrace.contracts.identifiers import PHONE
from headrace.contracts.instant import Millis
from headrace.contracts.policy import PolicyDefinition, parse_policy
from headrace.contracts.survey_link import SurveyLinks
from headrace.contracts.template import BlockDefinition, Template
from services.messenger.address import normal_address
from services.messenger.caps import MONTH_MS, Tally
from services.messenger.consent import Suppression, refusal
from services.messenger.customer import Customer
from services.messenger.entering import too_old
from services.messenger.links import PublicLinks
from services.messenger.program import program
from services.messenger.providers.port import Outgoing
from services.messenger.quiet import next_allowed, zones_of
from services.messenger.reasons import FailedReason, SkipReason, UnknownReason
from services.messenger.render import NO_BLOCKS, TemplateFailed, render, render_text
from services.messenger.sms_text import sms_cost
from services.messenger.survey_urls import SurveyUrls
from services.messenger.tracking import track
from services.messenger.variables import event_variable
from services.messenger.webhook_body import rendered_in, webhook_body

NO_POLICY = parse_policy({})
PRIORITY_WAIT_MS = 5_000


@dataclass(frozen=True, slots=True)
class Due:
    """A message of the ledger that is due, with what its entry knew. `attempt` counts the claims before;
    `in_doubt`: nobody knows whether one of them, by `provider`, sent it; `booked`: what it was to cost then."""

    id: str
    campaign_id: str
    campaign_version: int
    campaign_state: str
    entry_id: str
    step: str
    profile_id: str
    channel: str
    template_id: str | None
    attempt: int
    in_doubt: bool
    entered_at: Millis
    segment_id: str | None
    segment_name: str | None
    computed: Mapping[str, Any]
    traceparent: str | None
    event: Mapping[str, Any] | None = None
    voucher: Mapping[str, Any] | None = None
    channels: Sequence[str] = ()
    alternative: int = 0
    continues: bool = False
    ready_at: Millis = 0
    provider: str | None = None
    booked: Decimal | None = None
    links: Sequence[str] = ()
    literal: str | None = None

    @property
    def followed(self) -> bool:
        """Whether something follows in the journey when this message is settled."""
        return self.continues or self.alternative + 1 < len(self.channels)


@dataclass(frozen=True, slots=True)
class Ready:
    """To be handed to the provider. `links` are the targets of its tracked links, in the order of their
    numbers."""

    outgoing: Outgoing
    template_version: int
    parts: int | None = None
    country: str | None = None
    cost: Decimal | None = None
    links: Sequence[str] = ()
    locale: str | None = None
    missing: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Settled:
    """Not to be sent. `reason` is a slug that a marketer reads."""

    status: Literal["skipped", "failed", "unknown"]
    reason: SkipReason | FailedReason | UnknownReason


@dataclass(frozen=True, slots=True)
class Deferred:
    """Not yet: to be looked at again at `until`."""

    until: Millis
    reason: Literal["quiet_hours", "priority"]


Fate = Ready | Settled | Deferred


@dataclass(frozen=True, slots=True)
class Recipient:
    """Who the message goes to, as the claim's transaction sees it: None what is not there. `tally`: what the
    customer has got lately, where a cap or the customer's own maximum asks for it."""

    customer: Customer | None
    address: str | None
    suppressions: Iterable[Suppression] = ()
    tally: Tally | None = None


def prepare(
    due: Due,
    campaign: CampaignDefinition,
    template: tuple[Template, int] | None,
    recipient: Recipient,
    *,
    links: PublicLinks,
    now: Millis,
    survey_links: SurveyLinks | None = None,
    policy: PolicyDefinition = NO_POLICY,
    phone_region: str | None = None,
    blocks: Mapping[str, BlockDefinition] = NO_BLOCKS,
) -> Fate:
    """The campaign is the version that the entry began with; the template is the current one. A message that must
    not be sent, but may have been by a process that is gone, is unknown and not skipped."""
    fate = _fate(due, campaign, template, recipient, links, now, survey_links, policy, phone_region, blocks)
    return Settled("unknown", fate.reason) if due.in_doubt and isinstance(fate, Settled) else fate


def _fate(
    due: Due,
    campaign: CampaignDefinition,
    template: tuple[Template, int] | None,
    recipient: Recipient,
    links: PublicLinks,
    now: Millis,
    survey_links: SurveyLinks | None,
    policy: PolicyDefinition,
    phone_region: str | None,
    blocks: Mapping[str, BlockDefinition],
) -> Fate:
    if due.channel == "webhook":
        return _webhook(due, campaign, recipient, now)
    reason = _skip(due, campaign, recipient, now)
    if reason is not None:
        return Settled("skipped", reason)
    if due.literal is not None:
        return _literal(due, due.literal, recipient, policy, now)
    if template is None or template[0].channel != due.channel:
        return Settled("skipped", "template_missing")
    if recipient.customer is None or recipient.address is None:
        return Settled("skipped", "no_address")
    held = _held(due, campaign, recipient.customer, recipient.tally, policy, phone_region, now)
    if held is not None:
        return held
    urls = {
        "unsubscribe_url": links.unsubscribe(due.id),
        "preferences_url": links.preferences(due.id),
        "survey_url": SurveyUrls(survey_links, recipient.customer.id),
    }
    try:
        variables = variables_of(due, campaign, recipient.customer, urls)
        rendered = render(template[0], variables, blocks=blocks, zone=policy.time_zone)
    except TemplateFailed:
        return Settled("failed", "template_error")
    outgoing = Outgoing(
        id=due.id,
        campaign_id=due.campaign_id,
        to=recipient.address,
        text=rendered.text,
        at=now,
        channel=due.channel,
        purpose=campaign.purpose,
        subject=rendered.subject,
        html=rendered.html,
        one_click_url=links.unsubscribe(due.id)
        if due.channel == "email" and campaign.purpose == "marketing"
        else None,
        extras=rendered.extras,
    )
    ready = Ready(outgoing, template[1], locale=rendered.locale, missing=rendered.missing)
    if due.channel != "sms":
        return _tracked(ready, links, due.links)
    parts, country, cost = sms_cost(outgoing.text, outgoing.to, policy.sms)
    return replace(ready, parts=parts, country=country, cost=cost)


def _literal(due: Due, text: str, recipient: Recipient, policy: PolicyDefinition, now: Millis) -> Ready | Settled:
    """A message that somebody wrote by hand: nothing in it is a template."""
    if recipient.address is None:
        return Settled("skipped", "no_address")
    outgoing = Outgoing(
        id=due.id,
        campaign_id=due.campaign_id,
        to=recipient.address,
        text=text,
        at=now,
        channel=due.channel,
        purpose="transactional",
    )
    if due.channel != "sms":
        return Ready(outgoing, 0)
    parts, country, cost = sms_cost(text, recipient.address, policy.sms)
    return Ready(outgoing, 0, parts=parts, country=country, cost=cost)


def _tracked(ready: Ready, links: PublicLinks, known: Sequence[str]) -> Ready:
    """With the links of its HTML led by way of us."""
    if ready.outgoing.html is None:
        return ready
    tracked = track(ready.outgoing.html, ready.outgoing.id, links, known)
    return replace(ready, outgoing=replace(ready.outgoing, html=tracked.html), links=tracked.links)


def _webhook(due: Due, campaign: CampaignDefinition, recipient: Recipient, now: Millis) -> Ready | Settled:
    """A call to a server is no message to the customer: consent and caps do not concern it."""
    reason = _too_late(due, campaign, now)
    if reason is not None:
        return Settled("skipped", reason)
    place = program(campaign).places.get(due.step)
    if recipient.customer is None or place is None or not isinstance(place.step, WebhookStep):
        return Settled("skipped", "no_profile" if recipient.customer is None else "template_missing")
    hook = place.step.webhook
    variables = variables_of(due, campaign, recipient.customer, {})
    try:
        url, fields = render_text(hook.url, variables), rendered_in(hook.body, variables)
    except TemplateFailed:
        return Settled("failed", "template_error")
    text = webhook_body(due, recipient.customer.id, fields, now)
    return Ready(Outgoing(due.id, due.campaign_id, url, text, now, channel="webhook"), 0)


def _too_late(due: Due, campaign: CampaignDefinition, now: Millis) -> SkipReason | None:
    if due.campaign_state == "deleted":
        return "campaign_deleted"
    if too_old(due.ready_at, campaign, now=now):
        return "provider_unavailable" if due.attempt else "entry_too_old"
    return None


def _skip(due: Due, campaign: CampaignDefinition, recipient: Recipient, now: Millis) -> SkipReason | None:
    late = _too_late(due, campaign, now)
    if late is not None:
        return late
    if recipient.customer is None:
        return "no_profile"
    if recipient.customer.suppressed:
        return "suppressed"
    refused = refusal(due.channel, campaign.purpose, recipient.customer.consents, recipient.suppressions)
    if refused is not None or campaign.purpose != "marketing":
        return refused
    wishes = read_communication(recipient.customer.traits)
    return None if wishes.allows(due.channel, campaign.topic) else "preference"


def _held(
    due: Due,
    campaign: CampaignDefinition,
    customer: Customer,
    tally: Tally | None,
    policy: PolicyDefinition,
    phone_region: str | None,
    now: Millis,
) -> Settled | Deferred | None:
    """Quiet hours and caps. What is transactional heeds only those of its own campaign."""
    marketing = campaign.purpose == "marketing"
    hours = campaign.quiet_hours or (policy.quiet_hours if marketing else None)
    if hours is not None:
        phones = phones_of(customer, phone_region)
        allowed = next_allowed(now, hours, zones_of(customer.time_zone, phones, policy.time_zone))
        if allowed > now:
            return Deferred(allowed, "quiet_hours")
    if tally is None:
        return None
    verdict = tally.judge(
        due.id,
        campaign.id,
        due.channel,
        campaign.priority,
        own=campaign.caps,
        common=policy.caps if marketing else (),
        maximum=read_communication(customer.traits).monthly_maximum if marketing else None,
        now=now,
    )
    if verdict == "priority":
        return Deferred(now + PRIORITY_WAIT_MS, "priority")
    return None if verdict is None else Settled("skipped", verdict)


def capped(campaign: CampaignDefinition, policy: PolicyDefinition, customer: Customer) -> Millis:
    """How far back one must look to know whether the customer may get a message of this campaign; 0: no cap
    concerns it."""
    windows = [cap.within_ms for cap in campaign.caps]
    if campaign.purpose == "marketing":
        windows += [cap.within_ms for cap in policy.caps]
        if read_communication(customer.traits).monthly_maximum is not None:
            windows.append(MONTH_MS)
    return max(windows, default=0)


def phones_of(customer: Customer, phone_region: str | None) -> Iterator[str]:
    """The numbers (E.164) that tell where a customer is, the one that the customer gave last first."""
    said = [customer.traits.get(PHONE), *(i.get("value") for i in customer.identifiers if i.get("type") == PHONE)]
    found = (normal_address("sms", str(one), phone_region=phone_region) for one in said if one is not None)
    return (number for number in found if number is not None)


def variables_of(
    due: Due, campaign: CampaignDefinition, customer: Customer, links: Mapping[str, Any]
) -> dict[str, Any]:
    """The variables of DESIGN §7. Computed traits of the segment change win: the view may not have them yet."""
    return {
        "profile": {
            "id": customer.id,
            "traits": customer.traits,
            "computed": {**customer.computed, **due.computed},
            "tags": customer.tags,
            "time_zone": customer.time_zone,
        },
        "segment": {"id": due.segment_id, "name": due.segment_name},
        "event": event_variable(due.event),
        "voucher": due.voucher or {},
        "campaign": {"id": campaign.id, "name": campaign.name},
        **links,
    }
