"""Every kind of condition has a line in the tree, and what it asks in turn below it."""

import io
from typing import Any

import pytest
from rich.console import Console

from headrace.cli.explanation import render

TRAIT = {"result": True, "trait": {"name": "plan", "eq": "gold"}, "value": "gold", "events": []}
EVENT = {"message_id": "m1", "timestamp": "2026-01-01"}


def lines(when: dict[str, Any]) -> list[str]:
    answer = {"profile_id": "p1", "segment_id": "x", "version": 1, "member": False, "when": when}
    console = Console(file=io.StringIO(), width=200)
    console.print(render(answer))
    assert isinstance(console.file, io.StringIO)
    return [line.lstrip("│├└─ ").rstrip() for line in console.file.getvalue().splitlines()][1:]


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        (
            {"result": False, "held": {"for": "3d", "condition": {}}, "value": None, "condition": TRAIT},
            ["no  held for 3d: value none", "yes trait plan eq gold: value gold"],
        ),
        (
            {"result": False, "segment": {"id": "vip", "member": False}, "when": TRAIT},
            ["no  segment id vip member false", "yes trait plan eq gold: value gold"],
        ),
        (
            {"result": True, "segment": {"id": "vip", "member": False}, "reason": "has no live version"},
            ["yes segment id vip member false", "has no live version"],
        ),
        (
            {
                "result": True,
                "sequence": {"steps": [{"event": ["A"]}], "by": "properties.cart"},
                "value": True,
                "runs": [{"result": True, "by": "c1", "from": "2026-01-02", "until": None, "events": [EVENT]}],
            },
            [
                "yes sequence steps [event [A]] by properties.cart: value true",
                "yes run of c1 from 2026-01-02",
                "2026-01-01 m1",
            ],
        ),
        ({"result": False, "tag": {"name": "vip"}, "value": None}, ["no  tag vip: value none"]),
        (
            {
                "result": True,
                "rfm": {"class": "champions"},
                "value": {"frequency": 3},
                "scores": {"frequency": 5},
                "events": [EVENT],
            },
            ["yes rfm class champions: value frequency 3, scores frequency 5", "2026-01-01 m1"],
        ),
        ({"result": True, "percent": {"to": 10}, "value": 3.2}, ["yes percent to 10: value 3.2"]),
        ({"result": True, "geo": {"within_km": 25}, "value": 3}, ["yes geo within_km 25: value 3"]),
        (
            {"result": True, "consent": {"channel": "sms"}, "value": "granted"},
            ["yes consent channel sms: value granted"],
        ),
        ({"result": True, "message": {"campaign": "c"}, "value": 1}, ["yes message campaign c: value 1"]),
    ],
)  # fmt: skip
def test_a_condition_is_shown(when: dict[str, Any], expected: list[str]) -> None:
    assert lines(when) == expected


@pytest.mark.parametrize(("cause", "said"), [("m1", "since 2026-01-02 by m1"), (None, "since 2026-01-02")])
def test_only_a_message_that_there_is_caused_a_membership(cause: str | None, said: str) -> None:
    held = {"entered_at": "2026-01-02", "cause_message_id": cause}
    answer = {"profile_id": "p1", "segment_id": "x", "version": 1, "member": True, "when": TRAIT}
    assert str(render({**answer, "membership": held}).label) == f"p1 is in x version 1, {said}"


def test_a_paused_segment_is_said_to_be_so() -> None:
    answer = {"profile_id": "p1", "segment_id": "x", "version": 1, "member": False, "when": TRAIT}
    tree = render({**answer, "paused": True, "next_change_at": "2026-01-02"})
    assert [str(branch.label) for branch in tree.children] == [
        "yes trait plan eq gold: value gold",
        "the segment is paused: membership stays as it is until it is resumed",
    ]
