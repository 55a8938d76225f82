"""Reads and writes what a customer chooses: told to the profile service, and obeyed here at once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from headrace.contracts.communication import COMMUNICATION
from headrace.contracts.customer_update import CustomerUpdate
from headrace.contracts.ids import content_id
from headrace.contracts.instant import Millis
from headrace.contracts.policy import Topic
from services.messenger.address import address_for
from services.messenger.choices import CHANNELS, Decision, Standing, standing
from services.messenger.consent import Suppression
from services.messenger.customer import Customer
from services.messenger.customers import load_customers, roots_of
from services.messenger.definitions import Definitions
from services.messenger.outbox import NewUpdate, OutcomeOutbox
from services.messenger.stated_preferences import state
from services.messenger.store import Connection, Pool
from services.messenger.tokens import Keyring

EVENT = "Preferences Set"


@dataclass(frozen=True, slots=True)
class Known:
    """Whose page it is. `topics` by id, None where the policy has no name for one; `topic` is that of the campaign
    whose message led here."""

    customer: Customer
    standing: Standing
    topics: Mapping[str, Topic | None]
    topic: str | None


class Preferences:
    """By the id of a message: whoever it belongs to now is who chooses."""

    def __init__(
        self,
        pool: Pool,
        definitions: Definitions,
        outbox: OutcomeOutbox,
        keyring: Keyring,
        *,
        phone_region: str | None,
        on_outcome: Callable[[], None],
    ) -> None:
        self._pool = pool
        self._definitions = definitions
        self._outbox = outbox
        self._keyring = keyring
        self._phone_region = phone_region
        self._on_outcome = on_outcome

    async def of(self, message_id: str) -> Known | None:
        """None when there is no such message, or it is nobody's any more."""
        async with self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(_MESSAGE, message_id)
            return None if row is None else await self._known(connection, row)

    async def choose(
        self, message_id: str, decide: Callable[[Known], Decision | None], now: Millis
    ) -> Known | None:
        """Write what `decide` makes of how it is now (None: nothing), and return how it is then."""
        async with self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(f"{_MESSAGE} FOR UPDATE OF m", message_id)
            known = None if row is None else await self._known(connection, row, lock=True)
            decision = decide(known) if known is not None else None
            if row is None or known is None or decision is None or _changes_nothing(known, decision):
                return known
            await self._write(connection, row, known.customer, decision, now)
            known = await self._known(connection, row)
        self._on_outcome()
        return known

    async def _write(
        self, connection: Connection, row: Any, customer: Customer, decision: Decision, now: Millis
    ) -> None:
        communication = msgspec.to_builtins(decision.communication)
        consents = dict(decision.consents)
        told = content_id("u", EVENT, row["id"], now, msgspec.json.encode([communication, consents]).decode())
        update = CustomerUpdate(
            message_id=told,
            profile_id=customer.id,
            at=now,
            event=EVENT,
            properties={**communication, "campaign_id": row["campaign_id"], "message_id": row["id"]},
            traits={COMMUNICATION: communication},
            consents=consents,
        )
        await state(connection, customer.id, communication, consents, now, told=told)
        await self._outbox.append(connection, [NewUpdate(update, row["traceparent"])], now)

    async def _known(self, connection: Connection, row: Any, *, lock: bool = False) -> Known | None:
        root = (await roots_of(connection, [row["profile_id"]]))[row["profile_id"]]
        if lock:  # two of the customer's messages may lead here at the same time
            await connection.execute(_LOCK, root)
        customer = (await load_customers(connection, [root])).get(root)
        if customer is None:
            return None
        policy = await self._definitions.policy(connection)
        live = [found["topic"] for found in await connection.fetch(_TOPICS)]
        topics = {**policy.topics, **{topic: None for topic in live if topic not in policy.topics}}
        addresses = self._addresses(customer)
        suppressions = await _suppressions(connection, addresses)
        now = standing(customer, addresses.keys(), suppressions, topics)
        return Known(customer, now, topics, row["topic"])

    def _addresses(self, customer: Customer) -> dict[str, str]:
        """By channel, the hash of the address that messages would go to."""
        found = {
            channel: address_for(channel, customer.traits, customer.identifiers, phone_region=self._phone_region)
            for channel in CHANNELS
        }
        return {
            channel: self._keyring.address_hash(channel, address)
            for channel, address in found.items()
            if address is not None
        }


def _changes_nothing(known: Known, decision: Decision) -> bool:
    return decision.communication == known.standing.said and not decision.consents


async def _suppressions(connection: Connection, hashes: Mapping[str, str]) -> dict[str, Sequence[Suppression]]:
    rows = await connection.fetch(_SUPPRESSED, list(hashes.keys()), list(hashes.values()))
    found: dict[str, list[Suppression]] = {}
    for row in rows:
        found.setdefault(row["channel"], []).append(Suppression(row["reason"], row["at"]))
    return dict(found)


_MESSAGE = """
    SELECT m.id, m.profile_id, m.campaign_id, e.traceparent, v.body ->> 'topic' AS topic
    FROM message m JOIN entry e USING (campaign_id, entry_id)
    LEFT JOIN definition_version v
        ON v.kind = 'campaign' AND v.id = m.campaign_id AND v.version = m.campaign_version
    WHERE m.id = $1 AND m.erased_at IS NULL
"""
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('headrace.messenger.preference ' || $1::text, 0))"
_TOPICS = """
    SELECT DISTINCT v.body ->> 'topic' AS topic FROM definition d JOIN definition_version v USING (kind, id,
    version) WHERE d.kind = 'campaign' AND d.state = 'live' AND v.body ->> 'topic' IS NOT NULL ORDER BY 1
"""
_SUPPRESSED = """
    SELECT s.channel, s.reason, s.at FROM suppression s
    JOIN unnest($1::text[], $2::text[]) AS wanted (channel, address_hash) USING (channel, address_hash)
"""
