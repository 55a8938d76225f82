"""JSON Schema of segment definitions, for editors: completion, descriptions and most mistakes while writing.

What no schema can say (from before to, a pattern that is refused, references) `headrace lint` and the API say.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from headrace.contracts.segment import KINDS, Definition
from headrace.contracts.segment_limits import MAX_CONDITIONS
from headrace.contracts.segment_shapes import shape_of
from headrace.contracts.segment_tests import (
    CountTest,
    DistinctTest,
    EdgeTest,
    EventTest,
    NumberTest,
    SumTest,
    Test,
    TraitTest,
    WhereTest,
)

_TESTS: tuple[type[Test], ...] = (CountTest, DistinctTest, EdgeTest, NumberTest, SumTest, TraitTest, WhereTest)


class AsWritten(GenerateJsonSchema):
    """A key is there with a value or is left out: no null, and no titles that only repeat the key."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        inner = super().default_schema(schema)
        return (
            inner if inner.get("default", "") is not None else {k: v for k, v in inner.items() if k != "default"}
        )

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def segment_schema() -> dict[str, Any]:
    """The schema of all kinds: `oneOf` three, told apart by `kind`."""
    schema = TypeAdapter(Definition).json_schema(schema_generator=AsWritten)
    schema["oneOf"] = schema.pop("anyOf")
    parts = schema["$defs"]
    for part in parts.values():
        part.pop("title", None)
        part.pop("discriminator", None)
    for kind, model in KINDS.items():
        if kind != "segment":
            parts[model.__name__]["required"].insert(0, "kind")
    for test in _TESTS:
        parts[test.__name__] |= _sizes(test)
    parts[EventTest.__name__]["properties"]["currency"] = parts[NumberTest.__name__]["properties"]["currency"]
    parts[EventTest.__name__]["properties"]["where"]["maxItems"] = MAX_CONDITIONS
    return dict(schema)


def _sizes(test: type[Test]) -> Mapping[str, int]:
    """Exactly one operator beside the keys that every such test has, or may have."""
    shape = shape_of(test)
    return {
        "minProperties": len(shape.required) + 1,
        "maxProperties": len(shape.known - shape.operators) + 1,
    }
