"""What is known of a definition as it is stored."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import msgspec

from headrace.contracts.errors import ApiError
from headrace.contracts.segment import Definition
from services.segmenter.catalog import Version

Status = Literal["backfilling", "live", "paused"]
Kind = Literal["segment", "list", "stages"]

_json = msgspec.json.Encoder(order="deterministic")


@dataclass(frozen=True, slots=True)
class StoredSegment:
    """A segment's newest version, or that of a list or of stages, or one of the segments of `stages`. `progress`
    is the share of customers for whom it is prepared, as the mean of the partitions' shares."""

    id: str
    kind: Kind | Literal["stage"]
    version: int
    name: str
    text: str
    status: Status
    progress: float
    updated_at: str
    stages: str | None = None

    @property
    def definition(self) -> dict[str, Any]:
        """As JSON data."""
        document: dict[str, Any] = msgspec.json.decode(self.text)
        return document

    def parse(self) -> Definition:
        return Version(self.version, self.text).parse()

    @property
    def segment_ids(self) -> list[str]:
        """The segments whose members there are: itself, or those of its stages."""
        if self.stages is not None:
            return [self.id]
        return [segment.id for segment in self.parse().segments()]


def stage_of(stages: StoredSegment, segment_id: str) -> StoredSegment:
    """One of the segments of stages. Raises ApiError 404."""
    segment = next((one for one in stages.parse().segments() if one.id == segment_id), None)
    if segment is None:  # taken out in this very moment
        raise unknown_segment(segment_id)
    text = _json.encode(segment.canonical()).decode()
    return replace(stages, id=segment_id, kind="stage", name=segment.name, text=text, stages=stages.id)


def unknown_segment(segment_id: str) -> ApiError:
    return ApiError(404, "unknown_segment", f"There is no segment {segment_id!r}; see GET /v1/segments.")
