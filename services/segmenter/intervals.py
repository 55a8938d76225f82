"""From published changes to intervals of membership: what a batch opens, closes and counts. No I/O."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple, TypeAlias

from headrace.contracts.instant import Millis, parse_instant
from services.segmenter.followed import FollowedChange

HOUR_MS = 3_600_000
UNKNOWN: Millis = 0
"""When a membership began that was there before the first change that was followed."""
SUPERSEDED = "repair"
"""Why an interval ends whose exit was never published: the customer entered anew."""

Key: TypeAlias = tuple[str, str]
"""Segment and profile."""


class Interval(NamedTuple):
    """A membership from `entered_at`, included, to `exited_at`, excluded (None: it lasts)."""

    partition: int
    segment_id: str
    profile_id: str
    version: int
    entry_id: str
    cause_message_id: str | None
    entered_at: Millis
    entered_reason: str | None
    exited_at: Millis | None = None
    exited_reason: str | None = None

    def ended(self, at: Millis, reason: str) -> "Interval":
        return self._replace(exited_at=at, exited_reason=reason)


class Closing(NamedTuple):
    """What becomes of the open interval that is stored for a customer and segment, if one is: it ends `at`. But
    one of the entry `entry_id`, with which the batch begins again, ends as that does (None: it lasts)."""

    segment_id: str
    profile_id: str
    at: Millis
    reason: str
    entry_id: str | None = None
    then_at: Millis | None = None
    then_reason: str | None = None


class Count(NamedTuple):
    """What is counted, by the hour."""

    segment_id: str
    hour: Millis
    partition: int
    reason: str
    action: str


class Batch:
    """What a batch of one partition's changes comes to.

    A customer is in a segment once at a time. An exit ends whatever interval is open: a merge may have given the
    membership another entry. An exit of somebody who is not in changes nothing, since a merge's winner also
    publishes the end of its loser's entry; unless nothing was known of that customer: then it was in before.
    """

    def __init__(self, partition: int, changes: Iterable[FollowedChange]) -> None:
        self._partition = partition
        self._exits: dict[Key, Interval] = {}
        self._intervals: dict[Key, list[Interval]] = {}
        for change in changes:
            self._take(change)

    def closings(self) -> list[Closing]:
        """One for each customer and segment of the batch."""
        found = [Closing(*key, exit.exited_at or 0, exit.exited_reason or "") for key, exit in self._exits.items()]
        for key, (first, *_) in self._intervals.items():
            if key not in self._exits:
                found.append(
                    Closing(
                        *key, first.entered_at, SUPERSEDED, first.entry_id, first.exited_at, first.exited_reason
                    )
                )
        return found

    def from_before(self, met: Mapping[Key, bool]) -> list[Key]:
        """Whose exit met no open interval, which may have begun before what is followed. `met`: the open ones that
        `closings` met, and whether their entry came again."""
        return [key for key, exit in self._exits.items() if key not in met and exit.exited_reason != "merge"]

    def added(self, met: Mapping[Key, bool], known: Collection[Key]) -> list[Interval]:
        """The intervals to store. `known`: those of `from_before` who have an interval already."""
        before = [self._exits[key] for key in self.from_before(met) if key not in known]
        new = [
            interval
            for key, intervals in self._intervals.items()
            for interval in (intervals[1:] if met.get(key) else intervals)
        ]
        return before + new

    def counts(self, met: Mapping[Key, bool], added: Iterable[Interval]) -> Counter[Count]:
        """How often what happened: every beginning and end of an interval, once."""
        counts: Counter[Count] = Counter()
        for closing in self.closings():
            again = met.get((closing.segment_id, closing.profile_id))
            if again is False:
                self._count(counts, closing.segment_id, "exited", closing.at, closing.reason)
            elif again and closing.then_at is not None:
                self._count(counts, closing.segment_id, "exited", closing.then_at, closing.then_reason)
        for interval in added:
            if interval.entered_at != UNKNOWN:
                self._count(counts, interval.segment_id, "entered", interval.entered_at, interval.entered_reason)
            if interval.exited_at is not None:
                self._count(counts, interval.segment_id, "exited", interval.exited_at, interval.exited_reason)
        return counts

    def _count(self, counts: Counter[Count], segment_id: str, action: str, at: Millis, reason: str | None) -> None:
        counts[Count(segment_id, at - at % HOUR_MS, self._partition, reason or "", action)] += 1

    def _take(self, change: FollowedChange) -> None:
        begun = _begun(self._partition, change)
        key = begun.segment_id, begun.profile_id
        intervals = self._intervals.get(key)
        is_open = bool(intervals) and intervals is not None and intervals[-1].exited_at is None
        if change.change.properties["action"] == "entered":
            self._enter(key, begun, is_open)
        elif intervals and is_open:
            intervals[-1] = intervals[-1].ended(begun.entered_at, begun.entered_reason or "")
        elif not intervals and key not in self._exits:
            self._exits[key] = _from_before(begun)

    def _enter(self, key: Key, begun: Interval, is_open: bool) -> None:
        intervals = self._intervals.setdefault(key, [])
        if is_open:
            if intervals[-1].entry_id == begun.entry_id:
                return
            intervals[-1] = intervals[-1].ended(begun.entered_at, SUPERSEDED)
        intervals.append(begun)


def _begun(partition: int, change: FollowedChange) -> Interval:
    """The interval that the change opens, if it is an entry."""
    properties = change.change.properties
    return Interval(
        partition,
        properties["segment_id"],
        change.change.profile.id,
        properties["segment_version"],
        properties["entry_id"],
        properties.get("cause_message_id"),
        parse_instant(change.change.timestamp),
        properties["reason"],
    )


def _from_before(exit: Interval) -> Interval:
    """The interval that ends with an exit, when its beginning is not known."""
    reason = exit.entered_reason or ""
    return exit._replace(entered_at=UNKNOWN, entered_reason=None, cause_message_id=None).ended(
        exit.entered_at, reason
    )
