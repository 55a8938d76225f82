"""The body of a journey's webhook (Standard Webhooks' shape: type, timestamp, data). Pure."""

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from headrace.contracts.instant import Millis, format_instant
from services.messenger.render import render_text


class Step(Protocol):
    """What of a due message the body tells."""

    @property
    def id(self) -> str: ...
    @property
    def campaign_id(self) -> str: ...
    @property
    def campaign_version(self) -> int: ...
    @property
    def entry_id(self) -> str: ...
    @property
    def step(self) -> str: ...
    @property
    def segment_id(self) -> str | None: ...
    @property
    def event(self) -> Mapping[str, Any] | None: ...


def webhook_body(due: Step, profile_id: str, fields: Mapping[str, Any], now: Millis) -> str:
    """JSON text. `fields` are the step's own, and win over none of ours."""
    data = {
        "message_id": due.id,
        "campaign_id": due.campaign_id,
        "campaign_version": due.campaign_version,
        "entry_id": due.entry_id,
        "step": due.step,
        "segment_id": due.segment_id,
        "profile": {"id": profile_id},
        "event": due.event,
    }
    body = {
        "type": "campaign.step",
        "timestamp": format_instant(now),
        "data": {**fields, **{name: value for name, value in data.items() if value is not None}},
    }
    return msgspec.json.encode(body).decode()


def rendered_in(value: Any, variables: Mapping[str, Any]) -> Any:
    """The value with every text in it rendered. Raises TemplateFailed."""
    if isinstance(value, str):
        return render_text(value, variables)
    if isinstance(value, Mapping):
        return {key: rendered_in(item, variables) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rendered_in(item, variables) for item in value]
    return value
