"""What a customer did and was sent: filters, both directions, sessions, messages, what is last known."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest

from headrace.contracts.instant import format_instant
from headrace.contracts.profile_event import EventRow
from services.profiles.last_known_sql import NEAR
from tests.e2e.profiles_rig import HOUR, T0, Rig, event, profiles_rig

MINUTE = 60_000


@pytest.fixture
async def rig(database_url: str, log_url: str, topic_prefix: str) -> AsyncIterator[Rig]:
    async with profiles_rig(database_url, log_url, topic_prefix=topic_prefix) as rig:
        yield rig


@pytest.fixture
async def api(rig: Rig) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the admin token, beside a running worker."""
    async with rig.worker() as worker, rig.api(worker) as client:
        yield client


def context(**parts: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(parts))


async def only(rig: Rig) -> str:
    await rig.processed()
    [stored] = await rig.profiles()
    return str(stored["id"])


async def listed(api: httpx.AsyncClient, path: str, limit: int = 50, **asked: Any) -> list[dict[str, Any]]:
    """All pages."""
    found: list[dict[str, Any]] = []
    params = {"limit": limit, **asked}
    while True:
        answer = await api.get(f"/v1/profiles/{path}", params=params)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found += page["items"]
        if page["next"] is None:
            return found
        params["cursor"] = page["next"]


def names(rows: list[dict[str, Any]]) -> list[str]:
    return [row.get("event") or row.get("type") or row["kind"] for row in rows]


async def a_day(rig: Rig) -> str:
    """A visitor who becomes u1; ids have characters that JSON escapes."""
    await rig.send(event("page", anonymous="a1", at=T0, message_id='p"1\\'))
    await rig.send(event(anonymous="a1", at=T0 + 1, name="Product Viewed", message_id='","type":"page",'))
    await rig.send(event("identify", user="u1", anonymous="a1", at=T0 + 2))
    await rig.send(event("screen", user="u1", at=T0 + 3), event(user="u1", at=T0 + 4, name="Order Completed"))
    await rig.send(event(user="u1", at=T0 + 5, name="Consent Given", properties={"channel": "sms"}))
    await rig.send(event(user="u1", at=T0 + 6, name="Tag Added", properties={"tag": "vip"}))
    await rig.send(event(user="u2", at=T0 + 7), event(anonymous="late", at=T0 + 8, name="Late"))
    await rig.processed()
    await rig.send(event("identify", user="u1", anonymous="late", at=T0 + 9))
    await rig.processed()
    one = next(str(stored["id"]) for stored in await rig.profiles() if stored["user_id"] == "u1")
    await rig.send_outcome(profile_id=one, outcome="accepted", at=T0 + 10)
    await rig.processed()
    return one


async def test_the_timeline_by_what_stands_in_it(rig: Rig, api: httpx.AsyncClient) -> None:
    one = await a_day(rig)
    everything = await listed(api, f"{one}/events")
    cases: list[tuple[dict[str, Any], list[str]]] = [
        ({"type": "page"}, ["page"]),
        ({"type": ["identify", "screen"]}, ["identify", "identify", "screen"]),
        ({"event": "Order Completed"}, ["Order Completed"]),
        ({"event": ["Page Viewed", "Late"]}, ["Late", "page"]),
        ({"source": "headrace.messenger"}, ["SMS Sent"]),
        ({"kind": "message"}, ["SMS Sent"]),
        ({"kind": "consent"}, ["Consent Given"]),
        ({"kind": "tag"}, ["Tag Added"]),
        ({"kind": ["tag", "consent"]}, ["Consent Given", "Tag Added"]),
        ({"kind": "identity"}, ["merge", "tombstone"]),
        ({"type": "track", "source": "shop", "event": ["SMS Sent", "Late"]}, ["Late"]),
        ({"since": format_instant(T0 + 1), "until": format_instant(T0 + 3)}, ["Product Viewed", "identify"]),
        ({"event": "Nothing"}, []),
        ({"event": "a\0"}, []),
    ]
    for asked, expected in cases:
        found = await listed(api, f"{one}/events", **asked)
        assert sorted(names(found)) == expected, asked
        assert found == [row for row in everything if row in found], "in the order of the whole"
        assert await listed(api, f"{one}/events", 1, **asked) == found
    assert len(await listed(api, f"{one}/events", kind="event")) == len(everything) - 2
    for limit in (1, 3, 50):
        oldest = await listed(api, f"{one}/events", limit, order="oldest")
        assert oldest == everything[::-1]


async def test_pages_stay_what_they_are_while_events_come(rig: Rig, api: httpx.AsyncClient) -> None:
    await rig.send(*(event(user="u1", at=T0 + number, name=f"E{number}") for number in range(6)))
    one = await only(rig)
    first = (await api.get(f"/v1/profiles/{one}/events", params={"limit": 3, "type": "track"})).json()
    await rig.send(event(user="u1", at=T0, name="Late"))
    await rig.processed()
    params = {"limit": 3, "type": "track", "cursor": first["next"]}
    second = (await api.get(f"/v1/profiles/{one}/events", params=params)).json()
    assert names(first["items"] + second["items"]) == [f"E{number}" for number in (5, 4, 3, 2, 1, 0)]


async def test_filters_that_are_none_are_400(rig: Rig, api: httpx.AsyncClient) -> None:
    await rig.send(event(user="u1"))
    one = await only(rig)
    for path, params in [
        ("events", {"type": "purchase"}),
        ("events", {"kind": "x"}),
        ("events", {"since": "yesterday"}),
        ("events", {"order": "up"}),
        ("events", {"cursor": "1.2"}),
        ("events", {"cursor": f"{2**70}.0.0"}),
        ("sessions", {"cursor": "x"}),
        ("messages", {"cursor": "x"}),
    ]:
        answer = await api.get(f"/v1/profiles/{one}/{path}", params=params)
        assert answer.status_code == 400, params


async def test_sessions_end_after_half_an_hour_without_an_event(rig: Rig, api: httpx.AsyncClient) -> None:
    page = context(page={"url": "https://shop.example/a"}, campaign={"source": "news"})
    await rig.send(
        event(anonymous="a1", at=T0, name="Opened"),
        event("page", anonymous="a1", at=T0 + 10 * MINUTE, context=page),
        event(
            "page", anonymous="a1", at=T0 + 40 * MINUTE, context=context(page={"url": "https://shop.example/b"})
        ),
        event(anonymous="a1", at=T0 + 70 * MINUTE + 1, name="Product Viewed"),
        event("identify", anonymous="a1", user="u1", at=T0 + 71 * MINUTE),
        event(user="u1", at=T0 + 300 * MINUTE),
    )
    one = await only(rig)
    await rig.send(event(user="u1", at=T0 + 1 * MINUTE, name="Late"))
    await rig.processed()
    sessions = await listed(api, f"{one}/sessions")
    assert [(found["began_at"], found["ended_at"]) for found in sessions] == [
        (T0 + 300 * MINUTE, T0 + 300 * MINUTE),
        (T0 + 70 * MINUTE + 1, T0 + 71 * MINUTE),
        (T0, T0 + 40 * MINUTE),
    ]
    assert sessions[-1] == {
        "began_at": T0,
        "ended_at": T0 + 40 * MINUTE,
        "length_seconds": 2400.0,
        "events": 4,
        "pages": 2,
        "landing_page": {"url": "https://shop.example/a"},
        "campaign": {"source": "news"},
    }
    assert sessions[0]["landing_page"] is None
    assert await listed(api, f"{one}/sessions", 1) == sessions


async def test_sessions_of_merged_profiles_are_one_customers(rig: Rig, api: httpx.AsyncClient) -> None:
    await rig.send(event(anonymous="a1", at=T0), event(user="u1", at=T0 + MINUTE))
    await rig.processed()
    await rig.send(event("identify", anonymous="a1", user="u1", at=T0 + 2 * MINUTE))
    one = await only(rig)
    [session] = await listed(api, f"{one}/sessions")
    assert (session["events"], session["pages"], session["length_seconds"]) == (3, 0, 120.0)


async def test_what_is_taken_out_is_another_customers_everywhere(rig: Rig, api: httpx.AsyncClient) -> None:
    place = context(location={"city": "Brno"}, page={"url": "/bob"})
    await rig.send(event(anonymous="tablet", name="Bob looks", at=T0, context=place))
    await rig.send(event(user="ann", name="Ann buys", at=T0 + HOUR, context=context(page={"url": "/ann"})))
    await rig.processed()
    await rig.send(event("identify", user="ann", anonymous="tablet", at=T0 + 2 * HOUR))
    one = await only(rig)
    await rig.send_outcome(profile_id=one, outcome="accepted", at=T0 + 3 * HOUR)
    await rig.processed()
    assert (await api.get(f"/v1/profiles/{one}")).json()["last_known"]["location"]["value"] == {"city": "Brno"}
    assert len(await listed(api, f"{one}/sessions")) == 4
    wanted = {"identifier": {"type": "anonymous_id", "value": "tablet"}}
    done = (await api.post(f"/v1/profiles/{one}/unmerge", json=wanted)).raise_for_status().json()
    ann, bob = done["id"], done["into"]
    for profile, tracks, page, messages in [
        (ann, ["Ann buys", "SMS Sent"], "/ann", 1),
        (bob, ["Bob looks"], "/bob", 0),
    ]:
        assert sorted(names(await listed(api, f"{profile}/events", type="track"))) == tracks
        assert len(await listed(api, f"{profile}/messages")) == messages
        known = (await api.get(f"/v1/profiles/{profile}")).json()["last_known"]
        assert known["page"]["value"] == {"url": page}
        assert ("location" in known) == (profile == bob)
    assert [found["began_at"] for found in await listed(api, f"{bob}/sessions")] == [T0]
    began = [found["began_at"] for found in await listed(api, f"{ann}/sessions")]
    assert began == [T0 + 3 * HOUR, T0 + 2 * HOUR, T0 + HOUR]


async def test_messages_with_what_became_of_them(rig: Rig, api: httpx.AsyncClient) -> None:
    await rig.send(event(user="u1"))
    one = await only(rig)
    for id, outcome, more in [
        ("m1", "accepted", {}),
        ("m2", "skipped", {"reason": "no_consent"}),
        ("m1", "delivered", {}),
        ("m3", "accepted", {"channel": "email"}),
        ("m3", "clicked", {"channel": "email", "link": "https://shop.example/"}),
        ("m3", "unsubscribed", {"channel": "email"}),
    ]:
        at = T0 + HOUR * int(id[1]) + len(outcome)
        await rig.send_outcome(profile_id=one, id=id, outcome=outcome, at=at, **more)
    await rig.processed()
    found = await listed(api, f"{one}/messages")
    assert [(one["id"], one["status"], one["channel"]) for one in found] == [
        ("m3", "delivered", "email"),
        ("m2", "skipped", "sms"),
        ("m1", "delivered", "sms"),
    ]
    assert found[1]["outcomes"] == [{"outcome": "skipped", "at": T0 + 2 * HOUR + 7, "reason": "no_consent"}]
    assert [told["outcome"] for told in found[2]["outcomes"]] == ["accepted", "delivered"]
    clicked = next(told for told in found[0]["outcomes"] if told["outcome"] == "clicked")
    assert clicked["link"] == "https://shop.example/"
    assert (found[0]["clicked"], found[0]["opened"], found[0]["unsubscribed"]) == (True, False, True)
    assert await listed(api, f"{one}/messages", 1) == found


async def test_what_is_last_known_of_device_place_page_and_campaign(rig: Rig, api: httpx.AsyncClient) -> None:
    phone = {"device": {"type": "ios", "model": "iPhone"}, "os": {"name": "iOS"}, "campaign": {"name": "spring"}}
    await rig.send(
        event(user="u1", at=T0 + 1, context=context(**phone, page={"url": "/new"})),
        event(user="u1", at=T0, context=context(location={"city": "Brno"}, page={"url": "/old"})),
        event(user="u1", at=T0 + 2, context=context(campaign={}, location=None, device="x")),
    )
    one = await only(rig)
    expected = {
        "device": {"at": T0 + 1, "value": {"type": "ios", "model": "iPhone", "os": {"name": "iOS"}}},
        "location": {"at": T0, "value": {"city": "Brno"}},
        "page": {"at": T0 + 1, "value": {"url": "/new"}},
        "campaign": {"at": T0 + 1, "value": {"name": "spring"}},
    }
    assert (await api.get(f"/v1/profiles/{one}")).json()["last_known"] == expected
    # and when many events that tell nothing came after
    await rig.send(*(event(user="u1", at=T0 + 10 + number) for number in range(NEAR + 5)))
    await rig.processed()
    assert (await api.get(f"/v1/profiles/{one}")).json()["last_known"] == expected


async def test_a_payload_begins_as_the_filter_of_types_reads_it(rig: Rig, api: httpx.AsyncClient) -> None:
    """`timeline_reads.TYPED` goes by the order of the record's fields."""
    fields = [field.name for field in msgspec.structs.fields(EventRow)]
    assert [name for name in fields if name not in {"seq", "epoch", "time", "low"}][:4] == [
        "profile_id",
        "source",
        "message_id",
        "type",
    ]


async def test_reserved_traits_are_read_in_either_spelling(rig: Rig, api: httpx.AsyncClient) -> None:
    await rig.send(event("identify", user="u1", traits={"first_name": "Jana", "lastName": "Old"}, at=T0))
    await rig.send(event("identify", user="u1", traits={"last_name": "New"}, at=T0 + 1))
    one = await only(rig)
    for spelling, expected in [
        ({}, {"firstName": "Jana", "first_name": "Jana", "lastName": "Old", "last_name": "New"}),
        ({"spelling": "sent"}, {"first_name": "Jana", "lastName": "Old", "last_name": "New"}),
        ({"spelling": "camel"}, {"firstName": "Jana", "lastName": "New"}),
        ({"spelling": "snake"}, {"first_name": "Jana", "last_name": "New"}),
    ]:
        found = (await api.get(f"/v1/profiles/{one}", params=spelling)).json()["traits"]
        assert found == expected, spelling
    [exported] = [(await api.get(f"/v1/profiles/{one}/export")).json()["profile"]["traits"]]
    assert exported == {"first_name": "Jana", "lastName": "Old", "last_name": "New"}


async def test_identifiers_say_when_they_were_seen_and_whether_they_hold(rig: Rig, api: httpx.AsyncClient) -> None:
    await rig.send(event(user="u1", at=T0, trusted=True), event(user="u1", at=T0 + 5))
    one = await only(rig)
    [found] = (await api.get(f"/v1/profiles/{one}")).json()["identifiers"]
    assert found == {
        "type": "user_id",
        "value": "u1",
        "first_seen": T0,
        "last_seen": T0 + 5,
        "source": "shop",
        "trusted": True,
        "quarantined_at": None,
    }
