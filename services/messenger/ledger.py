"""The ledger: one entry per (campaign, entry), one message per (campaign, entry, step), and their states.

Functions here write inside the caller's transaction; who calls them decides what is committed together.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import msgspec

from headrace.contracts.ids import outcome_message_id
from headrace.contracts.instant import Millis
from headrace.contracts.message import MessageOutcome, Outcome
from services.messenger.outbox import NewOutcome
from services.messenger.prepare import Deferred, Due, Fate, Ready, Settled
from services.messenger.store import Connection


@dataclass(frozen=True, slots=True)
class Prepared:
    """A due message with its fate: `profile_id` is the customer's root now."""

    due: Due
    profile_id: str
    fate: Fate
    provider: str
    address_hash: str | None


async def take_due(connection: Connection, channel: str, limit: int, now: Millis) -> list[Due]:
    """Lock due messages of a channel that nobody else is taking. Those of paused campaigns wait."""
    rows = await connection.fetch(_TAKE_DUE, channel, limit, now)
    return [_due(row) for row in rows]


async def write_claims(connection: Connection, prepared: Sequence[Prepared], now: Millis) -> None:
    """Write what `prepare` decided: claimed with everything that is needed to send, or settled."""
    ready = [(p, p.fate) for p in prepared if isinstance(p.fate, Ready)]
    settled = [(p, p.fate) for p in prepared if isinstance(p.fate, Settled)]
    if ready:
        rows = [_claim_row(p, fate) for p, fate in ready]
        await connection.execute(_CLAIM, now, *zip(*rows, strict=True))
    if settled:
        rows = [(p.due.id, fate.status, fate.reason, p.profile_id) for p, fate in settled]
        await connection.execute(_SKIP, now, *zip(*rows, strict=True))
    deferred = [(p, p.fate) for p in prepared if isinstance(p.fate, Deferred)]
    if deferred:
        rows = [(p.due.id, fate.until, fate.reason) for p, fate in deferred]
        await connection.execute(_DEFER, *zip(*rows, strict=True))


async def collapse(connection: Connection, family: Sequence[str], now: Millis) -> list[NewOutcome]:
    """`family`: the ids of one customer, its present one first. Where several of them wait for the same step of a
    campaign, the customer gets it once, for the earliest entry. Returns the outcomes of the others.

    Messages keep the id that they were decided under, or sent to: should the customer be taken apart again, each
    one's are known.
    """
    rows = await connection.fetch(_COLLAPSE, list(family), now)
    return [
        outcome_of({**dict(row), "profile_id": family[0]}, "skipped", now, reason=row["reason"]) for row in rows
    ]


async def redact(connection: Connection, profile_ids: Iterable[str], now: Millis) -> Sequence[tuple[str, str]]:
    """Cancel what waits and forget what is personal. The fact that something was sent stays, without whom. Returns
    (channel, message id) of what was handed to a provider, or is being."""
    ids = sorted(set(profile_ids))
    rows = await connection.fetch(
        """UPDATE message SET address = NULL, subject = NULL, text = NULL, html = NULL, links = '{}', literal =
        NULL,
               erased_at = $2::bigint, locale = NULL, missing = '{}',
               reason = CASE status WHEN 'pending' THEN 'erased' ELSE reason END,
               settled_at = CASE status WHEN 'pending' THEN $2::bigint ELSE settled_at END,
               status = CASE WHEN status <> 'pending' THEN status
                   WHEN reason = 'process_gone' THEN 'unknown' ELSE 'skipped' END
           WHERE profile_id = ANY($1::text[]) RETURNING channel, id, attempt""",
        *(ids, now),
    )
    await connection.execute(_FORGET_ENTRIES, ids, now)
    await connection.execute(_FORGET_CODES, ids)
    await connection.execute(
        "UPDATE inbound SET address = NULL, text = NULL, profile_id = NULL WHERE profile_id = ANY($1::text[])", ids
    )
    await connection.execute("DELETE FROM preference WHERE profile_id = ANY($1::text[])", ids)
    return [(row["channel"], row["id"]) for row in rows if row["attempt"]]


def outcome_of(
    row: Any,
    outcome: Outcome,
    at: Millis,
    *,
    reason: str | None = None,
    occurrence: int = 0,
    link: str | None = None,
    machine: bool = False,
) -> NewOutcome:
    """An outcome of a message joined with its entry. What machines do is told apart from what people do."""
    return NewOutcome(
        MessageOutcome(
            message_id=outcome_message_id(row["id"], outcome, link or "", 1 if machine else occurrence),
            id=row["id"],
            outcome=outcome,
            channel=row["channel"],
            profile_id=row["profile_id"],
            campaign_id=row["campaign_id"],
            campaign_version=row["campaign_version"],
            entry_id=row["entry_id"],
            step=row["step"],
            at=at,
            segment_id=row["segment_id"],
            reason=reason,
            provider=row["provider"],
            provider_message_id=row["provider_message_id"],
            link=link,
            machine=machine,
        ),
        row["traceparent"],
    )


def settled_outcome(prepared: Prepared, fate: Settled, at: Millis) -> NewOutcome:
    """The outcome of a due message that is not sent."""
    row = {**asdict(prepared.due), "profile_id": prepared.profile_id, **_NO_PROVIDER}
    return outcome_of(row, fate.status, at, reason=fate.reason)


_NO_PROVIDER = {"provider": None, "provider_message_id": None}
_TAKE_DUE = """
    SELECT m.id, m.campaign_id, m.campaign_version, d.state AS campaign_state, m.entry_id, m.step, m.profile_id,
        m.channel, m.template_id, m.attempt, coalesce(m.reason = 'process_gone', false) AS in_doubt,
        e.entered_at, e.segment_id, e.segment_name,
        e.computed::text AS computed, e.event::text AS event, e.voucher::text AS voucher, e.traceparent,
        m.channels, m.alternative, m.continues, m.ready_at, m.provider, m.cost AS booked, m.links, m.literal
    FROM message m
    JOIN entry e USING (campaign_id, entry_id)
    JOIN definition d ON d.kind = 'campaign' AND d.id = m.campaign_id AND d.state IN ('live', 'deleted')
    WHERE m.status = 'pending' AND m.channel = $1 AND m.due_at <= $3
    ORDER BY m.due_at LIMIT $2
    FOR UPDATE OF m SKIP LOCKED
"""
# The doubt about an attempt whose process is gone stays; a night does not make a message late.
_DEFER = """
    UPDATE message m SET due_at = d.until,
        ready_at = CASE d.reason WHEN 'quiet_hours' THEN greatest(m.ready_at, d.until) ELSE m.ready_at END,
        reason = CASE WHEN m.reason = 'process_gone' THEN m.reason ELSE d.reason END
    FROM unnest($1::text[], $2::bigint[], $3::text[]) AS d (id, until, reason)
    WHERE m.id = d.id
"""
# one statement for all; lists of texts go as JSON, an array of arrays must have rows of one length
_CLAIM = """
    UPDATE message m SET status = 'claimed', attempt = m.attempt + 1, claimed_at = $1, profile_id = c.profile_id,
        provider = c.provider, template_version = c.template_version, address = c.address,
        address_hash = c.address_hash, subject = c.subject, text = c.text, html = c.html, parts = c.parts,
        country = c.country, cost = c.cost, locale = c.locale, cascaded = c.cascaded,
        links = CASE c.links WHEN '[]' THEN '{}' ELSE ARRAY(SELECT jsonb_array_elements_text(c.links)) END,
        missing = CASE c.missing WHEN '[]' THEN '{}' ELSE ARRAY(SELECT jsonb_array_elements_text(c.missing)) END
    FROM unnest($2::text[], $3::text[], $4::text[], $5::int[], $6::text[], $7::text[], $8::text[], $9::text[],
        $10::text[], $11::int[], $12::text[], $13::numeric[], $14::jsonb[], $15::text[], $16::jsonb[], $17::bool[])
        AS c (id, profile_id, provider, template_version, address, address_hash, subject, text, html, parts,
            country, cost, links, locale, missing, cascaded)
    WHERE m.id = c.id
"""
_SKIP = """
    UPDATE message m SET status = s.status, reason = s.reason, profile_id = s.profile_id, settled_at = $1
    FROM unnest($2::text[], $3::text[], $4::text[], $5::text[]) AS s (id, status, reason, profile_id)
    WHERE m.id = s.id
"""


# Counts stay: how a campaign did is nobody's data.
_FORGET_ENTRIES = """
    UPDATE entry SET computed = '{}', event = NULL, key = NULL, voucher = NULL, goal_messages = '{}', erased_at =
    $2,
        step = NULL, due_at = NULL, goal_until = NULL,
        reason = CASE status WHEN 'active' THEN 'erased' ELSE reason END,
        ended_at = CASE status WHEN 'active' THEN $2 ELSE ended_at END,
        status = CASE status WHEN 'active' THEN 'cancelled' ELSE status END
    WHERE profile_id = ANY($1::text[])
"""
# A code that was given stays given, to nobody that one could tell.
_FORGET_CODES = """
    UPDATE voucher_code SET profile_id = NULL, entry_id = NULL, step = NULL, order_id = NULL
    WHERE profile_id = ANY($1::text[])
"""
OUTCOME_COLUMNS = """m.id, m.channel, m.profile_id, m.campaign_id, m.campaign_version, m.entry_id, m.step,
    m.provider, m.provider_message_id, m.status, m.reason, m.erased_at, e.segment_id, e.traceparent,
    m.continues OR m.alternative + 1 < cardinality(m.channels) AS followed"""
# Two entries of one profile are two entries; a message that may have been sent already is not called skipped.
_COLLAPSE = f"""
    UPDATE message m SET status = 'skipped', reason = 'merged', settled_at = $2
    FROM entry e
    WHERE m.profile_id = ANY($1::text[]) AND m.status = 'pending' AND m.reason IS DISTINCT FROM 'process_gone'
        AND e.campaign_id = m.campaign_id AND e.entry_id = m.entry_id
        AND EXISTS (
            SELECT FROM message k JOIN entry f USING (campaign_id, entry_id)
            WHERE k.profile_id = ANY($1::text[]) AND k.status = 'pending'
                AND k.campaign_id = m.campaign_id AND k.step = m.step AND f.profile_id <> e.profile_id
                AND (f.entered_at, k.id) < (e.entered_at, m.id))
    RETURNING {OUTCOME_COLUMNS}
"""  # noqa: S608


def _claim_row(prepared: Prepared, ready: Ready) -> tuple[object, ...]:
    out = ready.outgoing
    return (
        *(prepared.due.id, prepared.profile_id, prepared.provider, ready.template_version),
        *(out.to, prepared.address_hash, out.subject, out.text, out.html, ready.parts, ready.country, ready.cost),
        _texts(ready.links or prepared.due.links),
        *(ready.locale, _texts(ready.missing), out.fallback is not None),
    )


def _texts(items: Sequence[str]) -> str:
    return msgspec.json.encode(list(items)).decode() if items else "[]"


def _due(row: Any) -> Due:
    decoded = {
        name: msgspec.json.decode(row[name]) if row[name] is not None else None
        for name in ("computed", "event", "voucher")
    }
    return Due(**{**dict(row), **decoded})
