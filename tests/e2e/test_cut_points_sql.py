"""The quintiles of a population on a real Postgres, beside a count in plain Python."""

import random
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from decimal import Decimal
from itertools import groupby
from typing import Any

import asyncpg
import pytest

from headrace.contracts.profile_event import ErasureRow, EventRow
from services.segmenter.cut_points_sql import Quintiles, limit
from tests.e2e.naive_scores import cuts_of, orders, score
from tests.e2e.parted import part
from tests.e2e.rfm_rig import computed
from tests.e2e.segmenter_rig import HOUR, T0, Rig, segmenter_rig

Figures = tuple[int, int, Decimal]


@pytest.fixture
async def rig(database_url: str, redis_url: str, log_url: str, topic_prefix: str) -> AsyncIterator[Rig]:
    async with segmenter_rig(database_url, redis_url, log_url, topic_prefix=topic_prefix) as rig:
        yield rig


async def buy(rig: Rig, who: str, total: Any, *, ts: int = T0, **fields: Any) -> EventRow:
    return await rig.event(who, lost=True, ts=ts, properties={"total": total}, **fields)


async def merge(rig: Rig, loser: str, root: str) -> None:
    await rig.pool.execute("INSERT INTO profiles.alias VALUES ($1, $2)", loser, root)


async def erase(rig: Rig, who: str) -> None:
    await rig.store(rig.q(who), ErasureRow(**await rig.header(rig.q(who)), profile_id=who))


def expected(customers: Iterable[Figures]) -> Quintiles:
    """By the formula's own words, one figure after the other."""
    figures = list(customers)
    recency = cuts_of(latest for latest, _, _ in figures)
    frequency = cuts_of(often for _, often, _ in figures)
    monetary = cuts_of(paid for _, _, paid in figures)
    cells = [0] * 25
    for latest, often, _ in figures:
        cells[5 * score(latest, recency) + score(often, frequency) - 6] += 1
    texts = [f"{amount.normalize():f}" for amount in monetary]
    return Quintiles(len(figures), tuple(recency), tuple(frequency), tuple(texts), tuple(cells))


async def test_each_fifth_of_different_values_gets_its_score(rig: Rig) -> None:
    for number in range(1, 11):
        for _ in range(number):
            await buy(rig, f"p{number}", 100 - number, ts=T0 + number)
    found = await computed(rig)
    assert found.customers == 10
    assert found.recency == tuple(T0 + number for number in (2, 4, 6, 8))
    assert found.frequency == (2, 4, 6, 8)
    sums = sorted(number * (100 - number) for number in range(1, 11))
    assert found.monetary == tuple(str(sums[place]) for place in (1, 3, 5, 7))
    assert [score(number, found.frequency) for number in range(1, 11)] == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert [found.cells[6 * place] for place in range(5)] == [2, 2, 2, 2, 2]


@pytest.mark.parametrize(("customers", "cuts"), [(0, ()), (1, ()), (2, (1, 1)), (3, (1, 2, 2)), (4, (1, 2, 3))])
async def test_hardly_anybody_has_fewer_cut_points(customers: int, cuts: tuple[int, ...], rig: Rig) -> None:
    for number in range(1, customers + 1):
        await buy(rig, f"p{number}", number, ts=T0 + number)
    found = await computed(rig)
    assert found.customers == sum(found.cells) == customers
    assert found.monetary == tuple(map(str, cuts))
    assert found.recency == tuple(T0 + cut for cut in cuts)


async def test_equal_values_have_equal_scores_and_keep_their_cut_points(rig: Rig) -> None:
    for number in range(10):
        await buy(rig, f"p{number}", 5)
    await buy(rig, "p9", "2.50")
    found = await computed(rig)
    assert found.frequency == (1, 1, 1, 1)
    assert found.monetary == ("5", "5", "5", "5")
    assert [score(often, found.frequency) for often in (1, 2)] == [1, 5]


async def test_the_window_leaves_out_what_is_exactly_as_old(rig: Rig) -> None:
    for number in range(5):
        await buy(rig, f"p{number}", 1, ts=T0 - HOUR + number)
    assert (await computed(rig, within="1h")).customers == 4
    assert (await computed(rig, T0 - 1, within="1h")).customers == 5
    assert (await computed(rig)).customers == 5


async def test_an_event_that_is_later_than_now_counts_as_it_does_in_a_segment(rig: Rig) -> None:
    await buy(rig, "p1", 1, ts=T0 + HOUR)
    assert (await computed(rig, within="1h")).customers == 1


async def test_merged_customers_count_once_and_the_erased_not_at_all(rig: Rig) -> None:
    for number in range(6):
        await buy(rig, f"p{number}", 10 * number, ts=T0 + number)
    await merge(rig, "p5", "p0")
    await buy(rig, "x1", 1_000)
    await buy(rig, "x2", 1_000)
    await merge(rig, "x2", "x1")
    await erase(rig, "x1")
    found = await computed(rig)
    assert found == expected(
        [(T0 + 5, 2, Decimal(50)), *((T0 + number, 1, Decimal(10 * number)) for number in (1, 2, 3, 4))]
    )
    assert found.frequency == (1, 1, 1, 1)


async def test_what_was_taken_out_counts_in_whom_it_made(rig: Rig) -> None:
    for number in range(5):
        await buy(rig, f"p{number}", 10 * number, ts=T0 + number)
    lost = [await buy(rig, "p1", 500, ts=T0 + 6), await buy(rig, "p0", 700, ts=T0 + 7)]
    await merge(rig, "p0", "p1")
    await part(rig, "p1", "n1", lost)
    others = [(T0 + number, 1, Decimal(10 * number)) for number in (2, 3, 4)]
    found = await computed(rig)
    assert found == expected([(T0 + 1, 2, Decimal(10)), (T0 + 7, 2, Decimal(1200)), *others])

    await part(rig, "n1", "n2", lost[1:])
    await merge(rig, "n1", "p2")
    await erase(rig, "p1")
    found = await computed(rig)
    assert found == expected([(T0 + 6, 2, Decimal(520)), (T0 + 7, 1, Decimal(700)), *others[1:]])


async def test_refunds_are_negative_and_the_names_are_one_population(rig: Rig) -> None:
    both = ["Order Refunded", "Order Completed"]
    for number, refund in enumerate((0, -30.1, -60.2, -90.3, -120.4)):
        await buy(rig, f"p{number}", 100)
        await rig.event(f"p{number}", "Order Refunded", lost=True, properties={"total": refund})
        await rig.event(f"p{number}", "Order Cancelled", lost=True, properties={"total": 1})
    assert (await computed(rig, event=both)).monetary == ("-20.4", "9.7", "39.8", "69.9")
    assert (await computed(rig, event=both)).frequency == (2, 2, 2, 2)
    assert (await computed(rig)).monetary == ("100", "100", "100", "100")


async def test_pages_and_screens_have_their_names_and_a_track_has_its_own(rig: Rig) -> None:
    for number, kind in enumerate(("page", "screen", "track", "page", "identify")):
        await rig.store(0, await _row(rig, f"p{number}", kind))
    assert (await computed(rig, event="Page Viewed", of="context.page.height")).customers == 2
    assert (await computed(rig, event=["Page Viewed", "Screen Viewed"])).customers == 3
    assert (await computed(rig, event="Order Completed")).customers == 1
    await rig.event("p9", "Page Viewed", lost=True)
    assert (await computed(rig, event="Page Viewed")).customers == 3


async def _row(rig: Rig, who: str, kind: Any) -> EventRow:
    return EventRow(
        **await rig.header(0),
        profile_id=who,
        source="shop",
        message_id=who,
        type=kind,
        ts=T0,
        event="Order Completed",
    )


@pytest.mark.parametrize("seed", range(5))
async def test_any_history_gives_what_plain_python_gives(seed: int, rig: Rig) -> None:
    chance = random.Random(seed)
    customers = [f"p{number}" for number in range(chance.choice((3, 6, 20, 40)))]
    roots = {who: chance.choice(customers[:2]) for who in customers[2:] if chance.random() < 0.2}
    for loser, root in roots.items():
        await merge(rig, loser, root)
    rows: list[tuple[str, str, int, list[object]]] = []
    for _ in range(150):
        who, name, ts = chance.choice(customers), chance.choice("ABC"), T0 - chance.randrange(4) * HOUR
        prices: list[object] = [chance.choice((1, -2, 0.1, 3.25, "4", None)) for _ in range(chance.randrange(3))]
        rows.append((who, name, ts, prices))
        lines = [{"price": price} for price in prices]
        await rig.event(who, name, lost=True, ts=ts, properties={"products": lines})
    gone = {who for who in customers if who not in roots and chance.random() < 0.1}
    for who in gone:
        await erase(rig, who)
    for names, within in ((["A", "B"], 2), (["C"], None), (["A", "B", "C"], 4)):
        window = None if within is None else f"{within}h"
        found = await computed(rig, event=names, of="properties.products[].price", within=window)
        events = [
            (roots.get(who, who), ts, prices)
            for who, name, ts, prices in rows
            if name in names and (within is None or ts > T0 - within * HOUR)
        ]
        assert found == expected(_figures(event for event in events if event[0] not in gone))


def _figures(events: Iterable[tuple[str, int, list[object]]]) -> list[Figures]:
    figures = []
    for _, own in groupby(sorted(events, key=lambda event: event[0]), key=lambda event: event[0]):
        bought = list(own)
        prices = [price for _, _, prices in bought for price in prices if isinstance(price, int | float)]
        figures.append(
            (max(ts for _, ts, _ in bought), len(bought), sum(map(Decimal, map(str, prices)), Decimal(0)))
        )
    return figures


async def test_the_real_orders_have_the_quintiles_that_a_count_in_the_file_gives(rig: Rig) -> None:
    spent: dict[str, list[tuple[int, Decimal]]] = defaultdict(list)
    for order in orders():
        spent[order.customer].append((order.at, sum(order.paid, Decimal(0))))
        products = [{"paid": float(amount)} for amount in order.paid]
        await rig.event(order.customer, lost=True, ts=order.at, properties={"products": products})
    found = await computed(rig, of="properties.products[].paid")
    assert found.customers == 118
    assert found == expected(
        (max(at for at, _ in own), len(own), sum((paid for _, paid in own), Decimal(0))) for own in spent.values()
    )


async def test_a_statement_that_takes_too_long_is_ended_by_the_server(rig: Rig) -> None:
    async with rig.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await limit(connection, seconds=0.01, lock_seconds=0.01)
        with pytest.raises(asyncpg.QueryCanceledError):
            await connection.execute("SELECT pg_sleep(30)")
        await transaction.rollback()
        assert await connection.fetchval("SHOW statement_timeout") == "30s"
        assert await connection.fetchval("SHOW work_mem") != "16MB"
