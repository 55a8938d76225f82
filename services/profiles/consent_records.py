"""The record of consent: every declaration with its proof, by the row of the timeline that made it.

Records are only ever added; they go with their row when an unmerge moves it, and are taken out when the person is
erased.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import asyncpg
import msgspec

from headrace.contracts.instant import Millis
from services.profiles.arrays import nullable_text_array, number_array, text_array
from services.profiles.consent import Proof, channel_and_purpose
from services.profiles.fold import Draft, EventDraft
from services.profiles.sequence import TimelineRow
from services.profiles.store import Connection

_WRITE = """
    INSERT INTO consent_record
        (q, seq, channel, purpose, profile_id, status, at, recorded_at, source, wording, proof)
    SELECT * FROM unnest($1::text::int[], $2::text::bigint[], $3::text::text[], $4::text::text[],
                         $5::text::text[], $6::text::text[], $7::text::bigint[], $8::text::bigint[],
                         $9::text::text[], $10::text::text[], $11::text::text[])
"""
_SHOWN = ("channel", "purpose", "status", "at", "recorded_at", "source", "wording")
_FIELDS = ", ".join((*_SHOWN, "proof", "q", "seq"))
# A record is whose its row is (history_sql.ROWS_OF).
RECORDS_OF = f"""
    SELECT {_FIELDS} FROM consent_record AS record
    WHERE profile_id = ANY($1::text[])
        AND NOT EXISTS (SELECT FROM moved WHERE (moved.q, moved.seq) = (record.q, record.seq))
    UNION ALL
    SELECT {", ".join(f"record.{name}" for name in _FIELDS.split(", "))}
    FROM unmerge JOIN moved ON moved.unmerge_id = unmerge.id
        JOIN consent_record AS record ON (record.q, record.seq) = (moved.q, moved.seq)
    WHERE unmerge.into_id = ANY($1::text[]) AND NOT EXISTS (
        SELECT FROM moved AS again JOIN unmerge AS later ON later.id = again.unmerge_id
        WHERE (again.q, again.seq) = (moved.q, moved.seq) AND later.n > unmerge.n)
"""  # noqa: S608
_HISTORY = f"""
    SELECT * FROM ({RECORDS_OF}) AS record
    WHERE $2::bigint IS NULL OR (recorded_at, q, seq, channel, purpose) < ($2, $3::int, $4::bigint, $5, $6)
    ORDER BY recorded_at DESC, q DESC, seq DESC, channel DESC, purpose DESC LIMIT $7
"""  # noqa: S608
_CURRENT = f"""
    SELECT DISTINCT ON (purpose, channel) * FROM ({RECORDS_OF}) AS record
    ORDER BY purpose, channel, at DESC, status DESC, recorded_at DESC
"""  # noqa: S608

Place = tuple[Millis, int, int, str, str]
"""Where a page of the history begins: (recorded at, partition, seq, channel, purpose)."""


class ConsentRecord(NamedTuple):
    """In the column order of the table."""

    q: int
    seq: int
    channel: str
    purpose: str
    profile_id: str
    status: str
    at: Millis
    recorded_at: Millis
    source: str
    wording: str | None
    proof: str | None


def consent_records(drafts: Iterable[Draft], rows: Iterable[TimelineRow]) -> list[ConsentRecord]:
    """What these drafts, which became these rows, declare."""
    declaring = {
        (draft.row.source, draft.row.message_id): draft
        for draft in drafts
        if isinstance(draft, EventDraft) and draft.stated is not None and draft.stated.consents
    }
    if not declaring:
        return []
    found: list[ConsentRecord] = []
    for row in rows:
        draft = declaring.get((row.source or "", row.message_id or "")) if row.kind == "event" else None
        if draft is not None:
            found.extend(_of_row(draft, row))
    return found


def _of_row(draft: EventDraft, row: TimelineRow) -> Iterable[ConsentRecord]:
    assert draft.stated is not None, "it declares something"
    proof = draft.proof or Proof()
    for key, status in draft.stated.consents.items():
        yield ConsentRecord(
            row.q,
            row.seq,
            *channel_and_purpose(key),
            row.profile_id,
            status,
            draft.stated.ts,
            row.time,
            proof.source or draft.row.source,
            proof.wording,
            proof.document,
        )


async def write_consents(connection: Connection, drafts: Sequence[Draft], rows: Sequence[TimelineRow]) -> None:
    """One statement when something was declared, else none."""
    made = consent_records(drafts, rows)
    if not made:
        return
    columns = list(zip(*made, strict=True))
    await connection.execute(
        _WRITE,
        *map(number_array, columns[:2]),
        *map(text_array, columns[2:6]),
        *map(number_array, columns[6:8]),
        text_array(columns[8]),
        *map(nullable_text_array, columns[9:]),
    )


async def current_consents(connection: Connection, family: Sequence[str]) -> list[dict[str, Any]]:
    """The declaration that decides, per purpose and channel, with its proof."""
    return [_shown(row) for row in await connection.fetch(_CURRENT, list(family))]


async def consent_history(
    connection: Connection, family: Sequence[str], before: Place | None, limit: int
) -> list[tuple[Place, dict[str, Any]]]:
    """Every declaration, newest first, each with its place."""
    rows = await connection.fetch(_HISTORY, list(family), *(before or (None,) * 5), limit)
    return [(_place(row), _shown(row)) for row in rows]


def _place(row: asyncpg.Record) -> Place:
    return row["recorded_at"], row["q"], row["seq"], row["channel"], row["purpose"]


def _shown(row: asyncpg.Record) -> dict[str, Any]:
    shown = {name: row[name] for name in _SHOWN}
    return {**shown, "proof": None if row["proof"] is None else msgspec.Raw(row["proof"].encode())}
