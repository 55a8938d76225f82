"""How long a search, a look-up and the reading of a profile take at a million profiles, as whole HTTP calls.

    python -m tests.bench.bench_search [--profiles 1000000] [--calls 300] [--json FILE]

Profiles with names, three identifiers and traits are planted with COPY, and some events for each of a few of them;
then the service's app is called in this process, one call after the other, each for another customer. Names and
cities are as frequent as names and cities are: some match ten thousands of profiles. Postgres does not fsync.
"""

import asyncio
import random
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import asyncpg
import httpx
import msgspec
import uvloop

from headrace.runtime.engine import async_engine
from headrace.runtime.garbage import settle_garbage
from headrace.runtime.metrics import Metrics
from headrace.runtime.migrations import migrate
from headrace.runtime.settings import CommonSettings
from services.profiles.api import build_api
from services.profiles.reads import Profiles
from services.profiles.settings import Settings
from services.profiles.store import MIGRATIONS, PLANS, SCHEMA, connect
from tests import engines
from tests.bench.report import Figure, Report, options, present
from tests.e2e.profiles_rig import NOWHERE, SUPPRESSOR

READ = 1_000
EVENTS = 300
"""How many profiles have a timeline, and how many events each."""
CHUNK = 50_000
_FIRST = ["Jana", "Petr", "Zoë", "José", "Łukasz", "Anna", "Jiří", "Marie", "Björn", "Eva"]
_LAST = ["Nováková", "Svoboda", "Müller", "Dvořák", "García", "Żak", "Kučera", "Smith", "Horák", "Novák"]
_INDEXES = """
    SELECT indexname, indexdef FROM pg_indexes
    WHERE tablename IN ('profile', 'identifier') AND indexname NOT LIKE '%_pkey'
"""
_SYLLABLES = "kalomituresanovidepuberizahomatycegofane"
_TIMELINE = [
    *("q", "seq", "epoch", "time", "low", "profile_id", "kind", "event", "ts", "source", "message_id", "payload")
]
_PAYLOAD = (
    '{"kind":"event","profile_id":"%s","source":"shop","message_id":"%s","type":"track","ts":%d,"event":"Viewed",'
    '"context":{"page":{"url":"https://shop.example/%d"}}}'
)


def profile(number: int) -> tuple[str, str, str]:
    """(id, user id, traits as JSON) of one customer. Ids are spread as hashes are."""
    first = f"{_FIRST[number % 10]}{_syllables(number // 10 % 1_000)}"
    last = f"{_LAST[number // 7 % 10]}{_syllables(number // 70 % 10_000)}"
    traits = {
        "firstName": first,
        "lastName": last,
        "email": f"c{number}@shop.example",
        "city": f"city-{int(random.Random(number).paretovariate(0.5)) % 2_000}",
        "plan": ["free", "plus", "gold"][number % 3],
        "age": 18 + number % 60,
        "card_number": f"K{number:09d}",
    }
    return (
        f"p{number * 2654435761 % 2**32:08x}{number:024x}",
        f"user-{number}",
        msgspec.json.encode(traits).decode(),
    )


def _syllables(number: int) -> str:
    text = ""
    while number:
        number, digit = divmod(number, 20)
        text += _SYLLABLES[2 * digit : 2 * digit + 2]
    return text


async def plant(pool: asyncpg.Pool, count: int) -> None:
    """As the service would have written them; indexes are made when all is there, which is quicker."""
    async with pool.acquire() as connection:
        await connection.execute("SET statement_timeout = 0")  # making an index takes long
        indexes = await connection.fetch(_INDEXES)
        for index in indexes:
            await connection.execute(f"DROP INDEX {index['indexname']}")
        for start in range(0, count, CHUNK):
            made = [profile(number) for number in range(start, min(start + CHUNK, count))]
            await connection.copy_records_to_table(
                "profile",
                records=[(one, user, traits, 1, 2) for one, user, traits in made],
                columns=["id", "user_id", "traits", "first_seen", "last_seen"],
                timeout=300,
            )
            await connection.copy_records_to_table(
                "identifier",
                records=list(_identifiers(made, start)),
                columns=["type", "value", "profile_id", "first_seen", "last_seen", "source"],
                timeout=300,
            )
        rows = [
            (0, number * EVENTS + seq, 1, seq, 1, one, "event", "Viewed", seq, "shop", f"{number}-{seq}", payload)
            for number in range(0, min(count, READ))
            for one in [profile(number)[0]]
            for seq in range(EVENTS)
            for payload in [_PAYLOAD % (one, f"{number}-{seq}", seq, seq)]
        ]
        await connection.copy_records_to_table("timeline", records=rows, columns=_TIMELINE, timeout=300)
        for index in indexes:
            await connection.execute(index["indexdef"], timeout=600)
        await connection.execute("VACUUM ANALYZE", timeout=600)


def _identifiers(made: Sequence[tuple[str, str, str]], start: int) -> Iterator[tuple[object, ...]]:
    for number, (one, user, _) in enumerate(made, start):
        for kind, value in (
            ("user_id", user),
            ("email", f"c{number}@shop.example"),
            ("anonymous_id", f"a:{number}"),
        ):
            yield kind, value, one, 1, 2, "shop"


def searches(count: int) -> dict[str, Callable[[int], str]]:
    """By what is measured: the path to call for customer `number`, one of those with a timeline or of all."""

    def traits(number: int) -> dict[str, Any]:
        found: dict[str, Any] = msgspec.json.decode(profile(number)[2])
        return found

    return {
        "GET by id": lambda number: f"/{profile(number % READ)[0]}",
        "lookup by e-mail": lambda number: f"/lookup?type=email&value=c{number}@shop.example",
        "search: identifier": lambda number: f"?query=c{number}@shop.example",
        "search: beginning, few": lambda number: f"?query=user-{number // 10}",
        "search: beginning, all": lambda number: f"?query={'user' if number % 2 else 'c'}",
        "search: first name": lambda number: f"?query={traits(number)['firstName']}",
        "search: beginning of a name": lambda number: f"?query={traits(number)['lastName'][:3]}",
        "search: full name": lambda number: f"?query={traits(number)['firstName']} {traits(number)['lastName']}",
        "search: trait of one": lambda number: f"?trait=card_number&value=K{number:09d}",
        "search: trait of some": lambda number: f"?trait=city&value={traits(number)['city']}",
        "search: city of 500": lambda number: f"?trait=city&value=city-{200 + number % 800}",
        "search: trait of a third": lambda number: f"?trait=plan&value={traits(number)['plan']}",
        "events, filtered": lambda number: f"/{profile(number % READ)[0]}/events?event=Viewed&type=track",
        "sessions": lambda number: f"/{profile(number % READ)[0]}/sessions",
    }


async def _times(client: httpx.AsyncClient, path: Callable[[int], str], numbers: Sequence[int]) -> list[float]:
    """Milliseconds of each call, ascending."""
    times = []
    for number in numbers:
        url = f"/v1/profiles{path(number)}"
        start = time.perf_counter()
        (await client.get(url)).raise_for_status()
        times.append(1000 * (time.perf_counter() - start))
    return sorted(times)


async def measure(url: str, count: int, calls: int) -> Report:
    await migrate(url, schema=SCHEMA, scripts=MIGRATIONS)
    pool, engine = await connect(url), async_engine(url, schema=SCHEMA, settings=PLANS)
    figures = []
    try:
        await plant(pool, count)
        common = CommonSettings("", 1, "", "127.0.0.1", "admin", 0, True)
        app = build_api(
            Settings(common, url, 0, "CZ", 250),
            pool=pool,
            profiles=Profiles(engine),
            wake=lambda partitions: None,
            suppressor=SUPPRESSOR,
            elsewhere=NOWHERE,
            metrics=Metrics("profiles"),
            checks={},
        )
        settle_garbage()  # as a service does
        transport, headers = httpx.ASGITransport(app), {"Authorization": "Bearer admin"}
        async with httpx.AsyncClient(transport=transport, base_url="http://profiles", headers=headers) as client:
            for name, path in searches(count).items():
                chosen = random.Random(name)
                await _times(client, path, [chosen.randrange(count) for _ in range(10)])
                times = await _times(client, path, [chosen.randrange(count) for _ in range(calls)])
                figures.append(Figure(f"{name}, p50", times[len(times) // 2], "ms"))
                figures.append(Figure(f"{name}, p99", times[len(times) * 99 // 100], "ms"))
    finally:
        await engine.dispose()
        await asyncio.wait_for(pool.close(), 10)
    return Report("search", f"{count:,} profiles, {3 * count:,} identifiers, {calls} calls each", figures)


def run(arguments: Namespace) -> Report:
    with engines.postgres() as engine:
        return uvloop.run(measure(engine.url, arguments.profiles, arguments.calls))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = options(__doc__)
    parser.add_argument("--profiles", type=int, default=1_000_000)
    parser.add_argument("--calls", type=int, default=300)
    present(run, parser, arguments)


if __name__ == "__main__":
    main()
