"""Why profiles became one, or did not, and by which event: said once, and kept."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from headrace.contracts.ids import content_id
from headrace.contracts.instant import Millis
from services.profiles.arrays import nullable_text_array, number_array, text_array
from services.profiles.fold import Located
from services.profiles.identity import Identifier, Refusal
from services.profiles.store import Connection

# An array, since the planner reads whole tables for `profile_id = $1 OR other_id = $1`.
_ABOUT = """
    SELECT n AS id, at, kind, profile_id, other_id, reason, source, message_id, evidence FROM decision
    WHERE n IN (
        SELECT n FROM decision WHERE profile_id = ANY($1::text[])
        UNION SELECT n FROM decision WHERE other_id = ANY($1::text[])
    ) ORDER BY n DESC
"""
Kind = Literal["merged", "kept_apart", "quarantined", "released", "unmerged"]

_WRITE = """
    INSERT INTO decision (at, kind, profile_id, other_id, reason, source, message_id, evidence, once)
    SELECT * FROM unnest($1::text::bigint[], $2::text::text[], $3::text::text[], $4::text::text[],
                         $5::text::text[], $6::text::text[], $7::text::text[], $8::text::jsonb[], $9::text::text[])
    ON CONFLICT (once) WHERE once IS NOT NULL DO NOTHING
"""


class Decision(NamedTuple):
    """`reason` is the rule, or who asked. `evidence`: the event's identifiers, and which of them was dropped.
    `once`: what makes a later decision the same."""

    at: Millis
    kind: Kind
    profile_id: str
    other_id: str | None
    reason: str
    source: str | None = None
    message_id: str | None = None
    evidence: dict[str, Any] = {}  # noqa: RUF012  # nobody writes into it
    once: str | None = None


def decisions(located: Iterable[Located]) -> Iterator[Decision]:
    """What a batch decided."""
    for one in located:
        if one.losers or one.refusals:
            yield from _of_event(one)


def _of_event(one: Located) -> Iterator[Decision]:
    incoming = one.arrival.incoming
    named: list[Identifier] = list(incoming.identifiers)
    for loser in one.losers:
        yield Decision(
            incoming.ts,
            "merged",
            one.profile.id,
            loser.id,
            "event",
            *incoming.key,
            {"identifiers": named},
        )
    for refusal in one.refusals:
        evidence = {"identifiers": named, "dropped": refusal.dropped, "rule": refusal.rule}
        other = None if refusal.other is None else refusal.other.id
        yield Decision(
            incoming.ts,
            "kept_apart",
            one.profile.id,
            other,
            refusal.rule,
            *incoming.key,
            evidence,
            _once(one.profile.id, other, refusal),
        )


def _once(profile_id: str, other: str | None, refusal: Refusal) -> str:
    """Two profiles are kept apart by one identifier again and again. What a full profile does not take is nobody's
    and different each time: that is said once for its type."""
    dropped = refusal.dropped if other is not None else refusal.dropped[:1]
    return content_id("d", profile_id, other or "", refusal.rule, *dropped)


async def decided_about(connection: Connection, profile_ids: Sequence[str]) -> list[dict[str, Any]]:
    """All decisions about these profiles, newest first."""
    rows = await connection.fetch(_ABOUT, list(profile_ids))
    return [{**dict(row), "evidence": msgspec.Raw(row["evidence"].encode())} for row in rows]


async def write_decisions(connection: Connection, made: Sequence[Decision]) -> None:
    if not made:
        return
    ats, kinds, profiles, others, reasons, sources, message_ids, evidence, once = zip(*made, strict=True)
    await connection.execute(
        _WRITE,
        number_array(ats),
        text_array(kinds),
        text_array(profiles),
        nullable_text_array(others),
        text_array(reasons),
        nullable_text_array(sources),
        nullable_text_array(message_ids),
        text_array([msgspec.json.encode(one).decode() for one in evidence]),
        nullable_text_array(once),
    )
