"""What the profile service's routes answer, for its OpenAPI document. Instants are milliseconds since 1970."""

from collections.abc import Mapping
from typing import Any, Literal

from headrace.runtime.openapi import JSON, Operation, answers, definition, pages
from headrace.runtime.republish import REPUBLISH
from headrace.runtime.shapes import MAYBE, OBJECT, Shape, page

DONE: Shape = {"success": Literal[True]}
NUMBER: Shape = (int, None)
IDENTIFIER: Shape = {
    "type": str,
    "value": str,
    "profile_id": str,
    "source": MAYBE,
    "trusted": bool,
    "first_seen": int,
    "last_seen": int,
    "quarantined_at": NUMBER,
    "taken_apart": bool,
}
PROFILE: Mapping[str, Shape] = {
    "id": str,
    "user_id": MAYBE,
    "traits": OBJECT,
    "consents": OBJECT,
    "computed": OBJECT,
    "tags": Any,
    "first_seen": int,
    "last_seen": int,
    "identifiers": [OBJECT],
    "merged_from": [str],
}
CONSENT: Shape = {
    "channel": str,
    "purpose": str,
    "status": Literal["granted", "withdrawn"],
    "at": int,
    "recorded_at": int,
    "source": MAYBE,
    "wording": MAYBE,
    "proof": Any,
}
CONSENTS: Shape = page(CONSENT, id=str, current=[CONSENT])
DECISION: Shape = {
    "id": int,
    "at": int,
    "kind": str,
    "profile_id": str,
    "other_id": MAYBE,
    "reason": MAYBE,
    "source": MAYBE,
    "message_id": MAYBE,
    "evidence": Any,
}
SESSION: Shape = {
    "began_at": int,
    "ended_at": int,
    "length_seconds": float,
    "events": int,
    "pages": int,
    "landing_page": Any,
    "campaign": Any,
}
QUARANTINED: Shape = {
    "type": str,
    "value": str,
    "profile_id": str,
    "source": MAYBE,
    "first_seen": int,
    "last_seen": int,
    "quarantined_at": int,
    "taken_apart": Any,
}
AUDITED: Shape = {
    "n": int,
    "at": int,
    "actor": str,
    "action": Literal["erase", "export", "consent", "preferences", "suppress", "unsuppress", "lift"],
    "profile_id": MAYBE,
    "details": OBJECT,
}
QUESTION: Shape = ({"survey": str, "question": OBJECT, "link": MAYBE}, None)
EXPORT: Shape = {
    "profile": OBJECT,
    "suppressed_since": NUMBER,
    "traits": OBJECT,
    "decisions": [OBJECT],
    "consents": {"current": [CONSENT], "history": [CONSENT]},
    "messages": [OBJECT],
    "segments": [OBJECT],
    "segment_history": [OBJECT],
    "events": [OBJECT],
    "incomplete": [str],
}

_P = "/v1/profiles/{profile_id}"
OPERATIONS: Mapping[str, Operation] = {
    "GET /v1/profiles": answers(page(PROFILE)),
    "GET /v1/profiles/count": answers({"count": int}),
    "GET /v1/profiles/lookup": answers({**PROFILE, "last_known": OBJECT}, 404),
    f"GET {_P}": answers({**PROFILE, "last_known": OBJECT}),
    f"DELETE {_P}": answers(DONE),
    f"GET {_P}/events": answers(page(OBJECT)),
    f"GET {_P}/sessions": answers(page(SESSION)),
    f"GET {_P}/messages": answers(page(OBJECT)),
    f"GET {_P}/export": answers(EXPORT),
    f"POST {_P}/merge": answers(DONE, 409),
    "POST /v1/control": answers(
        {"success": Literal[True], "positions": {str: int}},
        413,
        body={JSON: {"$ref": "#/components/schemas/ControlRequest"}},
    ),
    f"GET {_P}/suppress": answers({"id": str, "suppressed": bool, "since": NUMBER}),
    f"POST {_P}/suppress": answers({"id": str, "suppressed": Literal[True]}),
    f"DELETE {_P}/suppress": answers({"id": str, "suppressed": Literal[False]}),
    "POST /v1/suppressions/lift": answers(DONE, 404),
    "GET /v1/identifiers/quarantined": answers(page(QUARANTINED)),
    "POST /v1/identifiers/release": answers({**DONE, "released": bool}, 404),
    f"POST {_P}/tags": answers({"id": str, "tags": Any}, 409),
    "POST /v1/tags": answers({"applied": int, "unchanged": int, "unknown": Any}, 409),
    f"GET {_P}/consents": answers(CONSENTS),
    f"POST {_P}/consents": answers(CONSENTS, 409, 413),
    "GET /v1/audit": answers(page(AUDITED)),
    f"PUT {_P}/preferences": answers({"id": str, "preferences": OBJECT}),
    f"POST {_P}/unmerge": answers({"id": str, "into": str, "moved": Any}, 409),
    f"GET {_P}/merges": answers(page(DECISION)),
    f"GET {_P}/traits": answers(
        {"id": str, "traits": {str: {"value": Any, "party": str, "source": MAYBE, "time": int}}}
    ),
    "PUT /v1/surveys/{survey_id}": answers(
        {"id": str, "version": int, "status": Literal["live"]}, 413, body=definition("survey")
    ),
    "GET /v1/surveys/{survey_id}": answers(OBJECT),
    "DELETE /v1/surveys/{survey_id}": answers({"id": str, "deleted": Literal[True]}),
    "GET /v1/surveys": answers(page(OBJECT)),
    "POST /v1/surveys/{survey_id}/links": answers(
        {"items": [{"profile_id": str, "link": str}], "unknown": [str]}, 409
    ),
    f"GET {_P}/next-question": answers(QUESTION),
    f"POST {_P}/next-question": answers(QUESTION),
    "GET /s/{token}": pages(200, 403, 404),
    "POST /s/{token}": pages(200, 400, 403, 404),
    "POST /v1/republish": REPUBLISH,
}
