"""Splits that look for a winner: each is compared once, `after` its first customer, and the outcome is kept."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog

from headrace.contracts.campaign import CampaignDefinition
from headrace.contracts.instant import Millis
from services.messenger.definitions import Definitions
from services.messenger.split_shares import Place, shares_of, split_places
from services.messenger.store import Connection, Pool
from services.messenger.verdict import Verdict
from services.messenger.verdict_shown import judged, statistics

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Decided:
    """What a split came to. `variant` None: the weights stay."""

    campaign_id: str
    path: str
    variant: str | None
    outcome: str


@dataclass(frozen=True, slots=True)
class _Contest:
    """A split with a winner, in a campaign's current version."""

    campaign_id: str
    version: int
    path: str
    place: Place
    after_ms: Millis


async def winners(connection: Connection, campaign_ids: Iterable[str]) -> Mapping[tuple[str, str], str]:
    """Of these campaigns' splits, as they are defined now, those that are decided: (campaign id, path) to the
    variant that all who come later take."""
    rows = await connection.fetch(_WINNERS, sorted(set(campaign_ids)))
    return {(row["campaign_id"], row["path"]): row["variant"] for row in rows}


class Splits:
    """Any number of processes may look at the same time."""

    def __init__(self, pool: Pool, definitions: Definitions) -> None:
        self._pool = pool
        self._definitions = definitions

    async def look(self, now: Millis) -> list[Decided]:
        """Note the splits that somebody has gone through by now, and decide those whose time has come."""
        async with self._pool.acquire() as connection:
            await self._note(connection, now)
        decided = []
        while (one := await self._decide(now)) is not None:
            log.info("split_decided", campaign_id=one.campaign_id, path=one.path, outcome=one.outcome)
            decided.append(one)
        return decided

    async def next_due(self) -> Millis | None:
        """When the next decision is due."""
        due = await self._pool.fetchval("SELECT min(due_at) FROM split_decision WHERE decided_at IS NULL")
        return None if due is None else int(due)

    async def _note(self, connection: Connection, now: Millis) -> None:
        contests = await self._contests(connection)
        if not contests:
            return
        rows = await connection.fetch(_UNSEEN, *_columns(contests))
        unseen = {(row["campaign_id"], row["path"]) for row in rows}
        new = [one for one in contests if (one.campaign_id, one.path) in unseen]
        if new:
            await connection.execute(_NOTE, *_columns(new), now)

    async def _contests(self, connection: Connection) -> list[_Contest]:
        rows = await connection.fetch(_CONTESTED)
        versions = await self._definitions.campaign_versions(
            connection, ((row["id"], row["version"]) for row in rows)
        )
        return [one for (_, version), campaign in versions.items() for one in _contests_of(campaign, version)]

    async def _decide(self, now: Millis) -> Decided | None:
        """The split that has been due longest and that nobody else is deciding; None when there is none."""
        async with self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(_TAKE, now)
            if row is None:
                return None
            verdict, stats = await self._judge(connection, row)
            await connection.execute(
                _DECIDE,
                *(row["campaign_id"], row["path"], row["split"], now, verdict.variant),
                msgspec.json.encode({**stats, "outcome": verdict.outcome}).decode(),
            )
        return Decided(row["campaign_id"], row["path"], verdict.variant, verdict.outcome)

    async def _judge(self, connection: Connection, row: Any) -> tuple[Verdict, Mapping[str, Any]]:
        campaign_id, path = row["campaign_id"], row["path"]
        found = await connection.fetch(VERSIONS, campaign_id, row["place"], row["split"])
        versions = [one["version"] for one in found]
        key = (campaign_id, versions[-1])
        campaign = (await self._definitions.campaign_versions(connection, [key]))[key]
        split = dict(campaign.splits)[path]
        assert split.metric is not None, "a split without a winner is not noted"
        shares = await shares_of(connection, campaign_id, versions, path, split, split.metric)
        verdict = judged(split, shares)
        return verdict, statistics(split.metric, shares, verdict)


def _contests_of(campaign: CampaignDefinition, version: int) -> list[_Contest]:
    places = dict(split_places(campaign.steps))
    return [
        _Contest(campaign.id, version, path, places[path], split.winner.after_ms)
        for path, split in campaign.splits
        if split.winner is not None
    ]


def _columns(contests: Sequence[_Contest]) -> tuple[list[str], list[int], list[str], list[str], list[Millis]]:
    """For `unnest`, which takes no lists of lists. No part of a place holds a comma."""
    return (
        [one.campaign_id for one in contests],
        [one.version for one in contests],
        [one.path for one in contests],
        [",".join(one.place) for one in contests],
        [one.after_ms for one in contests],
    )


_CONTESTED = """
    SELECT d.id, d.version FROM definition d JOIN definition_version v USING (kind, id, version)
    WHERE d.kind = 'campaign' AND d.state IN ('live', 'paused') AND v.body @? '$.**.winner'
"""
_ASKED = """
    WITH asked AS (
        SELECT k.campaign_id, k.path, string_to_array(k.place, ',') AS place, k.after_ms,
            md5((v.body #> string_to_array(k.place, ','))::text) AS split
        FROM unnest($1::text[], $2::int[], $3::text[], $4::text[], $5::bigint[])
            AS k (campaign_id, version, path, place, after_ms)
        JOIN definition_version v ON v.kind = 'campaign' AND v.id = k.campaign_id AND v.version = k.version
    )
"""
_UNSEEN = f"""{_ASKED}
    SELECT a.campaign_id, a.path FROM asked a
    WHERE NOT EXISTS (SELECT FROM split_decision s
        WHERE s.campaign_id = a.campaign_id AND s.path = a.path AND s.split = a.split)
"""  # noqa: S608
_NOTE = f"""{_ASKED}
    INSERT INTO split_decision (campaign_id, path, split, place, first_at, due_at)
    SELECT a.campaign_id, a.path, a.split, a.place, $6::bigint, $6::bigint + a.after_ms
    FROM asked a
    WHERE EXISTS (
        SELECT FROM entry e JOIN definition_version w
            ON w.kind = 'campaign' AND w.id = e.campaign_id AND w.version = e.campaign_version
        WHERE e.campaign_id = a.campaign_id AND e.variants <> '{{}}' AND e.variants ? a.path
            AND md5((w.body #> a.place)::text) = a.split)
    ON CONFLICT DO NOTHING
"""  # noqa: S608
_TAKE = """
    SELECT campaign_id, path, split, place FROM split_decision
    WHERE decided_at IS NULL AND due_at <= $1
    ORDER BY due_at, campaign_id, path LIMIT 1 FOR UPDATE SKIP LOCKED
"""
VERSIONS = """
    SELECT version FROM definition_version
    WHERE kind = 'campaign' AND id = $1 AND md5((body #> $2::text[])::text) = $3 ORDER BY version
"""
_DECIDE = """
    UPDATE split_decision SET decided_at = $4, variant = $5, stats = $6
    WHERE campaign_id = $1 AND path = $2 AND split = $3
"""
_WINNERS = """
    SELECT s.campaign_id, s.path, s.variant
    FROM split_decision s
    JOIN definition d ON d.kind = 'campaign' AND d.id = s.campaign_id
    JOIN definition_version v USING (kind, id, version)
    WHERE s.campaign_id = ANY($1::text[]) AND s.variant IS NOT NULL AND md5((v.body #> s.place)::text) = s.split
"""
