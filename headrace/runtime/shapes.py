"""Answers of HTTP routes in a short notation, and their JSON Schemas (2020-12).

A shape is a type (`str`, `int`, `float`, `bool`, `None`), a tuple of alternatives, a list of one shape, a dict of
fields, `{str: shape}` for any names, `Literal[…]`, `Any`, or a `Schema` as it is. A field whose name ends in `?`
may be missing; other fields than those named do not come.
"""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, get_args, get_origin

Schema: TypeAlias = dict[str, Any]
Shape: TypeAlias = Any

_ANY: Shape = Any
_TYPES: Mapping[object, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    None: "null",
}
OBJECT: Shape = {str: Any}
MAYBE: Shape = (str, None)
INSTANT: Shape = {"$schema": {"type": "string", "format": "date-time"}}
SOMETIME: Shape = (INSTANT, None)


def page(item: Shape, **further: Shape) -> Shape:
    """A page of a list: `next` is the cursor of the next one, null at the end."""
    return {"items": [item], "next": MAYBE, **further}


def schema_of(shape: Shape) -> Schema:
    """The JSON Schema. Raises TypeError for what is no shape."""
    if shape is _ANY:
        return {}
    if shape is None or isinstance(shape, type):
        return {"type": _TYPES[shape]}
    origin: object = get_origin(shape)
    if origin is Literal:
        return {"enum": list(get_args(shape))}
    if isinstance(shape, tuple):
        return _one_of([schema_of(each) for each in shape])
    if isinstance(shape, list):
        [item] = shape
        return {"type": "array", "items": schema_of(item)}
    if isinstance(shape, dict):
        return _object(shape)
    raise TypeError(f"{shape!r} is no shape")


def _one_of(schemas: list[Schema]) -> Schema:
    if all(list(each) == ["type"] for each in schemas):
        return {"type": [each["type"] for each in schemas]}
    return {"anyOf": schemas}


def _object(shape: Mapping[Any, Shape]) -> Schema:
    if "$schema" in shape:
        given: Schema = shape["$schema"]
        return given
    if str in shape:
        values = schema_of(shape[str])
        return {"type": "object", "additionalProperties": values} if values else {"type": "object"}
    fields = {name.removesuffix("?"): schema_of(each) for name, each in shape.items()}
    required = [name for name in shape if not name.endswith("?")]
    return {"type": "object", "properties": fields, "required": required, "additionalProperties": False}
