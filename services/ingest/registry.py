"""Who may send events and who may administer: the settings' keys and token, and those that stand in Postgres."""

from collections.abc import Awaitable, Callable, Sequence

import asyncpg
from fastapi import APIRouter

from headrace.contracts.errors import HeadraceError
from headrace.contracts.instant import Millis
from headrace.runtime.access.following import follow
from headrace.runtime.access.guard import Access
from headrace.runtime.access.stored import StoredTokens
from headrace.runtime.clock import now_ms
from services.ingest.access import RULES
from services.ingest.access_routes import access_routes
from services.ingest.admin_tokens import AdminTokens
from services.ingest.audit_log import AuditLog
from services.ingest.auth import KeyRing
from services.ingest.settings import IngestSettings
from services.ingest.sources import Sources
from services.ingest.stored_keys import StoredKeys


class KeysNotRead(HeadraceError):
    """The write keys in Postgres were never read. Check HEADRACE_DATABASE_URL, and run `headrace migrate`."""


class Registry:
    """Without a pool: what the settings name is all there is."""

    def __init__(
        self,
        settings: IngestSettings,
        pool: "asyncpg.Pool[asyncpg.Record] | None" = None,
        *,
        clock: Callable[[], Millis] = now_ms,
    ) -> None:
        self.keys = KeyRing(settings.sources, complete=pool is None)
        self.access = Access.by_root(
            "ingest", RULES, settings.common.admin_token, trusted_hops=settings.trusted_hops
        )
        self._static = frozenset(source.name for source in settings.sources.values())
        self._pool = pool
        self._stored = None if pool is None else StoredKeys(self.keys, pool, clock)
        self._tokens = None if pool is None else StoredTokens(self.access, pool)

    def background(self) -> Sequence[Awaitable[None]]:
        """What runs beside the HTTP server."""
        if self._pool is None or self._stored is None or self._tokens is None:
            return []
        return [
            follow(self._pool, self._stored.load),
            self._stored.expire(),
            self._stored.tell_used(),
            *self._tokens.background(),
        ]

    def routes(self) -> APIRouter:
        pool = self._pool
        if pool is None:
            return access_routes(None, None, None, static=self._static)
        return access_routes(Sources(pool), AdminTokens(pool), AuditLog(pool), static=self._static)

    async def check(self) -> None:
        """Once they were read, this process goes on without Postgres. Raises KeysNotRead before."""
        if not self.keys.complete:
            raise KeysNotRead
