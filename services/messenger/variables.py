"""What templates can name (DESIGN §7), and what to write instead of what they cannot. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from headrace.contracts.errors import Problem
from headrace.contracts.model_problems import nearest
from services.messenger.survey_urls import names_survey

VARIABLES = (
    *("profile", "segment", "campaign", "event", "voucher"),
    *("unsubscribe_url", "preferences_url", "survey_url"),
)
_INSIDE: Mapping[str, Sequence[str]] = {
    "profile": ("id", "traits", "computed", "tags", "time_zone"),
    "segment": ("id", "name"),
    "campaign": ("id", "name"),
    "event": ("name", "event", "message_id", "timestamp", "properties", "context", "products"),
    "voucher": ("code", "expires_at", "value", "pool_id"),
}
"""What is closed. Traits, computed traits and an event's properties are whatever there is."""
_TRAITS = "profile.traits"


def event_variable(event: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The trigger event as templates see it: `name`, and `products` as the e-commerce events have them."""
    if event is None:
        return {}
    properties = event.get("properties")
    products = properties.get("products") if isinstance(properties, Mapping) else None
    shown = {**event, "name": event.get("event") or event.get("name")}
    return {**shown, "products": products} if isinstance(products, list) else shown


def path_problems(
    field: str, name: str, paths: Iterable[Sequence[object]], *, also: Iterable[str] = (), open_ended: bool = False
) -> list[Problem]:
    """Of one variable, named by these paths. `also`: names that this template has besides. `open_ended`: an
    unknown one may be given by whoever renders this."""
    if name in also:
        return []
    if name not in VARIABLES:
        near = nearest(name, VARIABLES)
        hint = f"did you mean {near}?" if near else f"use one of {', '.join(VARIABLES)}"
        return [] if open_ended else [Problem(field, f"unknown variable {name}", hint)]
    inside = [str(path[1]) for path in paths if len(path) > 1 and isinstance(path[1], str)]
    known = _INSIDE.get(name)
    if known is not None:
        return [_unknown(field, name, part, known) for part in dict.fromkeys(inside) if part not in known]
    if name == "survey_url":
        if all(names_survey(path) for path in paths):
            return []
        return [Problem(field, "survey_url names no survey", "write its id: survey_url.coffee-taste")]
    return [
        Problem(field, f"{name} is a link and has no {part}", f"write {name}") for part in dict.fromkeys(inside)
    ]


def _unknown(field: str, name: str, part: str, known: Sequence[str]) -> Problem:
    near = nearest(part, known)
    if near:
        hint = f"did you mean {name}.{near}?"
    elif name == "profile":
        hint = f"a trait is {_TRAITS}.{part}"
    elif name == "event":
        hint = f"a property is event.properties.{part}"
    else:
        hint = f"it has {', '.join(known)}"
    return Problem(field, f"{name} has no {part}", hint)
