"""What each route of a service asks for. A service has one table of all its guarded routes (pure)."""

from collections.abc import Mapping
from dataclasses import dataclass

from headrace.runtime.access.scopes import PERMISSIONS, is_reading


@dataclass(frozen=True, slots=True)
class Rule:
    """`wants`: one of PERMISSIONS. `act`: whether it is written into the audit log."""

    wants: str
    act: bool


Rules = Mapping[str, Rule]
"""By method and path template, as in `PUT /v1/segments/{segment_id}`."""

UNKNOWN = Rule("admin", act=True)
"""For a route that no table has: a test keeps it from happening."""


def rules(routes: Mapping[str, str], *, exports: frozenset[str] = frozenset()) -> Rules:
    """A table of `routes`, each with the permission it wants. What only looks is no act, unless it is one of
    `exports`. Raises ValueError for a permission that does not exist and an export that is no route."""
    if wrong := (set(routes.values()) - PERMISSIONS) | (exports - set(routes)):
        raise ValueError(f"not permissions or routes: {sorted(wrong)}")
    return {
        route: Rule(wants, act=route in exports or not (route.startswith("GET ") or is_reading(wants)))
        for route, wants in routes.items()
    }
