"""Making the secrets that are told once: admin tokens and write keys."""

import secrets

TOKEN_PREFIX = "hra_"  # noqa: S105 (what tokens begin with)
KEY_PREFIX = "hrk_"
SHOWN = 10
"""How much of a secret is kept readable, to tell it from others."""
_BYTES = 32


def new_secret(prefix: str) -> str:
    """256 random bits behind a prefix by which leaks are found."""
    return prefix + secrets.token_urlsafe(_BYTES)
