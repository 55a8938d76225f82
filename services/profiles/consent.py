"""Marketing consent per channel: the latest declaration by event time; at equal times, withdrawn.

`Consent Given` and `Consent Withdrawn` are track events with `properties.channel` (sms, email, …).
"""

import re
from collections.abc import Mapping
from typing import Any, TypedDict

from headrace.contracts.instant import Millis
from headrace.contracts.profile_event import ConsentStatus

MAX_CHANNELS = 50
_CHANNEL = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_STATUS: dict[str, ConsentStatus] = {"Consent Given": "granted", "Consent Withdrawn": "withdrawn"}


class Consent(TypedDict):
    status: ConsentStatus
    time: Millis


def is_declaration(event: str | None) -> bool:
    return event in _STATUS


def declared(event: str, properties: Mapping[str, Any]) -> dict[str, ConsentStatus]:
    """What a declaration says by channel; nothing when it names no channel."""
    channel = properties.get("channel")
    if not isinstance(channel, str) or not _CHANNEL.fullmatch(channel.strip().lower()):
        return {}
    return {channel.strip().lower(): _STATUS[event]}


def apply_consent(
    consents: dict[str, Consent], declared: Mapping[str, ConsentStatus], time: Millis
) -> dict[str, ConsentStatus]:
    """Write what was declared at `time`; return the channels whose status changed."""
    return {
        channel: status
        for channel, status in declared.items()
        if _put(consents, channel, {"status": status, "time": time})
    }


def merge_consent(consents: dict[str, Consent], other: Mapping[str, Consent]) -> dict[str, ConsentStatus]:
    """Take over another profile's later declarations; return the channels whose status changed."""
    return {
        channel: consent["status"] for channel, consent in other.items() if _put(consents, channel, {**consent})
    }


def _put(consents: dict[str, Consent], channel: str, new: Consent) -> bool:
    old = consents.get(channel)
    if old is None:
        if len(consents) >= MAX_CHANNELS:
            return False
    elif _rank(old) >= _rank(new):
        return False
    consents[channel] = new
    return old is None or old["status"] != new["status"]


def _rank(consent: Consent) -> tuple[Millis, bool]:
    return consent["time"], consent["status"] == "withdrawn"
