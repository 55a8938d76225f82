"""What stands in the wrong place, is spelt wrong, is missing or too much is told with what was meant."""

from typing import Any

import pytest

from headrace.contracts.segment_limits import MAX_CHARACTERS
from tests.unit.segmenter.definitions import definition, problems, told, written

EVENT = {"event": {"name": "A"}}


def nested(depth: int) -> dict[str, Any]:
    node: dict[str, Any] = EVENT
    for place in range(depth):
        node = {"not": node} if place % 2 else {"held": {"for": "1d", "condition": node}}
    return node


def stages(*whens: object) -> dict[str, Any]:
    parts = [{"id": f"s{place}", "when": when} for place, when in enumerate(whens)]
    return {"kind": "stages", "id": "life", "name": "Life", "stages": parts}


@pytest.mark.parametrize(
    ("when", "path", "reason", "suggestion"),
    [
        ("{evnt: {name: A}}", "evnt", "is not a condition", "did you mean event?"),
        ("{and: [{event: {name: A}}]}", "and", "is not a condition", "did you mean all?"),
        ("{or: [{event: {name: A}}]}", "or", "is not a condition", "did you mean any?"),
        ("{xyz: 1}", "xyz", "is not a condition", "known: all, any, consent, event, geo, held, message, not,"),
        ("{event: {nam: A}}", "event.nam", "is not known here", "did you mean name?"),
        ("{event: {event: A}}", "event.event", "is not known here", "did you mean name?"),
        ("{event: {name: A, filter: []}}", "event.filter", "is not known here", "did you mean where?"),
        ("{event: {name: A, count: {gtee: 2}}}", "event.count.gtee", "is not known here", "did you mean gte?"),
        ("{event: {name: A, count: {ge: 2}}}", "event.count.ge", "is not known here", "did you mean gte?"),
        ('{event: {name: A, count: {">=": 2}}}', "event.count.>=", "is not known here", "did you mean gte?"),
        ("{event: {name: A, count: {min: 2}}}", "event.count.min", "is not known here", "did you mean gte?"),
        ("{event: {name: A, count: {ne: 2}}}", "event.count.ne", "is not known here", "known: between, eq, gt,"),
        ("{trait: {name: a, is: yes}}", "trait.is", "is not known here", "did you mean eq?"),
        ("{trait: {name: a, within: 7d}}", "trait.within", "is not known here", "did you mean within_"),
        ("{trait: {path: a, eq: 1}}", "trait.path", "is not known here", "did you mean name?"),
        (
            "{event: {name: A, where: [{name: a, eq: 1}]}}",
            "event.where.0.name",
            "is not known",
            "did you mean path?",
        ),
        ("{sequence: {step: [{event: A}]}}", "sequence.step", "is not known here", "did you mean steps?"),
        ("{sequence: {steps: [{name: A}]}}", "sequence.steps.0.name", "is not known", "did you mean event?"),
        ("{segment: {name: vip}}", "segment.name", "is not known here", "did you mean id?"),
        ("{message: {campaign: c, action: clicked}}", "message.action", "is not known here", "did you mean did?"),
        ("{geo: {km: 5, of: [49, 16]}}", "geo.km", "is not known here", "did you mean within_km?"),
    ],
)
def test_a_wrong_word(when: str, path: str, reason: str, suggestion: str) -> None:
    [found] = told(definition(written(when)))
    assert found[0] == f"when.{path}"
    assert found[1].startswith(reason)
    assert found[2].startswith(suggestion)


@pytest.mark.parametrize(
    ("when", "path", "suggestion"),
    [
        ("{event: Order Completed}", "event", "write event: {name: Order Completed}"),
        ("{event: {name: A, count: 2}}", "event.count", "write count: {gte: 2}"),
        ("{event: {name: A, sum: 1000}}", "event.sum", "write sum: {of: properties.total, gte: 1000}"),
        ("{event: {name: A, first: x}}", "event.first", "write first: {of: properties.coupon, eq: x}"),
        ("{event: {name: A, between: [1, 2]}}", "event.between", "write between: {from: 2026-11-27, to:"),
        ("{event: {name: A, where: [x]}}", "event.where.0", "write - {path: properties.currency, eq: x}"),
        ("{event: {name: A, where: [{local: sat}]}}", "event.where.0.local", "write local: {weekday: [sat]}"),
        ("{trait: plan}", "trait", "write trait: {name: plan, exists: true}"),
        ("{trait: {name: a, anniversary: 7d}}", "trait.anniversary", "write anniversary: {within: 7d}"),
        ("{sequence: [A, B]}", "sequence", "write sequence: {steps: [{event: Product Added}, {event: "),
        ("{sequence: {steps: [A]}}", "sequence.steps.0", "write - {event: A}"),
        ("{held: 3d}", "held", "write held: {for: 3d, condition: "),
        ("{segment: vip}", "segment", "write segment: {id: vip}"),
        ("{tag: vip}", "tag", "write tag: {name: vip}"),
        ("{rfm: at-risk}", "rfm", "write rfm: {class: at-risk}"),
        ("{percent: 10}", "percent", "write percent: {from: 0, to: 10}"),
        ("{geo: 25}", "geo", "write geo: {within_km: 25, of: [49.19, 16.61]}"),
        ("{consent: sms}", "consent", "write consent: {channel: sms}"),
        ("{message: win-back}", "message", "write message: {campaign: win-back, did: clicked}"),
    ],
)
def test_a_value_where_an_object_belongs(when: str, path: str, suggestion: str) -> None:
    [found] = told(definition(written(when)))
    assert found[:2] == (f"when.{path}", "must be an object")
    assert found[2].startswith(suggestion)


@pytest.mark.parametrize(
    ("when", "path", "reason", "suggestion"),
    [
        ("{event: {}}", "event.name", "is missing", "add name: Order Completed"),
        ("{trait: {eq: 1}}", "trait.name", "is missing", "add name: plan"),
        ("{event: {name: A, sum: {gte: 1}}}", "event.sum.of", "is missing", "add of: properties.total"),
        ("{event: {name: A, within: }}", "event.within", "is empty", "write its value, or leave the key out"),
        ("{event: {name: A, where: [{eq: 1}]}}", "event.where.0", "needs a path", "add path: properties."),
        ("{trait: {name: a}}", "trait", "must have exactly one operator", "add one of anniversary, between,"),
        ("{event: {name: A, count: {}}}", "event.count", "must have exactly one operator", "add one of between, "),
        (
            "{trait: {name: a, gt: 1, lt: 5}}",
            "trait",
            "must have exactly one operator, not gt and",
            "for both bounds",
        ),
        (
            "{trait: {name: a, eq: 1, ne: 5}}",
            "trait",
            "must have exactly one operator, not eq",
            "keep one, or make",
        ),
        (
            "{sequence: {steps: [{event: A}], then: {event: B}}}",
            "sequence.then.within",
            "is missing",
            "add within: ",
        ),
        ("{held: {for: 3d}}", "held.condition", "is missing", "add condition: "),
        ("{held: {condition: {event: {name: A}}}}", "held.for", "is missing", "add for: 3d"),
        ("{geo: {within_km: 5}}", "geo.of", "is missing", "add of: [49.19, 16.61]"),
        ("{percent: {from: 5}}", "percent.to", "is missing", "add to: 10"),
        (
            "{event: {name: A, count: {gte: 1}, sum: {of: x, gte: 1}}}",
            "event",
            "has more than one aggregate",
            "keep one",
        ),
        ("{event: {name: A, where: {path: a, eq: 1}}}", "event.where", "must be a list", "put a dash before each"),
        ("{all: []}", "all", "must be a list of at least one condition", "write each condition after a dash"),
        (
            "{any: {event: {name: A}}}",
            "any",
            "must be a list of at least one",
            "write each condition after a dash",
        ),
        ("{not: [{event: {name: A}}]}", "not", "must be exactly one condition", "write all: before the list"),
        (
            "{held: {for: 3d, condition: [{event: {name: A}}]}}",
            "held.condition",
            "must be exactly one",
            "write all:",
        ),
    ],
)
def test_what_is_missing_or_too_much(when: str, path: str, reason: str, suggestion: str) -> None:
    [found] = told(definition(written(when)))
    assert found[0] == f"when.{path}"
    assert found[1].startswith(reason)
    assert found[2].startswith(suggestion)


@pytest.mark.parametrize(
    ("when", "suggestion"),
    [
        ({"trait": {"name": "a", "eq": 1}, **EVENT}, "put each of them after a dash under all: or any:"),
        ({"name": "A", "count": {"gte": 2}}, "write event: before it"),
        ([EVENT], "write all: before the list, or any:"),
        ({}, "write for instance {event: {name: Order Completed}}"),
        ("event", "write for instance {event: {name: Order Completed}}"),
    ],
)
def test_what_is_no_condition(when: object, suggestion: str) -> None:
    [found] = told(definition(when))
    assert found[:2] == ("when", "must be exactly one condition")
    assert found[2].startswith(suggestion)


@pytest.mark.parametrize(
    ("document", "path", "reason"),
    [
        (definition(nested(16)), "when" + ".not.held.condition" * 8, "is nested deeper than 16 levels"),
        (definition({"any": [EVENT] * 1_000}), "when.any.199", "has more than 200 conditions"),
        (stages({"any": [EVENT] * 150}, {"any": [EVENT] * 150}), "stages.1.when.any.48", "has more than 200 cond"),
        (stages(*[EVENT] * 21), "stages", "has more than 20 stages"),
        (
            definition({"sequence": {"steps": [{"event": "A"}] * 11}}),
            "when.sequence.steps",
            "has more than 10 items",
        ),
        (definition({"event": {"name": ["A"] * 101}}), "when.event.name", "has more than 100 items"),
        (definition({"trait": {"name": "a", "in": ["x"] * 1_001}}), "when.trait.in", "has more than 1000 items"),
        (definition({"event": {"name": "A", "where": [{}] * 201}}), "when.event.where", "has more than 200 items"),
        (definition({"trait": {"name": "a", "eq": "x" * MAX_CHARACTERS}}), "", "has more than 262144 characters"),
    ],
    ids=["depth", "conditions", "of stages", "stages", "steps", "names", "values", "where", "characters"],
)
def test_limits(document: object, path: str, reason: str) -> None:
    [found] = told(document)
    assert found[0] == path
    assert found[1].startswith(reason)


def test_what_is_within_the_limits_is_let_through() -> None:
    assert nested(15)
    [found] = told(definition({"all": [nested(14), {"trait": {"name": "a", "eq": None}}]}))
    assert found[0] == "when.all.1.trait.eq"


@pytest.mark.parametrize(
    ("document", "path", "reason", "suggestion"),
    [
        (None, "", "must be an object", "a definition has kind, id, name and when"),
        ([], "", "must be an object", "a definition has"),
        ({**definition(EVENT), "kind": "segments"}, "kind", "is no kind of segment", "did you mean segment?"),
        ({**definition(EVENT), "kind": "stage"}, "kind", "is no kind of segment", "did you mean stages?"),
        (
            {**definition(EVENT), "kind": None},
            "kind",
            "is no kind of segment",
            "write one of segment, list, stages",
        ),
        ({"id": "a", "name": "A", "stages": []}, "kind", "is missing", "add kind: stages"),
        ({"id": "a", "name": "A"}, "when", "is missing", "add when: {event: "),
        (
            {"kind": "list", "id": "a", "name": "A", "when": EVENT},
            "when",
            "is not known here",
            "known: id, kind, ",
        ),
        ({"kind": "list", "id": "a"}, "name", "is missing", "add name: "),
        ({"kind": "stages", "id": "a", "name": "A"}, "stages", "is missing", "add stages: "),
        (
            {"kind": "stages", "id": "a", "name": "A", "stages": []},
            "stages",
            "is an empty list",
            "write at least one",
        ),
        ({**stages(EVENT), "stages": {"new": EVENT}}, "stages", "must be a list", "put a dash before each"),
        (
            {**stages(EVENT), "stages": [{"id": "x", "whn": 1}]},
            "stages.0.whn",
            "is not known",
            "did you mean when?",
        ),
        ({**stages(EVENT), "stages": [{"id": "x"}]}, "stages.0.when", "is missing", "add when: "),
        (
            stages({"event": {"name": "A", "count": 2}}),
            "stages.0.when.event.count",
            "must be an obj",
            "write count: ",
        ),
        (
            {**stages(), "stages": [{"id": "x", "when": EVENT}] * 2},
            "stages",
            "has two stages x",
            "give each stage",
        ),
        (
            {**stages(EVENT), "id": "a" * 64},
            "",
            "has a stage whose segment would have an id",
            "shorten the id",
        ),
    ],
)
def test_a_definition_of_any_kind(document: object, path: str, reason: str, suggestion: str) -> None:
    [found] = told(document)
    assert found[0] == path
    assert found[1].startswith(reason)
    assert found[2].startswith(suggestion)


@pytest.mark.parametrize("name", ["computed", "computed.Total", "computed.total.more", "computed[].total"])
def test_a_computed_trait_is_asked_for_by_its_id(name: str) -> None:
    [found] = told(definition({"trait": {"name": name, "gt": 1}}))
    assert found == (
        "when.trait.name",
        "names no computed trait",
        "write computed. and its id: computed.order_count",
    )


def test_a_static_list_is_asked_for_by_its_id() -> None:
    [found] = told(definition({"tag": {"name": "list:vip"}}))
    assert found[0] == "when.tag.name"
    assert found[2] == "write segment: {id: vip}"


def test_no_input_is_told_more_than_helps() -> None:
    assert len(problems(definition({"any": [{f"k{n}": {}} for n in range(190)]}))) == 100
    assert len(problems(definition({"trait": {f"k{n}": 1 for n in range(10_000)}}))) == 100
