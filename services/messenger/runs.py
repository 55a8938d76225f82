"""Runs of campaigns over an audience: by a schedule, or once over those who are in a segment already.

A run is a row with a cursor; each page of members is one transaction, so that a run goes on where it was after a
crash, and nobody enters twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from headrace.contracts.campaign import CampaignDefinition, ScheduleTrigger, SegmentTrigger
from headrace.contracts.instant import Millis
from services.messenger.definitions import Definitions
from services.messenger.entering import Start, by_membership, by_run
from services.messenger.intake import Intake
from services.messenger.segmenter import AudienceMember, UnknownSegment
from services.messenger.store import Pool

log = structlog.get_logger()


class Audiences(Protocol):
    async def audience(self, segment_id: str, cursor: str | None) -> tuple[list[AudienceMember], str | None]:
        """A page of members and the cursor of the next one. Raises SegmenterUnavailable, UnknownSegment."""
        ...


@dataclass(frozen=True, slots=True)
class Run:
    campaign_id: str
    run_at: Millis
    version: int
    cursor: str | None


class Runs:
    """Begins the runs whose time has come, and works on those that are not over."""

    def __init__(self, pool: Pool, definitions: Definitions, audiences: Audiences, intake: Intake) -> None:
        self._pool = pool
        self._definitions = definitions
        self._audiences = audiences
        self._intake = intake

    async def begin(self, now: Millis) -> int:
        """Begin what is due; returns how many runs that is. A time that was missed by more than the campaign's
        `max_entry_age` is let go; of several missed ones the last counts."""
        async with self._pool.acquire() as connection, connection.transaction():
            begun = 0
            for campaign, version, since in await self._definitions.live_schedules(connection):
                run_at = _latest(campaign, since, now)
                if run_at is not None and now - run_at <= campaign.max_entry_age_ms:
                    begun += bool(await connection.fetchval(_BEGIN, campaign.id, run_at, version, now))
            return begun

    async def work(self, now: Millis) -> bool:
        """Take one run on by one page. True when there may be more to do."""
        row = await self._pool.fetchrow(_NEXT)
        if row is None:
            return False
        run = Run(row["campaign_id"], row["run_at"], row["version"], row["cursor"])
        async with self._pool.acquire() as connection:
            key = (run.campaign_id, run.version)
            campaign = (await self._definitions.campaign_versions(connection, [key]))[key]
        try:
            members, following = await self._audiences.audience(str(campaign.segment), run.cursor)
        except UnknownSegment:
            log.error("audience_unknown", campaign_id=run.campaign_id, segment_id=campaign.segment)
            await self._pool.execute(_FAIL, run.campaign_id, run.run_at, now)
            return True
        starts = [start for member in members if (start := _start(run, campaign, member)) is not None]
        return await self._page(run, campaign, starts, following, now)

    async def _page(
        self, run: Run, campaign: CampaignDefinition, starts: Sequence[Start], following: str | None, now: Millis
    ) -> bool:
        async with self._pool.acquire() as connection, connection.transaction():
            moved = await connection.fetchval(
                _MOVE,
                *(
                    run.campaign_id,
                    run.run_at,
                    run.cursor,
                    following,
                    len(starts),
                    now if following is None else None,
                ),
            )
            if not moved:
                return True  # another process has done this page
            done = await self._intake.enter(connection, [(start, campaign) for start in starts], now)
        self._intake.announce(done)
        return True


def _latest(campaign: CampaignDefinition, since: Millis, now: Millis) -> Millis | None:
    """The last time of the schedule after `since` and until `now`."""
    assert isinstance(campaign.trigger, ScheduleTrigger)
    schedule = campaign.trigger.schedule
    if schedule.at_ms is not None:
        return schedule.at_ms if schedule.at_ms <= now else None
    assert schedule.times is not None
    found, following = (
        None,
        schedule.times.next_after(max(since, now - campaign.max_entry_age_ms - 1), schedule.timezone),
    )
    while following is not None and following <= now:
        found, following = following, schedule.times.next_after(following, schedule.timezone)
    return found


def _start(run: Run, campaign: CampaignDefinition, member: AudienceMember) -> Start | None:
    if isinstance(campaign.trigger, SegmentTrigger):
        return by_membership(campaign, run.version, member.profile_id, member.entry_id, run.run_at)
    return by_run(campaign, run.version, run.run_at, member.profile_id)


# A campaign that is changed keeps its times: one run for each.
_BEGIN: Any = """
    INSERT INTO campaign_run (campaign_id, run_at, version, begun_at) VALUES ($1, $2, $3, $4)
    ON CONFLICT DO NOTHING RETURNING true
"""
_NEXT = """
    SELECT r.campaign_id, r.run_at, r.version, r.cursor FROM campaign_run r
    JOIN definition d ON d.kind = 'campaign' AND d.id = r.campaign_id AND d.state = 'live'
    WHERE r.ended_at IS NULL ORDER BY r.begun_at, r.campaign_id LIMIT 1
"""
_MOVE = """
    UPDATE campaign_run SET cursor = $4, entered = entered + $5, ended_at = $6
    WHERE campaign_id = $1 AND run_at = $2 AND cursor IS NOT DISTINCT FROM $3 AND ended_at IS NULL RETURNING true
"""
_FAIL = "UPDATE campaign_run SET ended_at = $3, error = 'unknown_segment' WHERE campaign_id = $1 AND run_at = $2"
