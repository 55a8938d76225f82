"""When an erased person's rows are redacted, and what is left of them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest

from headrace.contracts.profile_event import EventRow, MergeRow, decode_profile_event, encode_row
from headrace.contracts.topics import DEAD_LETTERS
from services.profiles.fading import Fading
from services.profiles.readers import ReadersUnavailable, Segmenter
from services.profiles.redaction import Redaction
from services.profiles.redaction_sql import Passed
from tests.e2e.profiles_rig import PARTITIONS, T0, Rig, event, profiles_rig


class FakeReaders:
    """Says that it has applied rows up to `seq` of every partition."""

    def __init__(self, seq: int = 1_000, epoch: int = 1, partitions: Sequence[int] = range(PARTITIONS)) -> None:
        self.seq, self.epoch, self.partitions = seq, epoch, partitions
        self.asked: list[set[str]] = []

    async def forget(self, profile_ids: Sequence[str]) -> dict[int, Passed]:
        self.asked.append(set(profile_ids))
        return {q: Passed(q, self.epoch, self.seq, 7) for q in self.partitions}

    async def lookback(self, kept_ms: int) -> list[str]:
        return ["a-segment"]


@pytest.fixture
async def rig(database_url: str, log_url: str, topic_prefix: str) -> AsyncIterator[Rig]:
    async with profiles_rig(database_url, log_url, topic_prefix=topic_prefix) as rig:
        yield rig


@pytest.fixture
async def api(rig: Rig) -> AsyncIterator[httpx.AsyncClient]:
    async with rig.worker() as worker, rig.api(worker) as client:
        yield client


def redaction(rig: Rig, readers: Any, horizon_ms: int = 0) -> Redaction:
    return Redaction(
        rig.pool,
        rig.log,
        readers,
        dead_letters=rig.topic(DEAD_LETTERS),
        partitions=PARTITIONS,
        horizon_ms=horizon_ms,
    )


async def erased(rig: Rig, api: httpx.AsyncClient) -> str:
    """A customer of two merged profiles, erased, beside another customer; the id."""
    await rig.send(event("identify", anonymous="secret-a", traits={"city": "secret"}, at=T0))
    await rig.send(event(user="secret-u", properties={"note": "secret"}, at=T0 + 1), event(user="other"))
    await rig.processed()
    await rig.send(event("identify", user="secret-u", anonymous="secret-a", traits={"plan": "secret"}, at=T0 + 2))
    await rig.processed()
    who = next(one["id"] for one in await rig.profiles() if one["user_id"] == "secret-u")
    assert (await api.delete(f"/v1/profiles/{who}")).status_code == 200
    await rig.processed()
    return str(who)


async def stored(rig: Rig) -> list[asyncpg.Record]:
    return list(await rig.pool.fetch("SELECT * FROM timeline ORDER BY q, seq"))


async def test_rows_keep_their_place_and_say_nothing(rig: Rig, api: httpx.AsyncClient) -> None:
    who = await erased(rig, api)
    before = await stored(rig)
    assert "secret" in str(before)
    readers = FakeReaders()
    assert await redaction(rig, readers).redact_all() == 1
    after = await stored(rig)
    numbers = ("q", "seq", "epoch", "time", "low", "profile_id", "kind")
    assert [[row[name] for name in numbers] for row in after] == [
        [row[name] for name in numbers] for row in before
    ]
    assert "secret" not in str(after)
    assert sum(old != new for old, new in zip(before, after, strict=True)) == 4  # 3 events, the merge
    decoded = list(map(payload, after))
    [merge] = [row for row in decoded if isinstance(row, MergeRow)]
    assert (merge.profile_id, merge.traits, merge.loser) == (who, {}, *readers.asked[0] - {who})
    assert {row.event for row in decoded if isinstance(row, EventRow)} == {None, "Product Viewed"}
    marks = await rig.pool.fetch("SELECT * FROM redacted_v1")
    theirs = {row["q"] for row in before if row["profile_id"] in readers.asked[0]}
    assert {row["partition"] for row in marks} == theirs
    assert {(row["counted_seq"], row["transitions"]) for row in marks} == {(1_000, 7)}
    assert all(0 < row["seq"] < 1_000 for row in marks)
    assert "secret" not in str(await rig.pool.fetch("SELECT e::text FROM erasure e"))
    assert await redaction(rig, readers).redact_all() == 0


@pytest.mark.parametrize(
    "readers",
    [FakeReaders(seq=1), FakeReaders(epoch=0), FakeReaders(partitions=())],
    ids=["behind", "of an epoch that is over", "not known"],
)
async def test_nothing_is_redacted_before_the_readers_have_passed(
    rig: Rig, api: httpx.AsyncClient, readers: FakeReaders
) -> None:
    await erased(rig, api)
    before = await stored(rig)
    assert await redaction(rig, readers).redact_all() == 0
    assert await stored(rig) == before


async def test_nothing_is_redacted_before_the_horizon_or_without_an_answer(
    rig: Rig, api: httpx.AsyncClient
) -> None:
    await erased(rig, api)
    before = await stored(rig)
    readers = FakeReaders()
    assert await redaction(rig, readers, horizon_ms=3_600_000).redact_all() == 0
    assert readers.asked == []
    silent = httpx.AsyncClient(
        transport=httpx.MockTransport(lambda _: httpx.Response(503)), base_url="http://segmenter"
    )
    with pytest.raises(ReadersUnavailable):
        await redaction(rig, Segmenter(silent)).redact_all()
    await silent.aclose()
    assert await stored(rig) == before


async def test_several_processes_redact_each_person_once(rig: Rig, api: httpx.AsyncClient) -> None:
    await erased(rig, api)
    done = await asyncio.gather(*(redaction(rig, FakeReaders()).redact_all() for _ in range(3)))
    assert sum(done) == 1


async def test_why_profiles_were_one_is_forgotten_at_once(rig: Rig, api: httpx.AsyncClient) -> None:
    await erased(rig, api)
    for table in ("decision", "apart", "suspicion", "identifier", "profile", "consent_record"):
        assert "secret" not in str(await rig.pool.fetch(f"SELECT t::text FROM {table} t")), table


async def test_old_events_lose_what_they_said_and_nothing_else(rig: Rig, api: httpx.AsyncClient) -> None:
    context = msgspec.Raw(b'{"timezone":"Europe/Prague","page":{"url":"secret"}}')
    await rig.send(
        event("identify", user="u1", traits={"plan": "gold"}, at=T0, context=context),
        event(name="Consent Given", user="u1", properties={"channel": "sms"}, at=T0 + 1),
        event(user="u1", properties={"note": "secret"}, at=T0 + 2, context=context),
    )
    await rig.processed()
    before, profiles = await stored(rig), await rig.profiles()
    assert await fading(rig, None).fade_all() == 0
    assert await fading(rig, 3_600_000).fade_all() == 0
    assert await stored(rig) == before
    assert await fading(rig, 0, FakeReaders(partitions=())).fade_all() == 0
    assert await stored(rig) == before
    assert await fading(rig, 0).fade_all() == 3
    assert await fading(rig, 0).fade_all() == 0
    after = await stored(rig)
    assert "secret" not in str(after)
    kept = [name for name, _ in before[0].items() if name != "payload"]
    assert [[row[name] for name in kept] for row in after] == [[row[name] for name in kept] for row in before]
    said = [row for row in map(payload, after) if isinstance(row, EventRow)]
    assert [(one.traits, one.consents) for one in said] == [
        ({"plan": "gold"}, {}),
        ({}, {"sms": "granted"}),
        ({}, {}),
    ]
    assert [msgspec.json.decode(one.context) for one in said] == [
        {"timezone": "Europe/Prague"},
        {},
        {"timezone": "Europe/Prague"},
    ]
    assert await rig.profiles() == profiles


def fading(rig: Rig, retention_ms: int | None, readers: Any = None) -> Fading:
    return Fading(rig.pool, readers or FakeReaders(), retention_ms, partitions=PARTITIONS)


def payload(row: asyncpg.Record) -> Any:
    numbers = {name: row[name] for name in ("seq", "epoch", "time", "low")}
    return decode_profile_event(encode_row(**numbers, payload=row["payload"].encode()))
