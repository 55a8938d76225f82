"""What alerts, dashboards and runbooks ask of Prometheus, taken apart far enough to be held against the code."""

import re
from collections.abc import Iterator

from headrace.runtime.metrics import Metrics
from headrace.runtime.reference import declared_metrics

FROM_PROMETHEUS = {"job", "instance"}
"""Labels that a scrape adds."""
ALERT_LABELS = {"alertname", "severity", "alertstate"}

_NAME = re.compile(r"\bheadrace_[a-z0-9_]+(?![a-z0-9_]*\.(?:yml|json|py))")
_SELECTOR = re.compile(r"\b(headrace_[a-z0-9_]+)\{([^}]*)\}")
_LABEL = re.compile(r'([a-zA-Z_]+)\s*(?:=~|!~|!=|=)\s*"')
_GROUPED = re.compile(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)")
_SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("",), "gauge": ("",)}


def series() -> dict[str, set[str]]:
    """Every series that a service exposes, with its labels."""
    return {
        name + suffix: {*labels, *({"le"} if suffix == "_bucket" else ()), *FROM_PROMETHEUS}
        for name, kind, labels, _ in declared_metrics(Metrics("test"))
        for suffix in _SUFFIXES[kind]
    }


def wrong(text: str, known: dict[str, set[str]]) -> Iterator[str]:
    """What a query, or a page with queries in it, names that is not there."""
    named = set(_NAME.findall(text))
    for name in sorted(named - known.keys()):
        yield f"{name} is no series of ours"
    for name, selector in _SELECTOR.findall(text):
        for label in _LABEL.findall(selector):
            if label not in known.get(name, {label}):
                yield f"{name} has no label {label}"


def ungroupable(query: str, known: dict[str, set[str]]) -> Iterator[str]:
    """Labels by which a query groups, and that none of its series has."""
    have = set().union(*(known.get(name, set()) for name in _NAME.findall(query)))
    for group in _GROUPED.findall(query):
        for label in filter(None, (part.strip() for part in group.split(","))):
            if have and label not in have:
                yield f"no series in the query has the label {label}"
