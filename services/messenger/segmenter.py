"""The segmenter, by its HTTP: memberships, audiences, and the hidden segments of branches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import msgspec

from headrace.contracts.errors import HeadraceError
from headrace.contracts.instant import Millis, parse_instant
from services.messenger.journeys import Question, Unanswered

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


class _Answer(msgspec.Struct):
    members: dict[str, list[str]]
    behind: list[str]


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

    async def ask(self, questions: Sequence[Question]) -> Mapping[Question, bool]:
        """Keeps `journeys.Memberships`."""
        profiles = {q.profile_id: q.seq for q in questions}
        body = {
            "segments": sorted({q.segment_id for q in questions}),
            "profiles": [{"id": key, "seq": seq} for key, seq in sorted(profiles.items())],
        }
        try:
            answer = (await self._client.post("/v1/memberships", json=body)).raise_for_status()
            found = msgspec.json.decode(answer.content, type=_Answer)
        except (httpx.HTTPError, msgspec.DecodeError) as error:
            raise Unanswered(f"the segmenter did not answer: {type(error).__name__}") from error
        behind = set(found.behind)
        return {
            q: q.segment_id in found.members.get(q.profile_id, ())
            for q in questions
            if q.profile_id not in behind and q.segment_id not in behind
        }

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

    async def define(self, segment_id: str, name: str, when: Mapping[str, Any]) -> None:
        """Have this segment. Raises SegmenterUnavailable, or HeadraceError with what the segmenter says is
        wrong."""
        body = {"kind": "segment", "id": segment_id, "name": name, "when": when}
        try:
            answer = await self._client.put(f"/v1/segments/{segment_id}", json=body)
        except httpx.HTTPError as error:
            raise SegmenterUnavailable(f"the segmenter did not answer: {type(error).__name__}") from error
        if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise SegmenterUnavailable(f"the segmenter answered {answer.status_code}")
        if answer.is_error:
            raise HeadraceError(str(answer.json().get("message", f"the segmenter answered {answer.status_code}")))

    async def remove(self, segment_id: str) -> None:
        """Have this segment no more; that is fine if there is none, or somebody asks for it. Raises
        SegmenterUnavailable."""
        try:
            answer = await self._client.delete(f"/v1/segments/{segment_id}")
        except httpx.HTTPError as error:
            raise SegmenterUnavailable(f"the segmenter did not answer: {type(error).__name__}") from error
        if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise SegmenterUnavailable(f"the segmenter answered {answer.status_code}")

    async def exists(self, segment_id: str) -> bool:
        """Raises SegmenterUnavailable."""
        try:
            answer = await self._client.get(f"/v1/segments/{segment_id}")
        except httpx.HTTPError as error:
            raise SegmenterUnavailable(f"the segmenter did not answer: {type(error).__name__}") from error
        return answer.status_code == httpx.codes.OK
