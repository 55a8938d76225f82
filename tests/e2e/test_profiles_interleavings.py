"""The same events in any order, cut into any batches, by eight workers on the same people: the same profiles.

`HEADRACE_TEST_INTERLEAVINGS` says how many orders are tried.
"""

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any

import asyncpg
import msgspec
import pytest

from headrace.contracts import topics
from headrace.contracts.event import Event
from headrace.log.port import Record
from services.profiles.batch import Batch, commit_batch
from services.profiles.identifiers_sql import Overtaken
from services.profiles.identity_rules import DEFAULT_RULES, IdentityRules, TypeRule
from services.profiles.intake import event_reader
from services.profiles.store import initialise
from services.profiles.worker import input_topics
from tests.e2e.profiles_rig import T0, Rig, event, profiles_rig

WORKERS = 8
PEOPLE = 10
EVENTS = 320
INTERLEAVINGS = int(os.environ.get("HEADRACE_TEST_INTERLEAVINGS", "12"))
LOG_TIME = T0 + 10_000_000
Outcome = dict[frozenset[tuple[str, str]], Any]

_conflicts = (Overtaken, asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
_read = event_reader("CZ")


@pytest.fixture
async def rig(database_url: str, log_url: str, topic_prefix: str) -> AsyncIterator[Rig]:
    async with profiles_rig(database_url, log_url, WORKERS, topic_prefix=topic_prefix) as rig:
        yield rig


def somebody(chance: random.Random, n: int) -> Event:
    """One of ten customers, by up to four of their names; some say something of themselves."""
    who = chance.randrange(PEOPLE)
    names = chance.sample(["user", "anonymous", "email", "card", "device"], chance.randint(1, 4))
    traits: dict[str, Any] = {"email": f"{chance.randrange(2)}.p{who}@shop.test"} if "email" in names else {}
    context: dict[str, Any] = {"timezone": chance.choice(["Europe/Prague", "Asia/Tokyo"])}
    if "card" in names:
        context["externalIds"] = [{"type": "card", "id": f"c{who}-{chance.randrange(3)}", "collection": "users"}]
    if "device" in names:
        context["device"] = {"id": f"d{who}"}
    kind, what = chance.choice(
        [
            ("identify", {"traits": {**traits, f"t{chance.randrange(6)}": n}}),
            ("track", {"name": "Consent Given", "properties": {"channel": "sms"}}),
            ("track", {"name": "Consent Withdrawn", "properties": {"channel": "sms"}}),
            ("track", {"name": chance.choice(["Tag Added", "Tag Removed"]), "properties": {"tag": "vip"}}),
            ("track", {}),
        ]
    )
    if kind == "track" and traits:
        context["traits"] = traits
    return event(
        kind,
        user=f"u{who}" if "user" in names else None,
        anonymous=f"a{who}-{chance.randrange(4)}" if "anonymous" in names or names == ["user"] else None,
        at=T0 + n * 7,
        message_id=f"m{n}",
        context=msgspec.Raw(msgspec.json.encode(context)),
        trusted=True,
        **what,  # type: ignore[arg-type]
    )


async def test_any_order_over_eight_workers_gives_the_same_profiles(rig: Rig) -> None:
    chance = random.Random(5)
    sent = [somebody(chance, n) for n in range(EVENTS)]
    sent += chance.sample(sent, 20)  # retries
    before: Outcome | None = None
    for _ in range(INTERLEAVINGS):
        await _reset(rig)
        await _apply(rig, sent, chance)
        after = await _outcome(rig)
        assert set(after) == _components(sent)
        assert before is None or after == before
        before = after


STRICT = IdentityRules(
    {
        "email": TypeRule(priority=2, limit=2, within=None),
        "anonymous_id": TypeRule(priority=90, limit=3, within=None, weak=True),
    }
)


def anybody(chance: random.Random, n: int) -> Event:
    """Whoever meets whom: everybody shares browsers, addresses and two devices."""
    context = {"traits": {"email": f"e{chance.randrange(12)}@shop.test"}} if chance.random() < 0.6 else {}
    device = {"device": {"id": f"d{chance.randrange(2)}"}} if chance.random() < 0.3 else {}
    return event(
        user=f"u{chance.randrange(8)}" if chance.random() < 0.4 else None,
        anonymous=f"a{chance.randrange(16)}",
        at=T0 + n * 7,
        message_id=f"m{n}",
        context=msgspec.Raw(msgspec.json.encode({**context, **device})),
        trusted=chance.random() < 0.5,
    )


async def test_in_conflict_no_order_mixes_two_customers(rig: Rig) -> None:
    chance = random.Random(6)
    sent = [anybody(chance, n) for n in range(EVENTS)]
    for _ in range(max(3, INTERLEAVINGS // 4)):
        await _reset(rig)
        await _apply(rig, sent, chance, STRICT)
        for group in await rig.people():
            held = Counter(kind for kind, _ in group)
            assert all(number <= STRICT.of(kind).limit for kind, number in held.items()), held
        seen = await rig.pool.fetch("SELECT message_id FROM timeline WHERE kind = 'event'")
        assert Counter(row[0] for row in seen) == Counter(one.message_id for one in sent)


async def _reset(rig: Rig) -> None:
    tables = await rig.pool.fetchval(
        "SELECT string_agg(quote_ident(tablename), ', ') FROM pg_tables "
        "WHERE schemaname = 'profiles' AND tablename <> 'alembic_version'"
    )
    await rig.pool.execute(f"TRUNCATE {tables}")
    await initialise(rig.pool, input_topics(rig.settings), WORKERS)


async def _apply(
    rig: Rig, sent: Sequence[Event], chance: random.Random, rules: IdentityRules = DEFAULT_RULES
) -> None:
    piles: list[list[Event]] = [[] for _ in range(WORKERS)]
    for one in chance.sample(sent, len(sent)):
        chance.choice(piles).append(one)
    topic = rig.topic(topics.EVENTS)
    await asyncio.gather(
        *(_work(rig, topic, q, pile, random.Random(chance.random()), rules) for q, pile in enumerate(piles))
    )


async def _work(
    rig: Rig, topic: str, q: int, pile: Sequence[Event], chance: random.Random, rules: IdentityRules
) -> None:
    offset = 0
    while offset < len(pile):
        some = pile[offset : offset + chance.randint(1, 12)]
        incoming = [(n, _read(_record(one, q, offset + n))) for n, one in enumerate(some)]
        batch = Batch(topic, q, offset, [LOG_TIME] * len(some), incoming)
        while True:
            try:
                await commit_batch(rig.pool, batch, WORKERS, rules)
                break
            except _conflicts:
                await asyncio.sleep(0)
        offset += len(some)


def _record(one: Event, q: int, offset: int) -> Record:
    return Record("cdp.events.v1", q, offset, LOG_TIME, None, msgspec.json.encode(one), ())


async def _outcome(rig: Rig) -> Outcome:
    """What is known of each customer, by who it is."""
    timelines: dict[str, Counter[str]] = {}
    for root, message_id in await rig.pool.fetch(
        "SELECT coalesce(root, profile_id), message_id FROM timeline LEFT JOIN alias USING (profile_id) "
        "WHERE kind = 'event'"
    ):
        timelines.setdefault(root, Counter())[message_id] += 1
    profiles = await rig.profiles()
    assert set(timelines) == {one["id"] for one in profiles}
    return {
        frozenset((name["type"], name["value"]) for name in one["identifiers"]): (
            {key: value for key, value in one.items() if key not in {"id", "identifiers", "tags"}},
            sorted(one["tags"]),
            timelines[one["id"]],
        )
        for one in profiles
    }


def _components(sent: Sequence[Event]) -> set[frozenset[tuple[str, str]]]:
    groups: list[set[tuple[str, str]]] = []
    for one in sent:
        named = set(_read(_record(one, 0, 0)).identifiers)
        touching = [group for group in groups if group & named]
        groups = [group for group in groups if group not in touching] + [named.union(*touching)]
    return {frozenset(group) for group in groups}
