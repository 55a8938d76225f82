"""What an editor knows about segment definitions: every key of the language, and no other."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from headrace.contracts.documents import load_document
from headrace.contracts.errors import InvalidDefinition
from headrace.contracts.schemas import schemas
from headrace.contracts.segment import KINDS, parse_segment
from headrace.contracts.segment_lint import LEAVES
from headrace.contracts.segment_shapes import shape_of

SCHEMA = schemas()["segment"]
VALID = Draft202012Validator(SCHEMA).is_valid


def document(when: str) -> dict[str, Any]:
    return {"kind": "segment", "id": "s", "name": "S", "when": load_document(when)}


@pytest.mark.parametrize("model", [*KINDS.values(), *LEAVES.values()], ids=lambda model: model.__name__)
def test_it_knows_the_keys_of_every_condition_and_kind(model: Any) -> None:
    part = SCHEMA["$defs"][model.__name__]
    assert set(part["properties"]) == shape_of(model).known
    assert set(part.get("required", ())) - {"kind"} == set(shape_of(model).required)


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_without_its_name_is_a_segment(kind: str) -> None:
    required = SCHEMA["$defs"][KINDS[kind].__name__]["required"]
    assert ("kind" in required) == (kind != "segment")


@pytest.mark.parametrize("kind", LEAVES)
def test_every_condition_is_described(kind: str) -> None:
    described = [
        part["description"]
        for part in SCHEMA["$defs"].values()
        if set(part.get("properties", ())) == {kind} and part.get("required") == [kind]
    ]
    assert len(described) == 1


@pytest.mark.parametrize(
    "when",
    [
        "{evnt: {name: A}}",
        "{event: {name: A}, trait: {name: a, eq: 1}}",
        "{event: {nam: A}}",
        "{event: {name: A, within: 30}}",
        "{event: {name: A, within: 7 days}}",
        "{event: {name: A, within: null}}",
        "{event: {name: A, count: 2}}",
        "{event: {name: A, count: {ge: 2}}}",
        "{event: {name: A, count: {gte: 2, lte: 3}}}",
        "{event: {name: A, sum: {gte: 2}}}",
        "{event: {name: A, where: [{path: a, local: {hours: [1, 2]}, eq: 1}]}}",
        "{trait: {name: a}}",
        "{trait: {name: a, gt: 1, lt: 2}}",
        "{sequence: {steps: []}}",
        "{sequence: {steps: [{event: A}], then: {event: B}}}",
        "{held: {for: 3d}}",
        "{segment: {id: VIP}}",
        "{tag: vip}",
        "{rfm: {class: best}}",
        "{percent: {from: 0, to: 101}}",
        "{geo: {within_km: 5, of: [100, 16]}}",
        "{consent: {channel: sms, is: yes}}",
        "{message: {campaign: c, did: click}}",
        "{all: []}",
        "{not: [{tag: {name: a}}]}",
    ],
)
def test_it_refuses_what_the_linter_refuses(when: str) -> None:
    assert not VALID(document(when))
    with pytest.raises(InvalidDefinition):
        parse_segment(document(when))


def test_it_tells_the_kinds_apart() -> None:
    assert VALID({"kind": "list", "id": "l", "name": "L"})
    assert not VALID({"id": "l", "name": "L"})
    assert not VALID({"kind": "list", "id": "l", "name": "L", "when": {"tag": {"name": "a"}}})
    assert not VALID({"kind": "stages", "id": "l", "name": "L", "stages": []})
