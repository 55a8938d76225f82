"""Ids that come from content (DESIGN §4.5): the same cause gives the same id on every replay."""

from functools import lru_cache
from hashlib import blake2b


def content_id(prefix: str, *parts: str | int) -> str:
    """`prefix` + 32 hexadecimal digits of a BLAKE2b hash over the parts, order and borders included."""
    return _hashed(prefix, _framed(*parts))


def _hashed(prefix: str, framed: bytes) -> str:
    return prefix + blake2b(framed, digest_size=16).hexdigest()


def _framed(*parts: str | int) -> bytes:
    """Each part as its length, its text and a separator."""
    return b"".join([_frame(str(part)) for part in parts])


def _frame(part: str) -> bytes:
    raw = part.encode("utf-8", "surrogatepass")
    return b"%b%b\x1f" % (len(raw).to_bytes(4, "big"), raw)


# one event moves a customer in many segments, and many customers in one segment
_framed_again = lru_cache(maxsize=16_384)(_framed)


def profile_id(source: str, message_id: str) -> str:
    """Id of the profile that this event created. Carries no personal data and is never created twice:
    (source, messageId) is deduplicated as long as the timeline is kept."""
    return content_id("p", source, message_id)


def event_cause(source: str, message_id: str) -> tuple[str, ...]:
    return ("event", source, message_id)


def timer_cause(source: str, message_id: str, due: int) -> tuple[str, ...]:
    """A timer's cause: its anchor's event and the due time in milliseconds."""
    return ("timer", source, message_id, str(due))


def record_cause(profile: str, seq: int) -> tuple[str, ...]:
    """Cause of a transition that no event of the customer decided: a definition, a trait, a birthday."""
    return ("record", profile, str(seq))


def entry_id(segment_id: str, version: int, cause: tuple[str, ...]) -> str:
    return _hashed("e", _framed_again(segment_id, version) + _framed_again(*cause))


def entered_message_id(entry: str, profile: str) -> str:
    return _hashed("m", _frame(entry) + _framed_again(profile))


def exited_message_id(entry: str, cause: tuple[str, ...]) -> str:
    return _hashed("m", _frame(entry) + _framed_again(*cause, "exit"))


def outcome_message_id(message_id: str, outcome: str, link: str, occurrence: int) -> str:
    """messageId of a message outcome on the customer's timeline (DESIGN §7)."""
    return content_id("o", message_id, outcome, link, occurrence)


def send_id(campaign_id: str, entry: str, step: str) -> str:
    """Id of a message: one per (campaign, entry, step)."""
    return content_id("s", campaign_id, entry, step)
