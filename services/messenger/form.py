"""Reads the forms of public pages: small, urlencoded, from anybody."""

from collections.abc import Mapping
from urllib.parse import parse_qs

from fastapi import Request

MAX_FORM = 64 * 1024
MAX_FIELDS = 500

Form = Mapping[str, list[str]]


async def read_form(request: Request) -> Form:
    """The fields by name. What is no such form, or too large, has none."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_FORM:
            return {}
    try:
        return parse_qs(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError:
        return {}
