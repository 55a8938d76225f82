"""Content-Encoding of a request: gzip or none, with a bound on what comes out."""

import zlib
from collections.abc import Callable

from headrace.contracts.errors import ApiError

_GZIP = zlib.MAX_WBITS | 16
_STEP = 256 * 1024


def is_gzip(content_encoding: bytes | None) -> bool:
    """True for gzip, False for none. Raises ApiError 415 for other and for stacked encodings."""
    encoding = (content_encoding or b"").strip().lower()
    if encoding in {b"", b"identity"}:
        return False
    if encoding in {b"gzip", b"x-gzip"}:
        return True
    raise ApiError(415, "unsupported_encoding", "Send the body plain or with Content-Encoding: gzip.")


def gunzip(data: bytes, limit: int, grown: Callable[[int], None]) -> bytes:
    """Decompress one gzip member of at most `limit` bytes. `grown(n)` is told of every n bytes that come out
    before more are produced.

    Raises ApiError 413 for a bomb, 400 for what is truncated, corrupt or followed by anything.
    """
    inflater = zlib.decompressobj(_GZIP)
    parts: list[bytes] = []
    size = 0
    try:
        while not inflater.eof:
            part = inflater.decompress(data, _STEP)
            data = inflater.unconsumed_tail
            size += len(part)
            if size > limit:
                raise ApiError(413, "body_too_large", f"Send at most {limit} bytes (decompressed) per request.")
            if not part and not data:
                break
            grown(len(part))
            parts.append(part)
    except zlib.error as error:
        raise ApiError(400, "invalid_gzip", "The body is not valid gzip.") from error
    if not inflater.eof:
        raise ApiError(400, "invalid_gzip", "The gzip body is truncated.")
    if inflater.unused_data:
        raise ApiError(400, "invalid_gzip", "Send one gzip member and nothing after it.")
    return b"".join(parts)
