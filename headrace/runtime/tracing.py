"""W3C trace context: one trace from the HTTP request to the message, carried in record headers."""

import re
import secrets

from headrace.contracts.headers import TRACEPARENT, Headers, header

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_INVALID_TRACE = "0" * 32
_INVALID_SPAN = "0" * 16


def continue_trace(traceparent: str | None) -> str:
    """A traceparent for our own span: same trace as the caller's, or a new trace if it is absent or malformed."""
    match = _TRACEPARENT.fullmatch(traceparent or "")
    if match is None or match[1] == _INVALID_TRACE or match[2] == _INVALID_SPAN:
        ids = secrets.token_hex(24)
        return f"00-{ids[:32]}-{ids[32:]}-01"
    return f"00-{match[1]}-{secrets.token_hex(8)}-{match[3]}"


def carried_trace(headers: Headers) -> str | None:
    """The traceparent that a record carries, None for none or a malformed one: it goes into stores and headers."""
    raw = header(headers, TRACEPARENT)
    text = raw.decode("ascii", "replace") if raw is not None else ""
    return text if _TRACEPARENT.fullmatch(text) else None
