"""Signed tokens of public links: HMAC-SHA256 over purpose, key id and message id; compared in constant time.

A token has no expiry (RFC 8058 links stay in mailboxes) and serves the one purpose that it was signed for. It
names a message (for a click a link's number too), never an address or a target.
"""

import base64
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Literal

from headrace.contracts.instant import Millis

TokenPurpose = Literal["unsubscribe", "preferences", "open", "click"]
_MAC_BYTES = 16


SETTLED_MS = 120_000
"""A new key signs only after this: by then every process has read it (they look each half minute)."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """As it is kept. `retired_at`: since then its links are refused."""

    id: int
    secret: bytes = field(repr=False)
    created_at: Millis
    retired_at: Millis | None = None


def signing(keys: Sequence[SigningKey], now: Millis) -> int:
    """The id of the key that signs: the newest that is settled and not retired. While none is, the oldest that is
    not retired. Raises ValueError when all are retired."""
    active = sorted(key.id for key in keys if key.retired_at is None)
    settled = [key.id for key in keys if key.id in active and key.created_at + SETTLED_MS <= now]
    if not active:
        raise ValueError("every key is retired")
    return max(settled) if settled else active[0]


@dataclass(slots=True)
class Keyring:
    """Signing keys by id. `current` signs; all but those `retired` verify, so that a key can be replaced."""

    keys: Mapping[int, bytes] = field(repr=False)
    current: int
    retired: frozenset[int] = frozenset()

    @classmethod
    def of(cls, keys: Sequence[SigningKey], now: Millis) -> "Keyring":
        retired = frozenset(key.id for key in keys if key.retired_at is not None)
        return cls({key.id: key.secret for key in keys}, signing(keys, now), retired)

    def become(self, other: "Keyring") -> None:
        """Take over the keys of another: everybody who holds this one has them then."""
        self.keys, self.current, self.retired = other.keys, other.current, other.retired

    def sign(self, purpose: TokenPurpose, message_id: str) -> str:
        return f"{self.current}.{message_id}.{self._mac(self.current, purpose, message_id)}"

    def verify(self, purpose: TokenPurpose, token: str) -> str | None:
        """The message id of a token that we signed for this purpose, else None."""
        key_text, _, rest = token.partition(".")
        message_id, _, mac = rest.partition(".")
        key_id = int(key_text) if key_text.isascii() and key_text.isdigit() and len(key_text) < 10 else -1
        if key_id not in self.keys or key_id in self.retired or str(key_id) != key_text:
            return None
        expected = self._mac(key_id, purpose, message_id)
        return message_id if hmac.compare_digest(expected.encode(), mac.encode()) else None

    def address_hash(self, channel: str, address: str) -> str:
        """A keyed hash of an address: suppressions and redacted messages keep this instead of the address.
        Always by the oldest key, so that it stays the same when keys are replaced."""
        key = self.keys[min(self.keys)]
        return hmac.digest(key, f"address:{channel}:{address.lower()}".encode(), sha256).hex()[:40]

    def _mac(self, key_id: int, purpose: str, message_id: str) -> str:
        digest = hmac.digest(self.keys[key_id], f"{purpose}:{key_id}:{message_id}".encode(), sha256)
        return base64.urlsafe_b64encode(digest[:_MAC_BYTES]).rstrip(b"=").decode()
