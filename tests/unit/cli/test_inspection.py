"""The tree that `headrace explain` prints."""

import io

from rich.console import Console

from headrace.cli.explanation import render

ANSWER = {
    "segment_id": "lapsing",
    "version": 3,
    "profile_id": "p1",
    "member": True,
    "membership": {"entered_at": "2026-01-02T00:00:00.000Z", "cause_message_id": "m6"},
    "next_change_at": "2026-04-02T00:00:00.000Z",
    "when": {
        "result": True,
        "all": [
            {
                "result": True,
                "event": {"name": ["Order Completed"], "sum": {"of": "properties.total", "gte": 1000}},
                "value": 1200.5,
                "approximate": True,
                "events": [{"message_id": f"m{n}", "timestamp": f"2026-01-0{n}"} for n in range(1, 8)],
            },
            {"result": True, "not": {"result": False, "trait": {"name": "plan", "in": ["a", "b"]}, "value": None}},
        ],
    },
}


def printed(answer: dict[str, object]) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(render(answer))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_every_condition_has_its_result_value_and_deciding_events() -> None:
    lines = [line.lstrip("│├└─ ").rstrip() for line in printed(ANSWER).splitlines()]
    assert lines == [
        "p1 is in lapsing version 3, since 2026-01-02T00:00:00.000Z by m6",
        "yes all of",
        "yes event Order Completed sum of properties.total gte 1000: value 1200.5 (approximate)",
        *(f"2026-01-0{n} m{n}" for n in range(3, 8)),
        "and 2 before",
        "yes not",
        "no  trait plan in [a, b]: value none",
        "this changes by itself at 2026-04-02T00:00:00.000Z",
    ]


def test_somebody_outside_has_no_entry() -> None:
    answer = {**ANSWER, "member": False, "membership": None, "next_change_at": None}
    assert printed(answer).splitlines()[0] == "p1 is not in lapsing version 3"
