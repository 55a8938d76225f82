"""Durability before the answer: group commit, deadlines, a log that is down, slow or full, bounded memory."""

import asyncio
import gzip
import json
from collections.abc import Callable

import pytest

from headrace.contracts.headers import header
from headrace.contracts.topics import DEAD_LETTERS, EVENTS, partition_of
from headrace.log.port import LogFull, LogUnavailable, NewRecord, RecordTooLarge
from headrace.log.topics import ensure_topics
from services.ingest.appender import MAX_RECORDS, Appender
from services.ingest.limits import KIB, MIB
from services.ingest.records import MAX_DEAD_LETTER_RAW
from tests.unit.ingest.memory_log import MemoryLog
from tests.unit.ingest.service import PARTITIONS, SERVER_KEY, Ingest, basic, start_ingest

EVENT = {"userId": "u1", "event": "E"}
BAD = {"event": "E"}


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - nothing signals what is looked at here
            await asyncio.sleep(0)


async def queued(ingest: Ingest, count: int) -> None:
    """Wait until `count` requests hold their bytes."""
    await until(lambda: ingest.app.held_bytes >= count * len(json.dumps(EVENT)))


async def test_no_answer_before_the_log_has_it(ingest: Ingest) -> None:
    ingest.log.gate.clear()
    request = asyncio.create_task(ingest.post("/v1/track", EVENT))
    await queued(ingest, 1)
    assert not request.done()
    ingest.log.gate.set()
    assert (await request).status_code == 200
    assert len(ingest.events()) == 1


async def test_no_answer_before_the_dead_letter_is_durable(ingest: Ingest) -> None:
    ingest.log.fail = LogUnavailable("down")
    response = await ingest.post("/v1/track", BAD)
    assert (response.status_code, response.json()["code"]) == (503, "log_unavailable")
    ingest.log.fail = None
    assert (await ingest.post("/v1/track", BAD)).status_code == 200
    assert len(ingest.dead_letters()) == 1


async def test_requests_share_an_append(ingest: Ingest) -> None:
    ingest.log.gate.clear()
    requests = [asyncio.create_task(ingest.post("/v1/track", EVENT)) for _ in range(20)]
    await queued(ingest, 20)
    ingest.log.gate.set()
    assert {(await request).status_code for request in requests} == {200}
    assert len(ingest.log.appends) <= 2
    assert len(ingest.events()) == 20


@pytest.mark.parametrize(("error", "retry_after"), [(LogUnavailable("down"), "1"), (LogFull("full"), "5")])
async def test_a_log_that_refuses(ingest: Ingest, error: LogUnavailable | LogFull, retry_after: str) -> None:
    ingest.log.fail = error
    response = await ingest.post("/v1/batch", {"batch": [{**EVENT, "type": "track"}]})
    assert (response.status_code, response.headers["retry-after"]) == (503, retry_after)
    assert response.json()["success"] is False
    assert (await ingest.client.get("/readyz")).status_code == 503
    ingest.log.fail = None
    assert (await ingest.post("/v1/track", EVENT)).status_code == 200
    assert (await ingest.client.get("/readyz")).status_code == 200


async def test_a_log_that_is_too_slow() -> None:
    ingest = await start_ingest(HEADRACE_INGEST_ACK_TIMEOUT="50ms")
    ingest.log.gate.clear()
    first, second = await asyncio.gather(ingest.post("/v1/track", EVENT), ingest.post("/v1/track", EVENT))
    assert (first.status_code, first.headers["retry-after"]) == (503, "1")
    assert second.status_code == 503
    ingest.log.gate.set()
    assert (await ingest.post("/v1/track", EVENT)).status_code == 200
    # what was under way when the deadline passed landed too: the same messageId deduplicates it
    assert 1 <= len(ingest.events()) <= 3


async def test_memory_is_bounded() -> None:
    ingest = await start_ingest(HEADRACE_INGEST_BUFFER_BYTES=str(MIB), HEADRACE_INGEST_ACK_TIMEOUT="60s")
    ingest.log.gate.clear()
    padded = b" " * (600 * KIB) + json.dumps(EVENT).encode()
    first = asyncio.create_task(ingest.post("/v1/track", padded))
    await queued(ingest, 20)
    refused = await ingest.post("/v1/track", padded)
    assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (
        503,
        "overloaded",
        "1",
    )
    inflated = await ingest.post("/v1/track", gzip.compress(padded), content_encoding="gzip")
    assert inflated.json()["code"] == "overloaded"
    ingest.log.gate.set()
    assert (await first).status_code == 200
    assert (await ingest.post("/v1/track", padded)).status_code == 200


async def test_headers_of_a_record(ingest: Ingest) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    event = await ingest.accepted(
        "/v1/track", {**EVENT, "messageId": "m1"}, traceparent=f"00-{trace}-b7ad6b7169203331-01"
    )
    (record,) = ingest.log.records(EVENTS.name)
    assert (record.key, record.partition) == (b"u1", partition_of("u1", PARTITIONS))
    assert header(record.headers, "ce_id") == event.message_id.encode() == b"m1"
    assert header(record.headers, "ce_type") == b"io.headrace.event.collected.v1"
    assert header(record.headers, "ce_source") == b"headrace/default"
    traceparent = (header(record.headers, "traceparent") or b"").decode()
    assert traceparent.split("-")[1] == trace
    assert "b7ad6b7169203331" not in traceparent


async def test_events_of_one_customer_keep_their_order(ingest: Ingest) -> None:
    batch = [{**EVENT, "type": "track", "userId": f"u{n % 7}", "messageId": str(n)} for n in range(300)]
    await ingest.post("/v1/batch", {"batch": batch})
    for user in range(7):
        numbers = [int(event.message_id) for event in ingest.events() if event.user_id == f"u{user}"]
        assert numbers == list(range(user, 300, 7))


async def test_ndjson_import(ingest: Ingest) -> None:
    lines = [json.dumps({**EVENT, "type": "track", "timestamp": f"2010-12-0{n}"}) for n in range(1, 4)]
    body = gzip.compress("\r\n".join([lines[0], "", lines[1], '{"type":', lines[2]]).encode())
    response = await ingest.post("/v1/import", body, content_encoding="gzip")
    assert response.json() == {
        "success": True,
        "accepted": 3,
        "rejected": [{"index": 2, "messageId": None, "code": "malformed_json"}],
    }
    events = ingest.events()
    assert [event.timestamp[:10] for event in events] == ["2010-12-01", "2010-12-02", "2010-12-03"]
    assert all(event.imported for event in events)
    await ingest.post("/v1/import", body, content_encoding="gzip")
    assert [event.message_id for event in ingest.events()] == [event.message_id for event in events] * 2


async def test_one_line_of_history(ingest: Ingest) -> None:
    assert (await ingest.accepted("/v1/import", {**EVENT, "type": "track"})).imported


@pytest.mark.parametrize("body", [b"", b"\n\n", b"not json\n{}", b"[]", b'{"batch":[]}', b'{"batch":5}'])
async def test_unreadable_imports(ingest: Ingest, body: bytes) -> None:
    assert (await ingest.post("/v1/import", body)).status_code == 400
    assert (ingest.events(), ingest.dead_letters()) == ([], [])


async def test_a_long_import_goes_in_pieces(ingest: Ingest) -> None:
    line = json.dumps({**EVENT, "type": "track", "properties": {"x": "y" * 400}}).encode()
    response = await ingest.post("/v1/import", b"\n".join([line] * 12_000))
    assert response.json() == {"success": True}
    assert len(ingest.events()) == 12_000
    assert max(size for _, _, size in ingest.log.appends) <= MAX_RECORDS


async def test_metrics_count_what_was_answered(ingest: Ingest) -> None:
    await ingest.post("/v1/batch", {"batch": [{**EVENT, "type": "track", "anonymousId": "null"}, BAD]})
    await ingest.post("/v1/track", b"{")
    text = (await ingest.client.get("/metrics")).text
    for line in (
        'headrace_events_accepted_total{source="default",type="track"} 1.0',
        'headrace_events_rejected_total{reason="unknown_type",source="default"} 1.0',
        'headrace_events_rejected_total{reason="malformed_json",source="unknown"} 1.0',
        'headrace_dead_letters_total{reason="unknown_type"} 1.0',
        'headrace_placeholder_ids_total{source="default"} 1.0',
        'headrace_http_requests_total{route="/v1/track",status="400"} 1.0',
        'headrace_http_request_seconds_count{route="/v1/batch"} 1.0',
        "headrace_ingest_buffered_bytes 0.0",
    ):
        assert line in text.splitlines()


async def test_a_large_refused_event_fits_into_a_dead_letter(ingest: Ingest) -> None:
    response = await ingest.post("/v1/track", {**EVENT, "properties": {"x": "a" * (3 * MIB)}})
    assert response.json()["rejected"][0]["code"] == "event_too_large"
    (letter,) = ingest.dead_letters()
    assert letter.raw.startswith(b'{"userId"')
    assert len(letter.raw) == MAX_DEAD_LETTER_RAW
    assert "bytes are kept" in letter.detail


async def test_a_faulty_service_answers_in_the_error_shape(
    ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> int:
        raise RuntimeError("bug")

    monkeypatch.setattr(ingest.log, "append", broken)
    response = await ingest.client.post(
        "/v1/track", json=EVENT, headers={**basic(SERVER_KEY), "Origin": "https://shop.example"}
    )
    assert (response.status_code, response.json()["code"]) == (500, "internal")
    assert response.headers["access-control-allow-origin"] == "https://shop.example"


def records(count: int, size: int = 10) -> list[NewRecord]:
    return [NewRecord(b"k", b"v" * size) for _ in range(count)]


async def test_an_oversized_record_fails_alone() -> None:
    log = MemoryLog(max_record_bytes=100)
    await ensure_topics(log, prefix="", partitions=1)
    appender = Appender(log, EVENTS.name)
    futures = [future for size in (10, 200, 20) for future in appender.append({0: records(1, size)})]
    results = await asyncio.gather(*futures, return_exceptions=True)
    assert [type(result) for result in results] == [type(None), RecordTooLarge, type(None)]
    assert [len(record.value or b"") for record in log.records(EVENTS.name)] == [10, 20]


async def test_a_cancelled_request_leaves_the_queue_at_once() -> None:
    log = MemoryLog()
    await ensure_topics(log, prefix="", partitions=1)
    appender = Appender(log, EVENTS.name)
    log.gate.clear()
    under_way = appender.append({0: records(1)})
    lane = appender._lane(0)
    await until(lambda: not lane._queue)
    waiting = appender.append({0: records(2)})
    for future in waiting:
        future.cancel()
    await until(lambda: not lane._queue)
    log.gate.set()
    await asyncio.gather(*under_way)
    await appender.close()
    assert len(log.records(EVENTS.name)) == 1


async def test_a_large_request_is_split_between_appends() -> None:
    log = MemoryLog()
    await ensure_topics(log, prefix="", partitions=1)
    appender = Appender(log, DEAD_LETTERS.name)
    await asyncio.gather(*appender.append({0: records(MAX_RECORDS * 2 + 1)}))
    assert [size for _, _, size in log.appends] == [MAX_RECORDS, MAX_RECORDS, 1]
