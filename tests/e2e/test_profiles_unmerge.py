"""Taking apart what was merged: two customers as if they had never met, and nothing lost or there twice."""

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest

from headrace.contracts.profile_event import EventRow, SplitRow, UnmergeRow
from tests.e2e.profiles_rig import T0, Rig, event, profiles_rig
from tests.e2e.test_profiles_redaction import FakeReaders, redaction

Document = dict[str, Any]


@pytest.fixture
async def rig(database_url: str, log_url: str, topic_prefix: str) -> AsyncIterator[Rig]:
    async with profiles_rig(database_url, log_url, topic_prefix=topic_prefix) as rig:
        yield rig


@pytest.fixture
async def api(rig: Rig) -> AsyncIterator[httpx.AsyncClient]:
    async with rig.worker() as worker, rig.api(worker) as client:
        yield client


async def lookup(api: httpx.AsyncClient, kind: str, value: str) -> Document:
    found = await api.get("/v1/profiles/lookup", params={"type": kind, "value": value})
    profile: Document = found.raise_for_status().json()
    return profile


async def events(api: httpx.AsyncClient, profile_id: str) -> list[str]:
    """Names of the events on the customer's timeline, the oldest first."""
    found = await api.get(f"/v1/profiles/{profile_id}/events", params={"limit": "200"})
    return [item["event"] for item in reversed(found.raise_for_status().json()["items"]) if item.get("event")]


async def two_on_one_tablet(rig: Rig) -> None:
    """Ann logs in on a tablet on which Bob, who never does, has looked around and left his phone number."""
    bob = {"phone": "+420 601 000 001", "city": "Brno"}
    await rig.send(event(anonymous="tablet", name="Bob looks", at=T0))
    await rig.send(event("identify", anonymous="tablet", traits=bob, at=T0 + 10))
    await rig.send(event("identify", user="ann", traits={"city": "Praha", "plan": "gold"}, at=T0 + 5))
    await rig.send(event(user="ann", name="Ann buys", at=T0 + 6))
    await rig.processed()
    await rig.send(event(user="ann", anonymous="tablet", name="Ann on the tablet", at=T0 + 20))
    await rig.processed()


async def test_an_identifier_is_taken_out_with_what_only_it_connects(rig: Rig, api: httpx.AsyncClient) -> None:
    await two_on_one_tablet(rig)
    ann = await lookup(api, "user_id", "ann")
    assert ann["traits"] == {"city": "Brno", "plan": "gold", "phone": "+420 601 000 001"}

    wanted = {"identifier": {"type": "anonymous_id", "value": "tablet"}}
    done = (await api.post(f"/v1/profiles/{ann['id']}/unmerge", json=wanted)).raise_for_status().json()

    ann, bob = await lookup(api, "user_id", "ann"), await lookup(api, "anonymous_id", "tablet")
    assert (done["id"], done["into"], done["moved"]) == (ann["id"], bob["id"], 2)
    assert ann["traits"] == {"city": "Praha", "plan": "gold"}
    assert bob["traits"] == {"city": "Brno", "phone": "+420 601 000 001"}
    assert (bob["first_seen"], bob["last_seen"]) == (T0, T0 + 10)
    assert (ann["first_seen"], ann["last_seen"]) == (T0 + 5, T0 + 20)
    assert (await lookup(api, "phone", "+420601000001"))["id"] == bob["id"]
    assert await events(api, bob["id"]) == ["Bob looks"]
    assert await events(api, ann["id"]) == ["Ann buys", "Ann on the tablet"]


async def test_both_partitions_are_told_with_one_time(rig: Rig, api: httpx.AsyncClient) -> None:
    await two_on_one_tablet(rig)
    ann = await lookup(api, "user_id", "ann")
    wanted = {"identifier": {"type": "anonymous_id", "value": "tablet"}}
    done = (await api.post(f"/v1/profiles/{ann['id']}/unmerge", json=wanted)).raise_for_status().json()
    await rig.processed()

    rows = await rig.rows()
    [unmerge] = [row for row in rows if isinstance(row, UnmergeRow)]
    [split] = [row for row in rows if isinstance(row, SplitRow)]
    assert (unmerge.profile_id, unmerge.into) == (ann["id"], done["into"]) == (split.origin, split.profile_id)
    assert unmerge.time == split.time
    assert unmerge.traits == {"city": "Praha", "phone": None}
    assert split.traits == {"city": "Brno", "phone": "+420 601 000 001"}
    moved = await rig.pool.fetch("SELECT partition, seq FROM moved_v1 WHERE unmerge_id = $1", unmerge.id)
    assert len(moved) == done["moved"]


async def test_they_are_not_merged_again_by_the_same_evidence_but_by_other(
    rig: Rig, api: httpx.AsyncClient
) -> None:
    await two_on_one_tablet(rig)
    ann = (await lookup(api, "user_id", "ann"))["id"]
    wanted = {"identifier": {"type": "anonymous_id", "value": "tablet"}}
    await api.post(f"/v1/profiles/{ann}/unmerge", json=wanted)

    await rig.send(event(user="ann", anonymous="tablet", name="Again", at=T0 + 30))
    await rig.processed()
    bob = (await lookup(api, "anonymous_id", "tablet"))["id"]
    assert bob != ann
    assert "Again" in await events(api, ann)
    decisions = (await api.get(f"/v1/profiles/{ann}/merges")).json()["items"]
    assert [one["kind"] for one in decisions] == ["kept_apart", "unmerged", "merged"]
    assert decisions[0]["reason"] == "apart"
    assert decisions[0]["evidence"]["dropped"] == ["anonymous_id", "tablet"]

    await rig.send(event("identify", user="ann", traits={"email": "both@example.com"}, at=T0 + 40))
    await rig.processed()
    await rig.send(event("identify", anonymous="tablet", traits={"email": "both@example.com"}, at=T0 + 41))
    await rig.processed()
    assert (await lookup(api, "anonymous_id", "tablet"))["id"] == ann


async def test_an_earlier_merge_is_taken_out_and_merged_again_by_api(rig: Rig, api: httpx.AsyncClient) -> None:
    await two_on_one_tablet(rig)
    ann = (await lookup(api, "user_id", "ann"))["id"]
    [merge] = (await api.get(f"/v1/profiles/{ann}/merges")).json()["items"]
    assert (merge["kind"], merge["reason"]) == ("merged", "event")
    before = Counter(await events(api, ann))

    done = (await api.post(f"/v1/profiles/{ann}/unmerge", json={"merge": merge["id"]})).raise_for_status().json()
    bob = (await lookup(api, "anonymous_id", "tablet"))["id"]
    assert done["into"] == bob == (await api.get(f"/v1/profiles/{merge['other_id']}")).json()["id"]
    assert Counter(await events(api, ann)) + Counter(await events(api, bob)) == before

    await api.post(f"/v1/profiles/{bob}/merge", json={"into": ann})
    assert Counter(await events(api, ann)) == before
    assert (await lookup(api, "anonymous_id", "tablet"))["id"] == ann
    await rig.send(event(user="ann", anonymous="tablet", name="Again", at=T0 + 30))
    await rig.processed()
    assert (await events(api, ann)).count("Again") == 1


async def test_an_address_that_is_taken_out_is_no_trait_and_does_not_come_back(
    rig: Rig, api: httpx.AsyncClient
) -> None:
    bob = {"email": "bob@example.com"}
    await rig.send(event("identify", anonymous="phone", traits=bob, at=T0))
    await rig.send(event("identify", user="ann", traits={**bob, "plan": "gold"}, at=T0 + 1))
    await rig.processed()
    ann = await lookup(api, "user_id", "ann")
    assert ann["traits"] == {"email": "bob@example.com", "plan": "gold"}
    wanted = {"identifier": {"type": "email", "value": "bob@example.com"}}
    done = (await api.post(f"/v1/profiles/{ann['id']}/unmerge", json=wanted)).raise_for_status().json()
    assert (await lookup(api, "user_id", "ann"))["traits"] == {"plan": "gold"}
    assert (await lookup(api, "email", "bob@example.com"))["id"] == done["into"]

    await rig.send(event("identify", user="ann", traits={**bob, "plan": "blue"}, at=T0 + 9))
    await rig.processed()
    assert (await lookup(api, "user_id", "ann"))["traits"] == {"plan": "blue"}
    assert (await lookup(api, "email", "bob@example.com"))["traits"] == bob


async def test_an_address_that_came_back_by_other_evidence_is_a_trait_again(
    rig: Rig, api: httpx.AsyncClient
) -> None:
    email = {"email": "ann@example.com"}
    await rig.send(event("identify", user="ann", traits=email, at=T0))
    await rig.processed()
    ann = (await lookup(api, "user_id", "ann"))["id"]
    mail = {"identifier": {"type": "email", "value": "ann@example.com"}}
    (await api.post(f"/v1/profiles/{ann}/unmerge", json=mail)).raise_for_status()

    card = {"externalIds": [{"type": "card", "id": "1", "collection": "users"}]}
    context = msgspec.Raw(msgspec.json.encode(card))
    await rig.send(event(user="ann", anonymous="tablet", context=context, at=T0 + 1))
    await rig.processed()
    await rig.send(event("identify", traits=email, context=context, at=T0 + 2))
    await rig.processed()
    assert (await lookup(api, "email", "ann@example.com"))["id"] == ann

    tablet = {"identifier": {"type": "anonymous_id", "value": "tablet"}}
    (await api.post(f"/v1/profiles/{ann}/unmerge", json=tablet)).raise_for_status()
    assert (await lookup(api, "user_id", "ann"))["traits"] == email


async def test_a_repeated_request_changes_nothing_more(rig: Rig, api: httpx.AsyncClient) -> None:
    await two_on_one_tablet(rig)
    ann = (await lookup(api, "user_id", "ann"))["id"]
    wanted = {"identifier": {"type": "anonymous_id", "value": "tablet"}, "id": "ticket-1"}
    first = await api.post(f"/v1/profiles/{ann}/unmerge", json=wanted)
    again = await api.post(f"/v1/profiles/{ann}/unmerge", json=wanted)
    assert first.json() == again.json()
    assert again.status_code == 200
    await rig.processed()
    assert sum(isinstance(row, UnmergeRow) for row in await rig.rows()) == 1


@pytest.mark.parametrize(
    ("wanted", "status", "code"),
    [
        ({"identifier": {"type": "email", "value": "nobody@example.com"}}, 404, "not_theirs"),
        ({"identifier": {"type": "user_id", "value": "ann"}}, 409, "nothing_left"),
        ({"merge": 999}, 404, "not_theirs"),
        ({}, 400, "invalid_request"),
        ({"merge": 1, "idd": "ticket"}, 400, "invalid_request"),
    ],
)
async def test_what_cannot_be_taken_apart_is_refused(
    rig: Rig, api: httpx.AsyncClient, wanted: Document, status: int, code: str
) -> None:
    await rig.send(event(user="ann", name="Ann buys", at=T0))
    await rig.processed()
    ann = (await lookup(api, "user_id", "ann"))["id"]
    refused = await api.post(f"/v1/profiles/{ann}/unmerge", json=wanted)
    assert (refused.status_code, refused.json()["code"]) == (status, code)


async def test_an_id_that_was_sent_for_something_else_is_refused(rig: Rig, api: httpx.AsyncClient) -> None:
    await two_on_one_tablet(rig)
    ann = (await lookup(api, "user_id", "ann"))["id"]
    first = {"identifier": {"type": "anonymous_id", "value": "tablet"}, "id": "ticket-1"}
    (await api.post(f"/v1/profiles/{ann}/unmerge", json=first)).raise_for_status()
    other = {"identifier": {"type": "user_id", "value": "ann"}, "id": "ticket-1"}
    refused = await api.post(f"/v1/profiles/{ann}/unmerge", json=other)
    assert (refused.status_code, refused.json()["code"]) == (409, "id_reused")


async def test_outcomes_go_with_the_profile_that_they_were_written_under(rig: Rig, api: httpx.AsyncClient) -> None:
    await rig.send(event("identify", user="ann", traits={"email": "ann@example.com"}, at=T0))
    await rig.send(event(user="ann", name="Ann buys", at=T0 + 6))
    await rig.processed()
    ann = (await lookup(api, "user_id", "ann"))["id"]
    await rig.send_outcome(profile_id=ann, outcome="delivered", at=T0 + 50)
    await rig.processed()
    wanted = {"identifier": {"type": "user_id", "value": "ann"}}
    done = (await api.post(f"/v1/profiles/{ann}/unmerge", json=wanted)).raise_for_status().json()
    assert await events(api, done["into"]) == ["Ann buys"]
    assert await events(api, done["id"]) == ["SMS Delivered"]
    # what we did to a customer did not see anybody
    assert (await lookup(api, "user_id", "ann"))["last_seen"] == T0 + 6
    assert (await lookup(api, "email", "ann@example.com"))["last_seen"] == T0


async def test_what_was_taken_apart_and_merged_again_leaves_with_its_outcomes(
    rig: Rig, api: httpx.AsyncClient
) -> None:
    for user in ("ann", "bob"):
        await rig.send(event(anonymous=user, name=f"{user} looks", at=T0))
    await rig.processed()
    ann, bob = [(await lookup(api, "anonymous_id", user))["id"] for user in ("ann", "bob")]
    await rig.send_outcome(profile_id=bob, outcome="delivered", at=T0 + 1)
    await rig.processed()
    await api.post(f"/v1/profiles/{bob}/merge", json={"into": ann})
    for _ in range(2):  # the second time it is the profile that the first unmerge made
        merge = (await api.get(f"/v1/profiles/{ann}/merges")).json()["items"][0]
        assert merge["kind"] == "merged"
        wanted = {"merge": merge["id"]}
        done = (await api.post(f"/v1/profiles/{ann}/unmerge", json=wanted)).raise_for_status().json()
        assert sorted(await events(api, done["into"])) == ["SMS Delivered", "bob looks"]
        assert await events(api, ann) == ["ann looks"]
        assert (await api.get(f"/v1/profiles/{bob}")).json()["id"] == done["into"]
        assert bob in (await api.get(f"/v1/profiles/{done['into']}")).json()["merged_from"]
        await api.post(f"/v1/profiles/{done['into']}/merge", json={"into": ann})


async def test_of_a_suppressed_customer_both_stay_suppressed(rig: Rig, api: httpx.AsyncClient) -> None:
    await two_on_one_tablet(rig)
    ann = (await lookup(api, "user_id", "ann"))["id"]
    (await api.post(f"/v1/profiles/{ann}/suppress")).raise_for_status()
    wanted = {"identifier": {"type": "anonymous_id", "value": "tablet"}}
    bob = (await api.post(f"/v1/profiles/{ann}/unmerge", json=wanted)).raise_for_status().json()["into"]
    suppressed = {row["profile_id"] for row in await rig.pool.fetch("SELECT profile_id FROM suppressed_v1")}
    assert suppressed == {ann, bob}

    (await api.delete(f"/v1/profiles/{bob}/suppress")).raise_for_status()
    await rig.send(
        event(anonymous="tablet", name="Bob again", at=T0 + 60), event(user="ann", name="Ann again", at=T0 + 61)
    )
    await rig.processed()
    assert "Bob again" in await events(api, bob)
    assert "Ann again" not in await events(api, ann)


async def test_rows_of_before_identifiers_were_kept_say_them_in_their_payload(
    rig: Rig, api: httpx.AsyncClient
) -> None:
    await rig.send(event("identify", anonymous="old", traits={"email": "Old@Example.com", "n": 1}, at=T0))
    await rig.send(event("identify", user="new", traits={"n": 2}, at=T0 + 1))
    await rig.processed()
    old, new = (await lookup(api, "anonymous_id", "old"))["id"], (await lookup(api, "user_id", "new"))["id"]
    await rig.pool.execute("UPDATE timeline SET identifiers = NULL, stated = NULL")
    await api.post(f"/v1/profiles/{old}/merge", json={"into": new})
    wanted = {"identifier": {"type": "anonymous_id", "value": "old"}}
    done = (await api.post(f"/v1/profiles/{new}/unmerge", json=wanted)).raise_for_status().json()
    assert (await lookup(api, "email", "old@example.com"))["id"] == done["into"]
    assert (await lookup(api, "anonymous_id", "old"))["traits"] == {"email": "Old@Example.com", "n": 1}
    assert (await lookup(api, "user_id", "new"))["traits"] == {"n": 2}


async def test_rows_of_the_timeline_are_never_rewritten(rig: Rig, api: httpx.AsyncClient) -> None:
    await two_on_one_tablet(rig)
    ann = (await lookup(api, "user_id", "ann"))["id"]
    before = [row for row in await rig.rows() if isinstance(row, EventRow)]
    await api.post(f"/v1/profiles/{ann}/unmerge", json={"identifier": {"type": "anonymous_id", "value": "tablet"}})
    await rig.processed()
    assert [row for row in await rig.rows() if isinstance(row, EventRow)] == before


async def test_who_went_into_somebody_else_stays_there_when_what_it_once_had_is_taken_apart(
    rig: Rig, api: httpx.AsyncClient
) -> None:
    await rig.send(event(user="ann", name="Ann buys", at=T0), event(anonymous="eva", name="Eva looks", at=T0))
    await rig.processed()
    await rig.send(event(user="ann", anonymous="tablet", at=T0 + 1))
    await rig.processed()
    await rig.send(event(anonymous="tablet", name="Somebody looks", at=T0 + 2))
    await rig.processed()
    ann, eva = (await lookup(api, "user_id", "ann"))["id"], (await lookup(api, "anonymous_id", "eva"))["id"]
    wanted = {"identifier": {"type": "anonymous_id", "value": "tablet"}}
    first = (await api.post(f"/v1/profiles/{ann}/unmerge", json=wanted)).raise_for_status().json()["into"]

    await rig.send(event("identify", anonymous="tablet", traits={"email": "bob@shop.test"}, at=T0 + 3))
    await rig.processed()
    (await api.post(f"/v1/profiles/{ann}/merge", json={"into": eva})).raise_for_status()
    second = (await api.post(f"/v1/profiles/{first}/unmerge", json=wanted)).raise_for_status().json()["into"]
    assert await events(api, second) == ["Somebody looks"]  # which was written under Ann's id
    assert (await api.get(f"/v1/profiles/{ann}")).json()["id"] == eva
    assert "Ann buys" in await events(api, eva)


async def test_of_one_who_is_taken_out_and_erased_nothing_stays_with_the_other(
    rig: Rig, api: httpx.AsyncClient
) -> None:
    """Bob was taken out of Ann, and what he has out of him once more: it says `secret` wherever it stands."""
    await rig.send(
        event("identify", anonymous="secret-b", traits={"city": "secret", "email": "secret@b.test"}, at=T0)
    )
    await rig.send(event("identify", anonymous="secret-b", traits={"phone": "+420601000001"}, at=T0 + 1))
    await rig.send(event("identify", user="ann", anonymous="tablet", traits={"plan": "gold"}, at=T0 + 2))
    await rig.processed()
    await rig.send(event("alias", user="ann", previous_id="secret-b", at=T0 + 3))
    await rig.processed()
    ann = (await lookup(api, "user_id", "ann"))["id"]
    [merge] = (await api.get(f"/v1/profiles/{ann}/merges")).json()["items"]
    bob = (await api.post(f"/v1/profiles/{ann}/unmerge", json={"merge": merge["id"]})).json()["into"]
    phone = {"identifier": {"type": "phone", "value": "+420601000001"}}
    again = (await api.post(f"/v1/profiles/{bob}/unmerge", json=phone)).raise_for_status().json()["into"]
    assert (await api.delete(f"/v1/profiles/{again}")).status_code == 200
    for table in ("decision", "apart", "suspicion", "identifier"):
        assert "601000001" not in str(await rig.pool.fetch(f"SELECT t::text FROM {table} t")), table
    assert (await api.delete(f"/v1/profiles/{bob}")).status_code == 200
    await rig.processed()

    refused = await api.post(f"/v1/profiles/{ann}/unmerge", json={"merge": merge["id"]})
    assert refused.status_code in (404, 409)
    assert (await api.get(f"/v1/profiles/{ann}")).json()["traits"] == {"plan": "gold"}
    for table in ("decision", "apart", "suspicion", "identifier", "profile"):
        assert "secret" not in str(await rig.pool.fetch(f"SELECT t::text FROM {table} t")), table
    assert await redaction(rig, FakeReaders()).redact_all() == 2
    rows = await rig.pool.fetch(
        "SELECT payload, stated FROM timeline WHERE kind <> 'event' OR profile_id <> $1", ann
    )
    assert "secret" not in str(rows)
    assert "gold" in str(await rig.pool.fetch("SELECT payload FROM timeline"))
