"""The two documents that browser SDKs fetch before they send anything."""

import re
from typing import Any

_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(:\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:\d{1,5})?")


def segment_settings(write_key: str, base_url: str | None) -> dict[str, Any]:
    """`GET /v1/projects/{writeKey}/settings`. The "Segment.io" entry is mandatory: analytics-next drops the
    page's own overrides without it. With `base_url` the page needs no more than `cdnURL`."""
    segment: dict[str, Any] = {"apiKey": write_key, "retryQueue": True, "addBundledMetadata": True}
    if base_url is not None:
        protocol, _, host = base_url.partition("://")
        segment |= {"apiHost": f"{host.rstrip('/')}/v1", "protocol": protocol}
    return {
        "integrations": {"Segment.io": segment},
        "plan": {"track": {"__default": {"enabled": True, "integrations": {}}}},
        "metrics": {"sampleRate": 0},
        "middlewareSettings": {},
        "enabledMiddleware": {},
        "remotePlugins": [],
    }


def rudder_source_config(write_key: str, source: str) -> dict[str, Any]:
    """`GET /sourceConfig/`: the source is enabled and has no destinations of its own in the page."""
    quiet = {"enabled": False}
    return {
        "source": {
            "id": source,
            "name": source,
            "writeKey": write_key,
            "enabled": True,
            "config": {"statsCollection": {"errors": quiet, "metrics": quiet}},
            "connections": [],
            "destinations": [],
            "workspaceId": "headrace",
            "dataplanes": {},
        },
        "updatedAt": "2026-01-01T00:00:00.000Z",
    }


def base_url(scheme: str, host: str | None) -> str | None:
    """The address under which the page reached us; None for a Host header that is no host."""
    if host is None or _HOST.fullmatch(host) is None:
        return None
    return f"{scheme}://{host}"
