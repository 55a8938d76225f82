"""Storing entries: a journey each, with what its first steps lead to at once. In the caller's transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from headrace.contracts.campaign import CampaignDefinition
from headrace.contracts.campaign_steps import SendStep
from headrace.contracts.customer_update import CustomerUpdate
from headrace.contracts.ids import content_id, send_id
from headrace.contracts.instant import Millis
from services.messenger.advance import Advanced, Facts, Journey, SendNow, Tell, advance, begin
from services.messenger.entering import Start
from services.messenger.messages import NewMessage
from services.messenger.program import program
from services.messenger.re_entry import refused_again
from services.messenger.store import Connection


@dataclass(frozen=True, slots=True)
class Entered:
    """A start with the definition that it follows, and where its journey stands."""

    start: Start
    campaign: CampaignDefinition
    advanced: Advanced | None = None

    @property
    def status(self) -> str:
        if self.start.refused is not None:
            return "refused"
        if self.start.holdout:
            return "holdout"
        return "active" if self.advanced is not None and self.advanced.step is not None else "done"


@dataclass(frozen=True, slots=True)
class Recorded:
    """What was not there before, and what comes of it."""

    entries: Sequence[Entered] = ()
    messages: Sequence[NewMessage] = ()
    updates: Sequence[CustomerUpdate] = ()
    waiting: bool = field(default=False)


async def record(
    connection: Connection, starts: Sequence[tuple[Start, CampaignDefinition]], now: Millis
) -> Recorded:
    """Store these entries; one that is there already changes nothing. Who may not enter again, or belongs to the
    control group, is stored as such."""
    unique = {(s.campaign_id, s.entry_id): (s, campaign) for s, campaign in reversed(starts)}
    # one order for all: two partitions never wait for each other in a circle
    ordered = [unique[key] for key in sorted(unique)]
    again = await refused_again(connection, ordered)
    entered = [
        _entered(replace(s, refused=again.get((s.campaign_id, s.entry_id), s.refused)), c, now) for s, c in ordered
    ]
    if not entered:
        return Recorded()
    rows = [_row(one, now) for one in entered]
    inserted = await connection.fetch(_INSERT, *zip(*rows, strict=True))
    known = {(row["campaign_id"], row["entry_id"]) for row in inserted}
    new = [one for one in entered if (one.start.campaign_id, one.start.entry_id) in known]
    messages = [message for one in new for message in _messages(one, now)]
    updates = [update for one in new for update in _updates(one)]
    return Recorded(new, messages, updates, any(one.advanced and one.advanced.due_at is not None for one in new))


def _entered(start: Start, campaign: CampaignDefinition, now: Millis) -> Entered:
    if start.refused is not None or start.holdout:
        return Entered(start, campaign)
    journey = Journey(start.campaign_id, start.entry_id, start.profile_id, begin(campaign), start.entered_at)
    return Entered(start, campaign, advance(campaign, journey, Facts(), now))


def messages_of(
    advanced: Advanced, journey: Journey, campaign: CampaignDefinition, version: int, now: Millis
) -> list[NewMessage]:
    """The messages that a journey has led to."""
    return [
        first_message(effect, journey, campaign, version, now)
        for effect in advanced.effects
        if isinstance(effect, SendNow)
    ]


def updates_of(advanced: Advanced, journey: Journey) -> list[CustomerUpdate]:
    """What a journey tells the customer's record."""
    return [told(effect, journey) for effect in advanced.effects if isinstance(effect, Tell)]


def first_message(
    effect: SendNow, journey: Journey, campaign: CampaignDefinition, version: int, now: Millis
) -> NewMessage:
    """The message of the first channel of a step. One that comes too late is settled as it is made."""
    channel = effect.channels[0]
    late = now - effect.ready_at > campaign.max_entry_age_ms
    return NewMessage(
        id=send_id(campaign.id, journey.entry_id, effect.step),
        campaign_id=campaign.id,
        entry_id=journey.entry_id,
        step=effect.step,
        campaign_version=version,
        profile_id=journey.profile_id,
        channel=channel,
        template_id=effect.send.template_for(channel) if effect.send is not None else None,
        channels=effect.channels,
        purpose=campaign.purpose if effect.send is not None else "transactional",
        priority=campaign.priority,
        ready_at=effect.ready_at,
        continues=effect.continues,
        skip="entry_too_old" if late else None,
    )


def told(effect: Tell, journey: Journey) -> CustomerUpdate:
    return CustomerUpdate(
        message_id=content_id("u", journey.campaign_id, journey.entry_id, effect.step),
        profile_id=journey.profile_id,
        at=effect.at,
        event=effect.event,
        properties={
            **effect.properties,
            "campaign_id": journey.campaign_id,
            "entry_id": journey.entry_id,
            "step": effect.step,
        }
        if effect.event is not None
        else {},
        traits=dict(effect.traits),
        tags=dict(effect.tags),
        campaign_id=journey.campaign_id,
        entry_id=journey.entry_id,
        step=effect.step,
        type="track" if effect.event is not None else "identify",
    )


def _messages(entered: Entered, now: Millis) -> list[NewMessage]:
    start, campaign = entered.start, entered.campaign
    journey = Journey(start.campaign_id, start.entry_id, start.profile_id, None, start.entered_at)
    if entered.advanced is not None:
        return messages_of(entered.advanced, journey, campaign, start.campaign_version, now)
    if start.refused != "entry_too_old":
        return []
    return _skipped(journey, campaign, start.campaign_version, now)


def _skipped(journey: Journey, campaign: CampaignDefinition, version: int, now: Millis) -> list[NewMessage]:
    """An entry that is too old shows as a message that was skipped, where its first step is one."""
    path = begin(campaign)
    step = program(campaign).places[path].step if path is not None else None
    if not isinstance(step, SendStep) or path is None or step.send.channel == "preferred":
        return []
    effect = SendNow(path, step.send.channels, step.send, journey.at, continues=False)
    return [first_message(effect, journey, campaign, version, now)]


def _updates(entered: Entered) -> list[CustomerUpdate]:
    if entered.advanced is None:
        return []
    start = entered.start
    return updates_of(
        entered.advanced, Journey(start.campaign_id, start.entry_id, start.profile_id, None, start.entered_at)
    )


def _row(entered: Entered, now: Millis) -> tuple[object, ...]:
    start, campaign, advanced = entered.start, entered.campaign, entered.advanced
    measured = campaign.goal is not None and start.refused is None
    over = entered.status == "done" or start.refused is not None
    return (
        *(start.campaign_id, start.entry_id, start.campaign_version, start.profile_id, start.segment_id),
        *(start.segment_name, _json(start.computed), start.traceparent, start.entered_at, now, start.trigger),
        *(start.key, _json(start.event) if start.event is not None else None, start.row_seq, entered.status),
        start.refused or (advanced.reason if advanced is not None else None),
        advanced.step if advanced is not None else None,
        advanced.due_at if advanced is not None and advanced.step is not None else None,
        _json(advanced.variants if advanced is not None else {}),
        now if over else None,
        start.entered_at + campaign.goal.within_ms if measured and campaign.goal is not None else None,
        start.received_at,
        start.known_at,
    )


def _json(value: Mapping[str, object]) -> str:
    return msgspec.json.encode(value).decode()


_INSERT = """
    INSERT INTO entry (campaign_id, entry_id, campaign_version, profile_id, segment_id, segment_name, computed,
        traceparent, entered_at, created_at, trigger, key, event, row_seq, status, reason, step, due_at, variants,
        ended_at, goal_until, received_at, doubted)
    SELECT new.campaign_id, new.entry_id, new.campaign_version, new.profile_id, new.segment_id, new.segment_name,
        new.computed, new.traceparent, new.entered_at, new.created_at, new.trigger, new.key, new.event,
        new.row_seq, new.status, new.reason, new.step, new.due_at, new.variants, new.ended_at, new.goal_until,
        new.received_at, new.known_at <= coalesce((SELECT restored_at FROM store), -1)
    FROM unnest($1::text[], $2::text[], $3::int[], $4::text[], $5::text[], $6::text[], $7::jsonb[],
        $8::text[], $9::bigint[], $10::bigint[], $11::text[], $12::text[], $13::jsonb[], $14::bigint[],
        $15::text[], $16::text[], $17::text[], $18::bigint[], $19::jsonb[], $20::bigint[], $21::bigint[],
        $22::bigint[], $23::bigint[])
        AS new (campaign_id, entry_id, campaign_version, profile_id, segment_id, segment_name, computed,
            traceparent, entered_at, created_at, trigger, key, event, row_seq, status, reason, step, due_at,
            variants, ended_at, goal_until, received_at, known_at)
    ON CONFLICT DO NOTHING RETURNING campaign_id, entry_id
"""
