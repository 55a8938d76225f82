"""Sends control records to the profile service, which alone writes the timeline (DESIGN §4.2)."""

import asyncio
from contextlib import suppress

import asyncpg
import httpx
import msgspec
import structlog

from headrace.contracts.errors import HeadraceError
from headrace.contracts.profile_event import ControlRequest
from services.segmenter.definitions import Definitions

log = structlog.get_logger()

RETRY_SECONDS = 1.0
_ONE_SENDER = "SELECT pg_advisory_xact_lock(hashtext('segmenter-controls'))"


class ProfilesUnavailable(HeadraceError):
    """The profile service did not take a control record. It is sent again; check that the service runs."""


class Controls:
    """One sender at a time over all processes, so that records arrive in the order they were made."""

    def __init__(
        self, pool: "asyncpg.Pool[asyncpg.Record]", definitions: Definitions, profiles: httpx.AsyncClient
    ) -> None:
        self._pool = pool
        self._definitions = definitions
        self._profiles = profiles
        self._wake = asyncio.Event()

    def wake(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        """Send what waits, for ever: after a `wake`, and again a second after a failure."""
        while True:
            self._wake.clear()
            try:
                await self.flush()
            except (HeadraceError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.warning("control_waiting", error=type(error).__name__)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(10 * RETRY_SECONDS):
                    await self._wake.wait()

    async def flush(self) -> None:
        """Send everything that waits. Raises ProfilesUnavailable."""
        while True:
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(_ONE_SENDER)
                waiting = await self._definitions.waiting(connection)
                for control in waiting:
                    await self._send(
                        ControlRequest(id=control.id, kind=control.kind, payload=msgspec.Raw(control.payload))
                    )
                    await connection.execute(
                        "UPDATE control_request SET sent = true WHERE number = $1", control.number
                    )
            if not waiting:
                return

    async def post(self, request: ControlRequest) -> None:
        """Send a record that nothing is stored of, once. Raises ProfilesUnavailable."""
        await self._send(request)

    async def _send(self, request: ControlRequest) -> None:
        try:
            answer = await self._profiles.post("/v1/control", content=msgspec.json.encode(request))
        except httpx.HTTPError as error:
            raise ProfilesUnavailable("the profile service does not answer") from error
        if answer.status_code != httpx.codes.OK:
            raise ProfilesUnavailable(f"the profile service answered {answer.status_code} to a control record")
