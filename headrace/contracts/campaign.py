"""Campaign definitions (DESIGN §7): who is written to, when, and what happens step by step.

`parse_campaign` is the way in; `campaign_lint` looks at what one campaign means together with everything else.
"""

from collections.abc import Mapping
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, StringConstraints, Tag, ValidationError, model_validator

from headrace.contracts.campaign_steps import (
    MAX_NESTING,
    MAX_STEPS,
    STEP_KINDS,
    AnyStep,
    Award,
    Branch,
    Send,
    Split,
    SplitStep,
    TagChange,
    Variant,
    VoucherTake,
    WaitUntil,
    Webhook,
    Winner,
    Zone,
    known_zone,
    share,
    walk,
)
from headrace.contracts.cron import Cron, parse_cron
from headrace.contracts.definition import (
    DefinitionId,
    Duration,
    EventName,
    LocalTime,
    Model,
    Name,
    Path,
    Purpose,
    SendChannel,
    duration_ms,
    minutes,
    problems,
)
from headrace.contracts.errors import InvalidDefinition
from headrace.contracts.segment_values import bound_ms

CampaignState = Literal["live", "draft", "paused"]


class SegmentTrigger(Model):
    """Start when a customer enters the segment, or exits it."""

    segment: DefinitionId
    on: Literal["entered", "exited"] = "entered"


class EventTrigger(Model):
    """Start with an event. With `by` (a path such as `properties.cart_id`) each value has a journey of its own,
    and an event without one starts none."""

    event: EventName
    by: Path | None = None


class Audience(Model):
    segment: DefinitionId


def _instant(text: str) -> str:
    bound_ms(text)
    return text


def _cron(text: str) -> str:
    parse_cron(text)
    return text


class Schedule(Model):
    """Once `at` an instant, or again and again by `cron` (minute, hour, day, month, weekday) in `timezone`."""

    at: Annotated[str, AfterValidator(_instant)] | None = None
    cron: Annotated[str, StringConstraints(max_length=100), AfterValidator(_cron)] | None = None
    timezone: Annotated[str, AfterValidator(known_zone)] = "UTC"

    @model_validator(mode="after")
    def _one(self) -> "Schedule":
        if (self.at is None) == (self.cron is None):
            raise ValueError("write `at` (an instant) or `cron`")
        if self.timezone == "profile":
            raise ValueError("a run begins for everybody at once: name a time zone such as Europe/Prague")
        return self

    @property
    def at_ms(self) -> int | None:
        return None if self.at is None else bound_ms(self.at)

    @property
    def times(self) -> Cron | None:
        return None if self.cron is None else parse_cron(self.cron)


class ScheduleTrigger(Model):
    """Start for everybody in the audience, once per run."""

    schedule: Schedule
    audience: Audience


Trigger = SegmentTrigger | EventTrigger | ScheduleTrigger


def _trigger_kind(value: object) -> str:
    if isinstance(value, SegmentTrigger | EventTrigger | ScheduleTrigger):
        value = value.model_dump(exclude_none=True)
    if isinstance(value, Mapping):
        for kind in ("schedule", "event"):
            if kind in value:
                return f"step:{kind}"
    return "step:segment"


class ReEntryAfter(Model):
    after: Duration


class Goal(Model):
    """The campaign worked when the customer does `event` `within` this time of the entry, `target` times. Counted
    once per entry; also ends the journey. `value` is where the event says what it was worth."""

    event: EventName
    within: Duration
    target: Annotated[int, Field(ge=1, le=1000)] = 1
    value: Path = "properties.total"

    @property
    def within_ms(self) -> int:
        return duration_ms(self.within)


class ExitEvent(Model):
    """The journey ends when the customer does `event`."""

    event: EventName


class QuietHours(Model):
    """No message from `from` (included) to `to` (not included), in the customer's time zone or a fixed one."""

    from_: Annotated[LocalTime, Field(alias="from")]
    to: LocalTime
    timezone: Zone = "profile"

    @model_validator(mode="after")
    def _some_time_left(self) -> "QuietHours":
        if self.from_ == self.to:
            raise ValueError("`from` and `to` are the same: nothing would ever be sent")
        return self

    @property
    def from_minute(self) -> int:
        return minutes(self.from_)

    @property
    def to_minute(self) -> int:
        return minutes(self.to)


class Cap(Model):
    """At most so many messages to one customer within this time; on one `channel`, or on all. Those of a
    campaign count its own messages, the policy's the marketing of all campaigns."""

    at_most: Annotated[int, Field(ge=1, le=1000)]
    within: Duration
    channel: SendChannel | None = None

    @property
    def within_ms(self) -> int:
        return duration_ms(self.within)


def _word_or_object(value: object) -> str:
    return "step:word" if isinstance(value, str) else "step:object"


def _share(text: str) -> str:
    share(text)
    return text


class CampaignDefinition(Model):
    """A campaign: `trigger` says who enters, `steps` what happens to them.

    `purpose` decides which consent is needed; `topic` is what customers may choose (trait `communication`).
    `include_current` also starts for those whom a definition (a new or changed segment) put into the segment, not
    only for those whose own doing did. An entry older than `max_entry_age` sends nothing, and neither does a step
    that is late by as much. `caps` count this campaign's messages; those of the policy count all campaigns'.
    """

    kind: Literal["campaign"] = "campaign"
    id: DefinitionId
    name: Name
    state: CampaignState = "live"
    trigger: Annotated[
        Annotated[SegmentTrigger, Tag("step:segment")]
        | Annotated[EventTrigger, Tag("step:event")]
        | Annotated[ScheduleTrigger, Tag("step:schedule")],
        Discriminator(_trigger_kind),
    ]
    re_entry: Annotated[
        Annotated[Literal["always", "never"], Tag("step:word")] | Annotated[ReEntryAfter, Tag("step:object")],
        Discriminator(_word_or_object),
    ] = "always"
    holdout: Annotated[str, AfterValidator(_share)] | None = None
    goal: Goal | None = None
    exit_when: (
        Annotated[
            Annotated[Literal["segment_exited"], Tag("step:word")] | Annotated[ExitEvent, Tag("step:object")],
            Discriminator(_word_or_object),
        ]
        | None
    ) = None
    quiet_hours: QuietHours | None = None
    caps: Annotated[tuple[Cap, ...], Field(max_length=10, strict=False)] = ()
    priority: Annotated[int, Field(ge=-100, le=100)] = 0
    purpose: Purpose = "marketing"
    topic: DefinitionId | None = None
    include_current: bool = False
    max_entry_age: Duration = "24h"
    steps: Annotated[tuple[AnyStep, ...], Field(min_length=1, max_length=MAX_STEPS, strict=False)]

    @model_validator(mode="after")
    def _consistent(self) -> "CampaignDefinition":
        all_steps = list(walk(self.steps))
        if len(all_steps) > MAX_STEPS:
            raise ValueError(f"`steps` has {len(all_steps)} steps in all; at most {MAX_STEPS}")
        if any(path.count(".") > 2 * MAX_NESTING for path, _ in all_steps):
            raise ValueError(f"`steps` are nested more than {MAX_NESTING} deep")
        by_segment = isinstance(self.trigger, SegmentTrigger) and self.trigger.on == "entered"
        if self.exit_when == "segment_exited" and not by_segment:
            raise ValueError("`exit_when: segment_exited` goes with a trigger `segment` `on: entered`")
        if isinstance(self.trigger, ScheduleTrigger) and self.include_current:
            raise ValueError("`include_current` goes with a trigger `segment`: an audience is who is in it now")
        if self.goal is None and any(split.metric == "conversion" for _, split in self.splits):
            raise ValueError("a split that is won by `conversion` needs a `goal`")
        return self

    @cached_property
    def max_entry_age_ms(self) -> int:
        return duration_ms(self.max_entry_age)

    @property
    def re_entry_ms(self) -> int | None:
        """None: always; 0: never; else not before so many milliseconds have passed since the last entry."""
        if self.re_entry == "always":
            return None
        return 0 if self.re_entry == "never" else duration_ms(self.re_entry.after)

    @property
    def holdout_share(self) -> Decimal:
        """In percent; 0 without one."""
        return share(self.holdout) if self.holdout else Decimal(0)

    @property
    def segment(self) -> str | None:
        """The segment of the trigger or of the audience."""
        if isinstance(self.trigger, SegmentTrigger):
            return self.trigger.segment
        return self.trigger.audience.segment if isinstance(self.trigger, ScheduleTrigger) else None

    @property
    def by(self) -> str | None:
        """The path of the key, of a keyed journey."""
        return self.trigger.by if isinstance(self.trigger, EventTrigger) else None

    @cached_property
    def sends(self) -> tuple[tuple[str, Send], ...]:
        """Every `send` with its path."""
        found = ((path, getattr(step, "send", None)) for path, step in walk(self.steps))
        return tuple((path, send) for path, send in found if send is not None)

    @cached_property
    def splits(self) -> tuple[tuple[str, Split], ...]:
        """Every `split` with its path."""
        return tuple((path, step.split) for path, step in walk(self.steps) if isinstance(step, SplitStep))

    @cached_property
    def events(self) -> frozenset[str]:
        """Names of the events that start it, reach its goal, or end it."""
        names = {self.trigger.event} if isinstance(self.trigger, EventTrigger) else set()
        names |= {self.goal.event} if self.goal is not None else set()
        names |= {self.exit_when.event} if isinstance(self.exit_when, ExitEvent) else set()
        return frozenset(names)


def parse_campaign(document: object) -> CampaignDefinition:
    """The definition, or InvalidDefinition with a problem for everything that is wrong."""
    try:
        return CampaignDefinition.model_validate(_normalised(document))
    except ValidationError as error:
        raise InvalidDefinition(problems(error, _FIELDS)) from error


def body_of(definition: Model) -> dict[str, Any]:
    """A definition as JSON data: it parses to itself."""
    return definition.model_dump(mode="json", by_alias=True, exclude_none=True)


def _normalised(node: Any) -> Any:
    """`send: {channel: sms, …}` is short for `send: {channels: [sms], …}`, wherever steps stand."""
    if isinstance(node, list):
        return [_normalised(item) for item in node]
    if not isinstance(node, Mapping):
        return node
    return {key: _send(value) if key == "send" else _normalised_in(key, value) for key, value in node.items()}


def _normalised_in(key: Any, value: Any) -> Any:
    """Only what may hold steps is looked into: a trait or a condition may have a key `send` of its own."""
    if key in ("steps", "branch", "split", "then", "else"):
        return _normalised(value)
    if key == "variants" and isinstance(value, Mapping):
        return {name: _normalised(variant) for name, variant in value.items()}
    return value


def _send(send: Any) -> Any:
    if not isinstance(send, Mapping) or "channel" not in send or "channels" in send:
        return send
    rest = {key: value for key, value in send.items() if key != "channel"}
    return {**rest, "channels": [send["channel"]]}


_MODELS: tuple[type[Model], ...] = (
    *(CampaignDefinition, SegmentTrigger, EventTrigger, ScheduleTrigger, Schedule, Goal, QuietHours, Cap),
    *(Send, WaitUntil, Branch, Split, Variant, Winner, Webhook, VoucherTake, Award, TagChange),
    *STEP_KINDS.values(),
)
_FIELDS = {field.alias or name for model in _MODELS for name, field in model.model_fields.items()}
