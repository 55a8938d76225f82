"""Bodies of requests that hold a definition."""

from typing import Any

from fastapi import Request

from headrace.contracts.documents import load_document
from headrace.contracts.errors import ApiError, InvalidDefinition, Problem

_MAX_BODY = 512 * 1024


async def definition_document(request: Request, expected_id: str) -> Any:
    """The body's definition, YAML or JSON. Its id may be left out; it must not be another than the path's."""
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > _MAX_BODY:
            raise ApiError(413, "too_large", f"A definition has at most {_MAX_BODY} bytes.")
    try:
        document = load_document(raw.decode())
    except UnicodeDecodeError as error:
        raise ApiError(400, "not_utf8", "Send the definition as UTF-8.") from error
    if not isinstance(document, dict):
        return document
    if document.setdefault("id", expected_id) != expected_id:
        raise InvalidDefinition([Problem("id", "differs from the path", f"write id: {expected_id}")])
    return document
