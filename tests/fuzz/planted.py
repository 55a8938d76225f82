"""One of each thing that routes name, so that not every request is about nothing."""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.e2e.api import Api
from tests.e2e.wait import wait_until

USER = "fuzz-customer"
SEGMENT = "fuzz-segment"
SOURCE = "fuzz-source"
_WHEN = {"event": {"name": "Order Completed", "count": {"gte": 1}}}
DEFINITIONS: Sequence[tuple[str, str, Mapping[str, Any]]] = (
    ("segmenter", f"/v1/segments/{SEGMENT}", {"kind": "segment", "name": "Bought", "when": _WHEN}),
    ("segmenter", "/v1/segments/fuzz-list", {"kind": "list", "name": "By hand"}),
    ("segmenter", "/v1/subscriptions/fuzz-hook", {"url": "https://hook.invalid/fuzz"}),
    (
        "messenger",
        "/v1/templates/fuzz-template",
        {"kind": "template", "channel": "sms", "text": "Hi"},
    ),
    ("ingest", f"/v1/sources/{SOURCE}", {"kind": "public", "origins": ["https://shop.example.com"], "rate": 5}),
    ("messenger", "/v1/blocks/fuzz-block", {"kind": "block", "text": "Bye"}),
    ("messenger", "/v1/vouchers/fuzz-pool", {"kind": "vouchers", "name": "V"}),
)


def plant(api: Api) -> dict[str, list[str]]:
    """Put one of each; the ids by the name of the parameter that takes them."""
    event = {"type": "track", "event": "Order Completed", "userId": USER, "messageId": "fuzz-planted"}
    api.post("/v1/track", event).raise_for_status()
    found = wait_until(lambda: api.profile("user_id", USER), what="the planted customer")
    for service, path, document in DEFINITIONS:
        answer = api.admin.put(api.stack.url(service) + path, json=document)
        assert answer.status_code == 200, f"{path}: {answer.text}"
    return {
        "profile_id": [found["id"]],
        "segment_id": [SEGMENT, "fuzz-list"],
        "subscription_id": ["fuzz-hook"],
        "source_name": [SOURCE],
        "template_id": ["fuzz-template"],
        "block_id": ["fuzz-block"],
        "pool_id": ["fuzz-pool"],
        "type": ["user_id"],
        "value": [USER],
    }
