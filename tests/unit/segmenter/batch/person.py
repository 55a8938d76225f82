"""A customer written by hand, and what the batch evaluator says of it."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from headrace.contracts.cut_points import CutPoints
from headrace.contracts.instant import parse_instant
from headrace.contracts.profile_event import EventRow, MergeRow, Row
from headrace.contracts.segment import SegmentDefinition, parse_segment
from services.segmenter.batch.customer import Subject
from services.segmenter.batch.evaluator import Evaluator
from services.segmenter.paths import decode_row

SECOND = 1_000
HOUR = 3_600 * SECOND
DAY = 24 * HOUR
AnyRow = TypeVar("AnyRow", bound=Row)


class Person:
    """Its rows in the order in which they were applied, as the timeline gives them: decoded with exact numbers."""

    def __init__(self, profile_id: str = "p1") -> None:
        self.profile_id = profile_id
        self.own: list[EventRow | MergeRow] = []

    @property
    def subject(self) -> Subject:
        events = [row for row in self.own if isinstance(row, EventRow)]
        return Subject(self.profile_id, events, self.own)

    def did(self, name: str | None, at: int, /, **fields: Any) -> "Person":
        """An event. `properties` and `context` are JSON data, or the bytes of the sender."""
        for part in ("properties", "context"):
            given = fields.pop(part, {})
            fields[part] = msgspec.Raw(given if isinstance(given, bytes) else msgspec.json.encode(given))
        row = EventRow(
            **self._header(max(at, fields.pop("time", at))),
            source=fields.pop("source", "shop"),
            message_id=fields.pop("message_id", f"m{len(self.own) + 1}"),
            type=fields.pop("type", "track"),
            ts=at,
            event=name,
            **fields,
        )
        self.own.append(exact(row))
        return self

    def became(self, at: int, **traits: Any) -> "Person":
        """Traits changed."""
        return self.did(None, at, type="identify", traits=traits)

    def absorbed(self, at: int, loser: str = "p2", **changes: Any) -> "Person":
        """A merge that changed something of this customer."""
        row = MergeRow(
            **self._header(at),
            loser=loser,
            loser_partition=0,
            loser_seq=1,
            source="shop",
            message_id=f"m{len(self.own) + 1}",
            **changes,
        )
        self.own.append(exact(row))
        return self

    def _header(self, time: int) -> dict[str, Any]:
        return {
            "seq": len(self.own) + 1,
            "epoch": 1,
            "time": time,
            "low": time,
            "profile_id": self.profile_id,
        }


def exact(row: AnyRow) -> AnyRow:
    """As it is read from the timeline."""
    decoded = decode_row(msgspec.json.encode(row))
    assert isinstance(decoded, type(row))
    return decoded


def segment(when: Any, key: str = "asked") -> SegmentDefinition:
    (definition,) = parse_segment({"kind": "segment", "id": key, "name": key, "when": when}).segments()
    return definition


def evaluator(
    others: Mapping[str, Any] | None = None,
    *,
    cuts: Mapping[str, CutPoints] | None = None,
    frozen: Mapping[str, Callable[[str], bool]] | None = None,
) -> Evaluator:
    """With the live versions of these segments: id → condition."""
    definitions = {key: segment(when, key) for key, when in (others or {}).items()}
    return Evaluator(definitions, cuts=cuts, frozen=frozen)


def holds(when: Any, person: Person, t: int, others: Mapping[str, Any] | None = None) -> bool:
    return evaluator(others).member(segment(when).when, person.subject, t)


def instant(text: str) -> int:
    """`2026-03-29T01:00` (UTC) in milliseconds."""
    return parse_instant(text)
