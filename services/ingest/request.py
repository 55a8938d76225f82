"""What an HTTP request says, read from its ASGI scope and messages."""

from urllib.parse import parse_qsl

from starlette.types import Receive, Scope

from headrace.contracts.errors import ApiError
from headrace.runtime.body_limit import MAX_DISCARDED_BYTES, discard
from headrace.runtime.client_address import client_address
from services.ingest.budget import Lease
from services.ingest.compression import gunzip, is_gzip

MAX_QUERY_FIELDS = 1_000


class ClientGone(Exception):
    """The client went away before its request was complete: nothing of it is accepted."""


def query_fields(scope: Scope) -> list[tuple[str, str]]:
    query: bytes = scope["query_string"]
    if not query:
        return []
    try:
        return parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=MAX_QUERY_FIELDS)
    except ValueError as error:
        raise ApiError(400, "invalid_query", "Send fewer query parameters.") from error


async def read_body(receive: Receive, headers: dict[bytes, bytes], limit: int, lease: Lease) -> bytes:
    """The whole body, decompressed, of at most `limit` bytes; memory for it is taken from `lease`.

    Raises ApiError 400, 413, 415 or 503, and ClientGone for a body that ends early.
    """
    gzip = is_gzip(headers.get(b"content-encoding"))
    declared = headers.get(b"content-length")
    if declared is not None and int(declared) > limit:
        if b"expect" not in headers and int(declared) <= MAX_DISCARDED_BYTES:
            await discard(receive)
        raise _too_large(limit)
    body = await _read_wire(receive, limit, lease)
    return gunzip(body, limit, lease.take) if gzip else body


async def _read_wire(receive: Receive, limit: int, lease: Lease) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientGone
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > limit:
            if message.get("more_body", False):
                await discard(receive)
            raise _too_large(limit)
        lease.take(len(part))
        if not message.get("more_body", False):
            if not parts:
                return part
            parts.append(part)
            return b"".join(parts)
        parts.append(part)


def _too_large(limit: int) -> ApiError:
    return ApiError(413, "body_too_large", f"Send at most {limit} bytes (decompressed) per request.")


def client_ip(scope: Scope, trusted_hops: int) -> str | None:
    """The client's address, see `client_address`."""
    return client_address(scope["headers"], scope.get("client"), trusted_hops)
