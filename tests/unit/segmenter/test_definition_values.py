"""A value that is refused is told in plain words, at its place as written, with what to write instead."""

import pytest

from tests.unit.segmenter.definitions import definition, told, written


def one(when: str) -> tuple[str, str, str]:
    [found] = told(definition(written(when)))
    return found


@pytest.mark.parametrize(
    ("text", "suggestion"),
    [
        ("30", "write 30d"),
        ("7 days", "write 7d"),
        ("1month", "months and years have no fixed length: write 30d"),
        ("2 years", "months and years have no fixed length: write 730d"),
        ("P1M", "months and years have no fixed length: write 30d"),
        ("P1Y2M", "months and years have no fixed length: write 425d"),
        ("1.5h", "write 90m"),
        ("0.5w", "write 84h"),
        ("24 Hours", "write 24h"),
        ("0d", "write for instance 90s, 15m, 1h, 7d or 12w"),
        ("soon", "write for instance 90s, 15m, 1h, 7d or 12w"),
        ("true", "write for instance 90s, 15m, 1h, 7d or 12w"),
        ("[7d]", "write for instance 90s, 15m, 1h, 7d or 12w"),
        ("99999w", "write for instance 1s, 30d or 3650d"),
    ],
)
def test_durations(text: str, suggestion: str) -> None:
    path, reason, hint = one(f"{{event: {{name: A, within: {text}}}}}")
    assert path == "when.event.within"
    assert reason.startswith("must be")
    assert hint == suggestion


@pytest.mark.parametrize(
    ("text", "suggestion"),
    [
        ("2026-13-01", "write year, month and day, as in 2026-11-27"),
        ("2026-02-30", "write year, month and day, as in 2026-11-27"),
        ("24.12.2026", "write year, month and day, as in 2026-12-24"),
        ("2026/1/5", "write year, month and day, as in 2026-01-05"),
        ("2026-11-27T10:00:00", "add the offset from UTC: 2026-11-27T10:00:00Z"),
        ("2026-11-27T25:00:00Z", "write year, month and day"),
        ("20261127", "write year, month and day"),
    ],
)
def test_bounds_of_a_window(text: str, suggestion: str) -> None:
    path, _, hint = one(f"{{event: {{name: A, between: {{from: {text}, to: 2027-01-01}}}}}}")
    assert path == "when.event.between.from"
    assert hint.startswith(suggestion)


@pytest.mark.parametrize(
    ("when", "path", "reason", "suggestion"),
    [
        ("{name: []}", "name", "is an empty list", "write at least one"),
        ('{name: ""}', "name", "is empty", "write at least one character"),
        ("{name: 5}", "name", "must be an event's name, or a list", "write for instance Order Completed"),
        ("{name: [A, 5]}", "name.1", "must be text", 'write "5", in quotes'),
        ('{name: A, count: {gte: "2"}}', "count.gte", "must be a whole number from 0", "write 2, without quotes"),
        ("{name: A, count: {gte: 1.5}}", "count.gte", "must be a whole number from 0", "write a number such as 2"),
        (
            "{name: A, count: {gte: true}}",
            "count.gte",
            "must be a whole number from 0",
            "write a number such as 2",
        ),
        ("{name: A, count: {between: 5}}", "count.between", "must be a list", "write between: [10, 20]"),
        ("{name: A, count: {between: [5]}}", "count.between", "must be two values", "write between: [10, 20]"),
        (
            "{name: A, count: {between: [1, 2, 3]}}",
            "count.between",
            "must be two values",
            "write between: [10, 20]",
        ),
        (
            "{name: A, count: {gte: 10001}, within: 1d}",
            "",
            "asks for a count above 10000 within",
            "leave the window",
        ),
        ("{name: A, within: 1d, between: {from: 2026-01-01, to: 2026-02-01}}", "", "has two windows", "keep one"),
        (
            "{name: A, between: {from: 2026-02-01, to: 2026-02-01}}",
            "between",
            "from must be before to",
            "exchange",
        ),
        ("{name: A, sum: {of: x, gte: 10 CZK}}", "sum.gte", "must be a number", "write 10, without quotes, signs"),
        ("{name: A, sum: {of: a..b, gte: 1}}", "sum.of", "is not a path", "write names joined by dots"),
        ("{name: A, sum: {of: x, gte: 1, currency: Kč}}", "sum.currency", "is not a currency", "write its three"),
        (
            "{name: A, sum: {of: x, gte: 1}, currency: 5}",
            "",
            "has a currency that is not three",
            "write for instance",
        ),
        (
            "{name: A, count: {gte: 1}, currency: CZK}",
            "",
            "has a currency without one sum, avg",
            "leave the currency",
        ),
        ("{name: A, where: [{path: a, eq: [1]}]}", "where.0.eq", "must be one text, number", "for one of several"),
        ("{name: A, where: [{path: a, in: 1}]}", "where.0.in", "must be a list", "write in: [1]"),
        ("{name: A, where: [{path: a, in: []}]}", "where.0.in", "is an empty list", "write at least one"),
        ("{name: A, where: [{path: a, gt: true}]}", "where.0.gt", "must be a number or text", "compare true and"),
        ("{name: A, where: [{path: a, exists: yes}]}", "where.0.exists", "must be true or false", "write true"),
        (
            "{name: A, where: [{path: a, local: {hours: [1, 2]}}]}",
            "where.0",
            "has a path beside local",
            "make two",
        ),
        (
            "{name: A, where: [{local: {}}]}",
            "where.0.local",
            "needs weekday, hours, or both",
            "write for instance",
        ),
    ],
)
def test_events(when: str, path: str, reason: str, suggestion: str) -> None:
    found = one(f"{{event: {when}}}")
    assert found[0] == f"when.event.{path}".rstrip(".")
    assert found[1].startswith(reason)
    assert found[2].startswith(suggestion)


@pytest.mark.parametrize(
    ("local", "path", "suggestion"),
    [
        ("{weekday: [saturday]}", ".weekday.0", "did you mean sat?"),
        ("{weekday: [Sun]}", ".weekday.0", "did you mean sun?"),
        ("{weekday: sat}", ".weekday", "write weekday: [sat]"),
        ('{hours: ["18:00", 24]}', ".hours.0", "write 18"),
        ("{hours: [18, 25]}", ".hours.1", "write [18, 24]: from 18:00 on"),
        ("{hours: [22, 6]}", "", "over midnight, put [22, 24] and [0, 6] under any:"),
        ("{hours: [18]}", ".hours", "write hours: [18, 24]"),
        ("{hours: [8, 9], timezone: europe/prague}", ".timezone", "did you mean Europe/Prague?"),
        ("{hours: [8, 9], timezone: Prague}", ".timezone", "did you mean Europe/Prague?"),
        ("{hours: [8, 9], timezone: Europe/Atlantis}", ".timezone", ""),
        ("{hours: [8, 9], timezone: UTC+2}", ".timezone", ""),
    ],
)
def test_local_times(local: str, path: str, suggestion: str) -> None:
    found = one(f"{{event: {{name: A, where: [{{local: {local}}}]}}}}")
    assert found[0] == f"when.event.where.0.local{path}"
    assert found[2].startswith(suggestion)


@pytest.mark.parametrize(
    ("pattern", "suggestion"),
    [
        ("(a+)+$", "repeat once"),
        ("(a|aa)+$", "repeat once"),
        ("(a*)*", "repeat once"),
        ("(?=a)b", "looking ahead or behind is not available"),
        ("(?<!a)b", "looking ahead or behind is not available"),
        (r"(a)\1", "referring back to a group is not available"),
        ("[", "check brackets"),
        ("", 'write it in quotes, such as "^SALE-[0-9]+$"'),
    ],
)
def test_patterns(pattern: str, suggestion: str) -> None:
    [found] = told(definition({"trait": {"name": "a", "matches": pattern}}))
    assert found[0] == "when.trait.matches"
    assert found[2].startswith(suggestion)


@pytest.mark.parametrize(
    ("when", "path", "reason", "suggestion"),
    [
        (
            "{trait: {name: a, eq: 1000000000000000}}",
            "trait.eq",
            "must have at most 15 digits",
            "write an id as text",
        ),
        ("{trait: {name: a, contains: {}}}", "trait.contains", "must be one text, number", "for one of several"),
        (
            "{trait: {name: a, anniversary: {within: 400d}}}",
            "trait.anniversary",
            "is longer than a year",
            "write at",
        ),
        ("{trait: {name: a b, between: 5}}", "trait.between", "must be a list", "write between: [10, 20]"),
        ("{sequence: {steps: []}}", "sequence.steps", "is an empty list", "write at least one"),
        (
            "{sequence: {steps: [{event: A, within: 1h}]}}",
            "sequence",
            "has a first step with within",
            "leave that",
        ),
        (
            "{sequence: {steps: [{event: A}], then: {event: B, within: 1h}, then_not: {event: C, within: 1h}}}",
            "sequence",
            "has both then and then_not",
            "keep one",
        ),
        (
            "{sequence: {steps: [{event: A}], then_not: {event: B, within: 1h}, expires: 1h}}",
            "sequence",
            "expires no later than",
            "write expires longer than 1h",
        ),
        (
            "{segment: {id: VIP Customers}}",
            "segment.id",
            "is not an id",
            "an id has 1 to 64 of a-z, 0-9 and -: wr",
        ),
        ("{segment: {id: vip, member: no}}", "segment.member", "must be true or false", "write false"),
        ("{segment: {id: vip, for: 3}}", "segment.for", "must be a duration", "write 3d"),
        (
            "{held: {for: soon, condition: {tag: {name: a}}}}",
            "held.for",
            "must be a duration",
            "write for instance",
        ),
        ("{held: {for: 3d, condition: {tag: {name: 5}}}}", "held.condition.tag.name", "must be text", 'write "5"'),
        (
            "{consent: {channel: SMS}}",
            "consent.channel",
            "is not a channel",
            "write it in small letters, such as sms",
        ),
        (
            "{consent: {channel: sms, is: yes}}",
            "consent.is",
            "must be one of granted, withdr",
            "did you mean granted?",
        ),
        ("{percent: {from: 20, to: 10}}", "percent", "from must be less than to", "write from: 10, to: 20"),
        ("{percent: {from: 0, to: 10%}}", "percent.to", "must be a number from 0 to 100", "write 10, without"),
        (
            "{percent: {from: 0, to: 101}}",
            "percent.to",
            "must be a percentage from 0",
            "write a number such as 10",
        ),
        (
            "{percent: {from: 0, to: 0.001}}",
            "percent.to",
            "must be a percentage from 0",
            "write a number such as 10",
        ),
        (
            "{geo: {within_km: 5, of: [100, 16]}}",
            "geo.of",
            "has a latitude beyond 90",
            "the latitude comes first:",
        ),
        ("{geo: {within_km: 5, of: [200, 300]}}", "geo.of", "has a latitude beyond 90", "write degrees"),
        (
            '{geo: {within_km: 5, of: ["49", 16]}}',
            "geo.of",
            "must be a latitude and a longitude",
            "write for inst",
        ),
        (
            "{geo: {within_km: 0, of: [49, 16]}}",
            "geo.within_km",
            "must be a number of kilometres",
            "write a number",
        ),
        (
            "{geo: {within_km: 5 km, of: [49, 16]}}",
            "geo.within_km",
            "must be a number of kilometres",
            "write 5, with",
        ),
        ("{rfm: {class: Champions}}", "rfm.class", "must be one of champions, loyal", "did you mean champions?"),
        ("{rfm: {class: at_risk}}", "rfm.class", "must be one of champions, loyal", "did you mean at-risk?"),
        ("{rfm: {recency: 5}}", "rfm.recency", "must be a list", "write recency: [5]"),
        ("{rfm: {recency: [0]}}", "rfm.recency.0", "must be a score from 1 to 5", "5 is the best fifth"),
        ("{rfm: {}}", "rfm", "needs either a class or scores", "write class: champions"),
        ("{rfm: {class: new, recency: [5]}}", "rfm", "needs either a class or scores", "write class: champions"),
        (
            "{message: {campaign: c, did: click}}",
            "message.did",
            "must be one of sent, delivered",
            "did you mean cl",
        ),
        ("{not: {not: {tag: {name: ''}}}}", "not.not.tag.name", "is empty", "write at least one character"),
    ],
)
def test_the_other_conditions(when: str, path: str, reason: str, suggestion: str) -> None:
    found = one(when)
    assert found[0] == f"when.{path}"
    assert found[1].startswith(reason)
    assert found[2].startswith(suggestion)


@pytest.mark.parametrize(
    ("id", "suggestion"),
    [
        ("Cart Abandoners!", "an id has 1 to 64 of a-z, 0-9 and -: write cart-abandoners"),
        ("", "an id has 1 to 64 of a-z, 0-9 and -: cart-abandoners"),
        (5, 'write "5", in quotes'),
    ],
)
def test_ids(id: object, suggestion: str) -> None:
    [found] = told({**definition({"tag": {"name": "a"}}), "id": id})
    assert (found[0], found[2]) == ("id", suggestion)


@pytest.mark.parametrize("text", ["\0", "\ud800"])
def test_what_no_store_can_hold_is_refused(text: str) -> None:
    for when in (
        {"tag": {"name": text}},
        {"trait": {"name": text, "eq": 1}},
        {"trait": {"name": "a", "eq": text}},
        {"trait": {"name": "a", "matches": text}},
        {"event": {"name": text}},
        {"percent": {"from": 0, "to": 1, "salt": text}},
    ):
        assert told(definition(when))
    assert told({**definition({"tag": {"name": "a"}}), "name": text})


@pytest.mark.parametrize(
    "number",
    [float("inf"), float("nan"), 10**15, 10**5_000, 1e300, 0.1234567890123456],
    ids=["inf", "nan", "15", "5000", "1e300", "digits"],  # of such integers Python makes no text
)
def test_numbers_are_of_a_size_that_every_reader_keeps(number: float) -> None:
    for when in (
        {"trait": {"name": "a", "eq": number}},
        {"event": {"name": "A", "sum": {"of": "x", "gte": number}}},
        {"event": {"name": "A", "count": {"gte": number}}},
        {"percent": {"from": 0, "to": number}},
    ):
        assert told(definition(when))
    if not 0 < number < 20_100:
        assert told(definition({"geo": {"within_km": number, "of": [1, 2]}}))
