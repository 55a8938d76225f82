"""What the messenger's routes answer, for its OpenAPI document."""

from collections.abc import Mapping
from typing import Any, Literal

from headrace.runtime.openapi import HTML, JSON, Operation, answers, definition, pages
from headrace.runtime.republish import REPUBLISH
from headrace.runtime.shapes import INSTANT, MAYBE, OBJECT, SOMETIME, Shape, page

NUMBER: Shape = (int, None)
ACCEPTED: Shape = {"id": str, "version": int, "status": str}
DELETED: Shape = {"id": str, "deleted": Literal[True]}
MESSAGE: Shape = {
    "id": str,
    "campaign_id": str,
    "campaign_version": int,
    "entry_id": MAYBE,
    "step": str,
    "profile_id": str,
    "channel": MAYBE,
    "template_id": MAYBE,
    "template_version": NUMBER,
    "status": str,
    "reason": MAYBE,
    "reason_text": MAYBE,
    "attempt": int,
    "provider": MAYBE,
    "provider_message_id": MAYBE,
    "due_at": NUMBER,
    "created_at": int,
    "claimed_at": NUMBER,
    "settled_at": NUMBER,
    "locale": MAYBE,
    "missing": Any,
    "parts": NUMBER,
    "country": MAYBE,
    "cost": MAYBE,
    "address?": MAYBE,
    "subject?": MAYBE,
    "text?": MAYBE,
    "html?": MAYBE,
}
JOURNEY: Shape = {
    "id": str,
    "profile_id": str,
    "campaign_version": int,
    "trigger": MAYBE,
    "status": str,
    "reason": MAYBE,
    "step": MAYBE,
    "due_at": SOMETIME,
    "variants": OBJECT,
    "entered_at": INSTANT,
    "ended_at": SOMETIME,
    "converted_at": SOMETIME,
}
REPORT: Shape = {
    "campaign_id": str,
    "version": int,
    "from": SOMETIME,
    "to": SOMETIME,
    "entered": int,
    "statuses": OBJECT,
    "reasons": OBJECT,
    "journeys": OBJECT,
    "messages": OBJECT,
    "missing": {str: int},
    "goal": (OBJECT, None),
    "uplift": Any,
    "channels": Any,
    "steps": Any,
    "variants": Any,
    "splits": Any,
}
SEGMENT_REPORT: Shape = {
    "segment_id": str,
    "at": INSTANT,
    "members": int,
    "is_sample": bool,
    "entered_unknown": int,
    "cohorts": [OBJECT],
    "lifetime_value": Any,
}
SUPPRESSION: Shape = {"channel": str, "reason": str, "at": INSTANT}
INBOUND: Shape = {
    "id": str,
    "channel": str,
    "provider": str,
    "profile_id": MAYBE,
    "text": MAYBE,
    "keyword": MAYBE,
    "at": int,
    "answered_at": NUMBER,
}
CODE: Shape = {
    "id": int,
    "code": str,
    "status": Literal["free", "assigned", "redeemed", "expired"],
    "profile_id": MAYBE,
    "campaign_id": MAYBE,
    "entry_id": MAYBE,
    "assigned_at": NUMBER,
    "expires_at": NUMBER,
    "redeemed_at": NUMBER,
    "redeemed": Any,
    "order_id": MAYBE,
}
PREVIEW: Shape = {
    "channel": str,
    "locale": MAYBE,
    "subject": MAYBE,
    "text": MAYBE,
    "html": MAYBE,
    "extras": Any,
    "missing": [str],
    "sms": (
        {
            "encoding": str,
            "characters": int,
            "parts": int,
            "country": MAYBE,
            "cost": str,
            "currency": str,
        },
        None,
    ),
}
TRIED: Shape = {
    "status": Literal["accepted", "refused", "not_sent", "unknown"],
    "reason": MAYBE,
    "reason_text": MAYBE,
    "locale": MAYBE,
    "missing": [str],
}
SIGNING_KEY: Shape = {"id": int, "created_at": INSTANT, "signs_from": INSTANT, "retired_at": SOMETIME}
_CODES = {"text/plain": {"type": "string"}, "text/csv": {"type": "string"}}
_CSV = "text/csv; charset=utf-8"


def _kept(kind: str, plural: str, *deleting: int) -> dict[str, Operation]:
    path = f"/v1/{plural}/{{{kind}_id}}"
    return {
        f"PUT {path}": answers(ACCEPTED, 413, *((503,) if kind == "campaign" else ()), body=definition(kind)),
        f"GET {path}": answers(OBJECT),
        f"DELETE {path}": answers(DELETED, *deleting),
        f"GET /v1/{plural}": answers(page(OBJECT)),
    }


OPERATIONS: Mapping[str, Operation] = {
    **_kept("template", "templates", 409),
    **_kept("campaign", "campaigns"),
    **_kept("block", "blocks", 409),
    **_kept("policy", "policies"),
    "POST /v1/campaigns/{campaign_id}/move": answers({"id": str, "version": int, "moved": int, "stayed": int}),
    "GET /v1/messages": answers(page(MESSAGE)),
    "GET /v1/campaigns/{campaign_id}/report": Operation({200: {JSON: REPORT, _CSV: str}}),
    "GET /v1/campaigns/{campaign_id}/journeys": answers(page(JOURNEY)),
    "GET /v1/segments/{segment_id}/report": answers(SEGMENT_REPORT, 503),
    "GET /v1/suppressions": answers(page(SUPPRESSION)),
    "POST /v1/suppressions": answers({"success": Literal[True]}),
    "DELETE /v1/suppressions": answers({"success": Literal[True], "lifted": [str]}),
    "GET /v1/inbound": answers(page(INBOUND)),
    "POST /v1/inbound/{inbound_id}/reply": answers({"message_id": str}, 409),
    "PUT /v1/vouchers/{pool_id}": answers(ACCEPTED, 413, body=definition("vouchers")),
    "GET /v1/vouchers/{pool_id}": answers(OBJECT),
    "DELETE /v1/vouchers/{pool_id}": answers(DELETED, 409),
    "GET /v1/vouchers": answers(page(OBJECT)),
    "POST /v1/vouchers/{pool_id}/codes": answers(
        {"added": int, "known": int, "invalid": int, "problems": [{"line": int, "reason": str}]},
        409,
        413,
        body=_CODES,
    ),
    "GET /v1/vouchers/{pool_id}/codes": Operation({200: {JSON: page(CODE), _CSV: str}}),
    "POST /v1/templates/{template_id}/preview": answers(PREVIEW),
    "POST /v1/preview": answers(PREVIEW, 404),
    "POST /v1/templates/{template_id}/test": answers(TRIED, 409, 429),
    "GET /v1/signing-keys": answers(page({**SIGNING_KEY, "signs": bool})),
    "POST /v1/signing-keys": answers(SIGNING_KEY),
    "DELETE /v1/signing-keys/{key_id}": answers(SIGNING_KEY, 409),
    "POST /v1/republish": REPUBLISH,
    "GET /u/{token}": pages(200, 404),
    "POST /u/{token}": pages(200, 404),
    "GET /p/{token}": pages(200, 404),
    "POST /p/{token}": pages(200, 400, 404),
    "GET /c/{token}": Operation({302: {}, 404: {HTML: str}}, never=(400, 404)),
    "GET /o/{token}.gif": Operation({200: {"image/gif": str}, 404: {"image/gif": str}}, never=(400, 404)),
}
