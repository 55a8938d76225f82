"""Signed tokens of public links: HMAC-SHA256 over purpose, key id and message id; compared in constant time.

A token has no expiry (RFC 8058 links stay in mailboxes) and serves the one purpose that it was signed for. It
names a message (for a click a link's number too), never an address or a target.
"""

import base64
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

TokenPurpose = Literal["unsubscribe", "preferences", "open", "click"]
_MAC_BYTES = 16


@dataclass(frozen=True, slots=True)
class Keyring:
    """Signing keys by id. `current` signs; all of them verify, so that a key can be replaced."""

    keys: Mapping[int, bytes]
    current: int

    def sign(self, purpose: TokenPurpose, message_id: str) -> str:
        return f"{self.current}.{message_id}.{self._mac(self.current, purpose, message_id)}"

    def verify(self, purpose: TokenPurpose, token: str) -> str | None:
        """The message id of a token that we signed for this purpose, else None."""
        key_text, _, rest = token.partition(".")
        message_id, _, mac = rest.partition(".")
        key_id = int(key_text) if key_text.isascii() and key_text.isdigit() and len(key_text) < 10 else -1
        if key_id not in self.keys or str(key_id) != key_text:
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
