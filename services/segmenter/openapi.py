"""What the segmenter's routes answer, for its OpenAPI document. Instants are texts."""

from collections.abc import Mapping
from typing import Any, Literal

from headrace.runtime.openapi import JSON, YAML, Operation, answers, definition
from headrace.runtime.republish import REPUBLISH
from headrace.runtime.shapes import INSTANT, MAYBE, OBJECT, SOMETIME, Shape, page

_STATUS: Shape = Literal["backfilling", "live", "paused"]
CHANGED: Shape = {"id": str, "version": int, "status": Literal["backfilling", "live", "paused", "deleted"]}
SEGMENT: Mapping[str, Shape] = {
    "id": str,
    "kind": Literal["segment", "list", "stages", "stage"],
    "name": str,
    "version": int,
    "status": _STATUS,
    "progress": float,
    "size": int,
    "added_24h": int,
    "dropped_24h": int,
    "updated_at": INSTANT,
}
STAGE: Shape = {"id": str, "segment_id": str, "name": str, "size": int}
MEMBER: Shape = {"profile_id": str, "version": int, "entered_at": SOMETIME, "entry_id": MAYBE}
MEMBERSHIP: Shape = {"id": str, "version": int, "entered_at": INSTANT, "entry_id": MAYBE}
COUNTED: Mapping[str, Shape] = {"count": int, "sample": [str]}
MOVES: Mapping[str, Shape] = {
    "entering": int,
    "leaving": int,
    "staying": int,
    "sample_entering": [str],
    "sample_leaving": [str],
}
VERIFIED: Mapping[str, Shape] = {"checked": int, "mismatches": int, "skipped": int, "examples": [OBJECT]}
EXPLANATION: Shape = {
    "segment_id": str,
    "version": int,
    "profile_id": str,
    "member": bool,
    "membership": ({"version": int, "entered_at": INSTANT, "entry_id": str, "cause_message_id": MAYBE}, None),
    "result": bool,
    "at": INSTANT,
    "next_change_at": SOMETIME,
    "when": OBJECT,
    "paused": bool,
}
VERSION: Shape = {
    "number": int,
    "state": Literal["live", "pending", "superseded"],
    "kind": str,
    "name": str,
    "created_at": INSTANT,
    "definition": OBJECT,
}
STEP: Shape = {
    "at": INSTANT,
    "size": int,
    "entered": int,
    "exited": int,
    "reasons": {str: {"entered": int, "exited": int}},
}
PAST: Shape = {
    "segment_id": str,
    "profile_id": str,
    "version": int,
    "entry_id": str,
    "cause_message_id": MAYBE,
    "entered_at": SOMETIME,
    "entered_reason": MAYBE,
    "exited_at": SOMETIME,
    "exited_reason": MAYBE,
}
TRAIT: Mapping[str, Shape] = {
    "id": str,
    "kind": Literal["trait"],
    "name": str,
    "version": int,
    "status": Literal["backfilling", "live"],
    "progress": float,
    "updated_at": INSTANT,
}
SUBSCRIPTION: Mapping[str, Shape] = {
    "id": str,
    "url": str,
    "segments": Any,
    "actions": [str],
    "secret": str,
    "old_secret_ends": SOMETIME,
    "enabled": bool,
    "status": Literal["enabled", "disabled"],
    "disabled_reason": MAYBE,
    "failing_since": SOMETIME,
    "created_at": INSTANT,
    "updated_at": INSTANT,
}
DELIVERY: Shape = {
    "id": str,
    "message_id": str,
    "profile_id": MAYBE,
    "segment_id": str,
    "action": str,
    "status": Literal["pending", "delivered", "failed"],
    "attempts": int,
    "attempts_left": int,
    "next_attempt_at": SOMETIME,
    "created_at": INSTANT,
    "attempted_at": SOMETIME,
    "settled_at": SOMETIME,
    "response_status": (int, None),
    "reason": MAYBE,
    "response": MAYBE,
}
TRIED: Shape = {
    "status": Literal["delivered", "failed"],
    "message_id": str,
    "response_status": (int, None),
    "reason": MAYBE,
    "response": MAYBE,
    "milliseconds": int,
}
CUT_POINTS: Shape = {
    "population": str,
    "event": Any,
    "of": Any,
    "within_ms": (int, None),
    "segments": [str],
    "version": (int, None),
    "at?": INSTANT,
    "computed_at?": INSTANT,
    "recency?": [INSTANT],
    "frequency?": [Any],
    "monetary?": Any,
    "customers?": int,
    "classes?": {str: int},
}
_CHANGES: Shape = {"applied": int, "unchanged": int, "unknown": Any}
_LIST: Mapping[str, dict[str, Any]] = {
    JSON: {
        "type": "object",
        "properties": {"add": {"type": "array"}, "remove": {"type": "array"}},
        "additionalProperties": False,
    },
    "text/csv": {"type": "string"},
    "application/x-ndjson": {"type": "string"},
}
_ASKED = {
    JSON: {
        "type": "object",
        "required": ["segments", "profiles"],
        "additionalProperties": False,
        "properties": {
            "segments": {"type": "array", "items": {"type": "string"}, "maxItems": 1000},
            "profiles": {
                "type": "array",
                "maxItems": 1000,
                "items": {
                    "type": "object",
                    "required": ["id"],
                    "additionalProperties": False,
                    "properties": {"id": {"type": "string"}, "seq": {"type": ["integer", "null"]}},
                },
            },
        },
    }
}
_DRAFT = {JSON: {"type": "object", "description": 'A definition, or `{"when": …}`.'}, YAML: {"type": "string"}}
_SUBSCRIBED: Mapping[str, dict[str, Any]] = {
    JSON: {"type": "object", "required": ["url"]},
    YAML: {"type": "string"},
}

_SHOWN: Mapping[str, Shape] = {**SEGMENT, "definition": OBJECT, "stages?": [STAGE], "belongs_to?": str}
_OVERLAP: Shape = {"a": int, "b": int, "both": int, "only_a": int, "only_b": int, "jaccard": float}
"""Without `a` and `b` it is the segment of that id."""

_S = "/v1/segments/{segment_id}"
_W = "/v1/subscriptions/{subscription_id}"
OPERATIONS: Mapping[str, Operation] = {
    "GET /v1/segments/overlap": answers((_OVERLAP, _SHOWN), 404, 409),
    "POST /v1/segments/preview": answers({**COUNTED, "stages?": [OBJECT]}, 413, 503, body=_DRAFT),
    f"POST {_S}/diff": answers({**MOVES, "dependents": [Any], "stages?": [OBJECT]}, 413, 503, body=_DRAFT),
    f"POST {_S}/verify": answers({**VERIFIED, "repairs": int}, 409, 503),
    f"GET {_S}/explain/{{profile_id}}": answers(EXPLANATION, 409),
    f"PUT {_S}": answers(CHANGED, 409, 413, 503, body=definition("segment")),
    f"GET {_S}": answers(_SHOWN),
    f"DELETE {_S}": answers(CHANGED, 409, 503),
    "GET /v1/segments": answers(page(SEGMENT)),
    f"GET {_S}/members": answers(page(MEMBER, **{"count?": int}), 409, 503),
    f"POST {_S}/members": answers(_CHANGES, 409, 413, 503, body=_LIST),
    f"POST {_S}/pause": answers(CHANGED, 409, 503),
    f"POST {_S}/resume": answers(CHANGED, 409, 503),
    f"GET {_S}/versions": answers(page(VERSION), 409),
    f"GET {_S}/versions/{{number}}": answers(VERSION, 409),
    f"POST {_S}/versions/{{number}}/restore": answers({**CHANGED, "restored": int}, 409, 503),
    "GET /v1/profiles/{profile_id}/segments": answers(page(MEMBERSHIP), 503),
    "GET /v1/lookup/{type}/{value}/segments": answers(page(MEMBERSHIP), 503),
    "POST /v1/memberships": answers({"members": {str: [str]}, "behind": [str]}, 413, body=_ASKED),
    "POST /v1/traits/preview": answers(
        {
            "count": int,
            "sample": [{"profile_id": str, "value": Any}],
            "numbers": (OBJECT, None),
            "most_common": [{"value": Any, "count": int}],
        },
        413,
        503,
        body=_DRAFT,
    ),
    "PUT /v1/traits/{trait_id}": answers(CHANGED, 409, 413, 503, body=definition("trait")),
    "GET /v1/traits/{trait_id}": answers({**TRAIT, "definition": OBJECT}),
    "DELETE /v1/traits/{trait_id}": answers(CHANGED, 409, 503),
    "GET /v1/traits": answers(page(TRAIT)),
    "POST /v1/traits/{trait_id}/verify": answers(VERIFIED, 409, 503),
    "GET /v1/profiles/{profile_id}/traits": answers(
        page({"id": str, "value": Any, "version": int, "since": INSTANT}), 503
    ),
    "GET /v1/schemas/segment": Operation({200: {"application/schema+json": OBJECT}}, never=(400,)),
    f"GET {_S}/history": answers(page(STEP), 409),
    "GET /v1/profiles/{profile_id}/segment-history": answers(page(PAST), 503),
    f"GET {_S}/members.csv": Operation({200: {"text/csv; charset=utf-8": str}}, (409,)),
    f"GET {_S}/members.ndjson": Operation({200: {"application/x-ndjson": str}}, (409,)),
    f"PUT {_W}": answers(SUBSCRIPTION, 413, body=_SUBSCRIBED),
    f"GET {_W}": answers({**SUBSCRIPTION, "last_delivery": (DELIVERY, None), "deliveries": {str: int}}),
    f"DELETE {_W}": answers({"id": str, "status": Literal["deleted"]}),
    "GET /v1/subscriptions": answers(page(SUBSCRIPTION)),
    f"POST {_W}/rotate": answers({"id": str, "secret": str, "old_secret_ends": INSTANT}),
    f"POST {_W}/enable": answers(SUBSCRIPTION),
    f"POST {_W}/test": answers(TRIED),
    f"GET {_W}/deliveries": answers(page(DELIVERY)),
    f"POST {_W}/deliveries/{{delivery_id}}/retry": answers({"id": str, "status": Literal["pending"]}, 409),
    "POST /v1/republish": REPUBLISH,
    "GET /v1/rebuild": answers(page({"partition": int, "state": Literal["rebuilding", "live"], "seq": int})),
    "POST /v1/rebuild": answers({"success": Literal[True], "partitions": [int], "elsewhere": int}, 409),
    "POST /v1/forget": answers(
        page({"partition": int, "epoch": int, "seq": int, "transitions": int, "computed": int})
    ),
    "GET /v1/lookback": answers(page(str)),
    "GET /v1/rfm": answers(page(CUT_POINTS)),
    "POST /v1/rfm/compute": answers(page(CUT_POINTS), 404, 409, 503),
}
