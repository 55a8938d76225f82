"""What the routes of sources, write keys, admin tokens and the audit log answer, for the OpenAPI document."""

from collections.abc import Mapping
from typing import Any, Literal

from headrace.runtime.openapi import Operation, answers
from headrace.runtime.shapes import INSTANT, MAYBE, SOMETIME, Shape, page

_NUMBER: Shape = (int, None)
_DONE: Shape = {"success": Literal[True]}
_MADE: Shape = {"id": str, "prefix": str, "created_at": INSTANT, "expires_at": SOMETIME}
_KEPT: Shape = {**_MADE, "last_used_at": SOMETIME, "revoked_at": SOMETIME}
_NAMED: Shape = {"name": str, "scopes": [str]}
SOURCE: Shape = {
    "name": str,
    "kind": Literal["public", "server"],
    "origins": [str],
    "origins_required": bool,
    "rate": (float, None),
    "created_at": INSTANT,
    "disabled_at": SOMETIME,
    "keys": [_KEPT],
}
AUDIT_ROW: Shape = {
    "seq": int,
    "at": INSTANT,
    "act": str,
    "actor_id": str,
    "actor_name": str,
    "address": str,
    "service": str,
    "method": str,
    "route": str,
    "target": {str: str},
    "request_id": MAYBE,
    "status": _NUMBER,
    "duration_ms": _NUMBER,
}


def _stored(shape: Any, *errors: int) -> Operation:
    """A route that needs Postgres: without one it answers 501."""
    return answers(shape, 501, 503, *errors)


ACCESS: Mapping[str, Operation] = {
    "GET /v1/sources": _stored(page(SOURCE)),
    "GET /v1/sources/{source_name}": _stored(SOURCE),
    "PUT /v1/sources/{source_name}": _stored(SOURCE, 409),
    "DELETE /v1/sources/{source_name}": _stored(_DONE),
    "POST /v1/sources/{source_name}/keys": _stored({**_MADE, "key": str}),
    "DELETE /v1/sources/{source_name}/keys/{key_id}": _stored(_DONE),
    "GET /v1/tokens": _stored(page({**_KEPT, **_NAMED})),
    "POST /v1/tokens": _stored({**_MADE, **_NAMED, "token": str}),
    "DELETE /v1/tokens/{token_id}": _stored(_DONE),
    "GET /v1/audit": _stored(page(AUDIT_ROW)),
}
