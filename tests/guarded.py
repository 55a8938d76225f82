"""What must hold of the routes of any service: each is in the service's table, or public by name."""

from collections import Counter
from collections.abc import Set

from fastapi import FastAPI

from headrace.runtime.access.act import DEFINITION_IDS
from headrace.runtime.access.guard import Access, all_routes
from headrace.runtime.access.rules import Rules

PUBLIC = frozenset(
    {
        "HEAD /openapi.json",
        "GET /openapi.json",
        "HEAD /docs",
        "GET /docs",
        "HEAD /docs/oauth2-redirect",
        "GET /docs/oauth2-redirect",
        "GET /healthz",
        "GET /readyz",
        "GET /metrics",
    }
)
CUSTOMERS = frozenset({"profile_id", "type", "value", "inbound_id", "delivery_id"})
"""Parameters of paths that must not stand in the audit log as they are."""


def check_routes(app: FastAPI, rules: Rules, *, public: Set[str] = frozenset()) -> None:
    """Raises AssertionError naming the routes that are not as they must be."""
    access: Access = app.state.access
    assert access.rules is rules
    guarded: set[str] = set()
    open_: set[str] = set()
    routes = list(all_routes(app))
    for route, is_guarded in routes:
        (guarded if is_guarded else open_).add(f"{route.method} {route.path}")
    assert open_ - PUBLIC == public
    assert guarded == set(rules)
    called = Counter((route.endpoint, route.method) for route, is_guarded in routes if is_guarded)
    assert [endpoint for endpoint, count in called.items() if count > 1] == []  # the guard tells them by these
    named = {part[1:-1] for route in rules for part in route.split("/") if part.startswith("{")}
    assert named - DEFINITION_IDS - CUSTOMERS == set()
    assert CUSTOMERS.isdisjoint(DEFINITION_IDS)
