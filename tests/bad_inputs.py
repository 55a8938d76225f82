"""The catalogue of bad inputs: each number, what is sent, and what is answered.

tests/unit/ingest/test_bad_inputs.py holds ingest to it, and the fuzzer begins from it.
"""

import gzip
import json
from dataclasses import dataclass, field
from typing import Any

from services.ingest.limits import MIB

INVALID_IDS: tuple[Any, ...] = (True, [], {}, ["u1"])


@dataclass(frozen=True)
class Case:
    """`code` is the error's slug (4xx) or the reason of the dead letter (200); None: accepted."""

    number: int
    what: str
    body: bytes
    status: int = 200
    code: str | None = None
    path: str = "/v1/track"
    headers: dict[str, str] = field(default_factory=dict)
    key: str = "server-key"


def track(**fields: Any) -> bytes:
    return json.dumps({"userId": "u1", "event": "Order Completed", **fields}).encode()


def prop(value: bytes) -> bytes:
    return b'{"userId":"u1","event":"Order Completed","properties":{"x":' + value + b"}}"


def nested(levels: int) -> bytes:
    return prop(b'{"a":' * levels + b"1" + b"}" * levels)


def batch(*items: Any) -> bytes:
    return json.dumps({"batch": items}).encode()


GZIP = {"content_encoding": "gzip"}
GOOD = {"type": "track", "userId": "u1", "event": "Order Completed"}

CASES = [
    Case(1, "empty body", b"", 400, "empty_body"),
    Case(2, "whitespace", b" \n\t ", 400, "empty_body"),
    Case(3, "null", b"null", 400, "invalid_body"),
    Case(3, "number", b"7", 400, "invalid_body"),
    Case(3, "array", b"[]", 400, "invalid_body", "/v1/batch"),
    Case(3, "text", b'"x"', 400, "invalid_body"),
    Case(4, "malformed", b'{"userId":', 400, "malformed_json"),
    Case(4, "malformed batch", b'{"batch":[{]}', 400, "malformed_json", "/v1/batch"),
    Case(5, "trailing garbage", track() + b"x", 400, "malformed_json"),
    Case(5, "two documents", track() + track(), 400, "malformed_json"),
    Case(6, "trailing comma", b'{"userId":"u1",}', 400, "malformed_json"),
    Case(6, "comment", b'{/* */"userId":"u1"}', 400, "malformed_json"),
    Case(6, "single quotes", b"{'userId':'u1'}", 400, "malformed_json"),
    Case(7, "byte order mark", b"\xef\xbb\xbf" + track(), 400, "malformed_json"),
    Case(8, "UTF-16", track().decode().encode("utf-16"), 415, "unsupported_charset"),
    Case(8, "UTF-16 without mark", track().decode().encode("utf-16-le"), 415, "unsupported_charset"),
    Case(9, "invalid UTF-8", prop(b'"\xff"'), 400, "malformed_json"),
    Case(9, "overlong UTF-8", prop(b'"\xc0\x80"'), 400, "malformed_json"),
    Case(10, "raw control character", prop(b'"\x01"'), 400, "malformed_json"),
    Case(11, "21 levels", nested(19), 400, "too_deep"),
    Case(11, "20 levels", nested(18)),
    Case(11, "21 arrays and objects", prop(b"[" * 19 + b"]" * 19), 400, "too_deep"),
    Case(11, "deeper than the parser", prop(b"[" * 100_000 + b"]" * 100_000), 400, "too_deep"),
    Case(12, "1,001 keys", track(properties={f"k{n}": n for n in range(998)}), 400, "too_many_keys"),
    Case(12, "1,000 keys", track(properties={f"k{n}": n for n in range(997)})),
    Case(12, "a wide order", track(properties={"products": [{"sku": n} for n in range(400)]})),
    Case(13, "userId twice", b'{"userId":"a","event":"E","userId":"b"}', 400, "duplicate_key"),
    Case(13, "the same name deeper is no duplicate", track(properties={"userId": "u2", "event": "E"})),
    Case(14, "5 MiB", b" " * (5 * MIB), 413, "body_too_large"),
    Case(15, "gzip bomb", gzip.compress(b" " * (64 * MIB)), 413, "body_too_large", headers=GZIP),
    Case(16, "truncated gzip", gzip.compress(track())[:-9], 400, "invalid_gzip", headers=GZIP),
    Case(16, "no gzip at all", track(), 400, "invalid_gzip", headers=GZIP),
    Case(17, "bytes after the gzip", gzip.compress(track()) + b"x", 400, "invalid_gzip", headers=GZIP),
    Case(17, "two gzip members", gzip.compress(b"") + gzip.compress(track()), 400, "invalid_gzip", headers=GZIP),
    Case(18, "unknown encoding", track(), 415, "unsupported_encoding", headers={"content_encoding": "br"}),
    Case(18, "stacked", track(), 415, "unsupported_encoding", headers={"content_encoding": "gzip, gzip"}),
    Case(24, "any content type is JSON", track(), headers={"content_type": "application/x-www-form-urlencoded"}),
    Case(29, "501 events", batch(*[GOOD] * 501), 413, "batch_too_large", "/v1/batch"),
    Case(30, "no events", batch(), 400, "empty_batch", "/v1/batch"),
    Case(30, "no batch", track(), 400, "missing_batch", "/v1/batch"),
    Case(30, "batch is no list", b'{"batch":{}}', 400, "invalid_body", "/v1/batch"),
    Case(32, "unknown key", track(), 401, "unknown_write_key", key="guess"),
    Case(33, "no key", track(), 401, "missing_write_key", key=""),
    Case(34, "NaN", prop(b"NaN"), 400, "malformed_json"),
    Case(34, "Infinity", prop(b"-Infinity"), 400, "malformed_json"),
    Case(35, "1e400", prop(b"1e400"), 400, "number_out_of_range"),
    Case(36, "integers keep their digits", prop(b"18446744073709551617")),
    Case(37, "5,000 digits", prop(b"1" * 5_000), 400, "number_out_of_range"),
    Case(38, "float id", track(userId=1.0), code="invalid_id"),
    Case(38, "exponent id", b'{"userId":1e3,"event":"E"}', code="invalid_id"),
    Case(46, "NUL in an id", track(userId="a\0b"), code="invalid_id"),
    Case(
        46,
        "NUL in an external id",
        track(context={"externalIds": [{"id": "\0", "type": "card"}]}),
        code="invalid_id",
    ),
    Case(46, "NUL elsewhere is stripped", track(properties={"x": "a\0b"})),
    Case(47, "lone surrogate", prop(b'"\\ud800"'), 400, "malformed_json"),
    Case(47, "surrogates reversed", prop(b'"\\udc00\\ud800"'), 400, "malformed_json"),
    Case(48, "8 KiB + 1 text", track(properties={"x": "a" * 8_193}), code="text_too_long"),
    Case(48, "8 KiB text", track(properties={"x": "a" * 8_192})),
    Case(48, "8 KiB + 1 key", track(properties={"a" * 8_193: 1}), code="text_too_long"),
    Case(48, "two bytes a character", track(properties={"x": "ř" * 4_097}), code="text_too_long"),
    Case(49, "id of 257 bytes", track(userId="a" * 257), code="id_too_long"),
    Case(49, "id of 256 bytes", track(userId="a" * 256)),
    Case(49, "id of 258 bytes in 129 characters", track(userId="ř" * 129), code="id_too_long"),
    Case(
        49,
        "second external id of 257 bytes",
        track(context={"externalIds": [{"id": "1", "type": "card"}, {"id": "a" * 257, "type": "card"}]}),
        code="id_too_long",
    ),
    Case(50, "zero-width space", track(userId="a\u200bb"), code="invalid_id"),
    Case(50, "right-to-left override", track(userId="a\u202eb"), code="invalid_id"),
    Case(50, "line feed", track(userId="a\nb"), code="invalid_id"),
    Case(62, "awkward keys are data", track(properties={"__proto__": 1, "$set": 2, "a.b": 3, "": 4})),
    Case(63, "no id", track(userId=None), code="no_identifier"),
    Case(63, "empty ids", track(userId="", anonymousId=""), code="no_identifier"),
    *(
        Case(64, f"placeholder {text!r}", track(userId=text), code="no_identifier")
        for text in ("null", "undefined", "0", "-1", "00000000-0000-0000-0000-000000000000", "anonymous")
    ),
    Case(64, "placeholder beside an id", track(userId="null", anonymousId="a1")),
    *(Case(64, f"{text!r} is an ordinary id", track(userId=text)) for text in ("test", "user", "guest")),
    Case(65, "spaces around", track(userId="  u1 ")),
    Case(66, "exact integer id", track(userId=2**53 - 1)),
    Case(66, "inexact integer id", track(userId=2**53), code="invalid_id"),
    *(Case(67, f"id {value!r}", track(userId=value), code="invalid_id") for value in INVALID_IDS),
    Case(74, "event name of 129 characters", track(event="e" * 129), code="event_name_too_long"),
    Case(74, "event name of 128 characters", track(event="e" * 128)),
    Case(75, "no messageId", track()),
    Case(75, "blank messageId", track(messageId=" ")),
    Case(78, "messageId of 101 characters", track(messageId="m" * 101), code="invalid_message_id"),
    Case(80, "messageId is a number", track(messageId=5), code="invalid_message_id"),
    Case(81, "no timestamp", track()),
    Case(82, "no zone", track(timestamp="2026-01-31T12:00:00")),
    Case(83, "future", track(timestamp="2999-01-01T00:00:00Z")),
    Case(84, "ancient", track(timestamp="1999-12-31T23:59:59Z")),
    Case(87, "microseconds since 1970", track(timestamp=1_769_860_800_000_000)),
    Case(87, "absurd number", track(timestamp=10**30), code="invalid_timestamp"),
    Case(89, "before the year 1", track(timestamp="0001-01-01T00:00:00+14:00"), code="invalid_timestamp"),
    Case(89, "after the year 9999", track(timestamp="9999-12-31T23:59:59-14:00"), code="invalid_timestamp"),
    Case(90, "30 February", track(timestamp="2026-02-30T00:00:00Z"), code="invalid_timestamp"),
    Case(91, "full-width digits", track(timestamp="２０２６-01-01T00:00:00Z"), code="invalid_timestamp"),
    Case(
        92, "sent long before it happened", track(timestamp="2026-01-01T00:00:00Z", sentAt="1970-01-01T00:00:00Z")
    ),
    Case(94, "local time without zone", track(timestamp="2026-03-29T02:30:00")),
    Case(95, "unknown type", batch({**GOOD, "type": "purchase"}), code="unknown_type", path="/v1/batch"),
    Case(95, "no type", batch({"userId": "u1"}), code="unknown_type", path="/v1/batch"),
    Case(106, "32 KiB + 1", track(properties={f"k{n}": "x" * 8_000 for n in range(5)}), code="event_too_large"),
    # beyond the catalogue: the same bar for the other fields
    Case(0, "event name missing", track(event=None), code="missing_event"),
    Case(0, "event name is a list", track(event=[]), code="invalid_event"),
    Case(0, "properties is a list", track(properties=[]), code="invalid_properties"),
    Case(0, "context is a text", track(context="x"), code="invalid_context"),
    Case(0, "external ids are no list", track(context={"externalIds": {}}), code="invalid_external_ids"),
    Case(
        0, "external id without type", track(context={"externalIds": [{"id": "1"}]}), code="invalid_external_ids"
    ),
    Case(0, "alias without previousId", b'{"userId":"u1"}', code="missing_previous_id", path="/v1/alias"),
    Case(0, "group without groupId", b'{"userId":"u1"}', code="missing_group_id", path="/v1/group"),
    Case(0, "channel is a number", track(channel=1), code="invalid_channel"),
    Case(0, "version is a list", track(version=[]), code="invalid_version"),
    Case(0, "an item that is no object", b'{"batch":[5]}', code="not_an_object", path="/v1/batch"),
]
