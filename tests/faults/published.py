"""Whether the topics are what their stores hold: dense, in order, each record once and as it was."""

import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from headrace.log.port import Record
from tests.faults.evidence import DEAD_LETTERS, MESSAGES, PROFILE_EVENTS, SEGMENT_CHANGES, Evidence, TimelineRow

_SEQ, _EPOCH = "headrace-seq", "headrace-epoch"
_SHOWN = 5


@dataclass
class Findings:
    """What is lost and what is doubled, each told in a line."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)

    def missing(self, what: str) -> None:
        self.lost.append(what)

    def extra(self, what: str) -> None:
        self.doubled.append(what)

    def compare(self, what: str, wanted: int, found: int) -> None:
        """A number of things of which `found` are there."""
        if found < wanted:
            self.missing(f"{what}: {wanted} expected, {int(found)} found")
        elif found > wanted:
            self.extra(f"{what}: {wanted} expected, {int(found)} found")

    def __bool__(self) -> bool:
        return bool(self.lost or self.doubled)

    def __str__(self) -> str:
        parts = (("lost", self.lost), ("doubled", self.doubled))
        return "\n".join(
            f"{kind} {len(found)}: {'; '.join(found[:_SHOWN])}{' …' if len(found) > _SHOWN else ''}"
            for kind, found in parts
            if found
        )


Numbered = dict[tuple[int, int], dict[str, Any]]
"""Values by (epoch, number)."""


def check_topics(evidence: Evidence, findings: Findings) -> None:
    """Profile events are the timeline, row by row; segment changes and outcomes are dense, and equal to what
    their store still holds; dead letters are what tests put there."""
    rows: dict[int, list[TimelineRow]] = defaultdict(list)
    for row in evidence.timeline:
        rows[row.partition].append(row)
    for (topic, partition), records in sorted(evidence.records.items()):
        if topic in (PROFILE_EVENTS, SEGMENT_CHANGES, MESSAGES):
            numbered = _numbered(f"{topic}/{partition}", records, findings)
            if topic == PROFILE_EVENTS:
                _check_rows(f"{topic}/{partition}", rows[partition], numbered, findings)
            elif topic == SEGMENT_CHANGES:
                _check_outbox(f"{topic}/{partition}", evidence.outboxes[partition], numbered, findings)


def dead_letters(evidence: Evidence) -> Counter[str]:
    """How many records were set aside, by reason; a repeated letter counts once."""
    letters = [
        json.loads(record.value or b"{}")
        for (topic, _), records in evidence.records.items()
        if topic == DEAD_LETTERS
        for record in records
    ]
    return Counter(letter["reason"] for letter in {letter["id"]: letter for letter in letters}.values())


def entries_and_exits(evidence: Evidence, findings: Findings) -> dict[tuple[str, str], tuple[int, int]]:
    """How often each (profile, segment) entered and exited, which must take turns unless it was merged with
    another, each with its own id; to who dedupes by it, since what a new epoch tells again has the same."""
    merged = evidence.roots.keys() | set(evidence.roots.values())
    replayed = replayed_profiles(evidence)
    actions: dict[tuple[str, str], list[str]] = defaultdict(list)
    ids: Counter[tuple[int, str]] = Counter()
    seen: set[str] = set()
    for (topic, partition), records in sorted(evidence.records.items()):
        if topic != SEGMENT_CHANGES:
            continue
        for (epoch, _), change in sorted(_numbered(f"{topic}/{partition}", records, Findings()).items()):
            properties, message_id = change["properties"], change["messageId"]
            ids[epoch, message_id] += 1
            if message_id not in seen:
                actions[change["profile"]["id"], properties["segment_id"]].append(properties["action"])
            seen.add(message_id)
    for (_, message_id), number in ids.items():
        findings.compare(f"changes: {message_id}", 1, number)
    for (profile, segment), found in actions.items():
        turns = [("entered", "exited")[number % 2] for number in range(len(found))]
        if profile not in merged | replayed and found != turns:
            findings.extra(f"changes: {segment}/{profile} went {', '.join(found)}")
    return {key: (found.count("entered"), found.count("exited")) for key, found in actions.items()}


def replayed_profiles(evidence: Evidence) -> set[str]:
    """Everybody who was there in an epoch that is over, as what they became: what was published of them stands,
    and the instants at which timers saw their events may be others the second time."""
    found: dict[int, set[str]] = defaultdict(set)
    for (topic, _), records in evidence.records.items():
        if topic == PROFILE_EVENTS:
            for (epoch, _), value in _numbered("", records, Findings()).items():
                found[epoch].add(str(value.get("profile_id")))
    over = set().union(*(profiles for epoch, profiles in found.items() if epoch != max(found)))
    return over | {evidence.roots[profile] for profile in over if profile in evidence.roots}


def _numbered(where: str, records: Sequence[Record], findings: Findings) -> Numbered:
    """A topic's partition without repeats and without what has no number: dense within each epoch, the first of
    which begins with 1. What comes of an epoch that is over is a repeat."""
    found: Numbered = {}
    last: dict[int, int] = {}
    for record in records:
        headers = dict(record.headers)
        if _SEQ not in headers or headers.get("ce_type") == b"io.headrace.profile.tick.v1":
            continue
        epoch, seq, value = int(headers[_EPOCH]), int(headers[_SEQ]), json.loads(record.value or b"null")
        expected = last.get(epoch, seq - 1 if last else 0) + 1
        if (epoch, seq) not in found and seq != expected:
            findings.missing(f"{where}: after {expected - 1} comes {seq}")
        if found.setdefault((epoch, seq), value) != value:
            findings.extra(f"{where}: {seq} has two values")
        last[epoch] = max(seq, last.get(epoch, 0))
    return found


def _check_rows(where: str, rows: Sequence[TimelineRow], published: Numbered, findings: Findings) -> None:
    for number, row in enumerate(rows, 1):
        if row.seq != number:
            findings.missing(f"timeline: partition {row.partition} has {row.seq} where {number} should be")
        value = {"seq": row.seq, "epoch": row.epoch, "time": row.time, "low": row.low, **row.payload}
        if (row.epoch, row.seq) not in published:
            findings.missing(f"{where}: {row.seq}")
        elif published[row.epoch, row.seq] != value:
            findings.missing(f"{where}: {row.seq} is not the timeline's")
    for earlier, later in itertools.pairwise(rows):
        if later.low < earlier.low or later.time < earlier.time:
            findings.extra(f"timeline: time steps back at {later.seq} of partition {later.partition}")
    last = max((epoch for epoch, _ in published), default=0)
    ours, theirs = (sum(epoch == last for epoch, _ in published), sum(row.epoch == last for row in rows))
    if ours > theirs:
        findings.extra(f"{where}: {ours} published in epoch {last}, the timeline has {theirs}")


def _check_outbox(where: str, outbox: Sequence[tuple[int, str]], numbered: Numbered, findings: Findings) -> None:
    last = max((epoch for epoch, _ in numbered), default=0)
    published = {seq: value for (epoch, seq), value in numbered.items() if epoch == last}
    for seq, message_id in outbox:
        if seq not in published:
            findings.missing(f"{where}: {seq} stands in the outbox only")
        elif published[seq]["messageId"] != message_id:
            findings.missing(f"{where}: {seq} is not the outbox's")
    if outbox and published and outbox[-1][0] < max(published):
        findings.extra(f"{where}: {max(published)} published, the outbox ends at {outbox[-1][0]}")
