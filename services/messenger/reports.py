"""Reading the ledger: lists of messages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.contracts.instant import Millis
from services.messenger.customers import family_of
from services.messenger.store import Pool

_FIELDS = (
    "id, campaign_id, campaign_version, entry_id, step, profile_id, channel, template_id, template_version,"
    " status, reason, attempt, provider, provider_message_id, due_at, created_at, claimed_at, settled_at,"
    " locale, missing, parts, country, cost::text AS cost"
)
_CONTENT = ", address, subject, text, html"


@dataclass(frozen=True, slots=True)
class MessageFilter:
    """None does not narrow. A merged profile's id finds the messages of everybody it now is."""

    profile_id: str | None = None
    campaign_id: str | None = None
    status: str | None = None


@dataclass(frozen=True, slots=True)
class Key:
    """Where a page ends: newest first."""

    created_at: Millis
    id: str


class Reports:
    """Answers about messages. Addresses and texts are left out: they are personal."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def messages(
        self, wanted: MessageFilter, after: Key | None, limit: int, *, content: bool = False
    ) -> Sequence[Mapping[str, Any]]:
        """Messages, newest first, that stand after `after`; with `content`, what they said and where to."""
        fields = _FIELDS + (_CONTENT if content else "")
        conditions, arguments = [], []
        async with self._pool.acquire() as connection:
            if wanted.profile_id is not None:
                arguments.append(await family_of(connection, wanted.profile_id))
                conditions.append(f"profile_id = ANY(${len(arguments)}::text[])")
            for name, value in (("campaign_id", wanted.campaign_id), ("status", wanted.status)):
                if value is not None:
                    arguments.append(value)  # type: ignore[arg-type]
                    conditions.append(f"{name} = ${len(arguments)}")
            if after is not None:
                arguments += [after.created_at, after.id]  # type: ignore[list-item]
                conditions.append(f"(created_at, id) < (${len(arguments) - 1}, ${len(arguments)})")
            where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
            # only fixed names and numbered parameters are put together here
            query = f"SELECT {fields} FROM message {where} ORDER BY created_at DESC, id DESC LIMIT {int(limit)}"  # noqa: S608
            return [dict(row) for row in await connection.fetch(query, *arguments)]
