"""Customers selected by SQL with the rows that a condition needs: the answers are those that all rows give."""

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

import asyncpg
import msgspec
import pytest

from headrace.contracts.profile_event import (
    ErasureRow,
    EventRow,
    MergeRow,
    ProfileRow,
    SplitRow,
    TombstoneRow,
    UnmergeRow,
    encode_row,
)
from headrace.contracts.segment import SegmentDefinition, parse_segment
from services.segmenter.batch.customer import Subject, subject
from services.segmenter.batch.evaluator import Evaluator
from services.segmenter.batch.needs import Needs
from services.segmenter.batch.selection import evaluate_all, subjects
from services.segmenter.paths import decode_row
from tests.e2e.parted import part
from tests.e2e.segmenter_rig import HOUR, PARTITIONS, T0, Rig, segmenter_rig

Known = EventRow | MergeRow | UnmergeRow | SplitRow | TombstoneRow | ErasureRow
NOW = T0 + HOUR
BRNO = {"location": {"latitude": 49.19, "longitude": 16.61}}
PRAGUE = {"timezone": "Europe/Prague"}
DATE = {"trait": {"name": "since", "within_last": "1h"}}
CONDITIONS: Mapping[str, Any] = {
    "orders": {"event": {"name": "Order Completed", "count": {"gte": 2}}},
    "no-orders": {"not": {"event": {"name": "Order Completed"}}},
    "pages": {"event": {"name": "Page Viewed", "count": {"gte": 1}}},
    "city": {"trait": {"name": "city", "eq": "Brno"}},
    "date": DATE,
    "consent": {"consent": {"channel": "sms"}},
    "tag": {"tag": {"name": "vip"}},
    "near": {"geo": {"within_km": 1, "of": [49.19, 16.61]}},
    "half": {"percent": {"from": 0, "to": 50}},
    "reference": {"all": [{"segment": {"id": "city"}}, {"segment": {"id": "orders", "member": False}}]},
    "abandoned": {
        "sequence": {
            "steps": [{"event": "Product Added"}],
            "then_not": {"event": "Order Completed", "within": "10m"},
        }
    },
    "held": {
        "held": {"for": "30m", "condition": {"any": [{"tag": {"name": "vip"}}, {"segment": {"id": "city"}}]}}
    },
}


@pytest.fixture
async def rig(database_url: str, redis_url: str, log_url: str, topic_prefix: str) -> AsyncIterator[Rig]:
    async with segmenter_rig(database_url, redis_url, log_url, topic_prefix=topic_prefix) as rig:
        yield rig


async def wrote(rig: Rig, profile: str, name: str | None = None, **fields: Any) -> EventRow:
    """A stored event row."""
    for raw in ("properties", "context"):
        fields[raw] = msgspec.Raw(msgspec.json.encode(fields.get(raw, {})))
    header = await rig.header(rig.q(profile))
    row = EventRow(
        **header,
        profile_id=profile,
        source="shop",
        message_id=f"{rig.q(profile)}-{header['seq']}",
        type=fields.pop("type", "track"),
        ts=rig.time,
        event=name,
        **fields,
    )
    await rig.store(rig.q(profile), row)
    return row


async def merged(rig: Rig, winner: str, loser: str, **changes: Any) -> None:
    q, loser_q = rig.q(winner), rig.q(loser)
    common: dict[str, Any] = {"source": "shop", "message_id": f"merge-{winner}-{loser}"}
    gone = TombstoneRow(**await rig.header(loser_q), profile_id=loser, into=winner, **common)
    await rig.store(loser_q, gone)
    header = await rig.header(q)
    of_loser: dict[str, Any] = {"loser": loser, "loser_partition": loser_q, "loser_seq": gone.seq}
    await rig.store(q, MergeRow(**header, profile_id=winner, **of_loser, **common, **changes))


async def people(rig: Rig) -> None:
    """Somebody for each condition, merges over partitions in a chain, somebody merged away and somebody erased."""
    await wrote(rig, "p1", "Order Completed")
    await wrote(rig, "p1", "Order Completed", traits={"city": "Brno"})
    await wrote(rig, "p2", "Product Added", traits={"city": "Brno"}, tags={"vip": True})
    await wrote(rig, "p3", type="page", context=PRAGUE, consents={"sms": "granted"})
    await wrote(rig, "p3", type="identify", traits={"since": "2026-09-21T16:30:00"})  # where this is
    await wrote(rig, "p4", type="screen", context=BRNO)
    for number in range(10, 20):
        await wrote(rig, f"p{number}", "Order Completed", properties={"total": number})
    await merged(rig, "p11", "p12")
    await merged(rig, "p11", "p13", tags={"vip": True})
    await merged(rig, "p10", "p11", traits={"city": "Brno"})
    rig.time += 1_000
    await wrote(rig, "p14", "Order Completed")
    await wrote(rig, "p14", "Product Added", consents={"sms": "granted"}, tags={"vip": False})
    q = rig.q("p15")
    await rig.store(q, ErasureRow(**await rig.header(q), profile_id="p15"))


def definitions() -> dict[str, SegmentDefinition]:
    found: dict[str, SegmentDefinition] = {}
    for key, when in CONDITIONS.items():
        definition = parse_segment({"kind": "segment", "id": key, "name": key, "when": when})
        found |= {part.id: part for part in definition.segments()}
    return found


async def positions(rig: Rig, now: int = NOW) -> dict[int, tuple[int, int]]:
    rows = await rig.pool.fetch("SELECT q, max(seq) AS last FROM profiles.timeline GROUP BY q")
    return {row["q"]: (row["last"], now) for row in rows}


async def answers(rig: Rig, key: str, at: Mapping[int, tuple[int, int]], **how: Any) -> dict[str, bool]:
    found = [one async for one in evaluate_all(rig.pool, Evaluator(definitions()), key, at, **how)]
    assert len(dict(found)) == len(found)
    return dict(found)


async def everything(rig: Rig, at: Mapping[int, tuple[int, int]]) -> dict[str, Subject]:
    """Every customer with all rows there are."""
    rows: dict[str, list[ProfileRow]] = {}
    places: dict[tuple[int, int], Known] = {}
    for q, seq, time, payload in await rig.pool.fetch(
        "SELECT q, seq, time, payload FROM profiles.timeline ORDER BY seq"
    ):
        row = decode_row(encode_row(seq=seq, epoch=1, time=time, low=time, payload=payload.encode()))
        assert isinstance(row, Known)
        places[q, seq] = row
        if seq <= at[q][0]:
            rows.setdefault(row.profile_id, []).append(row)
    moved: dict[str, list[EventRow]] = {}
    for unmerge, q, seq in await rig.pool.fetch("SELECT unmerge_id, q, seq FROM profiles.moved"):
        row = places[q, seq]
        assert isinstance(row, EventRow)
        moved.setdefault(unmerge, []).append(row)
    here = [key for key, own in rows.items() if not isinstance(own[-1], TombstoneRow | ErasureRow)]
    return {key: subject(key, rows, at[rig.q(key)][0], moved) for key in here}


async def test_the_rows_that_a_condition_needs_give_the_answer_of_all_rows(rig: Rig) -> None:
    await people(rig)
    at = await positions(rig)
    whole = await everything(rig, at)
    judge = Evaluator(definitions())
    for key in CONDITIONS:
        expected = {one: judge.member(key, whole[one], NOW) for one in whole}
        assert await answers(rig, key, at) == expected, key
        assert set(expected.values()) == {True, False}, key  # otherwise it says nothing


async def test_what_unmerges_have_moved_is_read_with_whom_they_made(rig: Rig) -> None:
    await people(rig)
    page = await wrote(rig, "p10", type="page", context=PRAGUE, properties={"a": 1})
    [own] = await written(rig, "p10", "Order Completed")
    [once] = await written(rig, "p12", "Order Completed")
    await part(rig, "p10", "n1", [page, own, once], stays={"traits": {"city": None}}, goes={"tags": {"vip": True}})
    await part(rig, "n1", "n2", [once], goes={"consents": {"sms": "granted"}})
    await wrote(rig, "n2", "Order Completed")
    await merged(rig, "p10", "n1")
    at = await positions(rig)
    whole = await everything(rig, at)
    assert {key: len(one.events) for key, one in whole.items() if key in {"p10", "n2"}} == {"p10": 4, "n2": 2}
    judge = Evaluator(definitions())
    for key in CONDITIONS:
        expected = {one: judge.member(key, whole[one], NOW) for one in whole}
        assert await answers(rig, key, at) == expected, key


async def written(rig: Rig, profile: str, name: str) -> list[EventRow]:
    rows = await rig.pool.fetch(
        "SELECT seq, time, payload FROM profiles.timeline WHERE profile_id = $1 AND event = $2", profile, name
    )
    found = [
        decode_row(encode_row(seq=seq, epoch=1, time=time, low=time, payload=payload.encode()))
        for seq, time, payload in rows
    ]
    return [row for row in found if isinstance(row, EventRow)]


async def test_customers_are_those_that_are_there(rig: Rig) -> None:
    await people(rig)
    found = await answers(rig, "half", await positions(rig))
    assert set(found) == {"p1", "p2", "p3", "p4", "p10", "p14", "p16", "p17", "p18", "p19"}


async def test_a_winner_has_the_events_of_all_that_were_merged_into_it(rig: Rig) -> None:
    await people(rig)
    at = await positions(rig)
    judge = Evaluator(definitions())
    condition = parse_segment(
        {
            "kind": "segment",
            "id": "sum",
            "name": "Sum",
            "when": {
                "event": {"name": "Order Completed", "sum": {"of": "properties.total", "eq": 10 + 11 + 12 + 13}}
            },
        }
    ).segments()[0]
    found = {one async for one, member in evaluate_all(rig.pool, judge, condition.when, at) if member}
    assert found == {"p10"}


async def test_of_each_partition_the_rows_up_to_its_position_count(rig: Rig) -> None:
    await people(rig)
    before = await positions(rig)
    for profile in ("p1", "p2", "p3", "p4", "new"):
        await wrote(rig, profile, "Order Completed", tags={"vip": True})
    await merged(rig, "p2", "p1")
    for key in ("orders", "tag"):
        earlier, now = await answers(rig, key, before), await answers(rig, key, await positions(rig))
        assert "new" not in earlier
        assert "new" in now
        assert "p1" in earlier
        assert "p1" not in now
    assert (await answers(rig, "orders", before))["p2"] is False
    assert (await answers(rig, "orders", await positions(rig)))["p2"] is True


async def test_small_chunks_and_named_customers(rig: Rig) -> None:
    await people(rig)
    at = await positions(rig)
    whole = await answers(rig, "orders", at)
    assert await answers(rig, "orders", at, chunk=1) == whole
    assert list(whole.values()).count(True) >= 2
    named = await answers(rig, "orders", at, profile_ids=["p10", "p1", "p12", "nobody"])
    assert named == {"p1": True, "p10": True}
    assert await answers(rig, "orders", {0: at[0]}) == {key: one for key, one in whole.items() if rig.q(key) == 0}


async def test_rows_that_cannot_matter_are_not_read(rig: Rig) -> None:
    await people(rig)
    at = await positions(rig)

    async def read(needs: Needs) -> int:
        found: list[Subject] = []
        for q in range(PARTITIONS):
            async for some in subjects(rig.pool, needs, q, at[q][0]):
                found += some
        return sum(len(one.events) for one in found)

    assert await read(Needs()) == 0
    assert await read(Needs(names=frozenset({"Product Added"}))) == 2
    assert await read(Needs(names=frozenset({"Page Viewed"}))) == 1
    assert await read(Needs(names=frozenset({"Screen Viewed", "traits"}))) == 1
    assert await read(Needs(what=frozenset({"tags"}))) == 2
    assert await read(Needs(what=frozenset({"location"}))) == 1


async def test_a_key_that_a_sender_wrote_with_escapes_is_found(rig: Rig) -> None:
    await wrote(rig, "p1", type="identify", traits={"since": "2026-09-21T16:30:00"})
    await wrote(rig, "p1", "Seen", context=PRAGUE)
    at = await positions(rig)
    assert await answers(rig, "date", at) == {"p1": True}
    statement = "UPDATE profiles.timeline SET payload = replace(payload, $1, $2)"
    await rig.pool.execute(statement, '"timezone"', '"time\\u007aone"')
    assert await answers(rig, "date", at) == {"p1": True}
    await rig.pool.execute(statement, '"time\\u007aone"', '"time zone"')
    assert await answers(rig, "date", at) == {"p1": False}


async def test_a_page_with_the_name_of_an_event_is_a_page(rig: Rig) -> None:
    await wrote(rig, "p1", "Home", type="page")
    await wrote(rig, "p2", "Page Viewed", type="identify")
    await wrote(rig, "p3", "Page Viewed")
    assert await answers(rig, "pages", await positions(rig)) == {"p1": True, "p2": False, "p3": True}


async def test_a_row_that_cannot_be_read_is_left_out(rig: Rig) -> None:
    await wrote(rig, "p1", "Order Completed")
    broken = await wrote(rig, "p1", "Order Completed")
    await wrote(rig, "p1", "Order Completed")
    await rig.pool.execute("UPDATE profiles.timeline SET payload = '{' WHERE seq = $1", broken.seq)
    assert await answers(rig, "orders", await positions(rig)) == {"p1": True}


async def test_who_stops_early_gives_the_connection_back(rig: Rig) -> None:
    await people(rig)
    at = await positions(rig)
    pool = await asyncpg.create_pool(rig.settings.database_url, min_size=1, max_size=1)
    async with pool:
        for _ in range(2):
            async with aclosing(evaluate_all(pool, Evaluator(definitions()), "half", at, chunk=1)) as found:
                assert await anext(found)
        assert await pool.fetchval("SELECT 1", timeout=30) == 1
