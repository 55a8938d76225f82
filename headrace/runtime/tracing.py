"""W3C trace context: one trace from the HTTP request to the message, carried in record headers."""

import secrets

from headrace.contracts.headers import TRACEPARENT_FORM

_INVALID_TRACE = "0" * 32
_INVALID_SPAN = "0" * 16


def continue_trace(traceparent: str | None) -> str:
    """A traceparent for our own span: same trace as the caller's, or a new trace if it is absent or malformed."""
    match = TRACEPARENT_FORM.fullmatch(traceparent or "")
    if match is None or match[1] == _INVALID_TRACE or match[2] == _INVALID_SPAN:
        ids = secrets.token_hex(24)
        return f"00-{ids[:32]}-{ids[32:]}-01"
    return f"00-{match[1]}-{secrets.token_hex(8)}-{match[3]}"
