"""How each part of a segment definition is written: suggestions for who wrote it otherwise."""

from collections.abc import Mapping

from headrace.contracts.segment_conditions import (
    ConsentTest,
    Following,
    HeldTest,
    MessageTest,
    SegmentTest,
    SequenceTest,
    Step,
    TagTest,
)
from headrace.contracts.segment_rfm import RfmTest
from headrace.contracts.segment_shares import GeoTest, PercentTest
from headrace.contracts.segment_tests import (
    Anniversary,
    Between,
    CountTest,
    DistinctTest,
    EdgeTest,
    EventTest,
    Local,
    NumberTest,
    SumTest,
    TraitTest,
    WhereTest,
)
from headrace.contracts.segment_values import Model
from headrace.contracts.segment_words import shown

_MAX_WRITTEN = 60

# With one value of its own; * is where a value that was written in place of the object most likely belongs.
_EXAMPLES: Mapping[type[Model], tuple[str, str]] = {
    TraitTest: ("{name: *, exists: true}", "plan"),
    EventTest: ("{name: *}", "Order Completed"),
    SequenceTest: ("{steps: [{event: Product Added}, {event: *}]}", "Order Completed"),
    Step: ("{event: *}", "Product Added"),
    Following: ("{event: *, within: 1h}", "Order Completed"),
    HeldTest: ("{for: *, condition: {event: {name: Order Completed, within: 30d}}}", "3d"),
    SegmentTest: ("{id: *}", "vip"),
    TagTest: ("{name: *}", "vip-manual"),
    RfmTest: ("{class: *}", "champions"),
    PercentTest: ("{from: 0, to: *}", "10"),
    GeoTest: ("{within_km: *, of: [49.19, 16.61]}", "25"),
    ConsentTest: ("{channel: *}", "sms"),
    MessageTest: ("{campaign: *, did: clicked}", "win-back"),
    CountTest: ("{gte: *}", "2"),
    DistinctTest: ("{of: properties.products[].sku, gte: *}", "3"),
    NumberTest: ("{of: properties.total, gte: *}", "1000"),
    SumTest: ("{of: properties.total, gte: *}", "1000"),
    EdgeTest: ("{of: properties.coupon, eq: *}", "SPRING"),
    WhereTest: ("{path: properties.currency, eq: *}", "CZK"),
    Local: ("{weekday: [*]}", "sat, sun"),
    Between: ("{from: *, to: 2026-12-25}", "2026-11-27"),
    Anniversary: ("{within: *}", "7d"),
}
_KEYS: Mapping[tuple[type[Model], str], str] = {
    (TraitTest, "name"): "name: plan",
    (EventTest, "name"): "name: Order Completed",
    (TagTest, "name"): "name: vip-manual",
    (SegmentTest, "id"): "id: vip",
    (DistinctTest, "of"): "of: properties.products[].sku",
    (EdgeTest, "of"): "of: properties.coupon",
    (GeoTest, "of"): "of: [49.19, 16.61]",
    (PercentTest, "from"): "from: 0",
    (PercentTest, "to"): "to: 10",
    (Anniversary, "within"): "within: 7d",
}
_ANYWHERE: Mapping[str, str] = {
    "id": "id: cart-abandoners",
    "name": "name: Cart abandoners",
    "when": "when: {event: {name: Order Completed}}",
    "stages": "stages: with an id and a when: for each",
    "steps": "steps: [{event: Product Added}]",
    "event": "event: Order Completed",
    "of": "of: properties.total",
    "within": "within: 1h",
    "for": "for: 3d",
    "condition": "condition: with what must have been true",
    "channel": "channel: sms",
    "campaign": "campaign: win-back",
    "did": "did: clicked",
    "within_km": "within_km: 25",
    "from": "from: 2026-11-27",
    "to": "to: 2026-12-25",
}


def example(path: str, model: type[Model], written: object) -> str:
    """What to write for this part, with what was written in its place."""
    pattern, value = _EXAMPLES.get(model, ("{id: *, when: {event: {name: Order Completed}}}", "new"))
    if isinstance(written, str | int | float) and not isinstance(written, bool) and str(shown(written)).strip():
        value = shown(written).strip()[:_MAX_WRITTEN]
    key = path.rsplit(".", 1)[-1]
    return f"write {'-' if key.isdecimal() else f'{key}:'} {pattern.replace('*', value)}"


def missing_key(model: type[Model], key: str) -> str:
    """What to add when a key is missing."""
    return f"add {_KEYS.get((model, key)) or _ANYWHERE.get(key, key)}"
