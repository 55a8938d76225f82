"""Admin tokens: how they look, and which of those we know is presented (pure)."""

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from headrace.contracts.errors import ApiError
from headrace.contracts.instant import Millis


@dataclass(frozen=True, slots=True)
class Token:
    """A token that may be used. `expires_at`: from then on it may not; None for never."""

    id: str
    name: str
    scopes: frozenset[str]
    expires_at: Millis | None = None


ROOT = Token("root", "root", frozenset({"admin"}))
"""HEADRACE_ADMIN_TOKEN: for the first steps, and for the services among themselves."""


def digest(secret: str) -> bytes:
    """What is stored of a secret. It has 256 random bits, so that a plain hash cannot be guessed back."""
    return sha256(secret.encode("utf-8", "surrogatepass")).digest()


class KnownTokens:
    """The root token and those that were stored when they were last looked at."""

    def __init__(self, root: str) -> None:
        self._root = digest(root)
        self._stored: dict[bytes, Token] = {}

    def replace(self, stored: Iterable[tuple[bytes, Token]]) -> None:
        self._stored = dict(stored)

    def find(self, presented: str, now: Millis) -> Token:
        """Whose token this is. Hashes are compared, so that time says nothing about how much of a guess was right.
        Raises ApiError 401."""
        hashed = digest(presented)
        if hmac.compare_digest(hashed, self._root):
            return ROOT
        token = self._stored.get(hashed)
        if token is None:
            raise ApiError(
                401, "unauthorized", "Send the admin token: Authorization: Bearer <HEADRACE_ADMIN_TOKEN>."
            )
        if token.expires_at is not None and token.expires_at <= now:
            raise ApiError(401, "token_expired", f"The token {token.name} has expired; have a new one made.")
        return token
