"""A person is planted in every store, erased, and then searched for, byte by byte, in every store.

Not looked into: the engines' own journals and free space (Postgres' WAL and heap files, Valkey's append-only
files), which say what was until the engines rewrite them, and what has left the deployment (webhooks, providers).
"""

import asyncio
import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from redis.asyncio import Redis

from tests.e2e.api import Api
from tests.e2e.stack import Stack
from tests.e2e.wait import wait_until

WHERE = {
    "postgres:profiles.profile",
    "postgres:profiles.identifier",
    "postgres:profiles.timeline",
    "postgres:profiles.consent_record",
    "postgres:segmenter.delivery",
    "postgres:messenger.message",
}
"""Some of the places where the person must be found before."""
MARK = "zqxplanted"
USER, BROWSER, CARD = f"{MARK}-user", f"{MARK}-browser", f"{MARK}-card"
EMAIL, PHONE, NAME, WORDS = f"{MARK}@example.com", "+447911123456", f"{MARK}name", f"{MARK} free text"
NEEDLES = tuple(text.encode() for text in (MARK, MARK.upper(), "7911123456", "7911 123456"))
DEFINITIONS = """
kind: segment
id: erasure-buyers
name: Buyers
when: {event: {name: Order Completed, count: {gte: 1}}}
---
kind: segment
id: erasure-browsing
name: Browsing
when: {all: [{event: {name: Product Viewed, count: {gte: 1}}}, {not: {segment: {id: erasure-buyers}}}]}
---
kind: template
id: erasure-sms
channel: sms
text: "Thanks, {{ profile.traits.first_name }}!"
---
kind: template
id: erasure-mail
channel: email
subject: "Thanks, {{ profile.traits.first_name }}"
html: "<p>{{ profile.traits.first_name }}</p>"
---
kind: campaign
id: erasure-sms
name: Thanks
trigger: {segment: erasure-buyers, on: entered}
steps: [{send: {channels: [sms], template: erasure-sms}}]
---
kind: campaign
id: erasure-mail
name: Thanks by mail
trigger: {segment: erasure-buyers, on: entered}
steps: [{send: {channels: [email], template: erasure-mail}}]
"""
ENGINES = ("postgres", "log", "state")
"""Folders of the engines under the data folder: they are asked by their own protocols."""


@pytest.fixture
def stack() -> Iterator[Stack]:
    settings = {"HEADRACE_ROLLBACK_HORIZON": "0s", "HEADRACE_WEBHOOK_ALLOW_PRIVATE": "true"}
    with Stack(settings) as running:
        if not running.setting("HEADRACE_LOG_URL").startswith("redis"):
            pytest.skip("what stands in Kafka ends by retention")
        yield running


def test_an_erased_person_is_in_no_store(stack: Stack, tmp_path: Path) -> None:
    api = Api(stack)
    definitions = tmp_path / "definitions.yaml"
    definitions.write_text(DEFINITIONS, encoding="utf-8")
    api.headrace("apply", "-f", definitions, "--wait")
    subscribe(api)
    plant(api)
    plant_letters(api)
    person = wait_until(lambda: api.profile("user_id", USER), what="the person")
    wait_until(lambda: is_everywhere(api, person["id"]), 60, what="the person to be everywhere")
    before = asyncio.run(found(stack))
    assert before.keys() >= WHERE, before.keys()

    url = f"{stack.profiles_url}/v1/profiles/{person['id']}"
    all_of_it_is_exported(api.admin.get(f"{url}/export").json())
    assert api.admin.delete(url).json() == {"success": True}
    assert api.admin.get(url).status_code == 404
    plant(api)  # still about, and dropped
    left: dict[str, bytes] = {}

    def gone() -> bool:
        left.clear()
        left.update(asyncio.run(found(stack)))
        return not left

    try:
        wait_until(gone, 45, what="the person to be nowhere")
    except AssertionError:
        raise AssertionError(f"left: {left}") from None
    assert api.profile("user_id", USER) is None
    assert api.profile("email", EMAIL) is None
    assert asyncio.run(suppressed(stack)) >= 5
    again = api.admin.post(f"{stack.segmenter_url}/v1/segments/erasure-buyers/verify", timeout=60).json()
    assert again["mismatches"] == 0
    api.close()


def all_of_it_is_exported(said: dict[str, Any]) -> None:
    assert said["incomplete"] == []
    assert said["profile"]["traits"]["note"] == WORDS
    assert said["traits"]["note"]["source"]
    assert {record["proof"]["form"] for record in said["consents"]["history"]} == {WORDS}
    assert [one["channel"] for one in said["consents"]["current"]] == ["email", "sms"]
    assert sorted(one["address"] for one in said["messages"]) == sorted([EMAIL, PHONE])
    assert all(NAME in one["text"] for one in said["messages"])
    assert [one["id"] for one in said["segments"]] == ["erasure-buyers"]
    assert {one["segment_id"] for one in said["segment_history"]} == {"erasure-buyers", "erasure-browsing"}
    assert {"Order Completed", "SMS Sent", "Visit", "Tag Added"} <= {one.get("event") for one in said["events"]}


def subscribe(api: Api) -> None:
    """Nobody listens there: the deliveries stay."""
    answer = api.admin.put(
        f"{api.stack.segmenter_url}/v1/subscriptions/erasure", json={"url": "http://127.0.0.1:9/"}
    )
    assert answer.status_code == 200, answer.text


def plant(api: Api) -> None:
    who = {"userId": USER, "anonymousId": BROWSER}
    card = {"externalIds": [{"id": CARD, "type": "card", "collection": "users", "encoding": "none"}]}
    traits = {"email": EMAIL, "phone": PHONE, "first_name": NAME, "note": WORDS}
    for channel in ("sms", "email"):
        consent = {"channel": channel, "wording": WORDS, "proof": {"form": WORDS}}
        post(api, "/v1/track", {**who, "event": "Consent Given", "properties": consent})
    post(api, "/v1/identify", {**who, "traits": traits, "context": card})
    post(api, "/v1/track", {**who, "event": "Tag Added", "properties": {"tag": f"{MARK}-tag"}})
    post(api, "/v1/track", {**who, "event": "Product Viewed", "properties": {"note": WORDS}})
    post(api, "/v1/import", {"batch": [{"type": "track", **who, "event": "Visit", "properties": {"note": WORDS}}]})
    post(api, "/v1/track", {**who, "event": "Order Completed", "properties": {"total": 1, "note": WORDS}})


def post(api: Api, path: str, body: dict[str, Any]) -> None:
    assert api.post(path, body).status_code == 200


def plant_letters(api: Api) -> None:
    """Refused, each in its way, and kept as dead letters."""
    bad = {"type": "track", "userId": USER, "event": "x" * 40_000, "properties": {"note": WORDS}}
    worse = {
        "type": "nothing",
        "anonymousId": BROWSER,
        "traits": {"email": EMAIL.upper(), "phone": "07911 123456"},
    }
    api.post("/v1/batch", {"batch": [bad, worse]})


def is_everywhere(api: Api, profile_id: str) -> bool:
    messages = list(api.items("messenger", "/v1/messages", profile_id=profile_id))
    deliveries = list(api.items("segmenter", "/v1/subscriptions/erasure/deliveries"))
    return [one["status"] for one in messages] == ["accepted"] * 2 and len(deliveries) >= 2


async def found(stack: Stack) -> dict[str, bytes]:
    """Where something of the person stands: place → the first of it."""
    places = {
        **await in_postgres(stack.setting("HEADRACE_DATABASE_URL")),
        **await in_redis("state", stack.setting("HEADRACE_REDIS_URL")),
        **await in_redis("log", stack.setting("HEADRACE_LOG_URL")),
        **in_files(stack),
    }
    return {place: match for place, said in places.items() if (match := matching(said)) is not None}


def matching(said: bytes) -> bytes | None:
    for needle in NEEDLES:
        if (at := said.find(needle)) >= 0:
            return said[max(0, at - 80) : at + 80]
    return None


async def in_postgres(url: str) -> dict[str, bytes]:
    """Every row of every table of ours, as text. Bytes are shown as such, too."""
    connection = await asyncpg.connect(url)
    said: dict[str, bytes] = {}
    try:
        tables = await connection.fetch(
            "SELECT table_schema, table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE' "
            "AND table_schema NOT IN ('pg_catalog', 'information_schema')"
        )
        await connection.execute("SET bytea_output = 'escape'")
        for schema, table in tables:
            rows = await connection.fetch(f'SELECT t::text AS said FROM "{schema}"."{table}" AS t')
            said[f"postgres:{schema}.{table}"] = "\n".join(row["said"] for row in rows).encode()
    finally:
        await connection.close()
    assert len(said) > 30, "all services' tables"
    return said


async def in_redis(place: str, url: str) -> dict[str, bytes]:
    """Every key, as the server would save it, and as it is read: a dump packs long texts."""
    client = Redis.from_url(url)
    said: dict[str, bytes] = {}
    try:
        async for key in client.scan_iter(count=1_000):
            said[f"{place}:{key.decode()}"] = key + (await client.dump(key) or b"") + await read(client, key)
    finally:
        await client.aclose()
    return said


async def read(client: Any, key: bytes) -> bytes:
    kind = (await client.type(key)).decode()
    if kind == "string":
        return bytes(await client.get(key))
    if kind == "hash":
        return b"".join(part for pair in (await client.hgetall(key)).items() for part in pair)
    if kind == "zset":
        return b"".join(await client.zrange(key, 0, -1))
    if kind == "stream":
        entries = await client.xrange(key)
        return b"".join(value + unpacked(value) for _, fields in entries for value in fields.values())
    raise AssertionError(f"{key!r} is a {kind}: read it as well")


def unpacked(record: bytes) -> bytes:
    """What a dead letter says in Base64."""
    start = record.find(b'{"id":')
    if start < 0:
        return b""
    try:
        letter, _ = json.JSONDecoder().raw_decode(record[start:].decode(errors="replace"))
    except ValueError:
        return b""
    return base64.b64decode(letter.get("raw", ""))


def in_files(stack: Stack) -> dict[str, bytes]:
    """What lies in the data folder beside the engines' own, and what the services have said."""
    files = [path for path in stack.data_dir.rglob("*") if path.is_file() and not path.is_symlink()]
    ours = [path for path in files if path.relative_to(stack.data_dir).parts[0] not in ENGINES]
    assert any(path.suffix == ".eml" for path in ours)
    return {f"files:{path}": path.read_bytes() for path in [*ours, stack.output] if path.exists()}


async def suppressed(stack: Stack) -> int:
    connection = await asyncpg.connect(stack.setting("HEADRACE_DATABASE_URL"))
    try:
        return int(await connection.fetchval("SELECT count(*) FROM profiles.suppressed"))
    finally:
        await connection.close()
