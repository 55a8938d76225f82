"""Events in, customers and rows out, on a real Postgres and a real log (DESIGN §4)."""

from collections.abc import AsyncIterator

import msgspec
import pytest

from headrace.contracts import topics
from headrace.contracts.dead_letter import DeadLetter
from headrace.contracts.event import ExternalId
from headrace.contracts.headers import header
from headrace.contracts.profile_event import EventRow, MergeRow, TombstoneRow
from headrace.log.port import NewRecord
from headrace.runtime.metrics import Metrics
from tests.e2e.profiles_rig import DAY, T0, Rig, dense, event, profiles_rig, record


@pytest.fixture
async def rig(database_url: str, log_url: str, topic_prefix: str) -> AsyncIterator[Rig]:
    async with profiles_rig(database_url, log_url, topic_prefix=topic_prefix) as rig:
        yield rig


async def test_an_event_becomes_a_row_and_a_profile(rig: Rig) -> None:
    async with rig.worker():
        await rig.send(event("identify", user="u1", traits={"email": " Jana@Example.COM ", "plan": "gold"}))
        await rig.processed()
    [profile] = await rig.profiles()
    assert profile["user_id"] == "u1"
    assert profile["traits"] == {"email": " Jana@Example.COM ", "plan": "gold"}
    assert profile["identifiers"] == [
        {"type": "email", "value": "jana@example.com"},
        {"type": "user_id", "value": "u1"},
    ]
    [row] = await rig.rows()
    assert isinstance(row, EventRow)
    assert (row.profile_id, row.user_id, row.ts) == (profile["id"], "u1", T0)
    assert row.traits == profile["traits"]


async def test_a_published_row_says_where_it_comes_from(rig: Rig) -> None:
    trace = b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"
    sent = record(event(user="u1"))
    async with rig.worker():
        await rig.log.append(
            rig.topic(topics.EVENTS), 0, [NewRecord(sent.key, sent.value, (("traceparent", trace),))]
        )
        await rig.processed()
    [profile] = await rig.profiles()
    q = topics.partition_of(profile["id"], len(rig.partitions))
    found = (await rig.records(q))[0]
    assert found.key == profile["id"].encode()
    names = ("ce_type", "ce_subject", "headrace-source", "headrace-epoch", "headrace-seq", "traceparent")
    assert [header(found.headers, name) for name in names] == [
        b"io.headrace.profile.event.v1",
        profile["id"].encode(),
        b"profiles",
        b"1",
        b"1",
        trace,
    ]


async def test_a_message_id_counts_once_whatever_batch_or_partition_it_comes_in(rig: Rig) -> None:
    metrics = Metrics("profiles")
    async with rig.worker(metrics=metrics):
        await rig.send(event(user="u1", message_id="m1"), event(user="u1", message_id="m1"), q=0)
        await rig.processed()
        await rig.send(event(user="u1", message_id="m1"), q=1)
        await rig.send(event(user="u1", message_id="m1", name="Another body"), q=1)
        await rig.processed()
    assert len(await rig.rows()) == 1
    counted = {
        conflict: metrics.registry.get_sample_value("headrace_events_duplicate_total", {"conflict": conflict})
        for conflict in ("true", "false")
    }
    assert counted == {"true": 1, "false": 2}


async def test_the_same_message_id_of_another_source_is_another_event(rig: Rig) -> None:
    async with rig.worker():
        await rig.send(event(user="u1", message_id="m1"))
        await rig.send(msgspec.structs.replace(event(user="u1", message_id="m1"), source="till"))
        await rig.processed()
    assert len(await rig.rows()) == 2


async def test_an_anonymous_visitor_who_logs_in_becomes_one_customer(rig: Rig) -> None:
    async with rig.worker():
        await rig.send(event("identify", anonymous="a1", traits={"city": "Brno"}, at=T0))
        await rig.send(event("identify", user="u1", traits={"plan": "gold"}))
        await rig.processed()
        await rig.send(event("identify", user="u1", anonymous="a1", at=T0 + 5))
        await rig.processed()
    [profile] = await rig.profiles()
    assert await rig.people() == {frozenset({("anonymous_id", "a1"), ("user_id", "u1")})}
    assert profile["traits"] == {"city": "Brno", "plan": "gold"}
    rows = await rig.rows()
    [tombstone] = [row for row in rows if isinstance(row, TombstoneRow)]
    [merge] = [row for row in rows if isinstance(row, MergeRow)]
    assert (tombstone.into, merge.profile_id) == (profile["id"], profile["id"])
    assert (merge.loser, merge.loser_seq) == (tombstone.profile_id, tombstone.seq)
    assert (merge.time, merge.traits) == (tombstone.time, {"city": "Brno"})
    aliases = await rig.pool.fetch("SELECT * FROM alias_v1")
    assert [tuple(row) for row in aliases] == [(tombstone.profile_id, profile["id"])]
    for q in rig.partitions:
        assert dense(await rig.published(q))


async def test_a_chain_of_merges_leads_to_one_root(rig: Rig) -> None:
    async with rig.worker():
        for n in range(4):
            await rig.send(event(anonymous=f"a{n}"), q=0)
            await rig.processed()
        for n in reversed(range(3)):
            await rig.send(event("alias", anonymous=f"a{n}", previous_id=f"a{n + 1}"), q=0)
            await rig.processed()
    [profile] = await rig.profiles()
    roots = {row["root"] for row in await rig.pool.fetch("SELECT root FROM alias_v1")}
    assert roots == {profile["id"]}
    assert await rig.people() == {frozenset(("anonymous_id", f"a{n}") for n in range(4))}


async def test_an_event_with_a_loyalty_card_alone_has_a_customer(rig: Rig) -> None:
    context = {"externalIds": [msgspec.to_builtins(ExternalId(id="L-1", type="loyalty_card"))]}
    async with rig.worker():
        await rig.send(event(context=msgspec.Raw(msgspec.json.encode(context))))
        await rig.processed()
    assert await rig.people() == {frozenset({("loyalty_card", "L-1")})}


async def test_a_late_trait_does_not_overwrite_a_newer_one(rig: Rig) -> None:
    async with rig.worker():
        await rig.send(event("identify", user="u1", traits={"plan": "gold"}, at=T0))
        await rig.send(event("identify", user="u1", traits={"plan": "free", "age": 30}, at=T0 - DAY))
        await rig.processed()
    [profile] = await rig.profiles()
    assert profile["traits"] == {"plan": "gold", "age": 30}
    assert profile["first_seen"] == T0 - DAY


async def test_consent_is_in_the_row_and_on_the_profile(rig: Rig) -> None:
    async with rig.worker():
        await rig.send(event(user="u1", name="Consent Given", properties={"channel": "sms"}))
        await rig.processed()
    [row] = await rig.rows()
    assert isinstance(row, EventRow)
    assert row.consents == {"sms": "granted"}
    [profile] = await rig.profiles()
    assert profile["consents"] == {"sms": {"status": "granted", "time": T0}}


async def test_an_outcome_is_an_event_of_whom_the_profile_became(rig: Rig) -> None:
    async with rig.worker():
        await rig.send(event(anonymous="a1"))
        await rig.processed()
        [before] = await rig.profiles()
        await rig.send(event(user="u1"))
        await rig.processed()
        await rig.send(event("identify", user="u1", anonymous="a1"))
        await rig.processed()
        for _ in range(2):
            await rig.send_outcome(message_id="o1", profile_id=before["id"], outcome="unsubscribed", at=T0 + 9)
        await rig.processed()
    [profile] = await rig.profiles()
    assert profile["id"] != before["id"]
    [row] = [row for row in await rig.rows() if isinstance(row, EventRow) and row.event == "Unsubscribed"]
    assert (row.profile_id, row.ts, row.source) == (profile["id"], T0 + 9, "headrace.messenger")
    assert profile["consents"] == {"sms": {"status": "withdrawn", "time": T0 + 9}}


async def test_what_cannot_be_applied_goes_to_the_dead_letters_and_the_rest_goes_on(rig: Rig) -> None:
    async with rig.worker():
        good = [record(event(user=f"u{n}")) for n in range(6)]
        poison = record(event("identify", user="u7", traits={"name": "nul \x00 byte"}))
        garbage = NewRecord(b"u8", b"{garbage")
        batch = [*good[:2], garbage, good[2], poison, *good[3:]]
        await rig.log.append(rig.topic(topics.EVENTS), 0, batch)
        await rig.processed()
    assert {profile["user_id"] for profile in await rig.profiles()} == {f"u{n}" for n in range(6)}
    found = await rig.records(0, topics.DEAD_LETTERS)
    letters = [msgspec.json.decode(one.value or b"", type=DeadLetter) for one in found]
    assert {(one.reason, one.origin_offset, one.raw) for one in letters} == {
        ("undecodable", 2, garbage.value),
        ("unprocessable", 4, poison.value),
    }


async def test_a_record_nested_too_deeply_is_a_dead_letter_of_every_input_and_stops_none(rig: Rig) -> None:
    deep = NewRecord(b"u1", b'{"type":"track","properties":' + b"[" * 100_000 + b"]" * 100_000 + b"}")
    inputs = (topics.EVENTS, topics.MESSAGES, topics.COMPUTED_TRAITS)
    async with rig.worker():
        for topic in inputs:
            await rig.log.append(rig.topic(topic), 0, [deep])
        await rig.send(event(user="u1"), q=0)
        await rig.processed()
    assert {profile["user_id"] for profile in await rig.profiles()} == {"u1"}
    letters = [
        msgspec.json.decode(one.value or b"", type=DeadLetter) for one in await rig.records(0, topics.DEAD_LETTERS)
    ]
    assert {(one.origin_topic, one.reason) for one in letters} == {
        (rig.topic(topic), "undecodable") for topic in inputs
    }


async def test_what_no_log_would_take_stops_no_partition(rig: Rig) -> None:
    """As a row it would block its partition's output for ever, as a dead letter its input."""
    traits = {f"t{n}": "x" * 20_000 for n in range(16)}
    visits = [
        event("identify", anonymous="a1", at=T0 + n, traits={k + str(n): v for k, v in traits.items()})
        for n in range(5)
    ]
    large = record(event(user="large", properties={"text": "x" * 1_000_000}))
    garbage = NewRecord(b"u8", b"{" * 1_000_000)
    async with rig.worker():
        for one in (*map(record, visits), large, garbage):
            await rig.log.append(rig.topic(topics.EVENTS), 0, [one])
        await rig.send(event(user="u1"), event(user="u1", anonymous="a1"), q=0)
        await rig.processed()
    assert await rig.people() == {frozenset({("user_id", "u1"), ("anonymous_id", "a1")})}
    letters = [
        msgspec.json.decode(one.value or b"", type=DeadLetter) for one in await rig.records(0, topics.DEAD_LETTERS)
    ]
    # in which order depends on whether both are read at once
    assert {(one.reason, one.complete) for one in letters} == {("undecodable", False), ("unprocessable", False)}
    assert len(letters) == 2


async def test_a_dead_letter_is_part_of_its_origins_trace(rig: Rig) -> None:
    trace = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with rig.worker():
        garbage = NewRecord(b"u8", b"{garbage", (("traceparent", trace),))
        await rig.log.append(rig.topic(topics.EVENTS), 0, [garbage])
        await rig.processed()
    [letter] = await rig.records(0, topics.DEAD_LETTERS)
    assert header(letter.headers, "traceparent") == trace
