"""CORS for trackers on any website. Browser SDKs send Authorization, so every request of theirs preflights."""

RawHeaders = list[tuple[bytes, bytes]]

_VARY = (b"vary", b"Origin")
_METHODS = (b"access-control-allow-methods", b"GET, POST, OPTIONS")
_MAX_AGE = (b"access-control-max-age", b"86400")
_CREDENTIALS = (b"access-control-allow-credentials", b"true")
_EXPOSE = (b"access-control-expose-headers", b"Retry-After")


def preflight(origin: bytes | None, asked_headers: bytes | None) -> RawHeaders:
    """Headers of the answer to OPTIONS: the origin and the headers asked for are echoed."""
    headers = [(b"allow", b"GET, POST, OPTIONS"), _VARY]
    if origin is not None:
        headers += [(b"access-control-allow-origin", origin), _CREDENTIALS, _METHODS, _MAX_AGE]
        if asked_headers is not None:
            headers.append((b"access-control-allow-headers", asked_headers))
    return headers


def actual(origin: bytes | None) -> RawHeaders:
    """Headers of an ordinary answer, error or not: Retry-After must be readable by the page."""
    if origin is None:
        return [_VARY]
    return [_VARY, (b"access-control-allow-origin", origin), _CREDENTIALS, _EXPOSE]
