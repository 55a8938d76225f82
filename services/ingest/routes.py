"""The paths of the tracking API: Segment's, its one-letter aliases, RudderStack's and jitsu's."""

from dataclasses import dataclass
from typing import Literal

from headrace.contracts.event import EventType

Shape = Literal["single", "batch", "import", "pixel", "metrics"]


@dataclass(frozen=True, slots=True)
class Route:
    """`label` is the path in metrics and in the API document. `type` is fixed by the path, or None."""

    method: Literal["GET", "POST"]
    label: str
    shape: Shape
    type: EventType | None = None


_SINGLE: dict[str, EventType] = {
    "track": "track",
    "identify": "identify",
    "page": "page",
    "screen": "screen",
    "group": "group",
    "alias": "alias",
}
_LETTERS: dict[str, EventType] = {
    "t": "track",
    "i": "identify",
    "p": "page",
    "s": "screen",
    "g": "group",
    "a": "alias",
}


def _routes() -> dict[str, Route]:
    table: dict[str, Route] = {}
    for name, kind in (_SINGLE | _LETTERS).items():
        table[f"/v1/{name}"] = Route("POST", f"/v1/{name}", "single", kind)
    for name, kind in _SINGLE.items():
        table[f"/api/s/{name}"] = Route("POST", "/api/s/{type}", "single", kind)
        table[f"/api/s/s2s/{name}"] = Route("POST", "/api/s/s2s/{type}", "single", kind)
    for path in ("/v1/batch", "/v1/b", "/beacon/v1/batch"):
        table[path] = Route("POST", path, "batch")
    for name in ("track", "page"):
        path = f"/pixel/v1/{name}"
        table[path] = Route("GET", path, "pixel", _SINGLE[name])
    table["/v1/import"] = Route("POST", "/v1/import", "import")
    table["/v1/m"] = Route("POST", "/v1/m", "metrics")
    return table


ROUTES = _routes()

_PUBLIC = ("/v1/", "/api/s/", "/beacon/", "/pixel/", "/sourceConfig")
_ADMIN = ("/v1/dead-letters", "/v1/plans", "/v1/hooks")


def is_public(path: str) -> bool:
    """True for what web pages call from another origin, and which therefore answers CORS."""
    return path.startswith(_PUBLIC) and not path.startswith(_ADMIN)
