"""The segmenter, by its HTTP: memberships, audiences, and the hidden segments of branches."""

from dataclasses import dataclass

import httpx
import msgspec

from headrace.contracts.errors import HeadraceError
from headrace.contracts.instant import Millis, parse_instant

PAGE = 500


class SegmenterUnavailable(HeadraceError):
    """The segmenter did not answer: repeat. Check HEADRACE_SEGMENTER_URL."""


class UnknownSegment(HeadraceError):
    """There is no such segment."""


@dataclass(frozen=True, slots=True)
class AudienceMember:
    """A member of a segment. `entered_at` None: not known."""

    profile_id: str
    entry_id: str
    entered_at: Millis | None


class _Member(msgspec.Struct):
    profile_id: str
    entry_id: str
    entered_at: str | None


class _Page(msgspec.Struct):
    items: list[_Member]
    next: str | None


class Segmenter:
    """`client` has the segmenter's address and the admin token."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def audience(self, segment_id: str, cursor: str | None) -> tuple[list[AudienceMember], str | None]:
        """A page of members and the cursor of the next one. Raises SegmenterUnavailable, UnknownSegment."""
        query = {"limit": str(PAGE)} | ({"cursor": cursor} if cursor else {})
        try:
            answer = await self._client.get(f"/v1/segments/{segment_id}/members", params=query)
            if answer.status_code == httpx.codes.NOT_FOUND:
                raise UnknownSegment(segment_id)
            page = msgspec.json.decode(answer.raise_for_status().content, type=_Page)
        except (httpx.HTTPError, msgspec.DecodeError) as error:
            raise SegmenterUnavailable(f"the segmenter did not answer: {type(error).__name__}") from error
        members = [
            AudienceMember(m.profile_id, m.entry_id, parse_instant(m.entered_at) if m.entered_at else None)
            for m in page.items
        ]
        return members, page.next
