"""The published schemas accept what the types encode, and refuse what they refuse."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from headrace.contracts.documents import load_documents
from headrace.contracts.schemas import DEFINITIONS, SCHEMA_OF_KIND, STRUCTS, schemas
from tests.unit.contracts.records import BY_SCHEMA, EVENT, PROFILE_EVENTS

SCHEMAS = schemas()
SHIPPED = [
    (path.name, document)
    for path in sorted((Path(__file__).resolve().parents[3] / "examples").rglob("*.yaml"))
    for document in load_documents(path.read_text(encoding="utf-8"))
    if isinstance(document, dict) and document.get("kind") in SCHEMA_OF_KIND
]
EXAMPLES = [(name, record) for name, records in BY_SCHEMA.items() for record in records]


@pytest.mark.parametrize("name", SCHEMAS)
def test_is_a_json_schema(name: str) -> None:
    schema = SCHEMAS[name]
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["title"]


@pytest.mark.parametrize(("name", "record"), EXAMPLES, ids=lambda value: getattr(type(value), "__name__", value))
def test_an_encoded_record_is_valid(name: str, record: msgspec.Struct) -> None:
    Draft202012Validator(SCHEMAS[name]).validate(json.loads(msgspec.json.encode(record)))


@pytest.mark.parametrize(("name", "record"), EXAMPLES, ids=lambda value: getattr(type(value), "__name__", value))
def test_a_required_field_may_not_be_left_out(name: str, record: msgspec.Struct) -> None:
    validator = Draft202012Validator(SCHEMAS[name])
    full: dict[str, Any] = json.loads(msgspec.json.encode(record))
    required = [field.encode_name for field in msgspec.structs.fields(record) if field.required]
    assert required
    for field in required:
        short = {key: value for key, value in full.items() if key != field}
        assert not validator.is_valid(short), field


def test_every_record_type_has_an_example() -> None:
    assert set(BY_SCHEMA) == set(STRUCTS) - {"error"}  # test_http validates every error


@pytest.mark.parametrize(("name", "document"), SHIPPED, ids=lambda value: value if isinstance(value, str) else "")
def test_a_shipped_definition_is_valid(name: str, document: dict[str, Any]) -> None:
    Draft202012Validator(SCHEMAS[SCHEMA_OF_KIND[document["kind"]]]).validate(document)


def test_definitions_of_every_kind_are_shipped() -> None:
    assert {document["kind"] for _, document in SHIPPED} == set(SCHEMA_OF_KIND)
    assert set(SCHEMA_OF_KIND.values()) == set(DEFINITIONS)


@pytest.mark.parametrize("kind", SCHEMA_OF_KIND)
def test_an_unknown_field_of_a_definition_is_refused(kind: str) -> None:
    document = next(document for _, document in SHIPPED if document["kind"] == kind)
    assert not Draft202012Validator(SCHEMAS[SCHEMA_OF_KIND[kind]]).is_valid({**document, "unheard_of": 1})


def test_names_in_an_event_are_segments() -> None:
    assert {"messageId", "anonymousId", "receivedAt"} <= set(SCHEMAS["event"]["properties"])


def test_what_is_passed_through_is_an_object() -> None:
    body = json.loads(msgspec.json.encode(EVENT)) | {"properties": "text"}
    assert not Draft202012Validator(SCHEMAS["event"]).is_valid(body)


def test_rows_are_told_apart_by_kind() -> None:
    mapping = SCHEMAS["profile-event"]["discriminator"]["mapping"]
    encoded = {json.loads(msgspec.json.encode(record))["kind"] for record in PROFILE_EVENTS}
    assert set(mapping) == encoded == {
        "event", "tombstone", "merge", "unmerge", "split", "erasure", "control", "tick",
    }  # fmt: skip
