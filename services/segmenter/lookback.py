"""Which definitions need what events said longer ago than a deployment keeps it (pure).

Names and times of events are kept for ever, so only what reads into an event counts: `where`, `of`, `by`, places.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from headrace.contracts.instant import Millis
from headrace.contracts.segment_values import duration_ms

_READING = frozenset({"where", "of", "by", "currency"})


def reads_back(definition: Mapping[str, Any], kept_ms: Millis) -> bool:
    """Whether some condition reads into events that may be older than `kept_ms`."""
    return any(
        kind == "geo" or (_reads(said) and not _within(said, kept_ms)) for kind, said in _conditions(definition)
    )


def _conditions(node: object) -> Iterator[tuple[str, Any]]:
    """Every condition on events, wherever it stands."""
    if isinstance(node, Mapping):
        for key, said in node.items():
            if key in ("event", "sequence", "rfm", "geo") and isinstance(said, Mapping):
                yield key, said
            else:
                yield from _conditions(said)
    elif isinstance(node, list | tuple):
        for one in node:
            yield from _conditions(one)


def _reads(node: object) -> bool:
    if isinstance(node, Mapping):
        return any(key in _READING or _reads(said) for key, said in node.items())
    return isinstance(node, list | tuple) and any(_reads(one) for one in node)


def _within(said: Mapping[str, Any], kept_ms: Millis) -> bool:
    window = said.get("within") or said.get("expires")
    return isinstance(window, str) and duration_ms(window) <= kept_ms
