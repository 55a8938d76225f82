"""Consent per purpose and channel: the latest declaration by event time; at equal times, withdrawn.

`Consent Given` and `Consent Withdrawn` are track events with `properties.channel` (sms, email, …) and, unless it
is marketing, `properties.purpose`. A profile keeps marketing consent under the channel, any other under
`purpose/channel`.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple, TypedDict

import msgspec

from headrace.contracts.instant import Millis
from headrace.contracts.profile_event import ConsentStatus

MARKETING = "marketing"
MAX_CHANNELS = 50
MAX_WORDING = 200
MAX_PROOF_BYTES = 4_096
_CHANNEL = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_STATUS: dict[str, ConsentStatus] = {"Consent Given": "granted", "Consent Withdrawn": "withdrawn"}
_WORDINGS = ("wording", "wording_version", "version")


class Consent(TypedDict):
    status: ConsentStatus
    time: Millis


class Proof(NamedTuple):
    """What shows that it was declared. `wording`: the version of the text that was agreed to; `document`: JSON of
    whatever the source keeps (a form, an IP address' hash, a recording's number). `source`: who says so, where it
    is not the event's source."""

    wording: str | None = None
    document: str | None = None
    source: str | None = None


def is_declaration(event: str | None) -> bool:
    return event in _STATUS


def event_of(status: ConsentStatus) -> str:
    """The name of the event that declares it."""
    return next(name for name, meaning in _STATUS.items() if meaning == status)


def slug(value: object) -> str | None:
    """A channel or purpose as it is kept; None for what is none."""
    if not isinstance(value, str):
        return None
    name = value.strip().lower()
    return name if _CHANNEL.fullmatch(name) else None


def consent_key(channel: str, purpose: str = MARKETING) -> str:
    return channel if purpose == MARKETING else f"{purpose}/{channel}"


def channel_and_purpose(key: str) -> tuple[str, str]:
    """The inverse of `consent_key`."""
    purpose, _, channel = key.rpartition("/")
    return channel, purpose or MARKETING


def declared(event: str, properties: Mapping[str, Any]) -> dict[str, ConsentStatus]:
    """What a declaration says by key; nothing when it names no channel, or a purpose that is none."""
    channel, purpose = slug(properties.get("channel")), slug(properties.get("purpose", MARKETING))
    return {} if channel is None or purpose is None else {consent_key(channel, purpose): _STATUS[event]}


def proof_of(properties: Mapping[str, Any]) -> Proof:
    """What a declaration says of its proof. What is too long to be kept is left out: it stays on the timeline."""
    wording = next((str(properties[name]) for name in _WORDINGS if _scalar(properties.get(name))), None)
    document = properties.get("proof")
    encoded = None if document is None else msgspec.json.encode(document)
    return Proof(
        None if wording is None else wording.replace("\0", "")[:MAX_WORDING],
        None if encoded is None or len(encoded) > MAX_PROOF_BYTES else encoded.decode(),
    )


def _scalar(value: object) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


def apply_consent(
    consents: dict[str, Consent], declared: Mapping[str, ConsentStatus], time: Millis
) -> dict[str, ConsentStatus]:
    """Write what was declared at `time`; return the keys whose status changed."""
    return {
        key: status for key, status in declared.items() if _put(consents, key, {"status": status, "time": time})
    }


def merge_consent(consents: dict[str, Consent], other: Mapping[str, Consent]) -> dict[str, ConsentStatus]:
    """Take over another profile's later declarations; return the keys whose status changed."""
    return {key: consent["status"] for key, consent in other.items() if _put(consents, key, {**consent})}


def _put(consents: dict[str, Consent], key: str, new: Consent) -> bool:
    old = consents.get(key)
    if old is None:
        if len(consents) >= MAX_CHANNELS:
            return False
    elif _rank(old) >= _rank(new):
        return False
    consents[key] = new
    return old is None or old["status"] != new["status"]


def _rank(consent: Consent) -> tuple[Millis, bool]:
    return consent["time"], consent["status"] == "withdrawn"
