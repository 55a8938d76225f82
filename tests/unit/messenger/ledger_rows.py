"""Entries and messages as rows, for tests of what is read from the ledger."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from services.messenger.store import Pool
from tests.unit.messenger.rig import START

ENTRY: dict[str, Any] = {
    "campaign_id": "welcome",
    "entry_id": "e1",
    "campaign_version": 1,
    "profile_id": "p1",
    "segment_id": "vip",
    "segment_name": "VIP",
    "computed": {},
    "entered_at": START,
    "created_at": START,
    "trigger": "segment",
    "status": "active",
    "reason": None,
    "step": None,
    "due_at": None,
    "variants": {},
    "ended_at": None,
    "goal_until": None,
    "goals": 0,
    "converted_at": None,
    "revenue": None,
    "currency": None,
    "orders": 0,
}
MESSAGE: dict[str, Any] = {
    "campaign_id": "welcome",
    "entry_id": "e1",
    "step": "0",
    "campaign_version": 1,
    "profile_id": "p1",
    "channel": "sms",
    "template_id": "hello",
    "status": "accepted",
    "reason": None,
    "due_at": START,
    "created_at": START,
    "ready_at": START,
    "provider_message_id": None,
    "parts": None,
    "cost": None,
    "missing": [],
    "delivered_at": None,
    "opened_at": None,
    "machine_opened_at": None,
    "clicked_at": None,
    "unsubscribed_at": None,
    "complained_at": None,
}


def entry(entry_id: str, **values: Any) -> dict[str, Any]:
    return {**ENTRY, "entry_id": entry_id, **values}


def message(entry_id: str, step: str, **values: Any) -> dict[str, Any]:
    made = {**MESSAGE, "entry_id": entry_id, "step": step, **values}
    return {"id": f"{made['campaign_id']}/{entry_id}/{step}/{made['channel']}", **made}


async def write(
    pool: Pool, entries: Iterable[Mapping[str, Any]], messages: Iterable[Mapping[str, Any]] = ()
) -> None:
    """Store these rows."""
    async with pool.acquire() as connection:
        for table, rows in (("entry", list(entries)), ("message", list(messages))):
            if rows:
                columns = list(rows[0])
                records = [[_cell(row[name]) for name in columns] for row in rows]
                await connection.copy_records_to_table(table, records=records, columns=columns)


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, dict) else value
