"""HTTP of what was learned: a campaign's report and journeys, a segment's report."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response

from headrace.contracts.errors import ApiError
from headrace.contracts.instant import Millis
from headrace.contracts.segment_values import bound_ms
from services.messenger.campaign_report import CampaignReports, Span
from services.messenger.cursors import read_cursor, write_cursor
from services.messenger.definitions import Definitions
from services.messenger.journey_list import STATUSES, JourneyList
from services.messenger.report_csv import report_csv
from services.messenger.segment_report import SegmentReports
from services.messenger.segmenter import SegmenterUnavailable, UnknownSegment

Limit = Annotated[int, Query(ge=1, le=500)]
Months = Annotated[int, Query(ge=0, le=60)]


@dataclass(frozen=True, slots=True)
class Insight:
    """What can be asked about how it went."""

    campaigns: CampaignReports
    journeys: JourneyList
    segments: SegmentReports


def report_routes(insight: Insight, definitions: Definitions) -> APIRouter:
    router = APIRouter()

    async def current_version(campaign_id: str) -> int:
        stored = await definitions.get("campaign", campaign_id)
        if stored is None:
            raise ApiError(404, "not_found", f"There is no campaign {campaign_id!r}; see /v1/campaigns.")
        return stored.version

    @router.get("/campaigns/{campaign_id}/report")
    async def report(
        campaign_id: str,
        begin: Annotated[str | None, Query(alias="from")] = None,
        end: Annotated[str | None, Query(alias="to")] = None,
        wanted: Annotated[Literal["json", "csv"], Query(alias="format")] = "json",
    ) -> Response:
        """Of entries from `from` (included) to `to` (not included); a day, or an instant with its offset."""
        span = Span(_instant("from", begin), _instant("to", end))
        found = await insight.campaigns.report(campaign_id, await current_version(campaign_id), span)
        if wanted == "json":
            return JSONResponse(found)
        return Response(report_csv(found), media_type="text/csv; charset=utf-8", headers=_attached(campaign_id))

    @router.get("/campaigns/{campaign_id}/journeys")
    async def journeys(
        campaign_id: str, status: str | None = None, cursor: str | None = None, limit: Limit = 100
    ) -> dict[str, Any]:
        """Who entered, the last first."""
        await current_version(campaign_id)
        if status is not None and status not in STATUSES:
            raise ApiError(400, "invalid_request", f"`status` is one of {', '.join(STATUSES)}.")
        after = read_cursor(cursor) if cursor else None
        items, following = await insight.journeys.page(campaign_id, status, after, limit)
        return {"items": items, "next": None if following is None else write_cursor(*following)}

    @router.get("/segments/{segment_id}/report")
    async def segment_report(segment_id: str, months: Months = 12) -> dict[str, Any]:
        """Retention, up to `months` after the month of entry, and lifetime value of those who are members now."""
        try:
            return await insight.segments.report(segment_id, months)
        except UnknownSegment as error:
            raise ApiError(404, "not_found", f"There is no segment {segment_id!r}; see /v1/segments.") from error
        except SegmenterUnavailable as error:
            raise ApiError(503, "unavailable", "The segmenter does not answer; repeat.", retry_after=1) from error

    return router


def _instant(name: str, text: str | None) -> Millis | None:
    try:
        return None if text is None else bound_ms(text)
    except ValueError as error:
        raise ApiError(400, "invalid_request", f"`{name}` {error}.") from error


def _attached(campaign_id: str) -> dict[str, str]:
    """A browser saves it and guesses no other type. Ids are [a-z0-9-]."""
    return {
        "Content-Disposition": f'attachment; filename="campaign-{campaign_id}.csv"',
        "X-Content-Type-Options": "nosniff",
    }
