"""Settles, after a restore, messages that may have been sent before it (DESIGN §4.3): as the log says, else
`unknown`.

They stand as claimed, so that nobody sends, skips or cancels them meanwhile. What follows them (the next channel,
the next step) follows as of the time at which they were settled: it may have been sent before the restore, too.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import asyncpg
import structlog

from headrace.contracts.instant import Millis
from services.messenger import kept_receipts, ledger
from services.messenger.address import address_for
from services.messenger.cascade import follow
from services.messenger.consent import COMPLAINED, UNSUBSCRIBED
from services.messenger.customers import load_customers, roots_of
from services.messenger.definitions import Definitions
from services.messenger.outbox import NewOutcome, OutcomeOutbox
from services.messenger.receiving import Receiving
from services.messenger.recovered import moves
from services.messenger.store import Connection, Pool
from services.messenger.tokens import Keyring

log = structlog.get_logger()

_LIMIT = 200
_LOOK_SECONDS = 0.5
_RESPONSES = {UNSUBSCRIBED: "unsubscribed_at", COMPLAINED: "complained_at"}


class Recovery:
    """Any number of processes may run it. `on_due` wakes who goes on, `on_outcome` who publishes."""

    def __init__(
        self,
        pool: Pool,
        definitions: Definitions,
        outbox: OutcomeOutbox,
        keyring: Keyring,
        *,
        clock: Callable[[], Millis],
        phone_region: str | None,
        on_due: Callable[[], None],
        on_outcome: Callable[[], None],
    ) -> None:
        self._pool = pool
        self._definitions = definitions
        self._outbox = outbox
        self._keyring = keyring
        self._receiving = Receiving(definitions)
        self._clock = clock
        self._phone_region = phone_region
        self._on_due = on_due
        self._on_outcome = on_outcome

    async def run(self) -> None:
        """Look again and again until cancelled; where nothing was ever restored, only wait."""
        while True:
            try:
                if not await self._restored():
                    await asyncio.Event().wait()  # only a start finds a restored store
                more = await self.settle(self._clock())
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.warning("recovery_failed", error=type(error).__name__)
                more = 0
            if not more:
                await asyncio.sleep(_LOOK_SECONDS)

    async def _restored(self) -> bool:
        return bool(await self._pool.fetchval("SELECT restored_at IS NOT NULL FROM store"))

    async def settle(self, now: Millis) -> int:
        """Settle some of those that are in doubt, or of which the log knows more; how many that were."""
        async with self._pool.acquire() as connection, connection.transaction():
            rows = await connection.fetch(_OPEN, _LIMIT)
            if not rows:
                return 0
            hashes = await self._hashes(connection, rows)
            settled = [_settled(row, hashes.get(row["id"]), now) for row in rows]
            await connection.execute(_WRITE, *zip(*settled, strict=True))
            await connection.execute(_APPLIED, [row["id"] for row in rows], now)
            await _suppress(connection, rows, hashes)
            outcomes = [
                ledger.outcome_of(row, "unknown", now, reason="restored")
                for row in rows
                if _doubted(row) and row["recovered_status"] is None and row["erased_at"] is None
            ]
            followed = await self._follow(connection, rows, settled, now)
            receipts = await kept_receipts.take_out(connection, [row["id"] for row in rows])
            told, _, more = await self._receiving.take(connection, receipts, now)
            told = [*outcomes, *told]
            await self._outbox.append(connection, told, now)
        self._announce(due=followed or more, told=told)
        return len(rows)

    async def _follow(
        self, connection: Connection, rows: Sequence[Any], settled: Sequence[tuple[Any, ...]], now: Millis
    ) -> bool:
        """What comes after those whose status has changed, as of when that was."""
        changed = [one for row, one in zip(rows, settled, strict=True) if one[1] != row["status"]]
        since = {row["id"]: row["settled_at"] or row["ready_at"] for row in rows}
        return await follow(
            connection, self._definitions, [(one[0], one[1], one[2]) for one in changed], now, since=since
        )

    async def _hashes(self, connection: Connection, rows: Sequence[Any]) -> Mapping[str, str]:
        """By message, the hash of the address it went to: the ledger's, else of the customer's address now."""
        found = {row["id"]: str(row["address_hash"]) for row in rows if row["address_hash"] is not None}
        missing = [row for row in rows if row["id"] not in found and row["channel"] != "webhook"]
        roots = await roots_of(connection, [row["profile_id"] for row in missing])
        customers = await load_customers(connection, roots.values()) if missing else {}
        for row in missing:
            customer = customers.get(roots[row["profile_id"]])
            if customer is None:
                continue
            address = address_for(
                row["channel"], customer.traits, customer.identifiers, phone_region=self._phone_region
            )
            if address is not None:
                found[row["id"]] = self._keyring.address_hash(row["channel"], address)
        return found

    def _announce(self, *, due: bool, told: Sequence[NewOutcome]) -> None:
        if due:
            self._on_due()
        if told:
            self._on_outcome()


def _doubted(row: Any) -> bool:
    return bool(row["status"] == "claimed" and row["reason"] == "restored")


def _settled(row: Any, address_hash: str | None, now: Millis) -> tuple[Any, ...]:
    """(id, status, reason, settled_at, address hash, provider, its id, claimed_at, responses …)."""
    status, reason, settled_at = row["status"], row["reason"], row["message_settled_at"]
    told = row["recovered_status"]
    if _doubted(row):
        status, reason = (told, row["recovered_reason"]) if told is not None else ("unknown", "restored")
        settled_at = row["settled_at"] or now
    elif moves(status, told):
        status, reason, settled_at = told, row["recovered_reason"], row["settled_at"]
    return (
        *(row["id"], status, reason, settled_at, address_hash, row["recovered_provider"]),
        *(row["recovered_provider_message_id"], row["sent_at"], row["delivered_at"], row["opened_at"]),
        *(row["machine_opened_at"], row["clicked_at"], row["unsubscribed_at"], row["complained_at"]),
    )


async def _suppress(connection: Connection, rows: Sequence[Any], hashes: Mapping[str, str]) -> None:
    """Who unsubscribed or complained since the backup has done so still. What a provider says of an address comes
    with its receipts, which are read again."""
    for row in rows:
        for reason, column in _RESPONSES.items():
            if row[column] is not None and row["id"] in hashes:
                await connection.execute(_SUPPRESS, row["channel"], hashes[row["id"]], reason, row[column])


_OPEN = f"""
    SELECT {ledger.OUTCOME_COLUMNS}, m.settled_at AS message_settled_at, m.ready_at, m.address_hash,
        r.status AS recovered_status, r.reason AS recovered_reason, r.provider AS recovered_provider,
        r.provider_message_id AS recovered_provider_message_id, r.sent_at, r.settled_at, r.delivered_at,
        r.opened_at, r.machine_opened_at, r.clicked_at, r.unsubscribed_at, r.complained_at
    FROM message m JOIN entry e USING (campaign_id, entry_id)
        LEFT JOIN recovered r ON r.message_id = m.id AND r.applied_at IS NULL
    WHERE m.id = ANY(ARRAY(
        (SELECT id FROM message WHERE status = 'claimed' AND reason = 'restored' ORDER BY id LIMIT $1)
        UNION (SELECT message_id FROM recovered WHERE known AND applied_at IS NULL ORDER BY message_id LIMIT $1)))
    ORDER BY m.id FOR UPDATE OF m SKIP LOCKED
"""  # noqa: S608
_WRITE = """
    UPDATE message m SET status = s.status, reason = s.reason, settled_at = s.settled_at,
        address_hash = coalesce(m.address_hash, s.address_hash), provider = coalesce(s.provider, m.provider),
        provider_message_id = coalesce(s.provider_message_id, m.provider_message_id),
        claimed_at = coalesce(s.sent_at, m.claimed_at), delivered_at = coalesce(m.delivered_at, s.delivered_at),
        opened_at = coalesce(m.opened_at, s.opened_at),
        machine_opened_at = coalesce(m.machine_opened_at, s.machine_opened_at),
        clicked_at = coalesce(m.clicked_at, s.clicked_at),
        unsubscribed_at = coalesce(m.unsubscribed_at, s.unsubscribed_at),
        complained_at = coalesce(m.complained_at, s.complained_at)
    FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::bigint[],
        $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[])
        AS s (id, status, reason, settled_at, address_hash, provider, provider_message_id, sent_at, delivered_at,
            opened_at, machine_opened_at, clicked_at, unsubscribed_at, complained_at)
    WHERE m.id = s.id
"""
_APPLIED = "UPDATE recovered SET applied_at = $2 WHERE message_id = ANY($1::text[])"
_SUPPRESS = """
    INSERT INTO suppression AS s VALUES ($1, $2, $3, $4, 0)
    ON CONFLICT (channel, address_hash, reason) DO UPDATE SET at = greatest(s.at, excluded.at)
"""
