"""Which source a request comes from: the write key, in every form that SDKs send it.

Precedence: `Authorization: Basic`, `Authorization: Bearer`, `X-Write-Key`, the query's `writeKey`, the body's.
The body comes last because jitsu masks it there (`key1:***`).
"""

import base64
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

from headrace.contracts.errors import ApiError


@dataclass(frozen=True, slots=True)
class Source:
    """Where events come from. `trusted`: a server key, which may link identifiers. `rate`: events per second, None
    for the default of its kind. `origins`: the pages a public key may be used on, all when empty; with
    `origins_required` a request must name its page. `key_id`: which stored key it was; None for a key of the
    settings."""

    name: str
    trusted: bool
    rate: float | None = None
    origins: frozenset[str] = frozenset()
    origins_required: bool = False
    key_id: str | None = None

    def admits(self, origin: bytes | None) -> bool:
        """Whether it may be used by a page of this origin, as the header Origin has it. Browsers send one with all
        that a script posts; without it comes an app, a pixel or a server, which could write any into it."""
        if self.trusted:
            return True
        if origin is None:
            return not self.origins_required
        return not self.origins or origin.decode("latin-1").lower() in self.origins


class OriginRefused(ApiError):
    """The key is not for pages of this origin."""

    def __init__(self, source: Source) -> None:
        super().__init__(
            403,
            "origin_not_allowed",
            f"The source {source.name} takes nothing from this page: add its origin to the source's `origins`.",
        )


class KeyRing:
    """The write keys of this deployment. Keys are found by their SHA-256, so the time of a look-up says nothing
    about how much of a guess was right."""

    def __init__(self, keys: Mapping[str, Source], *, complete: bool = True) -> None:
        """`keys`: those of the settings. `complete`: there are no stored ones to wait for."""
        self._static = {_digest(key): source for key, source in keys.items()}
        self._sources = dict(self._static)
        self.complete = complete
        self.used: set[str] = set()
        self.on_change: list[Callable[[], None]] = []
        # a server sends the same header with each of its requests
        self._by_authorization = lru_cache(maxsize=256)(self._from_authorization)

    def replace(self, stored: Mapping[bytes, Source]) -> None:
        """These are the stored keys now, by their SHA-256. What was decided by the others is forgotten."""
        sources = {**stored, **self._static}
        self.complete = True
        if sources != self._sources:
            self._sources = sources
            self._by_authorization.cache_clear()
            for forget in self.on_change:
                forget()

    def find(self, key: str) -> Source | None:
        return self._sources.get(_digest(key))

    def sources(self) -> Iterable[Source]:
        """What the keys of now stand for."""
        return self._sources.values()

    def note(self, source: Source) -> None:
        """The source's key was used."""
        if source.key_id is not None:
            self.used.add(source.key_id)

    def from_request(
        self, *, authorization: bytes | None, x_write_key: bytes | None, query_key: str | None
    ) -> Source | None:
        """The source that headers or query name; None when only the body can tell. Raises ApiError 401."""
        if authorization is not None:
            source = self._by_authorization(authorization)
            if source is not None:
                return source
        if x_write_key is not None and (value := x_write_key.decode("latin-1").strip()):
            key_id, _, secret = value.partition(":")
            return self.find(value) or self.find(secret) or self._demand(key_id)
        return self._demand(query_key) if query_key else None

    def from_body(self, key: object) -> Source:
        """The source that the body's `writeKey` names. Raises ApiError 401."""
        if not isinstance(key, str) or not key:
            raise ApiError(401, "missing_write_key", "Send your write key: Authorization: Basic base64(key:).")
        return self._demand(key)

    def _from_authorization(self, authorization: bytes) -> Source | None:
        if key := basic_key(authorization):
            return self._demand(key)
        # an OAuth client sends its own bearer token here and the write key in the body
        scheme, _, value = authorization.decode("latin-1").partition(" ")
        return self.find(value.strip()) if scheme.lower() == "bearer" else None

    def _demand(self, key: str) -> Source:
        source = self.find(key)
        if source is None and not self.complete:
            raise ApiError(
                503, "keys_not_read", "The stored write keys are not read yet; try again.", retry_after=1
            )
        if source is None:
            raise ApiError(
                401, "unknown_write_key", "This write key is not known here; check the key and the host."
            )
        return source


def _digest(key: str) -> bytes:
    return sha256(key.encode("utf-8", "surrogatepass")).digest()


def basic_key(authorization: bytes) -> str:
    """User name of a Basic credential, whose colon and password may be missing; empty for other schemes."""
    scheme, _, value = authorization.decode("latin-1").partition(" ")
    if scheme.lower() != "basic":
        return ""
    value = value.strip()
    try:
        decoded = base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
    except ValueError:
        return value
    return decoded.partition(b":")[0].decode("latin-1")
