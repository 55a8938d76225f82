"""What a plan says of an event: compared with JSON Schema, and where the two have different words."""

from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.errors import InvalidDefinition
from headrace.contracts.plan import TYPES, parse_plan
from services.ingest.plan import Plan, Verdict, Violation

TYPES_OF_JSON = [name for name in TYPES if name != "instant"]

scalars = st.one_of(
    st.booleans(), st.integers(-3, 3), st.sampled_from([0.5, 1.0, -2.5]), st.text("ab", max_size=3)
)
values = st.one_of(
    scalars, st.lists(scalars, max_size=3), st.dictionaries(st.sampled_from("xy"), scalars, max_size=2)
)
wanted = st.fixed_dictionaries(
    {},
    optional={
        "type": st.lists(st.sampled_from(TYPES_OF_JSON), min_size=1, max_size=3, unique=True),
        "pattern": st.sampled_from(["a", "^ab?$", "b.b"]),
        "minimum": st.integers(-2, 0),
        "maximum": st.integers(0, 2),
        "min_length": st.integers(0, 1),
        "max_length": st.integers(1, 3),
    },
)
enums = st.none() | st.lists(scalars, min_size=1, max_size=4)


def plan(events: dict[str, Any], **fields: Any) -> Plan:
    return Plan(parse_plan({"kind": "plan", "source": "web", "events": events, **fields}))


def verdict(plan: Plan, properties: dict[str, Any], **fields: Any) -> Verdict | None:
    event = {"type": "track", "event": "E", "properties": properties, **fields}
    return plan.verdict(msgspec.json.encode(event))


def reasons(plan: Plan, properties: dict[str, Any], **fields: Any) -> list[tuple[str, str]]:
    found = verdict(plan, properties, **fields)
    return [] if found is None else [(one.property, one.reason) for one in found.violations]


def as_json_schema(wanted: dict[str, Any]) -> dict[str, Any]:
    words = {"min_length": ("minLength", "minItems"), "max_length": ("maxLength", "maxItems")}
    return {word: value for name, value in wanted.items() for word in words.get(name, (name,))}


@given(values, wanted)
def test_a_value_is_judged_as_json_schema_judges_it(value: Any, wanted: dict[str, Any]) -> None:
    judged = jsonschema.Draft202012Validator(as_json_schema(wanted)).is_valid(value)
    assert (reasons(plan({"E": {"properties": {"p": wanted}}}), {"p": value}) == []) is judged


@given(values, enums)
def test_an_enum_tells_true_from_one(value: Any, enum: list[Any] | None) -> None:
    wanted = {} if enum is None else {"enum": enum}
    judged = jsonschema.Draft202012Validator(wanted).is_valid(value)
    assert (reasons(plan({"E": {"properties": {"p": wanted}}}), {"p": value}) == []) is judged


@pytest.mark.parametrize(
    ("required", "properties", "missing"),
    [
        ("a", {"a": 0}, False),
        ("a", {"a": None}, True),
        ("a", {}, True),
        ("a.b", {"a": {"b": False}}, False),
        ("a.b", {"a": 1}, True),
        ("a[].b", {"a": [{"b": 1}, {"b": 2}]}, False),
        ("a[].b", {"a": [{"b": 1}, {}]}, True),
        ("a[].b", {"a": []}, False),
        ("a[].b", {}, True),
        ("a[]", {"a": [1]}, False),
        ("a[]", {"a": {}}, True),
    ],
)
def test_required_is_a_value_in_every_item(required: str, properties: dict[str, Any], missing: bool) -> None:
    found = reasons(plan({"E": {"required": [required]}}), properties)
    assert found == ([(required, "missing")] if missing else [])


def test_each_thing_that_is_wrong_is_told_once_an_event() -> None:
    checked = plan({"E": {"required": ["id"], "properties": {"a[].n": "number", "b": {"type": "string"}}}})
    assert reasons(checked, {"a": [{"n": "x"}, {"n": True}, {"n": 1}], "b": 3}) == [
        ("id", "missing"),
        ("b", "type"),
        ("a[].n", "type"),
    ]


@pytest.mark.parametrize(("value", "right"), [("2026-01-31", True), ("2026-02-30", False), (1_700_000_000, False)])
def test_an_instant_is_a_date_or_a_time(value: Any, right: bool) -> None:
    assert (reasons(plan({"E": {"properties": {"at": "instant"}}}), {"at": value}) == []) is right


def test_identify_is_held_to_its_traits_and_pages_go_by_their_names() -> None:
    checked = plan({"identify": {"required": ["email"]}, "Page Viewed": {"required": ["url"]}}, unplanned="block")
    assert reasons(checked, {"email": "a@b"}, type="identify", event=None) == [("email", "missing")]
    assert reasons(checked, {}, type="identify", event=None, traits={"email": "a@b"}) == []
    assert reasons(checked, {}, type="page", event=None) == [("url", "missing")]
    assert reasons(checked, {}, type="screen", event=None) == []


def test_a_track_event_with_the_name_of_a_type_is_unplanned() -> None:
    checked = plan({"identify": {}}, unplanned="block")
    assert reasons(checked, {}, event="identify") == [("", "unplanned")]


@pytest.mark.parametrize(("unplanned", "expected"), [("allow", None), ("count", False), ("block", True)])
def test_unplanned_events(unplanned: str, expected: bool | None) -> None:
    checked = plan({"Other": {}}, unplanned=unplanned)
    found = verdict(checked, {})
    assert found == (None if expected is None else Verdict([Violation("E", "", "unplanned")], expected))
    assert (checked.label("E"), checked.label("Other")) == ("(unplanned)", "Other")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"properties": {"p": "text"}}, "'text' is no type; did you mean string?"),
        ({"properties": {"p": {"type": "nubmer"}}}, "did you mean number?"),
        ({"properties": {"p": {"minimun": 1}}}, "is no field here"),
        ({"properties": {"a..b": "number"}}, "is no path"),
        ({"properties": {"properties.p": "number"}}, "begins where the paths are already"),
        ({"properties": {"p": {"pattern": "(a"}}}, "no regular expression"),
        ({"properties": {"p": {"minimum": 2, "maximum": 1}}}, "the least is greater than the most"),
        ({"properties": {"p": {"type": "string", "enum": [1]}}}, "has no value of the type string"),
        ({"required": "p"}, "must be a list"),
    ],
)
def test_what_is_wrong_with_a_plan_is_told(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidDefinition) as found:
        plan({"E": change})
    assert any(problem in f"{one.reason} {one.suggestion}" for one in found.value.problems)


def test_a_type_that_is_misspelt_as_an_event_is_told() -> None:
    with pytest.raises(InvalidDefinition, match="is the name of no event"):
        plan({"Identify": {}})
