"""Of whom nothing is collected: after an erasure, and with the record kept."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from headrace.contracts.errors import SettingsError
from headrace.runtime.metrics import Metrics
from services.profiles.erasure import erase
from services.profiles.suppression_sql import open_suppressor
from tests.e2e.profiles_rig import PARTITIONS, SUPPRESSOR, T0, Rig, event, profiles_rig


@pytest.fixture
async def rig(database_url: str, log_url: str, topic_prefix: str) -> AsyncIterator[Rig]:
    async with profiles_rig(database_url, log_url, topic_prefix=topic_prefix) as rig:
        yield rig


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("profiles")


@pytest.fixture
async def api(rig: Rig, metrics: Metrics) -> AsyncIterator[httpx.AsyncClient]:
    async with rig.worker(metrics=metrics) as worker, rig.api(worker) as client:
        yield client


async def jana(rig: Rig) -> str:
    """A customer with a user id, a browser and an e-mail address."""
    traits = {"email": "jana@example.com", "first_name": "Jana"}
    await rig.send(event("identify", user="u1", anonymous="a1", traits=traits))
    await rig.processed()
    [found] = await rig.profiles()
    return str(found["id"])


def dropped(metrics: Metrics) -> float | None:
    return metrics.registry.get_sample_value("headrace_events_suppressed_total")


async def test_an_erased_person_is_not_recreated(rig: Rig, api: httpx.AsyncClient, metrics: Metrics) -> None:
    who = await jana(rig)
    assert (await api.delete(f"/v1/profiles/{who}")).json() == {"success": True}
    await rig.send(
        event("identify", user="u1", traits={"first_name": "Jana"}),
        event(anonymous="a1"),
        event("identify", user="u1", anonymous="a1", traits={"email": "JANA@example.com"}),
    )
    await rig.send_outcome(profile_id=who, outcome="delivered")
    await rig.processed()
    assert await rig.profiles() == []
    assert dropped(metrics) == 4
    assert await rig.pool.fetchval("SELECT count(*) FROM identifier") == 0


async def test_beside_others_their_identifiers_are_ignored(rig: Rig, api: httpx.AsyncClient) -> None:
    await api.delete(f"/v1/profiles/{await jana(rig)}")
    await rig.send(
        event(
            "identify",
            user="u2",
            anonymous="a1",
            traits={"email": "jana@example.com", "first_name": "Petr"},
            at=T0,
        )
    )
    await rig.processed()
    [other] = await rig.profiles()
    assert [(one["type"], one["value"]) for one in other["identifiers"]] == [("user_id", "u2")]
    assert other["traits"] == {"first_name": "Petr"}
    payloads = await rig.pool.fetch("SELECT payload FROM timeline WHERE profile_id = $1", other["id"])
    assert payloads
    assert not any('"a1"' in row["payload"] or "jana@" in row["payload"] for row in payloads)


async def test_lifted_the_person_is_somebody_new(rig: Rig, api: httpx.AsyncClient) -> None:
    who = await jana(rig)
    await api.delete(f"/v1/profiles/{who}")
    named = {"type": "user_id", "value": "u1"}
    assert (await api.post("/v1/suppressions/lift", json=named)).status_code == 200
    assert (await api.post("/v1/suppressions/lift", json=named)).status_code == 404
    await rig.send(event(user="u1"))
    await rig.processed()
    [again] = await rig.profiles()
    assert again["id"] != who


async def test_a_suppressed_customer_is_kept_as_it_is(rig: Rig, api: httpx.AsyncClient, metrics: Metrics) -> None:
    who = await jana(rig)
    before = await rig.profiles()
    assert (await api.post(f"/v1/profiles/{who}/suppress")).json() == {"id": who, "suppressed": True}
    assert await rig.pool.fetchval("SELECT count(DISTINCT profile_id) FROM suppressed_v1") == 1
    await rig.send(event("identify", user="u1", traits={"first_name": "Other"}), event(anonymous="a1"))
    await rig.send_outcome(profile_id=who, outcome="opened")
    await rig.send_outcome(profile_id=who, outcome="unsubscribed")  # taking consent back always counts
    await rig.processed()
    [after] = await rig.profiles()
    assert after["consents"]["sms"]["status"] == "withdrawn"
    assert {**after, "consents": {}} == {**before[0], "consents": {}}
    assert dropped(metrics) == 3
    assert (await api.delete(f"/v1/profiles/{who}/suppress")).json() == {"id": who, "suppressed": False}
    assert await rig.pool.fetchval("SELECT count(*) FROM suppressed") == 0
    await rig.send(event("identify", user="u1", traits={"first_name": "Other"}))
    await rig.processed()
    assert (await rig.profiles())[0]["traits"]["first_name"] == "Other"
    for unknown in ("nobody",):
        assert (await api.post(f"/v1/profiles/{unknown}/suppress")).status_code == 404
        assert (await api.get(f"/v1/profiles/{unknown}/suppress")).status_code == 404


async def test_no_batch_slips_between_an_erasure_and_what_it_remembers(rig: Rig, api: httpx.AsyncClient) -> None:
    """Events of the person arrive all the while: whoever comes first, in the end there is nobody."""
    who = await jana(rig)

    async def arrive() -> None:
        for number in range(60):
            await rig.send(event("identify", user="u1", anonymous="a1", traits={"visits": number}))

    arriving = asyncio.create_task(arrive())
    await asyncio.sleep(0)
    assert await erase(rig.pool, who, PARTITIONS, suppressor=SUPPRESSOR)
    await arriving
    await rig.processed()
    assert await rig.profiles() == []


async def test_what_is_kept_is_a_keyed_hash(rig: Rig, api: httpx.AsyncClient) -> None:
    await api.delete(f"/v1/profiles/{await jana(rig)}")
    kept = await rig.pool.fetch("SELECT hash, profile_id FROM suppressed")
    assert {row["profile_id"] for row in kept} == {None}
    assert SUPPRESSOR.hash(("email", "jana@example.com")) in {row["hash"] for row in kept}
    await open_suppressor(rig.pool, "one")
    with pytest.raises(SettingsError):
        await open_suppressor(rig.pool, "another")
