"""JSON Schema of campaign definitions, for editors: steps within steps, and conditions as segments have them.

What no schema can say (a winner's fallback is a variant, templates by channel) `headrace lint` and the API say.
"""

from collections.abc import Iterator
from typing import Any

from pydantic import TypeAdapter

from headrace.contracts.campaign import CampaignDefinition
from headrace.contracts.campaign_steps import STEP_KINDS
from headrace.contracts.segment_schema import AsWritten, segment_schema

_KINDS = ("SegmentDefinition", "ListDefinition", "StagesDefinition", "Stage")
_STEP = {"$ref": "#/$defs/JourneyStep"}
_CONDITION = {"$ref": "#/$defs/Condition"}


def campaign_schema() -> dict[str, Any]:
    """`$defs.JourneyStep` is a step, `$defs.Condition` a condition; both may stand within themselves."""
    schema = TypeAdapter(CampaignDefinition).json_schema(schema_generator=AsWritten)
    parts = schema["$defs"]
    for part in parts.values():
        part.pop("title", None)
    step = schema["properties"]["steps"]["items"]
    for holder in (schema, parts["Branch"], parts["Variant"]):
        for steps in _lists_of(holder, step):
            steps["items"] = _STEP
    description = f"One step: an object with one key, {', '.join(STEP_KINDS)}."
    parts["JourneyStep"] = {"description": description, **step}
    parts["Branch"]["properties"]["if"] = _CONDITION
    parts["Split"]["properties"]["variants"]["additionalProperties"] = False
    parts["Send"] = _send(parts["Send"])
    parts |= _conditions()
    return dict(schema)


def _lists_of(holder: dict[str, Any], items: Any) -> Iterator[dict[str, Any]]:
    return (one for one in holder["properties"].values() if one.get("items") == items)


def _send(part: dict[str, Any]) -> dict[str, Any]:
    """`channel: sms` is short for `channels: [sms]`; the template is named in one way."""
    channels = part["properties"]["channels"]
    channel = {**channels["items"], "description": "Short for `channels` with this one."}
    ways = [("channel", "channels"), ("template", "templates")]
    choices = [{"oneOf": [{"required": [name]} for name in way]} for way in ways]
    rest = {key: value for key, value in part.items() if key not in ("properties", "required")}
    return {**rest, "properties": {"channel": channel, **part["properties"]}, "allOf": choices}


def _conditions() -> dict[str, Any]:
    """The parts of the segment's schema, with its union of all conditions named."""
    parts: dict[str, Any] = segment_schema()["$defs"]
    union = parts["SegmentDefinition"]["properties"]["when"]
    named = {name: _replaced(part, union) for name, part in parts.items() if name not in _KINDS}
    return {"Condition": {"description": "A condition, as of a segment.", **union}, **named}


def _replaced(node: Any, union: Any) -> Any:
    if node == union:
        return _CONDITION
    if isinstance(node, dict):
        return {key: _replaced(value, union) for key, value in node.items()}
    return [_replaced(item, union) for item in node] if isinstance(node, list) else node
