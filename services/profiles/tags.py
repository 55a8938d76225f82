"""Tags on a customer: per tag the latest change by event time; at equal times, taken off.

`Tag Added` and `Tag Removed` are track events with `properties.tag`. Membership of a static list is a tag as well:
`list:` and the list's id. Only the API gives and takes those.

Held as two: the names that are on, sorted, and the time of the last change of every name ever changed. A tag that
was taken off leaves its time behind, so that an older event does not bring it back.
"""

import re
from bisect import insort
from collections.abc import Iterable, Mapping
from typing import Any

from headrace.contracts.instant import Millis

MAX_TAGS = 1_000
"""Names per profile, those taken off included. Changes of further names are ignored."""
LIST_PREFIX = "list:"
_NAME = re.compile("[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,100}")
_ON = {"Tag Added": True, "Tag Removed": False}


def is_tagging(event: str | None) -> bool:
    return event in _ON


def tag_name(value: object) -> str | None:
    """A tag's name as sent, trimmed; None unless it has 1 to 100 characters, none of them a control character."""
    if not isinstance(value, str):
        return None
    name = value.strip()
    return name if _NAME.fullmatch(name) and name != LIST_PREFIX else None


def tagged(event: str, properties: Mapping[str, Any]) -> dict[str, bool]:
    """What a collected event says, by tag; nothing when it names none or a list."""
    name = tag_name(properties.get("tag"))
    return {} if name is None or name.startswith(LIST_PREFIX) else {name: _ON[event]}


def described(name: str, on: bool) -> tuple[str, dict[str, str]]:
    """The event that a change by API is on the timeline, and its properties."""
    if name.startswith(LIST_PREFIX):
        return ("List Joined" if on else "List Left"), {"list": name.removeprefix(LIST_PREFIX)}
    return ("Tag Added" if on else "Tag Removed"), {"tag": name}


def apply_tags(
    tags: list[str], times: dict[str, Millis], changes: Mapping[str, bool], time: Millis
) -> dict[str, bool]:
    """Write `changes` (True puts on, False takes off) at `time`; return those that changed what is on."""
    return _write(tags, times, ((name, on, time) for name, on in changes.items())) if changes else {}


def apply_tag_now(tags: list[str], times: dict[str, Millis], name: str, on: bool, now: Millis) -> dict[str, bool]:
    """Write a change that somebody makes now: it comes after all that is known, also when the clock has not moved
    since. It is ignored only when there is no room; then `name` is not in `times`."""
    return _write(tags, times, [(name, on, max(now, times.get(name, -1) + 1))])


def merge_tags(
    tags: list[str], times: dict[str, Millis], other_tags: Iterable[str], other_times: Mapping[str, Millis]
) -> dict[str, bool]:
    """Take over another profile's later changes; return those that changed what is on here."""
    other = frozenset(other_tags)
    return _write(tags, times, ((name, name in other, time) for name, time in other_times.items()))


def _write(
    tags: list[str], times: dict[str, Millis], entries: Iterable[tuple[str, bool, Millis]]
) -> dict[str, bool]:
    changed = {}
    for name, on, time in entries:
        old, was_on = times.get(name), name in tags
        if len(times) >= MAX_TAGS if old is None else (old, not was_on) >= (time, not on):
            continue
        times[name] = time
        if on == was_on:
            continue
        changed[name] = on
        if on:
            insort(tags, name)
        else:
            tags.remove(name)
    return changed
