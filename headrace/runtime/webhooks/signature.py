"""Signatures as Standard Webhooks has them (https://www.standardwebhooks.com, version 1, symmetric)."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

PREFIX = "whsec_"
MIN_BYTES, MAX_BYTES = 24, 64


def write_secret(key: bytes) -> str:
    """`whsec_` and the key in base64."""
    return PREFIX + base64.b64encode(key).decode()


def read_secret(text: str) -> bytes:
    """The key in a secret. Raises ValueError for what is not `whsec_` and base64 of 24 to 64 bytes."""
    if not text.startswith(PREFIX):
        raise ValueError(f"a secret begins with {PREFIX}")
    try:
        key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("the rest of a secret is base64") from error
    if not MIN_BYTES <= len(key) <= MAX_BYTES:
        raise ValueError(f"a secret has {MIN_BYTES} to {MAX_BYTES} bytes")
    return key


def mask_secret(text: str) -> str:
    """Enough of a secret to tell it from another."""
    return f"{PREFIX}…{text[-4:]}"


def sign(secrets: Sequence[str], message_id: str, timestamp: int, body: bytes) -> str:
    """The header `webhook-signature`: one signature a secret, the newest first. `timestamp` is the attempt's,
    in seconds since the epoch."""
    signed = b"%b.%d.%b" % (message_id.encode(), timestamp, body)
    return " ".join(f"v1,{_signature(read_secret(secret), signed)}" for secret in secrets)


def _signature(key: bytes, signed: bytes) -> str:
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
