"""Whether a callback is the provider's own. Pure; every comparison takes the same time.

Twilio: https://www.twilio.com/docs/usage/security#validating-requests; WhatsApp: X-Hub-Signature-256 of Meta's
webhooks. Who signs nothing (BulkGate, the shop's mail server) shows a token in the query.
"""

import base64
import hmac
from collections.abc import Sequence
from hashlib import sha1, sha256
from urllib.parse import parse_qsl

MAX_FIELDS = 1_000


def twilio(url: str, body: bytes, signature: str, tokens: Sequence[str]) -> bool:
    """`url` is the address that Twilio was told to call, with its query: what the request says of its host proves
    nothing. Signed with one of the tokens, by SHA-1 or SHA-256."""
    try:
        fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except (ValueError, UnicodeDecodeError):
        return False
    signed = (url + "".join(f"{name}{value}" for name, value in sorted(set(fields)))).encode()
    given = signature.encode("utf-8", "replace")
    found = False
    for token in tokens:
        for digest in (sha1, sha256):
            expected = base64.b64encode(hmac.digest(token.encode(), signed, digest))
            found |= hmac.compare_digest(expected, given)
    return found


def whatsapp(body: bytes, signature: str, secrets: Sequence[str]) -> bool:
    given = signature.encode("utf-8", "replace")
    found = False
    for secret in secrets:
        expected = b"sha256=" + hmac.digest(secret.encode(), body, sha256).hex().encode()
        found |= hmac.compare_digest(expected, given)
    return found


def token(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())
