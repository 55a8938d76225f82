"""Dead letters: listed page by page, replayed as they came, refused again where nothing has changed."""

import json
from typing import Any

import httpx
import msgspec
import pytest

from headrace.contracts.dead_letter import DeadLetter
from headrace.contracts.topics import DEAD_LETTERS, EVENTS, MESSAGES
from headrace.log.port import LogUnavailable, NewRecord
from services.ingest import dead_letters
from tests.unit.ingest.service import WEB_KEY, Ingest, start_ingest

PATH = "/v1/dead-letters"
ADMIN = {"Authorization": "Bearer admin"}
LARGE = {"text": "x" * 4_000}


def track(number: int, **fields: Any) -> dict[str, Any]:
    return {"type": "track", "event": "Viewed", "userId": f"u{number}", "messageId": f"m{number}", **fields}


async def listed(ingest: Ingest, **query: Any) -> list[dict[str, Any]]:
    """Every page, one after the other."""
    items: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        params = {**query, **({"cursor": cursor} if cursor else {})}
        answer = await ingest.client.get(PATH, params=params, headers=ADMIN)
        assert answer.status_code == 200, answer.text
        items += answer.json()["items"]
        cursor = answer.json()["next"]
        if cursor is None:
            return items


async def replayed(ingest: Ingest, wanted: dict[str, Any]) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        body = {**wanted, **({"cursor": cursor} if cursor else {})}
        answer = await ingest.client.post(f"{PATH}/replay", json=body, headers=ADMIN)
        assert answer.status_code == 200, answer.text
        items += answer.json()["items"]
        cursor = answer.json()["next"]
        if cursor is None:
            return items


async def put_letter(ingest: Ingest, partition: int, **fields: Any) -> DeadLetter:
    letter = DeadLetter(
        **{"id": "d1", "reason": "undecodable", "detail": "", "origin_topic": "t", "raw": b"{", "at": 1, **fields}
    )
    await ingest.log.append(DEAD_LETTERS.name, partition, [NewRecord(b"key", msgspec.json.encode(letter))])
    return letter


@pytest.mark.parametrize(("method", "path"), [("GET", PATH), ("POST", f"{PATH}/replay")])
async def test_only_the_admin_token_opens_them(method: str, path: str) -> None:
    ingest = await start_ingest()
    answer = await ingest.client.request(
        method, path, headers={"Authorization": "Bearer server-key", "Origin": "https://shop.example"}
    )
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert "access-control-allow-origin" not in answer.headers


async def test_the_list_has_every_letter_once_newest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "MAX_SCANNED", 3)
    ingest = await start_ingest()
    for number in range(25):
        await ingest.post("/v1/batch", {"batch": [track(number, timestamp="never")]})
    items = await listed(ingest, limit=2)
    assert sorted(item["message_id"] for item in items) == sorted(f"m{n}" for n in range(25))
    for partition in range(4):
        offsets = [item["offset"] for item in items if item["partition"] == partition]
        assert offsets == sorted(offsets, reverse=True)
        assert [item["offset"] for item in await listed(ingest, partition=partition)] == offsets
    assert items[0]["reason"] == "invalid_timestamp"
    assert json.loads(items[0]["raw"])["timestamp"] == "never"


async def test_a_filter_finds_what_is_rare_and_bytes_come_as_base64() -> None:
    ingest = await start_ingest()
    for number in range(30):
        await ingest.post("/v1/batch", {"batch": [track(number, timestamp="never")]})
    await put_letter(ingest, 2, raw=b"\xff\xfe")
    (item,) = await listed(ingest, reason="undecodable")
    assert (item["raw"], item["raw_encoding"], item["partition"]) == ("//4=", "base64", 2)


async def test_a_record_that_is_no_letter_is_shown_and_refused() -> None:
    ingest = await start_ingest()
    await ingest.log.append(DEAD_LETTERS.name, 1, [NewRecord(None, b"garbage")])
    (item,) = await listed(ingest)
    assert (item["reason"], item["raw"]) == ("unreadable", "garbage")
    (result,) = await replayed(ingest, {"all": True})
    assert (result["outcome"], result["reason"]) == ("refused", "incomplete")


async def test_an_event_that_is_allowed_now_is_accepted_as_it_came_then() -> None:
    small = await start_ingest(HEADRACE_INGEST_MAX_EVENT_BYTES="2000")
    sent = {
        "batch": [track(1, properties=LARGE), track(2)],
        "context": {"app": {"name": "till"}},
        "sentAt": "2026-01-31T12:00:00Z",
    }
    await small.post("/v1/batch", sent, key=WEB_KEY)
    (letter,) = small.dead_letters()
    raised = await start_ingest(small.log)
    (result,) = await replayed(raised, {"ids": [letter.id]})
    assert (result["id"], result["outcome"]) == (letter.id, "accepted")
    plain = await start_ingest()
    await plain.post("/v1/batch", sent, key=WEB_KEY)
    event = next(event for event in raised.events() if event.message_id == "m1")
    expected = next(event for event in plain.events() if event.message_id == "m1")
    assert (event.source, event.trusted, event.user_id) == ("web", False, "u1")
    assert bytes(event.context) == bytes(expected.context)
    assert bytes(event.properties) == bytes(expected.properties)
    assert event.sent_at == expected.sent_at
    assert event.timestamp == event.received_at
    assert len(raised.dead_letters()) == 1


async def test_history_stays_history() -> None:
    ingest = await start_ingest(HEADRACE_INGEST_MAX_IMPORT_EVENT_BYTES="2000")
    await ingest.post("/v1/import", {"batch": [track(1, properties=LARGE)]})
    await replayed(await start_ingest(ingest.log), {"reason": "event_too_large"})
    (event,) = ingest.events()
    assert event.imported


async def test_a_repeated_replay_gives_the_same_event_again() -> None:
    ingest = await start_ingest(HEADRACE_INGEST_MAX_EVENT_BYTES="2000")
    nameless = {"event": "Viewed", "userId": "u1", "properties": LARGE}  # no type, no messageId
    assert (await ingest.post("/v1/track", nameless)).json()["rejected"]
    raised = await start_ingest(ingest.log)
    for _ in range(2):
        assert [item["outcome"] for item in await replayed(raised, {"all": True})] == ["accepted"]
    first, second = raised.log.records(EVENTS.name)
    assert first.value == second.value
    assert raised.events()[0].type == "track"


async def test_what_is_still_wrong_is_refused_again_and_stays() -> None:
    ingest = await start_ingest()
    await ingest.post("/v1/batch", {"batch": [track(1, timestamp="never"), track(2, userId="")]})
    results = await replayed(ingest, {"reason": "invalid_timestamp"})
    assert [(item["outcome"], item["reason"]) for item in results] == [("refused", "invalid_timestamp")]
    assert len(ingest.dead_letters()) == 2
    assert ingest.events() == []


async def test_a_record_goes_back_to_its_topic_as_it_was() -> None:
    ingest = await start_ingest()
    headers = (("headrace-seq", b"7"), ("ce_id", b"e"))
    await put_letter(ingest, 3, origin_topic=MESSAGES.name, origin_partition=3, origin_offset=0, headers=headers)
    (result,) = await replayed(ingest, {"positions": [{"partition": 3, "offset": 0}]})
    assert result["outcome"] == "appended"
    (record,) = ingest.log.records(MESSAGES.name)
    assert (record.partition, record.key, record.value, record.headers) == (3, b"key", b"{", headers)


@pytest.mark.parametrize(("topic", "partition"), [("other", 0), (DEAD_LETTERS.name, 0), (MESSAGES.name, 99)])
async def test_nothing_is_appended_where_nobody_reads(topic: str, partition: int) -> None:
    ingest = await start_ingest()
    await put_letter(ingest, 0, origin_topic=topic, origin_partition=partition, origin_offset=0)
    (result,) = await replayed(ingest, {"all": True})
    assert (result["outcome"], result["reason"]) == ("refused", "unknown_origin")


async def test_what_was_cut_is_not_replayed() -> None:
    ingest = await start_ingest()
    await ingest.post("/v1/batch", {"batch": [track(1, properties={"text": "x" * 700_000})]})
    (result,) = await replayed(ingest, {"all": True})
    assert (result["outcome"], result["reason"]) == ("refused", "incomplete")


async def test_a_long_replay_goes_on_from_its_cursor_and_leaves_out_what_came_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ingest = await start_ingest(HEADRACE_INGEST_MAX_EVENT_BYTES="2000")
    for number in range(40):
        await ingest.post("/v1/batch", {"batch": [track(number, properties=LARGE)]})
    raised = await start_ingest(ingest.log)
    monkeypatch.setattr("services.ingest.dead_letter_routes.MAX_REPLAYED", 5)
    first = await raised.client.post(f"{PATH}/replay", json={"all": True}, headers=ADMIN)
    assert first.json()["next"] is not None
    await ingest.post("/v1/batch", {"batch": [track(99, properties=LARGE)]})
    rest = await replayed(raised, {"all": True, "cursor": first.json()["next"]})
    assert len(first.json()["items"]) + len(rest) == 40
    assert {event.message_id for event in raised.events()} == {f"m{n}" for n in range(40)}


async def test_a_letter_that_is_gone_is_missing() -> None:
    ingest = await start_ingest()
    results = await replayed(ingest, {"positions": [{"partition": 0, "offset": 5}, {"partition": 9, "offset": 0}]})
    assert [item["outcome"] for item in results] == ["missing", "missing"]


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b'{"all": false}', b'{"ids": []}', b'{"all": true, "reason": "x"}', b'{"reasons": "x"}', b"[]"],
)
async def test_a_replay_says_which_letters(body: bytes) -> None:
    ingest = await start_ingest()
    answer = await ingest.client.post(f"{PATH}/replay", content=body, headers=ADMIN)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


@pytest.mark.parametrize("cursor", ["x", "1", "1.2.3.-4", "1.2.3.٤", "1.2.3.4.5"])
async def test_a_made_up_cursor_is_refused(cursor: str) -> None:
    ingest = await start_ingest()
    answer = await ingest.client.get(PATH, params={"cursor": cursor}, headers=ADMIN)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_cursor")


async def test_a_log_that_is_down_is_said() -> None:
    ingest = await start_ingest()
    ingest.log.fail = LogUnavailable("down")
    answers: list[httpx.Response] = [
        await ingest.client.get(PATH, headers=ADMIN),
        await ingest.client.post(f"{PATH}/replay", json={"all": True}, headers=ADMIN),
    ]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(503, "log_unavailable")] * 2
