"""The recount itself: it agrees with evidence that is whole, and tells what is wrong with evidence that is not."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from headrace.log.port import Record
from tests.faults.evidence import PROFILE_EVENTS, SEGMENT_CHANGES, Document, Evidence, TimelineRow
from tests.faults.orders import CONSENT, FILLED, IDENTIFY, PAID, VISIT, WINDOW_SECONDS, Event
from tests.faults.published import Findings
from tests.faults.recount import SEGMENTS, recount
from tests.faults.shoppers import Answered
from tests.faults.verified import check_reports

USER, PROFILE, PHONE = "ada", "p1", "+33639980000"
START = 1_000_000
WINDOW = 1000 * WINDOW_SECONDS
SENT = [
    Answered(Event(USER, f"{USER}:{number}", name, 0.0, phone=PHONE if name == IDENTIFY else None), at, at + 5)
    for number, (name, at) in enumerate(
        [(IDENTIFY, START), (CONSENT, START), (VISIT, START + 10), (FILLED, START + 20), (PAID, START + 900)]
    )
]
CHANGES = [
    ("content", "entered"),
    ("reachable", "entered"),
    ("visiting", "entered"),
    ("welcomed", "entered"),
    ("visiting", "exited"),
    ("went-away", "entered"),
]
INSIDE = {"content", "reachable", "welcomed", "went-away"}
CART = {"cart": "1"}


def row(number: int, one: Answered) -> TimelineRow:
    name = None if one.event.name == IDENTIFY else one.event.name
    payload = {"kind": "event", "message_id": one.event.message_id, "properties": CART}
    at = one.timestamp
    return TimelineRow(
        0, number, 1, at + 5, at, PROFILE, "event", name, at, "server", one.event.message_id, payload
    )


def record(topic: str, seq: int, value: object) -> Record:
    headers = (("headrace-seq", b"%d" % seq), ("headrace-epoch", b"1"))
    return Record(topic, 0, seq - 1, 0, None, json.dumps(value).encode(), headers)


def profile_event(one: TimelineRow) -> Record:
    numbers = {"seq": one.seq, "epoch": one.epoch, "time": one.time, "low": one.low}
    return record(PROFILE_EVENTS, one.seq, {**numbers, **one.payload})


def change(number: int, segment: str, action: str) -> Record:
    properties = {"segment_id": segment, "action": action}
    return record(
        SEGMENT_CHANGES, number, {"messageId": f"m{number}", "profile": {"id": PROFILE}, "properties": properties}
    )


@pytest.fixture
def evidence() -> Evidence:
    timeline = [row(number, one) for number, one in enumerate(SENT, 1)]
    return Evidence(
        timeline=timeline,
        records={
            (PROFILE_EVENTS, 0): [profile_event(one) for one in timeline],
            (SEGMENT_CHANGES, 0): [change(number, *what) for number, what in enumerate(CHANGES, 1)],
        },
        members={segment: {PROFILE} if segment in INSIDE else set() for segment in SEGMENTS},
        outboxes={0: [(6, "m6")]},
        sms=[{"id": "s1", "to": PHONE, "campaign_id": "welcome"}],
    )


def test_nothing_is_found_where_nothing_is_wrong(evidence: Evidence) -> None:
    assert not recount(SENT, evidence)


def test_a_repeated_record_is_no_second_one(evidence: Evidence) -> None:
    for records in evidence.records.values():
        records.append(records[1])

    assert not recount(SENT, evidence)


def test_a_cart_is_abandoned_when_nobody_paid_in_time(evidence: Evidence) -> None:
    late = replace(SENT[-1], timestamp=START + 20 + WINDOW, answered=START + 25 + WINDOW)
    evidence.timeline[-1] = row(5, late)
    evidence.records[PROFILE_EVENTS, 0][-1] = profile_event(evidence.timeline[-1])

    assert "abandoners/p1 entered: 1 expected, 0 found" in str(recount([*SENT[:-1], late], evidence))


Spoil = Callable[[Evidence], object]


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda e: e.timeline.pop(), ": timeline: ada:4"),
        (lambda e: e.timeline.append(replace(e.timeline[1], seq=6)), "timeline: ada:1 2 times"),
        (lambda e: e.timeline.append(replace(e.timeline[1], seq=6, message_id="x")), "x was never answered 200"),
        (lambda e: e.records[PROFILE_EVENTS, 0].pop(), "cdp.profile-events.v1/0: 5"),
        (lambda e: e.records[PROFILE_EVENTS, 0].pop(2), "after 2 comes 4"),
        (lambda e: e.records[SEGMENT_CHANGES, 0].pop(), "6 stands in the outbox only"),
        (lambda e: e.outboxes.update({0: [(6, "m4")]}), "6 is not the outbox's"),
        (
            lambda e: e.records[SEGMENT_CHANGES, 0].append(change(7, "visiting", "exited")),
            "went entered, exited, exited",
        ),
        (lambda e: e.members["visiting"].add(PROFILE), "members: visiting/p1: 0 expected, 1 found"),
        (lambda e: e.members["content"].clear(), "members: content/p1: 1 expected, 0 found"),
        (lambda e: e.members["content"].add("p2"), "members: content/p2 is nobody"),
        (lambda e: e.sms.pop(), "sms: welcome to +33639980000: 1 expected, 0 found"),
        (lambda e: e.sms.append({**e.sms[0], "id": "s2"}), "sms: welcome to +33639980000: 1 expected, 2 found"),
        (lambda e: e.unsettled.append({"id": "s1", "status": "unknown", "reason": ""}), "s1 is unknown"),
    ],
)
def test_what_is_lost_or_doubled_is_told(evidence: Evidence, spoil: Spoil, told: str) -> None:
    spoil(evidence)

    assert told in str(recount(SENT, evidence))


def test_time_that_ran_ahead_of_a_payment_is_told(evidence: Evidence) -> None:
    ahead = replace(evidence.timeline[-1], low=START + 20 + WINDOW)
    evidence.timeline[-1] = ahead
    evidence.records[PROFILE_EVENTS, 0][-1] = profile_event(ahead)

    assert "ada paid in time, but `low` ran ahead" in str(recount(SENT, evidence))


@pytest.mark.parametrize(
    ("report", "told"),
    [
        (
            {"checked": 2, "mismatches": 1, "examples": [{"profile_id": "p1"}]},
            "doubled 1: verify: visiting: 1 mis",
        ),
        ({"checked": 1, "mismatches": 0, "examples": []}, "lost 1: verify: visiting: 1 of 2 customers checked"),
        ({"checked": 2, "mismatches": 0, "examples": []}, ""),
    ],
)
def test_what_the_second_evaluator_says_is_told(report: Document, told: str) -> None:
    findings = Findings()

    assert check_reports({"visiting": report}, 2, findings) == report["checked"]
    assert str(findings).startswith(told)
    assert bool(findings) == bool(told)


def test_a_payment_for_another_cart_does_not_save_this_one(evidence: Evidence) -> None:
    other = evidence.timeline[-1]
    evidence.timeline[-1] = replace(other, payload={**other.payload, "properties": {"cart": "2"}})
    evidence.records[PROFILE_EVENTS, 0][-1] = profile_event(evidence.timeline[-1])

    assert str(recount(SENT, evidence)).startswith("lost 2: members: left-cart/p1: 1 expected, 0 found")
