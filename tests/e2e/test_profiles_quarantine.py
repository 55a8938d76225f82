"""An identifier that strangers share: put into quarantine by the batch, taken apart beside it, let out by hand."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import msgspec
import pytest

from headrace.contracts.event import Event
from headrace.runtime.metrics import Metrics
from services.profiles.identity_rules import IdentityRules, TypeRule
from services.profiles.quarantine import Quarantine
from services.profiles.unmerging import take_apart
from tests.e2e.profiles_rig import T0, Rig, event, eventually, profiles_rig

VISITORS = 60
KIOSK = ("device.id", "kiosk")
STEP = 1_000


@pytest.fixture
async def rig(database_url: str, log_url: str, topic_prefix: str) -> AsyncIterator[Rig]:
    async with profiles_rig(database_url, log_url, topic_prefix=topic_prefix) as rig:
        yield rig


def at_the_kiosk(n: int, **who: Any) -> Event:
    device = msgspec.Raw(msgspec.json.encode({"device": {"id": KIOSK[1]}}))
    return event(at=T0 + n * STEP, context=device, **who)


async def visits(rig: Rig, first: int = 0, last: int = VISITORS) -> None:
    """Each visitor's cookie is another one, and the kiosk is named with all of them."""
    await rig.send(*(at_the_kiosk(n, anonymous=f"v{n}") for n in range(first, last)))
    await rig.processed()


@asynccontextmanager
async def running(loop: Quarantine) -> AsyncIterator[None]:
    task = asyncio.create_task(loop.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def quarantine(rig: Rig) -> Quarantine:
    async def split(kind: str, value: str) -> int:
        return await take_apart(rig.pool, kind, value, len(rig.partitions))

    return Quarantine(rig.pool, split)


async def waiting(rig: Rig) -> int:
    return int(await rig.pool.fetchval("SELECT count(*) FROM identifier WHERE NOT taken_apart"))


async def everybody(rig: Rig) -> set[frozenset[tuple[str, str]]]:
    return {frozenset({("anonymous_id", f"v{n}")}) for n in range(VISITORS)}


async def test_visitors_behind_one_device_become_customers_of_their_own(rig: Rig) -> None:
    metrics = Metrics("profiles")
    async with rig.worker(metrics=metrics):
        await visits(rig)
        assert metrics.registry.get_sample_value("headrace_quarantined_identifiers_total") == 1
        assert await waiting(rig) == 1
        await quarantine(rig).work()
        assert await waiting(rig) == 0
        assert await rig.people() - {frozenset({KIOSK})} == await everybody(rig)
        told = (
            "SELECT coalesce(payload::json ->> 'more', 'false') FROM timeline WHERE kind = 'unmerge' ORDER BY seq"
        )
        *others, last = [row[0] for row in await rig.pool.fetch(told)]
        assert (set(others), last) == ({"true"}, "false"), "the customer is looked at once, when all have left"

        # from then on it leads to nobody, and who names nobody else is its own profile
        await rig.send(at_the_kiosk(VISITORS), at_the_kiosk(VISITORS + 1), at_the_kiosk(0, user="u1"))
        await rig.processed()
        expected = await everybody(rig) | {frozenset({KIOSK}), frozenset({("user_id", "u1")})}
        assert await rig.people() == expected
    decided = await rig.pool.fetch("SELECT evidence FROM decision WHERE kind = 'quarantined'")
    assert [msgspec.json.decode(row["evidence"]) for row in decided] == [{"identifiers": [list(KIOSK)]}]


async def test_two_workers_make_its_own_profile_together(rig: Rig) -> None:
    async with rig.worker():
        await visits(rig)
        await quarantine(rig).work()
    sent = [event("identify", at=T0 + n, traits={f"t{n}": n}, context=at_the_kiosk(0).context) for n in range(40)]
    for n, one in enumerate(sent):
        await rig.send(one, q=n % len(rig.partitions))
    async with rig.worker(owns=[0]), rig.worker(owns=[1]):
        await rig.processed()
    [own] = [one for one in await rig.profiles() if one["identifiers"] == [{"type": KIOSK[0], "value": KIOSK[1]}]]
    assert own["traits"] == {f"t{n}": n for n in range(40)}


async def test_several_at_once_take_apart_once(rig: Rig) -> None:
    async with rig.worker():
        await visits(rig)
    made = await asyncio.gather(*(take_apart(rig.pool, *KIOSK, len(rig.partitions)) for _ in range(4)))
    assert sorted(made)[:3] == [0, 0, 0]
    assert max(made) == await rig.pool.fetchval("SELECT count(*) FROM unmerge") > 1
    assert await rig.people() - {frozenset({KIOSK})} == await everybody(rig)


async def test_the_work_list_outlives_the_process(rig: Rig) -> None:
    async def dies(kind: str, value: str) -> int:
        raise RuntimeError("not today")

    async with rig.worker() as worker, running(Quarantine(rig.pool, dies)):
        await visits(rig)
        assert worker.relay(0) is not None
    assert await waiting(rig) == 1
    async with running(quarantine(rig)):
        await eventually(lambda: nothing_waits(rig))
    assert frozenset({("anonymous_id", "v3")}) in await rig.people()


async def nothing_waits(rig: Rig) -> bool:
    return await waiting(rig) == 0


async def test_a_commit_wakes_the_loop(rig: Rig) -> None:
    called = asyncio.Event()

    async def split(kind: str, value: str) -> int:
        called.set()
        return await take_apart(rig.pool, kind, value, len(rig.partitions))

    loop = Quarantine(rig.pool, split, look_seconds=3_600)
    async with running(loop), rig.worker(on_quarantine=loop.wake):
        await visits(rig)
        async with asyncio.timeout(30):
            await called.wait()
        await eventually(lambda: nothing_waits(rig))


async def test_an_operator_sees_what_is_in_quarantine_and_lets_it_out(rig: Rig) -> None:
    async with rig.worker() as worker, rig.api(worker) as api:
        await visits(rig)
        await quarantine(rig).work()
        [item] = (await api.get("/v1/identifiers/quarantined")).raise_for_status().json()["items"]
        assert (item["type"], item["value"], item["taken_apart"]) == (*KIOSK, True)
        assert await release(api, *KIOSK) == (200, True)
        assert await release(api, *KIOSK) == (200, False)
        assert (await api.get("/v1/identifiers/quarantined")).json() == {"items": [], "next": None}

        await rig.send(at_the_kiosk(0, user="u1"), at_the_kiosk(1, user="u1", anonymous="v0"))
        await rig.processed()
        assert frozenset({("user_id", "u1"), ("anonymous_id", "v0"), KIOSK}) in await rig.people()
        kinds = await rig.pool.fetch("SELECT kind FROM decision WHERE kind IN ('quarantined', 'released')")
        assert [row["kind"] for row in kinds] == ["quarantined", "released"]


async def test_what_was_let_out_may_be_quarantined_and_taken_apart_again(rig: Rig) -> None:
    async with rig.worker() as worker, rig.api(worker) as api:
        await visits(rig, 0, 30)
        await quarantine(rig).work()
        assert await release(api, *KIOSK) == (200, True)
        await visits(rig, 30)
        assert await waiting(rig) == 1
        await quarantine(rig).work()
        assert await waiting(rig) == 0
        await rig.send(at_the_kiosk(VISITORS))
        await rig.processed()
        assert await rig.people() == await everybody(rig) | {frozenset({KIOSK})}


async def test_lists_and_refusals_of_the_routes(rig: Rig) -> None:
    async with rig.worker() as worker, rig.api(worker) as api:
        await rig.send(*(event(anonymous=f"a{n}") for n in range(3)))
        await rig.processed()
        await rig.pool.execute("UPDATE identifier SET quarantined_at = 1")
        first = (await api.get("/v1/identifiers/quarantined", params={"limit": "2"})).json()
        second = (
            await api.get("/v1/identifiers/quarantined", params={"limit": "2", "cursor": first["next"]})
        ).json()
        assert [one["value"] for one in first["items"] + second["items"]] == ["a0", "a1", "a2"]
        assert second["next"] is None
        wrong = await api.get("/v1/identifiers/quarantined", params={"cursor": "?"})
        assert (wrong.status_code, wrong.json()["code"]) == (400, "invalid_cursor")
        assert await release(api, "anonymous_id", "nobody") == (404, None)
        assert await release(api, "user_id", "null") == (404, None)
        api.headers.pop("Authorization")
        assert (await api.get("/v1/identifiers/quarantined")).status_code == 401


async def release(api: httpx.AsyncClient, kind: str, value: str) -> tuple[int, bool | None]:
    answer = await api.post("/v1/identifiers/release", json={"type": kind, "value": value})
    return answer.status_code, answer.json().get("released")


async def test_by_hand_no_two_of_a_hard_type_are_merged(rig: Rig) -> None:
    rules = IdentityRules({"crm": TypeRule(hard=True, limit=1, within=None)})
    hard = replace(rig, settings=replace(rig.settings, identity=rules))
    async with hard.worker() as worker, hard.api(worker) as api:
        for number in ("7", "8"):
            external = {"externalIds": [{"type": "crm", "id": number, "collection": "users"}]}
            await rig.send(event(anonymous=f"a{number}", context=msgspec.Raw(msgspec.json.encode(external))))
        await rig.processed()
        one, other = [profile["id"] for profile in await rig.profiles()]
        answer = await api.post(f"/v1/profiles/{one}/merge", json={"into": other})
        assert (answer.status_code, answer.json()["code"]) == (409, "two_customers")


async def test_a_refusal_is_said_once_with_the_event_that_led_to_it(rig: Rig) -> None:
    async with rig.worker():
        await rig.send(event(user="u1", anonymous="c"), event(user="u2", message_id="first", anonymous="c"), q=0)
        await rig.processed()
        await rig.send(*(event(user="u2", anonymous="c") for _ in range(3)))
        await rig.processed()
    [row] = await rig.pool.fetch("SELECT * FROM decision WHERE kind = 'kept_apart'")
    assert (row["source"], row["message_id"], row["reason"]) == ("shop", "first", "hard")
    assert msgspec.json.decode(row["evidence"]) == {
        "identifiers": [["user_id", "u2"], ["anonymous_id", "c"]],
        "dropped": ["anonymous_id", "c"],
        "rule": "hard",
    }
