"""Cursors of lists: where the next page begins, as text that a URL takes."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence

import msgspec

from headrace.contracts.errors import ApiError

_texts = msgspec.json.Decoder(list[str])


def encode_cursor(parts: Sequence[str]) -> str:
    return urlsafe_b64encode(msgspec.json.encode(parts)).decode().rstrip("=")


def decode_cursor(cursor: str) -> list[str]:
    """Raises ApiError 400 for what is no cursor of ours."""
    try:
        parts = _texts.decode(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, msgspec.DecodeError, RecursionError) as error:
        raise unknown_cursor() from error
    if any("\0" in part for part in parts):
        raise unknown_cursor()
    return parts


def unknown_cursor() -> ApiError:
    return ApiError(400, "invalid_cursor", "Send `cursor` as `next` of the page before.")
