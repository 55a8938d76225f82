"""Splits that are decided, on rows of a real ledger."""

import asyncio
import json
import random
from typing import Any

import pytest
from pydantic import ValidationError

from headrace.contracts.campaign import body_of, parse_campaign
from headrace.contracts.campaign_steps import Split
from headrace.contracts.errors import InvalidDefinition
from services.messenger.definitions import Definitions
from services.messenger.learning import Splits, winners
from services.messenger.split_decider import SplitDecider, pause_ms
from services.messenger.split_shares import split_places
from tests.unit.messenger.ledger_rows import entry, message, write
from tests.unit.messenger.rig import Rig, campaign, eventually

HOUR = 3_600_000
SEND = {"send": {"channel": "sms", "template": "hello"}}
GOAL = {"event": "Order Completed", "within": "3d"}


def split(metric: str = "conversion", *, names: str = "ab", **winner: Any) -> dict[str, Any]:
    return {
        "split": {
            "variants": {name: {"weight": 1, "steps": [SEND]} for name in names},
            "winner": {"metric": metric, "after": "1h", **winner},
        }
    }


async def publish(rig: Rig, *steps: dict[str, Any]) -> Splits:
    """Publish the campaign; who decides its splits."""
    await rig.define(campaign(goal=GOAL, steps=list(steps)))
    return Splits(rig.pool, Definitions(rig.pool))


async def went(rig: Rig, version: int, path: str = "0", people: int = 300, **rates: float) -> None:
    """Entries that were split, with so many conversions of each variant."""
    rows = []
    for name, rate in rates.items():
        for number in range(people):
            converted = rig.clock() if number < rate * people else None
            key = f"v{version}-{path}-{name}-{number}"
            rows.append(
                entry(key, profile_id=key, campaign_version=version, variants={path: name}, converted_at=converted)
            )
    await write(rig.pool, rows)


async def won(rig: Rig) -> dict[tuple[str, str], str]:
    async with rig.pool.acquire() as connection:
        return dict(await winners(connection, ["welcome"]))


async def stored(rig: Rig) -> list[Any]:
    return list(await rig.pool.fetch("SELECT * FROM split_decision ORDER BY first_at, path"))


async def test_the_better_variant_is_taken_after_its_time(rig: Rig) -> None:
    splits = await publish(rig, split())
    assert await splits.look(rig.clock()) == []
    assert await splits.next_due() is None  # nobody has gone through it

    await went(rig, 2, a=0.2, b=0.4)
    assert await splits.look(rig.clock()) == []
    due = rig.clock() + HOUR
    assert await splits.next_due() == due
    assert await splits.look(due - 1) == []
    assert await won(rig) == {}
    (decided,) = await splits.look(due)
    assert (decided.path, decided.variant, decided.outcome) == ("0", "b", "better")
    assert await won(rig) == {("welcome", "0"): "b"}

    (row,) = await stored(rig)
    stats = json.loads(row["stats"])
    assert stats["variants"]["b"] == {"people": 300, "hits": 120, "rate": 0.4}
    assert (stats["against"], stats["outcome"]) == ("a", "better")
    (comparison,) = stats["comparisons"]
    assert comparison["is_better"]
    assert comparison["interval"][0] > 0


async def test_it_is_looked_at_once(rig: Rig) -> None:
    splits = await publish(rig, split())
    await went(rig, 2, a=0.2, b=0.2)
    await splits.look(rig.clock())
    (decided,) = await splits.look(rig.clock() + HOUR)
    assert (decided.variant, decided.outcome) == (None, "none")
    # b is better from now on, and nobody asks any more
    await went(rig, 2, path="0", people=200, c=0.0)
    await rig.pool.execute("UPDATE entry SET converted_at = 1 WHERE variants ->> '0' = 'b'")
    assert await splits.look(rig.clock() + 100 * HOUR) == []
    assert await won(rig) == {}


async def test_without_a_winner_the_fallback_is_taken(rig: Rig) -> None:
    splits = await publish(rig, split(fallback="b"))
    await went(rig, 2, people=10, a=0.5, b=0.5)
    await splits.look(rig.clock())
    (decided,) = await splits.look(rig.clock() + HOUR)
    assert (decided.variant, decided.outcome) == ("b", "fallback")
    assert await won(rig) == {("welcome", "0"): "b"}


@pytest.mark.parametrize(("metric", "column"), [("opens", "opened_at"), ("clicks", "clicked_at")])
async def test_opens_and_clicks_are_those_of_the_splits_own_messages(rig: Rig, metric: str, column: str) -> None:
    splits = await publish(rig, split(metric), SEND)
    await went(rig, 2, a=0, b=0)
    mine = [(f"v2-0-{name}-{n}", name, n) for name in "ab" for n in range(300)]
    # b's own messages work; those of the later step and a proxy's opens would make a the winner
    await write(
        rig.pool,
        [],
        [
            message(key, f"0.{name}.0", **{column: 1 if name == "b" and n < 100 else None, "machine_opened_at": 1})
            for key, name, n in mine
        ]
        + [
            message(key, "1", **{column: 1 if name == "a" else None, "machine_opened_at": 1})
            for key, name, n in mine
        ],
    )
    await splits.look(rig.clock())
    (decided,) = await splits.look(rig.clock() + HOUR)
    assert decided.variant == "b"
    stats = json.loads((await stored(rig))[0]["stats"])
    assert {name: each["hits"] for name, each in stats["variants"].items()} == {"a": 0, "b": 100}


async def test_a_split_that_sends_nothing_itself_counts_what_follows(rig: Rig) -> None:
    quiet = split("opens")
    for variant in quiet["split"]["variants"].values():
        variant["steps"] = [{"tag": {"name": "tested"}}]
    splits = await publish(rig, quiet, SEND)
    await went(rig, 2, a=0, b=0)
    await write(rig.pool, [], [message(f"v2-0-b-{n}", "1", opened_at=1) for n in range(90)])
    await splits.look(rig.clock())
    assert [one.variant for one in await splits.look(rig.clock() + HOUR)] == ["b"]


async def test_people_count_and_not_how_often_they_enter(rig: Rig) -> None:
    splits = await publish(rig, split())
    again = [
        entry(
            f"{name}-{n}", campaign_version=2, profile_id=name, variants={"0": name}, converted_at=1 if n else None
        )
        for name in "ab"
        for n in range(50 if name == "b" else 1)
    ]
    await write(rig.pool, again)
    await splits.look(rig.clock())
    await splits.look(rig.clock() + HOUR)
    stats = json.loads((await stored(rig))[0]["stats"])
    assert stats["variants"] == {
        "a": {"people": 1, "hits": 0, "rate": 0.0},
        "b": {"people": 1, "hits": 1, "rate": 1.0},
    }


async def test_a_changed_split_starts_anew_and_an_unchanged_one_goes_on(rig: Rig) -> None:
    splits = await publish(rig, split())
    await went(rig, 2, a=0.2, b=0.4)
    await splits.look(rig.clock())
    assert len(await splits.look(rig.clock() + HOUR)) == 1
    # another step after it: the same split, decided as it was
    await publish(rig, split(), SEND)
    assert await won(rig) == {("welcome", "0"): "b"}
    # another split at the same place: not decided, at once, and those of the old one do not count in it
    await publish(rig, split(names="abc"), SEND)
    assert await won(rig) == {}
    assert await splits.look(rig.clock() + 2 * HOUR) == []
    assert await splits.next_due() is None
    await went(rig, 4, a=0.1, b=0.1, c=0.5)
    await splits.look(rig.clock() + 2 * HOUR)
    (decided,) = await splits.look(rig.clock() + 3 * HOUR)
    assert decided.variant == "c"
    assert await won(rig) == {("welcome", "0"): "c"}
    # and back: what was found out is still known
    await publish(rig, split())
    assert await won(rig) == {("welcome", "0"): "b"}


async def test_entries_of_all_versions_with_this_split_count(rig: Rig) -> None:
    splits = await publish(rig, split())
    await publish(rig, split(), SEND)
    await went(rig, 2, people=100, a=0.2, b=0.3)
    await went(rig, 3, people=50, a=0.2, b=0.3)
    await splits.look(rig.clock())
    await splits.look(rig.clock() + HOUR)
    stats = json.loads((await stored(rig))[0]["stats"])
    assert {name: each["people"] for name, each in stats["variants"].items()} == {"a": 150, "b": 150}


async def test_nested_splits_are_found_whatever_their_variants_are_called(rig: Rig) -> None:
    inner = split(names="xy")
    branch = {"branch": {"if": {"segment": {"id": "vip"}}, "then": [SEND], "else": [inner]}}
    outer = {"split": {"variants": {"then": {"steps": [branch]}, "else": {"steps": [inner, inner]}}}}
    splits = await publish(rig, SEND, outer)
    ways = {"1.then.0.else.0": "x", "1.else.0": "x", "1.else.1": "y"}
    await write(rig.pool, [entry("e1", campaign_version=2, variants=ways)])
    await splits.look(rig.clock())
    assert {row["path"] for row in await stored(rig)} == set(ways)
    body = body_of(parse_campaign(campaign(goal=GOAL, steps=[SEND, outer])))
    for path, place in split_places(parse_campaign(body).steps):
        found: Any = body
        for part in place:
            found = found[int(part)] if isinstance(found, list) else found[part]
        assert "variants" in found, path


async def test_processes_that_look_at_once_decide_once(rig: Rig) -> None:
    splits = await publish(rig, *(split(after=f"{n}s") for n in range(1, 9)))
    ways = {str(n): "a" for n in range(8)}
    await write(
        rig.pool, [entry(f"e{n}", profile_id=f"p{n}", campaign_version=2, variants=ways) for n in range(20)]
    )
    others = [Splits(rig.pool, Definitions(rig.pool)) for _ in range(3)]
    await asyncio.gather(*(one.look(rig.clock()) for one in others))
    found = await asyncio.gather(*(one.look(rig.clock() + HOUR) for one in [splits, *others]))
    assert sorted(one.path for decided in found for one in decided) == [str(n) for n in range(8)]


async def test_the_loop_notes_and_decides(rig: Rig) -> None:
    splits = await publish(rig, split(after="1s"))
    await went(rig, 2, a=0.2, b=0.4)
    loop = asyncio.ensure_future(SplitDecider(splits, clock=rig.clock).run())
    try:
        await eventually(lambda: stored(rig))
        rig.clock.now += 1000
        await eventually(lambda: won(rig))
    finally:
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)
    assert await won(rig) == {("welcome", "0"): "b"}


async def test_what_is_asked_of_no_campaign_is_nothing(rig: Rig) -> None:
    async with rig.pool.acquire() as connection:
        assert await winners(connection, []) == {}
        assert await winners(connection, ["no-such"]) == {}


async def test_planted_winners_are_found_from_the_ledger_as_often_as_promised(rig: Rig) -> None:
    """All the way through Postgres: 12 campaigns with 2,000 people a side, a fifth more on a base of a fifth."""
    found = {"planted": 0, "none": 0}
    definitions = Definitions(rig.pool)
    splits = Splits(rig.pool, definitions)
    for seed in range(12):
        chance = random.Random(seed)
        for kind, rate in (("planted", 0.24), ("none", 0.2)):
            name = f"{kind}-{seed}"
            await rig.define(campaign(id=name, goal=GOAL, steps=[split()]))
            await write(
                rig.pool,
                [
                    entry(
                        f"{way}{n}",
                        campaign_id=name,
                        profile_id=f"{way}{n}",
                        variants={"0": way},
                        converted_at=1 if chance.random() < share else None,
                    )
                    for way, share in (("a", 0.2), ("b", rate))
                    for n in range(2000)
                ],
            )
    await splits.look(rig.clock())
    for one in await splits.look(rig.clock() + HOUR):
        found[one.campaign_id.split("-")[0]] += one.variant == "b"
    assert found["planted"] >= 10
    assert found["none"] <= 1


def test_the_variant_written_first_is_the_one_to_beat() -> None:
    written = {"variants": {"zeta": {}, "alpha": {}}, "winner": {"metric": "opens", "after": "1h"}}
    winner = Split.model_validate(written).winner
    assert winner is not None
    assert winner.against == "zeta"
    # a store of JSON sorts names: it is said in the body
    body = Split.model_validate(written).model_dump(exclude_none=True)
    reordered = {**body, "variants": dict(sorted(body["variants"].items()))}
    again = Split.model_validate(reordered).winner
    assert again is not None
    assert again.against == "zeta"
    with pytest.raises(ValidationError, match=r"winner\.against"):
        Split.model_validate({**written, "winner": {"metric": "opens", "after": "1h", "against": "beta"}})


def test_conversion_needs_a_goal() -> None:
    with pytest.raises(InvalidDefinition) as raised:
        parse_campaign(campaign(steps=[split()]))
    assert "goal" in raised.value.problems[0].reason


def test_the_next_look_is_in_a_minute_or_when_a_decision_is_due() -> None:
    assert [pause_ms(1000, due) for due in (None, 1500, 31_000, 999_999_999, 0)] == [
        60_000,
        1000,
        30_000,
        60_000,
        1000,
    ]
