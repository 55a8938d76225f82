"""The tracking routes in OpenAPI terms, from the same table that serves them."""

from typing import Any

from services.ingest.routes import ROUTES, Route

_EVENT = {
    "type": "object",
    "description": "One event of the Segment Spec; `type` may be absent where the path names it.",
    "properties": {
        "type": {"enum": ["track", "identify", "page", "screen", "group", "alias"]},
        "messageId": {"type": "string", "maxLength": 100},
        "userId": {"type": ["string", "integer", "null"]},
        "anonymousId": {"type": ["string", "integer", "null"]},
        "event": {"type": ["string", "null"], "maxLength": 128},
        "properties": {"type": ["object", "null"]},
        "traits": {"type": ["object", "null"]},
        "context": {"type": ["object", "null"]},
        "timestamp": {"type": ["string", "number", "null"]},
    },
}
_BATCH = {
    "type": "object",
    "required": ["batch"],
    "properties": {"batch": {"type": "array", "minItems": 1, "items": _EVENT}, "sentAt": {"type": "string"}},
}
_FORM = {
    "type": "object",
    "required": ["file"],
    "properties": {"file": {"type": "string", "format": "binary"}, "mapping": {"type": "string"}},
}
_MAPPING = {
    "name": "mapping",
    "in": "query",
    "description": "By which mapping the rows of a CSV become events.",
    "schema": {"type": "string"},
}
_RESPONSES = {
    "200": {"description": "Durable. `rejected` lists the events that went to the dead letters, if any."},
    "400": {"description": "The body is not readable."},
    "401": {"description": "The write key is missing or unknown."},
    "413": {"description": "The body or the batch is too large."},
    "429": {"description": "More than the key or the address may send: repeat after `Retry-After` seconds."},
    "503": {"description": "Not taken now: repeat after `Retry-After` seconds."},
}


def tracking_paths() -> dict[str, Any]:
    """OpenAPI path items of all tracking routes."""
    paths: dict[str, Any] = {}
    for route in ROUTES.values():
        paths.setdefault(route.label, {})[route.method.lower()] = _operation(route)
    return paths


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "tags": ["tracking"],
        "summary": f"Collect by {route.shape}" if route.type is None else f"Collect: {route.type}",
        "operationId": f"{route.method.lower()}{route.label.replace('/', '_')}",
        "responses": _RESPONSES,
    }
    if "{type}" in route.label:
        operation["summary"] = "Collect one event"
        operation["parameters"] = [
            {"name": "type", "in": "path", "required": True, "schema": _EVENT["properties"]["type"]}  # type: ignore[index]
        ]
    if route.method == "POST":
        content: dict[str, Any] = {"application/json": {"schema": _EVENT if route.shape == "single" else _BATCH}}
        if route.shape == "import":
            content["application/x-ndjson"] = {"schema": {"type": "string"}}
            content["text/csv"] = {"schema": {"type": "string"}}
            content["multipart/form-data"] = {"schema": _FORM}
            operation["parameters"] = [_MAPPING]
        operation["requestBody"] = {"required": True, "content": content}
    return operation
