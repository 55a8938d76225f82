"""Messages from customers: what they ask for is done at once, and everything stands on their timeline."""

from collections.abc import Sequence
from typing import Any

from headrace.contracts.customer_update import CustomerUpdate
from headrace.contracts.identifiers import PHONE
from headrace.contracts.ids import content_id
from headrace.contracts.instant import Millis
from headrace.contracts.policy import PolicyDefinition
from headrace.contracts.profile_event import ConsentStatus
from services.messenger.consent import OPTED_OUT, UNSUBSCRIBED
from services.messenger.customers import roots_of
from services.messenger.direct import Direct
from services.messenger.keywords import Word, keyword
from services.messenger.outbox import NewUpdate
from services.messenger.receipts.port import Inbound
from services.messenger.store import Connection
from services.messenger.tokens import Keyring

_NAMES = {"sms": "SMS", "viber": "Viber", "whatsapp": "WhatsApp"}
_MAX_TEXT = 4_000


class Inbox:
    def __init__(self, keyring: Keyring, direct: Direct) -> None:
        self._keyring = keyring
        self._direct = direct

    async def take(
        self,
        connection: Connection,
        provider: str,
        messages: Sequence[Inbound],
        policy: PolicyDefinition,
        now: Millis,
    ) -> list[NewUpdate]:
        """Store what is new and do what it asks for, in the caller's transaction. Returns what customers' records
        are told."""
        told: list[NewUpdate] = []
        for message in messages:
            if message.channel in _NAMES:
                update = await self._one(connection, provider, message, policy, now)
                told += [] if update is None else [NewUpdate(update)]
        return told

    async def _one(
        self, connection: Connection, provider: str, message: Inbound, policy: PolicyDefinition, now: Millis
    ) -> CustomerUpdate | None:
        key = content_id("n", provider, message.provider_message_id)
        address_hash = self._keyring.address_hash(message.channel, message.sender)
        answered = await connection.fetchrow(_LAST, message.channel, address_hash)
        profile_id = await _whose(connection, message.sender, answered)
        text = message.text.replace("\0", "")[:_MAX_TEXT]
        word = message.opt_out or keyword(text, policy.keywords)
        new = await connection.fetchval(
            _INSERT,
            *(key, message.channel, provider, profile_id, address_hash, message.sender, text, word, message.at),
        )
        if not new:
            return None
        await self._obey(connection, word, message, address_hash)
        if word == "help" and policy.keywords.help_text is not None and profile_id is not None:
            help_text = policy.keywords.help_text
            await self._direct.send(
                connection,
                profile_id,
                message.channel,
                help_text,
                request=f"{key} help",
                now=now,
                asked_at=min(message.at, now),
            )
        return None if profile_id is None else _update(key, profile_id, message, text, word, answered)

    async def _obey(self, connection: Connection, word: Word | None, message: Inbound, address_hash: str) -> None:
        """Before the profile service has heard of it: the address counts at the very next claim."""
        if word == "stop":
            await connection.execute(_STOP, message.channel, address_hash, UNSUBSCRIBED, message.at)
        elif word == "start":
            await connection.execute(_START, message.channel, address_hash, [UNSUBSCRIBED, OPTED_OUT], message.at)


async def _whose(connection: Connection, sender: str, answered: Any) -> str | None:
    """The customer with this number, else the one whom the number was written to last."""
    found = await connection.fetchval(_OWNER, PHONE, sender)
    if found is None and answered is not None and answered["erased_at"] is None:
        found = answered["profile_id"]
    return None if found is None else (await roots_of(connection, [found]))[found]


def _update(
    key: str, profile_id: str, message: Inbound, text: str, word: Word | None, answered: Any
) -> CustomerUpdate:
    stated: dict[str, ConsentStatus] = {}
    if word == "stop":
        stated = {message.channel: "withdrawn"}
    elif word == "start":
        stated = {message.channel: "granted"}
    said = {
        "text": text,
        "keyword": word,
        "inbound_id": key,
        "message_id": answered["id"] if answered is not None else None,
        "campaign_id": answered["campaign_id"] if answered is not None else None,
    }
    return CustomerUpdate(
        message_id=key,
        profile_id=profile_id,
        at=message.at,
        event=f"{_NAMES[message.channel]} Received",
        properties={name: value for name, value in said.items() if value is not None},
        consents=stated,
    )


_OWNER = "SELECT profile_id FROM profiles.identifier_v1 WHERE type = $1 AND value = $2"
_LAST = """
    SELECT id, campaign_id, profile_id, erased_at FROM message
    WHERE address_hash = $2 AND channel = $1 AND claimed_at IS NOT NULL ORDER BY claimed_at DESC LIMIT 1
"""
_INSERT = """
    INSERT INTO inbound (id, channel, provider, profile_id, address_hash, address, text, keyword, at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING RETURNING true
"""
_STOP = """
    INSERT INTO suppression AS s VALUES ($1, $2, $3, $4, 0)
    ON CONFLICT (channel, address_hash, reason) DO UPDATE SET at = greatest(s.at, excluded.at),
        occurrence = s.occurrence + 1
"""
_START = (
    "DELETE FROM suppression WHERE channel = $1 AND address_hash = $2 AND reason = ANY($3::text[]) AND at <= $4"
)
