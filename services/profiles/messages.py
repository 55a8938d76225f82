"""The messages that a customer was sent, put together from the outcomes on the timeline (pure)."""

from collections.abc import Iterable
from typing import Any

import msgspec

from headrace.contracts.instant import Millis
from services.profiles.outcomes import OUTCOMES

_STATUSES = ("accepted", "unknown", "skipped", "failed", "bounced", "delivered")
"""What became of it, the word that decides last. Opened and clicked messages were delivered."""
_RESPONSES = ("opened", "clicked", "unsubscribed", "complained")
_DETAILS = {"reason": "reason", "link_url": "link"}
_object = msgspec.json.Decoder(dict[str, Any])


class _Row(msgspec.Struct, gc=False):
    """What of an outcome's row is read."""

    event: str = ""
    properties: msgspec.Raw = msgspec.Raw(b"{}")


_row = msgspec.json.Decoder(_Row)


def messages(rows: Iterable[tuple[Millis, bytes]]) -> list[dict[str, Any]]:
    """Of (ts, payload) in order of time: each message with its outcomes, the message that was told of last first.

    `{id, campaign_id, campaign_version, entry_id, step, channel, segment_id, at, status, outcomes: [{outcome, at,
    reason?, link?}], opened, clicked, unsubscribed, complained}`; `at` is its first outcome.
    """
    found: dict[str, dict[str, Any]] = {}
    for ts, payload in rows:
        row = _row.decode(payload)
        properties = _object.decode(row.properties)
        outcome = OUTCOMES.get(row.event)
        if outcome is None:
            continue
        message = found.setdefault(str(properties.get("message_id")), _message(ts, properties))
        told = {name: properties[key] for key, name in _DETAILS.items() if key in properties}
        message["outcomes"].append({"outcome": outcome, "at": ts, **told})
    for message in found.values():
        message.update(_summary({one["outcome"] for one in message["outcomes"]}))
    return sorted(found.values(), key=lambda message: (message["at"], message["id"]), reverse=True)


def _message(ts: Millis, properties: dict[str, Any]) -> dict[str, Any]:
    names = ("campaign_id", "campaign_version", "entry_id", "step", "channel", "segment_id")
    return {
        "id": properties.get("message_id"),
        **{name: properties.get(name) for name in names},
        "at": ts,
        "outcomes": [],
    }


def _summary(outcomes: set[str]) -> dict[str, Any]:
    """The status, and which responses there were. Nobody opens what was not delivered."""
    known = outcomes | ({"delivered"} if outcomes & set(_RESPONSES) else set())
    status = next((status for status in reversed(_STATUSES) if status in known), None)
    return {"status": status, **{response: response in outcomes for response in _RESPONSES}}
