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
    another, each with its own id."""
    merged = evidence.roots.keys() | set(evidence.roots.values())
    actions: dict[tuple[str, str], list[str]] = defaultdict(list)
    ids: Counter[str] = Counter()
    for (topic, partition), records in sorted(evidence.records.items()):
        if topic != SEGMENT_CHANGES:
            continue
        for _, change in sorted(_numbered(f"{topic}/{partition}", records, Findings()).items()):
            properties = change["properties"]
            actions[change["profile"]["id"], properties["segment_id"]].append(properties["action"])
            ids[change["messageId"]] += 1
    for message_id, number in ids.items():
        findings.compare(f"changes: {message_id}", 1, number)
    for (profile, segment), found in actions.items():
        if profile not in merged and found != [("entered", "exited")[number % 2] for number in range(len(found))]:
            findings.extra(f"changes: {segment}/{profile} went {', '.join(found)}")
    return {key: (found.count("entered"), found.count("exited")) for key, found in actions.items()}


def _numbered(where: str, records: Sequence[Record], findings: Findings) -> dict[int, dict[str, Any]]:
    """A topic's partition without repeats and without what has no number: values by number, dense from 1."""
    found: dict[int, dict[str, Any]] = {}
    for record in records:
        headers = dict(record.headers)
        if _SEQ not in headers or headers.get("ce_type") == b"io.headrace.profile.tick.v1":
            continue
        if headers[_EPOCH] != b"1":
            findings.extra(f"{where}: epoch {headers[_EPOCH].decode()}")
        seq, value = int(headers[_SEQ]), json.loads(record.value or b"null")
        if seq not in found and seq != len(found) + 1:
            findings.missing(f"{where}: after {len(found)} comes {seq}")
        if found.setdefault(seq, value) != value:
            findings.extra(f"{where}: {seq} has two values")
    return found


def _check_rows(
    where: str, rows: Sequence[TimelineRow], published: dict[int, dict[str, Any]], findings: Findings
) -> None:
    for number, row in enumerate(rows, 1):
        if row.seq != number:
            findings.missing(f"timeline: partition {row.partition} has {row.seq} where {number} should be")
        value = {"seq": row.seq, "epoch": row.epoch, "time": row.time, "low": row.low, **row.payload}
        if row.seq not in published:
            findings.missing(f"{where}: {row.seq}")
        elif published[row.seq] != value:
            findings.missing(f"{where}: {row.seq} is not the timeline's")
    for earlier, later in itertools.pairwise(rows):
        if later.low < earlier.low or later.time < earlier.time:
            findings.extra(f"timeline: time steps back at {later.seq} of partition {later.partition}")
    if len(published) > len(rows):
        findings.extra(f"{where}: {len(published)} published, the timeline has {len(rows)}")


def _check_outbox(
    where: str, outbox: Sequence[tuple[int, str]], published: dict[int, dict[str, Any]], findings: Findings
) -> None:
    for seq, message_id in outbox:
        if seq not in published:
            findings.missing(f"{where}: {seq} stands in the outbox only")
        elif published[seq]["messageId"] != message_id:
            findings.missing(f"{where}: {seq} is not the outbox's")
    if outbox and published and outbox[-1][0] < max(published):
        findings.extra(f"{where}: {max(published)} published, the outbox ends at {outbox[-1][0]}")
