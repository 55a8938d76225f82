"""The tracking routes in OpenAPI terms, from the same table that serves them; and what the other routes answer."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

from headrace.contracts.event import EventType
from headrace.runtime.openapi import JSON, Operation, answers, error_answer
from headrace.runtime.shapes import INSTANT, MAYBE, OBJECT, Shape, page, schema_of
from services.ingest.access_shapes import ACCESS
from services.ingest.routes import ROUTES, Route

_TYPE = {"enum": list(get_args(EventType))}
_EVENT = {
    "type": "object",
    "description": "One event of the Segment Spec; `type` may be absent where the path names it.",
    "properties": {
        "type": _TYPE,
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
_WRITE_KEY = {
    "name": "X-Write-Key",
    "in": "header",
    "description": "The write key, where it is neither in `Authorization` (Basic, Bearer), in the query "
    "(`writeKey`) nor in the body.",
    "schema": {"type": "string"},
}
_REJECTED: Shape = {
    "index?": int,
    "line?": int,
    "column?": str,
    "messageId?": MAYBE,
    "code": str,
    "message?": str,
}
_COLLECTED: Shape = {
    "success": Literal[True],
    "accepted?": int,
    "rows?": int,
    "rejected_rows?": int,
    "rejected?": [_REJECTED],
}
_ERRORS = (400, 401, 403, 413, 415, 429, 503)
_DURABLE = "Durable. `rejected` lists the events that went to the dead letters, if any."
_SUMMARIES = {
    "batch": "Collect a batch",
    "import": "Collect history: a batch, NDJSON or CSV",
    "metrics": "Take what browser SDKs say of themselves, and drop it",
}

LETTER: Shape = {
    "id": str,
    "partition": int,
    "offset": int,
    "reason": str,
    "detail": MAYBE,
    "service": str,
    "origin_topic": MAYBE,
    "origin_partition": (int, None),
    "origin_offset": (int, None),
    "source": MAYBE,
    "message_id": MAYBE,
    "at": INSTANT,
    "complete": bool,
    "raw": str,
    "raw_encoding": Literal["utf-8", "base64"],
}
REPLAYED: Shape = {
    "id": MAYBE,
    "partition": int,
    "offset": int,
    "outcome": Literal["accepted", "appended", "refused", "missing"],
    "reason": MAYBE,
    "detail": MAYBE,
}
VIOLATION: Shape = {
    "source": str,
    "event": str,
    "property": str,
    "reason": str,
    "blocked": bool,
    "count": int,
    "first_at": INSTANT,
    "last_at": INSTANT,
    "last_message_id": MAYBE,
}
_WHICH = {
    "type": "object",
    "description": "One of `ids`, `positions`, `reason` and `all`.",
    "additionalProperties": False,
    "properties": {
        "ids": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 1000},
        "positions": {
            "type": "array",
            "minItems": 1,
            "maxItems": 100,
            "items": {
                "type": "object",
                "required": ["partition", "offset"],
                "properties": {
                    "partition": {"type": "integer", "minimum": 0},
                    "offset": {"type": "integer", "minimum": 0},
                },
            },
        },
        "reason": {"type": "string"},
        "all": {"type": "boolean"},
        "cursor": {"type": "string"},
    },
}
_HOOK = {kind: {"type": "string"} for kind in ("application/x-www-form-urlencoded", JSON, "message/rfc822")}
_PLAIN = "text/plain; charset=utf-8"
_TAKEN = {_PLAIN: str, "text/xml; charset=utf-8": str}

OPERATIONS: Mapping[str, Operation] = {
    **ACCESS,
    "GET /v1/projects/{write_key}/settings": Operation({200: {JSON: OBJECT}}, never=(400,)),
    "GET /sourceConfig/": Operation({200: {JSON: OBJECT}}, (404,), never=(400,)),
    "GET /v1/dead-letters": answers(page(LETTER), 503),
    "POST /v1/dead-letters/replay": answers(page(REPLAYED), 413, 503, body={JSON: _WHICH}),
    "GET /v1/plans": answers(page(OBJECT)),
    "GET /v1/plans/violations": answers(page(VIOLATION)),
    "GET /v1/hooks/whatsapp": Operation({200: {_PLAIN: str}}, (403,)),
    "GET /v1/hooks/bulkgate": Operation({200: {_PLAIN: str}}, (403, 404, 413, 503)),
    "POST /v1/hooks/{provider}": Operation({200: _TAKEN}, (403, 413, 503), body=_HOOK),
}


def tracking_paths() -> dict[str, Any]:
    """OpenAPI path items of all tracking routes."""
    paths: dict[str, Any] = {}
    for route in ROUTES.values():
        paths.setdefault(route.label, {})[route.method.lower()] = _operation(route)
    return paths


def _operation(route: Route) -> dict[str, Any]:
    in_path = (
        [{"name": "type", "in": "path", "required": True, "schema": _TYPE}] if "{type}" in route.label else []
    )
    operation: dict[str, Any] = {
        "tags": ["tracking"],
        "summary": "Collect one event" if in_path else _SUMMARIES.get(route.shape, f"Collect: {route.type}"),
        "operationId": f"{route.method.lower()}{route.label.replace('/', '_')}",
        "parameters": [*in_path, _WRITE_KEY, *([_MAPPING] if route.shape == "import" else [])],
        "responses": _responses(route),
    }
    if route.method == "POST":
        operation["requestBody"] = {"required": route.shape != "metrics", "content": _bodies(route)}
    return operation


def _bodies(route: Route) -> dict[str, Any]:
    if route.shape == "metrics":
        return {"text/plain": {"schema": {"type": "string"}}}
    bodies: dict[str, Any] = {JSON: {"schema": _EVENT if route.shape == "single" else _BATCH}}
    if route.shape == "import":
        bodies["application/x-ndjson"] = {"schema": {"type": "string"}}
        bodies["text/csv"] = {"schema": {"type": "string"}}
        bodies["multipart/form-data"] = {"schema": _FORM}
    return bodies


def _responses(route: Route) -> dict[str, Any]:
    errors = () if route.shape == "metrics" else _ERRORS
    unknown = (404,) if "{type}" in route.label else ()
    answered = "image/gif" if route.shape == "pixel" else JSON
    schema = schema_of(str if route.shape == "pixel" else _COLLECTED)
    done = {"description": _DURABLE, "content": {answered: {"schema": schema}}}
    return {"200": done} | {str(status): error_answer(status) for status in sorted((*errors, *unknown))}
