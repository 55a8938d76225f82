"""Campaign and template definitions (DESIGN §7): what is sent to whom, when, on which channel.

What DESIGN §7 describes and this version does not do yet is refused with a problem, never ignored.
"""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError, model_validator
from pydantic_core import ErrorDetails

from headrace.contracts.errors import InvalidDefinition, Problem

DefinitionId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,64}$")]
Duration = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,5}(s|m|h|d|w)$")]
SendChannel = Literal["sms", "email"]
CampaignState = Literal["live", "draft", "paused"]
Purpose = Literal["marketing", "transactional"]

MAX_TEMPLATE_CHARS = 100_000
_UNIT_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}

# Where a definition may name something of DESIGN §7 that is not built yet: path pattern -> what it is.
_LATER: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), what)
    for pattern, what in (
        (r"re_entry", "limiting re-entry"),
        (r"holdout", "a control group"),
        (r"goal", "a goal"),
        (r"exit_when", "leaving early"),
        (r"quiet_hours", "quiet hours"),
        (r"caps?", "capping how often"),
        (r"trigger\.(event|by|schedule|audience)", "this trigger"),
        (r"steps\.\d+\.(wait|wait_until|branch|split|set_trait|tag|webhook|voucher|award_points)", "this step"),
        (r"mjml", "MJML"),
    )
)
_NOT_YET = "is not supported yet"
_MISSING = "is missing"
_TOO_SHORT = "needs at least one item"
_BRANCHES = ("sms", "email")  # pydantic names the union's branch in a problem's path
_REASONS = {
    "missing": _MISSING,
    "too_short": _TOO_SHORT,
    "string_too_short": "is empty",
    "string_type": "must be text",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "string_pattern_mismatch": "is not written as it must be",
    "union_tag_invalid": "is not a channel of a template",
    "union_tag_not_found": "names no channel",
}
_SUGGESTIONS = {
    "string_pattern_mismatch": "ids are 1 to 64 of a-z, 0-9 and -; durations look like 90s, 30m, 24h or 7d",
    "missing": "add it",
    "string_type": "put it in quotes",
    "union_tag_invalid": "write channel: sms or channel: email",
    "union_tag_not_found": "write channel: sms or channel: email",
}


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class SegmentTrigger(_Model):
    """Start when a customer enters the segment."""

    segment: DefinitionId
    on: Literal["entered"] = "entered"


class Send(_Model):
    """One message on one channel. `template` names its template; `templates` does so by channel."""

    channels: Annotated[tuple[SendChannel, ...], Field(min_length=1, max_length=1, strict=False)]
    template: DefinitionId | None = None
    templates: dict[SendChannel, DefinitionId] | None = None

    @model_validator(mode="after")
    def _one_way_to_name_the_template(self) -> "Send":
        if (self.template is None) == (self.templates is None):
            raise ValueError("name the template by `template` or, by channel, by `templates`")
        if self.templates is not None and set(self.templates) != set(self.channels):
            raise ValueError("`templates` must name one template for each of `channels`")
        return self

    @property
    def channel(self) -> SendChannel:
        return self.channels[0]

    @property
    def template_id(self) -> str:
        """The template of `channel`."""
        return self.template or (self.templates or {})[self.channel]


class SendStep(_Model):
    send: Send


class CampaignDefinition(_Model):
    """A campaign: customers who enter `trigger.segment` get the message of its one step.

    `purpose` decides which consent is needed; `topic` is what customers may choose (trait `communication`).
    `include_current` also sends to those whom a definition (a new or changed segment) put into the segment, not
    only to those whose own doing did. An entry older than `max_entry_age` sends nothing.
    """

    kind: Literal["campaign"] = "campaign"
    id: DefinitionId
    name: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    state: CampaignState = "live"
    trigger: SegmentTrigger
    re_entry: Literal["always"] = "always"
    purpose: Purpose = "marketing"
    topic: DefinitionId | None = None
    include_current: bool = False
    max_entry_age: Duration = "24h"
    steps: Annotated[tuple[SendStep, ...], Field(min_length=1, max_length=1, strict=False)]

    @property
    def max_entry_age_ms(self) -> int:
        return int(self.max_entry_age[:-1]) * _UNIT_MS[self.max_entry_age[-1]]


Source = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEMPLATE_CHARS)]


class SmsTemplate(_Model):
    """A text message; `text` is Liquid."""

    kind: Literal["template"] = "template"
    id: DefinitionId
    channel: Literal["sms"]
    text: Source


class EmailTemplate(_Model):
    """An e-mail; `subject`, `html` and `text` are Liquid. Without `text` one is made from the HTML."""

    kind: Literal["template"] = "template"
    id: DefinitionId
    channel: Literal["email"]
    subject: Annotated[str, StringConstraints(min_length=1, max_length=1000)]
    html: Source | None = None
    text: Source | None = None

    @model_validator(mode="after")
    def _has_a_body(self) -> "EmailTemplate":
        if self.html is None and self.text is None:
            raise ValueError("an e-mail needs html, text or both")
        return self


TemplateDefinition = Annotated[SmsTemplate | EmailTemplate, Field(discriminator="channel")]
_templates: TypeAdapter[SmsTemplate | EmailTemplate] = TypeAdapter(TemplateDefinition)


def parse_campaign(document: object) -> CampaignDefinition:
    """The definition, or InvalidDefinition with a problem for everything that is wrong."""
    try:
        return CampaignDefinition.model_validate(_normalised(document))
    except ValidationError as error:
        raise InvalidDefinition(_problems(error, _CAMPAIGN_FIELDS)) from error


def parse_template(document: object) -> SmsTemplate | EmailTemplate:
    """The definition, or InvalidDefinition with a problem for everything that is wrong."""
    try:
        return _templates.validate_python(document)
    except ValidationError as error:
        raise InvalidDefinition(_problems(error, _TEMPLATE_FIELDS)) from error


def _normalised(document: object) -> object:
    """`send: {channel: sms, …}` is short for `send: {channels: [sms], …}`."""
    if not isinstance(document, Mapping) or not isinstance(document.get("steps"), list):
        return document
    return {**document, "steps": [_normalised_step(step) for step in document["steps"]]}


def _normalised_step(step: Any) -> Any:
    send = step.get("send") if isinstance(step, Mapping) else None
    if not isinstance(send, Mapping) or "channel" not in send or "channels" in send:
        return step
    rest = {key: value for key, value in send.items() if key != "channel"}
    return {**step, "send": {**rest, "channels": [send["channel"]]}}


_CAMPAIGN_FIELDS = sorted(
    {*CampaignDefinition.model_fields, *SegmentTrigger.model_fields, *SendStep.model_fields, *Send.model_fields}
)
_TEMPLATE_FIELDS = sorted({*SmsTemplate.model_fields, *EmailTemplate.model_fields})


def _problems(error: ValidationError, fields: list[str]) -> list[Problem]:
    found: dict[str, Problem] = {}
    for detail in error.errors():
        problem = _problem(detail, fields)
        found.setdefault(problem.path, problem)
    return [problem for problem in found.values() if not _follows_from(problem, found)]


def _follows_from(problem: Problem, found: Mapping[str, Problem]) -> bool:
    """True for what only echoes another problem: `steps.0.send` is missing because `steps.0.wait` stands
    there; a list is too short because its items are wrong."""
    if problem.reason == _MISSING:
        parent = problem.path.rpartition(".")[0]
        return parent != "" and any(
            path.startswith(f"{parent}.") and other.reason.endswith(_NOT_YET) for path, other in found.items()
        )
    return problem.reason == _TOO_SHORT and any(path.startswith(f"{problem.path}.") for path in found)


def _problem(detail: ErrorDetails, fields: list[str]) -> Problem:
    location = [part for part in detail["loc"] if part not in (*_BRANCHES, "[key]")]
    path = ".".join(map(str, location))
    kind, given = detail["type"], detail.get("input")
    what = _later(path, kind, given)
    if what:
        return Problem(path, f"{what} {_NOT_YET}", "leave it out")
    if kind == "extra_forbidden":
        near = [name for name in get_close_matches(str(location[-1]), fields, 2) if name != location[-1]]
        return Problem(path, "is not a known field", f"did you mean {near[0]}?" if near else "leave it out")
    reason = _REASONS.get(kind) or detail["msg"].removeprefix("Value error, ")
    return Problem(path, reason, _SUGGESTIONS.get(kind, ""))


def _later(path: str, kind: str, given: object) -> str | None:
    """What of DESIGN §7 this problem asks for, if it is something not built yet."""
    for pattern, what in _LATER:
        if pattern.fullmatch(path):
            return what
    if path == "trigger.on" and given == "exited":
        return "starting on an exit"
    if path == "steps" and kind == "too_long":
        return "more than one step"
    if path.endswith("send.channels") and kind == "too_long":
        return "a cascade over channels"
    if ".send." in path and given in ("viber", "whatsapp", "webhook", "preferred"):
        return f"the channel {given}"
    return None
