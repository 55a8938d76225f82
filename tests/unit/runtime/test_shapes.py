"""Shapes become the JSON Schemas that they stand for."""

from typing import Any, Literal

import pytest

from headrace.runtime.shapes import INSTANT, page, schema_of


@pytest.mark.parametrize(
    ("shape", "schema"),
    [
        (str, {"type": "string"}),
        ((int, None), {"type": ["integer", "null"]}),
        ([bool], {"type": "array", "items": {"type": "boolean"}}),
        (Literal["a", "b"], {"enum": ["a", "b"]}),
        (Any, {}),
        ({str: Any}, {"type": "object"}),
        ({str: int}, {"type": "object", "additionalProperties": {"type": "integer"}}),
        ((INSTANT, None), {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]}),
    ],
)
def test_schema(shape: Any, schema: dict[str, Any]) -> None:
    assert schema_of(shape) == schema


def test_an_object_has_no_other_fields_than_those_named() -> None:
    assert schema_of({"id": str, "more?": int}) == {
        "type": "object",
        "properties": {"id": {"type": "string"}, "more": {"type": "integer"}},
        "required": ["id"],
        "additionalProperties": False,
    }


def test_a_page_has_items_and_a_cursor() -> None:
    assert schema_of(page(str))["required"] == ["items", "next"]


def test_what_is_no_shape_is_said() -> None:
    with pytest.raises(TypeError, match="no shape"):
        schema_of("text")
