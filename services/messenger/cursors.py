"""Cursors of lists that are in the order of an instant and an id. Pure."""

import base64
import binascii

from headrace.contracts.errors import ApiError
from headrace.contracts.instant import Millis


def write_cursor(at: Millis, item_id: str) -> str:
    return base64.urlsafe_b64encode(f"{at}.{item_id}".encode()).decode()


def read_cursor(cursor: str) -> tuple[Millis, str]:
    """Raises ApiError 400 for what is none of ours."""
    try:
        at, _, item_id = base64.urlsafe_b64decode(cursor).decode().partition(".")
        found = int(at), item_id
    except (ValueError, binascii.Error) as error:
        raise ApiError(400, "bad_cursor", "Pass `next` of the page before, unchanged.") from error
    if not -(2**63) <= found[0] < 2**63 or "\0" in item_id:
        raise ApiError(400, "bad_cursor", "Pass `next` of the page before, unchanged.")
    return found
