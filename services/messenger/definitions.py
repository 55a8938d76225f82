"""Campaigns and templates as stored: every version is kept, since messages name the one they began with."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from headrace.contracts.campaign import CampaignDefinition, body_of, parse_campaign
from headrace.contracts.campaign_steps import VoucherStep, walk
from headrace.contracts.instant import Millis
from headrace.contracts.policy import PolicyDefinition, parse_policy
from headrace.contracts.template import BlockDefinition, Template, parse_block, parse_template
from headrace.contracts.voucher import VoucherPool, parse_voucher_pool
from services.messenger.blocks import blocks_of
from services.messenger.coupons import REDEEMING
from services.messenger.program import hidden_segments
from services.messenger.store import Connection, Pool
from services.messenger.survey_awards import SURVEY_COMPLETED

Kind = Literal["campaign", "template", "block", "policy", "vouchers"]
Definition = CampaignDefinition | Template | BlockDefinition | PolicyDefinition | VoucherPool


@dataclass(frozen=True, slots=True)
class Stored:
    """A definition's current version. `state` is a campaign's own; a template's is `live`."""

    id: str
    version: int
    state: str
    body: Mapping[str, Any]
    updated_at: Millis


_CURRENT = """
    SELECT d.id, d.version, d.state, v.body::text AS body, d.updated_at
    FROM definition d JOIN definition_version v USING (kind, id, version)
    WHERE d.kind = $1 AND d.state <> 'deleted'
"""


# Journeys that began with an earlier version still wait for its events.
_PUT = """
    UPDATE definition SET version = $3, state = $4, trigger_segment = $5, updated_at = $6,
        events = ARRAY(SELECT DISTINCT unnest(events || $7::text[]) ORDER BY 1)
    WHERE kind = $1 AND id = $2
"""
DIRECT = "direct"
"""The campaign that messages sent by hand stand under. Nobody sees it as a definition."""
_LISTEN_MS = 1_000
# Those who were in the segment when the campaign was published enter once in its life.
BEGIN_CURRENT = """
    INSERT INTO campaign_run (campaign_id, run_at, version, begun_at, current)
    SELECT $1, $2, $3, $2, true
    WHERE NOT EXISTS (SELECT FROM campaign_run WHERE campaign_id = $1 AND current)
    ON CONFLICT DO NOTHING
"""
VOUCHER_EVENTS = REDEEMING | {SURVEY_COMPLETED}
"""The events that redeem voucher codes, or ask for one."""
_NO_POLICY = parse_policy({})


class Definitions:
    """Reads and writes definitions. Versions never change, so that parsed ones are kept in memory."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._campaigns: dict[tuple[str, int], CampaignDefinition] = {}
        self._templates: dict[tuple[str, int], Template] = {}
        self._blocks: dict[tuple[str, int], BlockDefinition] = {}
        self._policy: tuple[int, PolicyDefinition] | None = None
        self._listened_to: frozenset[str] = frozenset()
        self._listened_at: Millis | None = None

    async def put(self, kind: Kind, definition: Definition, now: Millis) -> Stored:
        """Store it as the next version; what is unchanged keeps its version."""
        body = body_of(definition)
        state = definition.state if isinstance(definition, CampaignDefinition) else "live"
        segment = definition.segment if isinstance(definition, CampaignDefinition) else None
        events = sorted(definition.events) if isinstance(definition, CampaignDefinition) else []
        text = msgspec.json.encode(body).decode()
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                """INSERT INTO definition (kind, id, version, state, updated_at) VALUES ($1, $2, 0, 'deleted', $3)
                   ON CONFLICT DO NOTHING""",
                kind,
                definition.id,
                now,
            )
            row = await connection.fetchrow(
                """SELECT d.version, d.state, d.updated_at, v.body = $3::jsonb AS same
                   FROM definition d LEFT JOIN definition_version v USING (kind, id, version)
                   WHERE kind = $1 AND id = $2 FOR UPDATE OF d""",
                kind,
                definition.id,
                text,
            )
            if row is None:
                raise LookupError(definition.id)
            if row["same"] and row["state"] == state:
                return Stored(definition.id, row["version"], state, body, row["updated_at"])
            version = row["version"] + 1
            await connection.execute(
                _PUT,
                *(kind, definition.id, version, state, segment, now, events),
            )
            await connection.execute(
                "INSERT INTO definition_version VALUES ($1, $2, $3, $4, $5)",
                *(kind, definition.id, version, text, now),
            )
            if isinstance(definition, CampaignDefinition) and definition.include_current and state == "live":
                await connection.execute(BEGIN_CURRENT, definition.id, now, version)
        return Stored(definition.id, version, state, body, now)

    async def get(self, kind: Kind, definition_id: str) -> Stored | None:
        row = await self._pool.fetchrow(f"{_CURRENT} AND d.id = $2", kind, definition_id)
        return None if row is None else _stored(row)

    async def page(self, kind: Kind, after: str, limit: int) -> list[Stored]:
        """Definitions with an id greater than `after`, in the order of their ids."""
        query = f"{_CURRENT} AND d.id > $2 AND d.id <> $4 ORDER BY d.id LIMIT $3"
        rows = await self._pool.fetch(query, kind, after, limit, DIRECT)
        return [_stored(row) for row in rows]

    async def delete(self, kind: Kind, definition_id: str, now: Millis) -> bool:
        """Forget it; its versions stay for the messages that name them. False when there was none."""
        done = await self._pool.fetchval(
            """UPDATE definition SET state = 'deleted', updated_at = $3
               WHERE kind = $1 AND id = $2 AND state <> 'deleted' RETURNING true""",
            *(kind, definition_id, now),
        )
        return bool(done)

    async def campaigns_using(self, template_id: str) -> list[str]:
        """Ids of campaigns, not deleted, whose current version sends this template."""
        rows = await self._pool.fetch(_CURRENT, "campaign")
        campaigns = [self._campaign(row["id"], row["version"], row["body"]) for row in rows]
        return sorted(c.id for c in campaigns if any(template_id in send.template_ids for _, send in c.sends))

    async def voucher_pools(self, connection: Connection, ids: Iterable[str]) -> dict[str, VoucherPool]:
        """These pools as they are now; one that does not exist is left out."""
        rows = await connection.fetch(f"{_CURRENT} AND d.id = ANY($2::text[])", "vouchers", sorted(set(ids)))
        return {row["id"]: parse_voucher_pool(msgspec.json.decode(row["body"])) for row in rows}

    async def campaigns_taking(self, pool_id: str) -> list[str]:
        """Ids of campaigns, not deleted, whose current version takes codes of this pool."""
        rows = await self._pool.fetch(_CURRENT, "campaign")
        campaigns = [self._campaign(row["id"], row["version"], row["body"]) for row in rows]
        steps = [(c.id, step) for c in campaigns for _, step in walk(c.steps)]
        return sorted(
            {key for key, step in steps if isinstance(step, VoucherStep) and step.voucher.pool == pool_id}
        )

    async def branches_of_none_but(self, campaign_id: str) -> list[str]:
        """The hidden segments of this campaign's branches, in any of its versions, that no other campaign has."""
        rows = await self._pool.fetch(_ALL_VERSIONS)
        campaigns = [(row["id"], self._campaign(row["id"], row["version"], row["body"])) for row in rows]
        others = {one for key, c in campaigns if key != campaign_id for one in hidden_segments(c)}
        return sorted({one for key, c in campaigns if key == campaign_id for one in hidden_segments(c)} - others)

    async def policy(self, connection: Connection) -> PolicyDefinition:
        """What holds for all campaigns now; nothing when nobody said."""
        row = await connection.fetchrow(f"{_CURRENT} AND d.id = 'default'", "policy")
        if row is None:
            return _NO_POLICY
        if self._policy is None or self._policy[0] != row["version"]:
            self._policy = (row["version"], parse_policy(msgspec.json.decode(row["body"])))
        return self._policy[1]

    async def listen(self, now: Millis) -> frozenset[str]:
        """Names of the events that some campaign listens to, or has; looked up once a second."""
        if self._listened_at is None or not 0 <= now - self._listened_at < _LISTEN_MS:
            rows = await self._pool.fetch(_LISTENED, DIRECT, sorted(VOUCHER_EVENTS))
            self._listened_to = frozenset(row["name"] for row in rows)
            self._listened_at = now
        return self._listened_to

    @property
    def listened(self) -> bool:
        """Whether any campaign listened to an event at the last look."""
        return bool(self._listened_to)

    async def live_by_event(
        self, connection: Connection, names: Iterable[str]
    ) -> list[tuple[CampaignDefinition, int]]:
        """The live campaigns that these events trigger, with their versions, in the order of their ids."""
        rows = await connection.fetch(
            f"{_CURRENT} AND d.state = 'live' AND v.body -> 'trigger' ->> 'event' = ANY($2::text[]) ORDER BY d.id",
            "campaign",
            sorted(names),
        )
        return [(self._campaign(row["id"], row["version"], row["body"]), row["version"]) for row in rows]

    async def live_schedules(self, connection: Connection) -> list[tuple[CampaignDefinition, int, Millis]]:
        """The live campaigns with a schedule: with their versions, and the instant after which runs count."""
        rows = await connection.fetch(_SCHEDULES)
        return [
            (self._campaign(row["id"], row["version"], row["body"]), row["version"], row["since"]) for row in rows
        ]

    async def live_campaigns(
        self, connection: Connection, segment_ids: Iterable[str]
    ) -> list[tuple[CampaignDefinition, int]]:
        """The live campaigns that these segments trigger, with their versions, in the order of their ids."""
        rows = await connection.fetch(
            f"{_CURRENT} AND d.state = 'live' AND d.trigger_segment = ANY($2::text[]) ORDER BY d.id",
            "campaign",
            list(segment_ids),
        )
        return [(self._campaign(row["id"], row["version"], row["body"]), row["version"]) for row in rows]

    async def campaign_versions(
        self, connection: Connection, wanted: Iterable[tuple[str, int]]
    ) -> dict[tuple[str, int], CampaignDefinition]:
        """These versions of campaigns, whatever became of the campaigns since."""
        keys = set(wanted)
        missing = keys - self._campaigns.keys()
        if missing:
            rows = await connection.fetch(
                """SELECT v.id, v.version, v.body::text AS body FROM definition_version v
                   JOIN unnest($1::text[], $2::int[]) AS k (id, version) USING (id, version)
                   WHERE v.kind = 'campaign'""",
                [key[0] for key in missing],
                [key[1] for key in missing],
            )
            for row in rows:
                self._campaign(row["id"], row["version"], row["body"])
        return {key: self._campaigns[key] for key in keys}

    async def current_templates(
        self, connection: Connection, ids: Iterable[str]
    ) -> dict[str, tuple[Template, int]]:
        """The current versions of these templates; one that does not exist is left out."""
        rows = await connection.fetch(f"{_CURRENT} AND d.id = ANY($2::text[])", "template", sorted(set(ids)))
        return {
            row["id"]: (self._template(row["id"], row["version"], row["body"]), row["version"]) for row in rows
        }

    async def blocks_for(
        self, connection: Connection, templates: Iterable[Template]
    ) -> Mapping[str, BlockDefinition]:
        """All blocks as they are now, if one of these templates renders any; else none."""
        if not any(blocks_of(template) for template in templates):
            return {}
        rows = await connection.fetch(f"{_CURRENT} ORDER BY d.id", "block")
        return {row["id"]: self._block(row["id"], row["version"], row["body"]) for row in rows}

    async def all_blocks(self) -> dict[str, BlockDefinition]:
        """By id."""
        rows = await self._pool.fetch(f"{_CURRENT} ORDER BY d.id", "block")
        return {row["id"]: self._block(row["id"], row["version"], row["body"]) for row in rows}

    async def all_templates(self) -> list[Template]:
        rows = await self._pool.fetch(f"{_CURRENT} ORDER BY d.id", "template")
        return [self._template(row["id"], row["version"], row["body"]) for row in rows]

    def _campaign(self, definition_id: str, version: int, body: str) -> CampaignDefinition:
        key = (definition_id, version)
        if key not in self._campaigns:
            self._campaigns[key] = parse_campaign(msgspec.json.decode(body))
        return self._campaigns[key]

    def _block(self, definition_id: str, version: int, body: str) -> BlockDefinition:
        key = (definition_id, version)
        if key not in self._blocks:
            self._blocks[key] = parse_block(msgspec.json.decode(body))
        return self._blocks[key]

    def _template(self, definition_id: str, version: int, body: str) -> Template:
        key = (definition_id, version)
        if key not in self._templates:
            self._templates[key] = parse_template(msgspec.json.decode(body))
        return self._templates[key]


def _stored(row: Any) -> Stored:
    body = msgspec.json.decode(row["body"])
    return Stored(row["id"], row["version"], row["state"], body, row["updated_at"])


_ALL_VERSIONS = """
    SELECT v.id, v.version, v.body::text AS body FROM definition_version v
    JOIN definition d USING (kind, id) WHERE v.kind = 'campaign' AND d.state <> 'deleted' ORDER BY v.id, v.version
"""
_LISTENED = """
    SELECT DISTINCT unnest(events) AS name FROM definition
    WHERE kind = 'campaign' AND state <> 'deleted' AND id <> $1
    UNION SELECT unnest($2::text[]) WHERE EXISTS (SELECT FROM definition WHERE kind = 'vouchers')
"""
_SCHEDULES = f"""
    SELECT s.*, coalesce((SELECT max(run_at) FROM campaign_run r WHERE r.campaign_id = s.id), s.updated_at) AS
    since
    FROM ({_CURRENT.replace("$1", "'campaign'")} AND d.state = 'live' AND v.body -> 'trigger' ? 'schedule') s
    ORDER BY s.id
"""  # noqa: S608
