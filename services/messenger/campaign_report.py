"""How a campaign does: as a whole, by channel, step and way taken, against its holdout, and its splits.

Everything is read in one snapshot, so that its parts add up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from headrace.contracts.campaign import CampaignDefinition
from headrace.contracts.campaign_steps import BranchStep, Split, walk
from headrace.contracts.instant import MAX_INSTANT, MIN_INSTANT, Millis, format_instant
from services.messenger import report_sql
from services.messenger.definitions import Definitions
from services.messenger.learning import VERSIONS
from services.messenger.report_figures import (
    Row,
    earned,
    goal_progress,
    grouped,
    journeys,
    messages,
    reasons_by_status,
    statuses,
)
from services.messenger.split_shares import shares_of, split_places
from services.messenger.stats import Sample, Share
from services.messenger.store import Connection, Pool
from services.messenger.verdict import mean_uplift, uplift
from services.messenger.verdict_shown import amount_shown, judged, statistics, uplift_shown

# a hundred thousand entries are joined with their messages: on the disk that takes twice as long
_WORK_MEMORY = "SET LOCAL work_mem = '64MB'"


@dataclass(frozen=True, slots=True)
class Span:
    """Entries from `begin` (included) to `end` (not included)."""

    begin: Millis | None = None
    end: Millis | None = None


class CampaignReports:
    """Reads the ledger; nothing personal is in what it says."""

    def __init__(self, pool: Pool, definitions: Definitions) -> None:
        self._pool = pool
        self._definitions = definitions

    async def report(self, campaign_id: str, version: int, span: Span) -> dict[str, Any]:
        """Of the campaign, whose current version is `version`."""
        async with (
            self._pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            await connection.execute(_WORK_MEMORY)
            keys = [(campaign_id, version)]
            campaign = (await self._definitions.campaign_versions(connection, keys))[campaign_id, version]
            return await _Reading(connection, campaign, version, span).report()


class _Reading:
    """One report, on one snapshot."""

    def __init__(self, connection: Connection, campaign: CampaignDefinition, version: int, span: Span) -> None:
        self._connection = connection
        self._campaign = campaign
        self._version = version
        self._span = span

    async def report(self) -> dict[str, Any]:
        entry_rows = await self._counted(report_sql.JOURNEYS)
        message_rows = await self._counted(report_sql.MESSAGES)
        reached = await self._reached()
        all_entries = [row for row in entry_rows if row["path"] is None]
        all_messages = [row for row in message_rows if row["path"] is None]
        went = journeys(all_entries)
        return {
            "campaign_id": self._campaign.id,
            "version": self._version,
            "from": _shown(self._span.begin),
            "to": _shown(self._span.end),
            "entered": went["entered"],
            "statuses": statuses(all_messages),
            "reasons": reasons_by_status(all_messages),
            "journeys": went,
            "messages": {**messages(all_messages), **_reach(reached, "all", "")},
            "missing": {row["name"]: row["messages"] for row in await self._counted(report_sql.MISSING)},
            "goal": self._goal(all_entries),
            "uplift": await self._uplift(),
            "channels": _broken_down(all_messages, "channel", reached),
            "steps": _broken_down(all_messages, "step", reached),
            "variants": self._ways(entry_rows, message_rows),
            "splits": await self._splits(),
        }

    async def _counted(self, query: str) -> Sequence[Row]:
        begin = MIN_INSTANT if self._span.begin is None else self._span.begin
        end = MAX_INSTANT if self._span.end is None else self._span.end
        return [dict(row) for row in await self._connection.fetch(query, self._campaign.id, begin, end)]

    async def _reached(self) -> Mapping[tuple[str, ...], Sequence[Row]]:
        return grouped(await self._counted(report_sql.REACHED), "by", "name")

    def _goal(self, rows: Sequence[Row]) -> dict[str, Any] | None:
        goal = self._campaign.goal
        if goal is None:
            return None
        return {"event": goal.event, "within": goal.within, **goal_progress(rows, goal.target)}

    async def _uplift(self) -> dict[str, Any] | None:
        """None when nobody is held out."""
        people = {row["held"]: Share(row["hits"], row["people"]) for row in await self._counted(report_sql.PEOPLE)}
        if True not in people:
            return None
        treated, holdout = people.get(False, Share(0, 0)), people[True]
        shown = uplift_shown(treated, holdout, uplift(treated, holdout))
        amounts = grouped(await self._counted(report_sql.AMOUNTS), "currency")
        shown["revenue_per_person"] = {
            currency: amount_shown(mean_uplift(_sample(rows, False, treated), _sample(rows, True, holdout)))
            for (currency,), rows in amounts.items()
        }
        return shown

    def _ways(self, entry_rows: Sequence[Row], message_rows: Sequence[Row]) -> list[dict[str, Any]]:
        """By the ways taken at splits and branches. A message counts with every way of its entry."""
        branches = {path for path, step in walk(self._campaign.steps) if isinstance(step, BranchStep)}
        sent = grouped((row for row in message_rows if row["path"] is not None), "path", "way")
        return [
            {
                "path": path,
                "kind": "branch" if path in branches else "split",
                "variant": way,
                "journeys": journeys(rows),
                "messages": messages(sent.get((path, way), ())),
            }
            for (path, way), rows in grouped(
                (row for row in entry_rows if row["path"] is not None), "path", "way"
            ).items()
        ]

    async def _splits(self) -> list[dict[str, Any]]:
        """Each split as it is defined now, with all who went through it, whenever they entered."""
        splits = dict(self._campaign.splits)
        if not splits:
            return []
        places = dict(split_places(self._campaign.steps))
        joined = [",".join(places[path]) for path in splits]
        rows = await self._connection.fetch(
            report_sql.DECISIONS, self._campaign.id, self._version, list(splits), joined
        )
        ordered = grouped((dict(row) for row in rows), "path")
        return [await self._split(row, splits[path], places[path]) for (path,), (row,) in ordered.items()]

    async def _split(self, row: Row, split: Split, place: Sequence[str]) -> dict[str, Any]:
        found = await self._connection.fetch(VERSIONS, self._campaign.id, list(place), row["split"])
        versions = [one["version"] for one in found]
        shown = {"path": row["path"], **_decision(row, split)}
        if row["decided_at"] is not None:
            # who came later did not draw: only what was seen at the decision compares like with like
            return {**shown, "statistics": msgspec.json.decode(row["stats"])}
        metric = split.metric or "conversion"
        shares = await shares_of(self._connection, self._campaign.id, versions, row["path"], split, metric)
        return {**shown, "statistics": statistics(metric, shares, judged(split, shares))}


def _decision(row: Row, split: Split) -> dict[str, Any]:
    if split.winner is None:
        return {"state": "open", "winner": None}
    state = "waiting" if row["first_at"] is None else "running" if row["decided_at"] is None else "decided"
    return {
        "state": state,
        "winner": row["variant"],
        "confidence": split.winner.confidence,
        "fallback": split.winner.fallback,
        "first_at": _shown(row["first_at"]),
        "decides_at": _shown(row["due_at"]),
        "decided_at": _shown(row["decided_at"]),
    }


def _broken_down(
    rows: Sequence[Row], name: str, reached: Mapping[tuple[str, ...], Sequence[Row]]
) -> list[dict[str, Any]]:
    return [
        {name: value, **messages(own), **_reach(reached, name, value)}
        for (value,), own in grouped(rows, name).items()
    ]


def _reach(reached: Mapping[tuple[str, ...], Sequence[Row]], by: str, name: str) -> dict[str, Any]:
    """The entries that were sent something, and what became of them."""
    rows = reached.get((by, name), ())
    return {"reached": sum(row["entries"] for row in rows), **earned(rows)}


def _sample(rows: Sequence[Row], held: bool, people: Share) -> Sample:
    own = next((row for row in rows if row["held"] == held), None)
    if own is None:
        return Sample(people.people, 0.0, 0.0)
    return Sample(people.people, own["total"], own["squares"])


def _shown(at: Millis | None) -> str | None:
    return None if at is None else format_instant(at)
