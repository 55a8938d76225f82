"""The steps of a campaign (DESIGN §7). Each is an object with one key, which says what is done."""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from headrace.contracts.definition import (
    STEP_TAG,
    TWO_THINGS,
    DefinitionId,
    Duration,
    LocalTime,
    Model,
    Name,
    SendChannel,
    duration_ms,
)
from headrace.contracts.errors import InvalidDefinition
from headrace.contracts.segment import parse_segment

MAX_STEPS = 100
MAX_NESTING = 8
VariantId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_-]{1,32}$")]
_TRAIT = r"^[^.\x00$][^\x00]{0,199}$"
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def known_zone(name: str) -> str:
    """`profile`, or a time zone of the IANA database. Raises ValueError."""
    if name != "profile" and name not in available_timezones():
        raise ValueError("is no time zone: write profile, or one such as Europe/Prague")
    return name


Zone = Annotated[str, AfterValidator(known_zone)]


class Send(Model):
    """One message: by the first of `channels` that can deliver; `preferred` is the one that the customer chose.
    `template` names its template; `templates` does so by channel."""

    channels: Annotated[
        tuple[Literal["sms", "email", "viber", "whatsapp", "preferred"], ...],
        Field(min_length=1, max_length=5, strict=False),
    ]
    template: DefinitionId | None = None
    templates: dict[SendChannel, DefinitionId] | None = None

    @model_validator(mode="after")
    def _templates_fit(self) -> "Send":
        if (self.template is None) == (self.templates is None):
            raise ValueError("name the template by `template` or, by channel, by `templates`")
        if len(set(self.channels)) != len(self.channels):
            raise ValueError("`channels` names one twice")
        named = {channel for channel in self.channels if channel != "preferred"}
        if self.templates is not None and (
            not named <= set(self.templates) or (named != set(self.templates) and "preferred" not in self.channels)
        ):
            raise ValueError("`templates` must name one template for each of `channels`")
        return self

    @property
    def channel(self) -> str:
        """The first of `channels`."""
        return self.channels[0]

    def template_for(self, channel: str) -> str | None:
        """The template to use on this channel; whether it is one for that channel is seen when it is sent."""
        if self.templates is not None:
            return {str(name): template for name, template in self.templates.items()}.get(channel)
        return self.template

    @property
    def template_ids(self) -> tuple[str, ...]:
        return (self.template,) if self.template is not None else tuple((self.templates or {}).values())


class SendStep(Model):
    send: Send


class WaitStep(Model):
    """Go on after this time."""

    wait: Duration

    @property
    def wait_ms(self) -> int:
        return duration_ms(self.wait)


class WaitUntil(Model):
    """Go on at the next `local_time`, on one of `weekdays` if there are some; in the customer's `timezone`, or a
    fixed one."""

    local_time: LocalTime
    weekdays: Annotated[
        tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...], Field(strict=False)
    ] = ()
    timezone: Zone = "profile"

    @property
    def days(self) -> frozenset[int]:
        """As datetime.weekday() counts; empty means every day."""
        return frozenset(_WEEKDAYS.index(day) for day in self.weekdays)


class WaitUntilStep(Model):
    wait_until: WaitUntil


def condition(value: Any) -> Any:
    """A segment's condition, as written. Raises ValueError with the first thing that is wrong in it."""
    try:
        parse_segment({"kind": "segment", "id": "branch", "name": "branch", "when": value})
    except InvalidDefinition as error:
        first = error.problems[0]
        where = first.path.removeprefix("when").lstrip(".")
        raise ValueError(
            f"{where + ' ' if where else ''}{first.reason}; {first.suggestion}".rstrip("; ")
        ) from error
    return value


class Branch(Model):
    """`then` for customers for whom `if` is true at that moment, else `else`. The condition is a segment's, and
    becomes a hidden segment."""

    if_: Annotated[dict[str, Any], Field(alias="if"), AfterValidator(condition)]
    then: "Steps" = ()
    else_: Annotated["Steps", Field(alias="else")] = ()

    @property
    def segment(self) -> str | None:
        """The segment that the condition names and nothing else, else None."""
        test = self.if_.get("segment")
        plain = isinstance(test, dict) and test.get("member", True) is True and not test.get("for")
        return str(test["id"]) if isinstance(test, dict) and plain else None


class BranchStep(Model):
    branch: Branch


class Variant(Model):
    """One way to go on. Customers are spread over variants by `weight`."""

    weight: Annotated[int, Field(ge=1, le=10_000)] = 1
    steps: "Steps" = ()


class Winner(Model):
    """`after` the first customer was split, the variants are compared once with the one named by `against`, on
    `metric`. One that is better at this `confidence` is taken by all who come later; without one, `fallback` (a
    variant), else the weights stay. `against` is the first variant as written unless it is named."""

    metric: Literal["opens", "clicks", "conversion"]
    after: Duration
    confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.95
    fallback: VariantId | None = None
    against: VariantId | None = None

    @property
    def after_ms(self) -> int:
        return duration_ms(self.after)


class Split(Model):
    """A random, stable choice between variants."""

    variants: Annotated[dict[VariantId, Variant], Field(min_length=2, max_length=10)]
    winner: Winner | None = None

    @property
    def metric(self) -> str | None:
        """What its winner is chosen by."""
        return None if self.winner is None else self.winner.metric

    @model_validator(mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        """Which variant is the first is said: a store of JSON keeps no order of names."""
        if not isinstance(value, Mapping):
            return value
        winner, variants = value.get("winner"), value.get("variants")
        if not isinstance(winner, Mapping) or not isinstance(variants, Mapping) or not variants:
            return value
        return {**value, "winner": {"against": next(iter(variants)), **winner}}

    @model_validator(mode="after")
    def _are_variants(self) -> "Split":
        for name in ("fallback", "against"):
            if self.winner is not None and getattr(self.winner, name) not in (None, *self.variants):
                raise ValueError(f"`winner.{name}` must be one of {', '.join(self.variants)}")
        return self


class SplitStep(Model):
    split: Split


def _storable(value: Any) -> Any:
    """Raises ValueError for what no store can hold."""
    if isinstance(value, str) and ("\0" in value or any("\ud800" <= c <= "\udfff" for c in value)):
        raise ValueError("must not hold U+0000 or half of a surrogate pair")
    if isinstance(value, Mapping):
        for key, item in value.items():
            _storable(key)
            _storable(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _storable(item)
    elif isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        raise ValueError("must be a finite number")
    elif isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**63:
        raise ValueError("must be a number below 2^63")
    return value


class SetTraitStep(Model):
    """Traits to set on the customer; null takes one away."""

    set_trait: Annotated[dict[str, Any], Field(min_length=1, max_length=50)]

    @field_validator("set_trait")
    @classmethod
    def _names(cls, traits: dict[str, Any]) -> dict[str, Any]:
        for name in traits:
            if not re.fullmatch(_TRAIT, name) or name.split(".")[0] in ("computed", "communication"):
                raise ValueError(f"{name} is no trait that a campaign may set")
        _storable(traits)
        return traits


class TagChange(Model):
    name: Name
    remove: bool = False


class TagStep(Model):
    """A tag to put on the customer, or with `remove` to take off."""

    tag: TagChange


class Webhook(Model):
    """A signed POST of this step's facts to a server. `body` are further fields, Liquid in their texts."""

    url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s\x00]{1,2000}$")]
    body: Annotated[dict[str, Any], Field(max_length=50, default_factory=dict)]

    @field_validator("body")
    @classmethod
    def _body(cls, body: dict[str, Any]) -> dict[str, Any]:
        _storable(body)
        return body


class WebhookStep(Model):
    webhook: Webhook


class VoucherTake(Model):
    """A code of a pool for the customer, as `voucher` in later templates. When the pool has none left the journey
    ends, or goes on without one if it is `optional`."""

    pool: DefinitionId
    optional: bool = False


class VoucherStep(Model):
    voucher: VoucherTake


class Award(Model):
    """Points for the customer: an event `Points Awarded`."""

    points: Annotated[int, Field(ge=1, le=1_000_000)]
    reason: Name | None = None


class AwardPointsStep(Model):
    award_points: Award


Step = (
    SendStep
    | WaitStep
    | WaitUntilStep
    | BranchStep
    | SplitStep
    | SetTraitStep
    | TagStep
    | WebhookStep
    | VoucherStep
    | AwardPointsStep
)
STEP_KINDS: Mapping[str, type[Model]] = {
    "send": SendStep,
    "wait": WaitStep,
    "wait_until": WaitUntilStep,
    "branch": BranchStep,
    "split": SplitStep,
    "set_trait": SetTraitStep,
    "tag": TagStep,
    "webhook": WebhookStep,
    "voucher": VoucherStep,
    "award_points": AwardPointsStep,
}


def step_kind(step: object) -> str:
    """The key that says what the step does; for another object, its first key; nothing for what is no step."""
    if isinstance(step, Mapping):
        return STEP_TAG + next((key for key in STEP_KINDS if key in step), next(map(str, step), ""))
    return STEP_TAG + next((kind for kind, model in STEP_KINDS.items() if isinstance(step, model)), "")


def _one_thing(step: object) -> object:
    things = [key for key in STEP_KINDS if key in step] if isinstance(step, Mapping) else []
    if len(things) > 1:
        raise PydanticCustomError(TWO_THINGS, "has {things} in one step", {"things": " and ".join(things)})
    return step


AnyStep = Annotated[
    Annotated[SendStep, Tag("step:send")]
    | Annotated[WaitStep, Tag("step:wait")]
    | Annotated[WaitUntilStep, Tag("step:wait_until")]
    | Annotated[BranchStep, Tag("step:branch")]
    | Annotated[SplitStep, Tag("step:split")]
    | Annotated[SetTraitStep, Tag("step:set_trait")]
    | Annotated[TagStep, Tag("step:tag")]
    | Annotated[WebhookStep, Tag("step:webhook")]
    | Annotated[VoucherStep, Tag("step:voucher")]
    | Annotated[AwardPointsStep, Tag("step:award_points")],
    Discriminator(step_kind),
    BeforeValidator(_one_thing),
]
Steps = Annotated[tuple[AnyStep, ...], Field(max_length=MAX_STEPS, strict=False)]

for _model in (Branch, BranchStep, Variant, Split, SplitStep):
    _model.model_rebuild()


def walk(steps: "tuple[Step, ...]", prefix: str = "") -> Iterator[tuple[str, Step]]:
    """Every step with its path, in reading order: `0`, `1.a.0` (of variant a), `2.then.0`, `2.else.0`."""
    for number, step in enumerate(steps):
        path = f"{prefix}{number}"
        yield path, step
        if isinstance(step, BranchStep):
            yield from walk(step.branch.then, f"{path}.then.")
            yield from walk(step.branch.else_, f"{path}.else.")
        elif isinstance(step, SplitStep):
            for name, variant in step.split.variants.items():
                yield from walk(variant.steps, f"{path}.{name}.")


def share(text: str) -> Decimal:
    """`5%` as 5. Raises ValueError."""
    match = re.fullmatch(r"([0-9]{1,2}(?:\.[0-9]{1,2})?)\s*%", text)
    if match is None or not 0 < Decimal(match[1]) < 100:
        raise ValueError("must be a share such as 5%, above 0% and below 100%")
    return Decimal(match[1])
