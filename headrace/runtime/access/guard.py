"""Who may call a route: the dependency that every guarded router has, and what it asks."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, NamedTuple

from fastapi import Depends, FastAPI, Request
from fastapi.routing import iter_route_contexts
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from headrace.contracts.errors import ApiError
from headrace.contracts.instant import Millis
from headrace.runtime.access.act import Act, audit_key, request_id, target
from headrace.runtime.access.rules import UNKNOWN, Rules
from headrace.runtime.access.scopes import allows, granting
from headrace.runtime.access.tokens import KnownTokens, Token
from headrace.runtime.access.trail import ACTS, LogTrail, Trail
from headrace.runtime.client_address import client_address, written_address
from headrace.runtime.clock import now_ms

_Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))]


@dataclass(slots=True, kw_only=True)
class Access:
    """What a service knows of who may do what. `used` collects the ids of stored tokens that were presented.
    `trusted_hops`: how many proxies of ours stand in front and write X-Forwarded-For."""

    service: str
    rules: Rules
    tokens: KnownTokens
    key: bytes = field(repr=False)
    trail: Trail = field(default_factory=LogTrail)
    clock: Callable[[], Millis] = now_ms
    trusted_hops: int = 0
    used: set[str] = field(default_factory=set)
    _templates: dict[tuple[object, str], str] = field(default_factory=dict)

    @classmethod
    def by_root(cls, service: str, rules: Rules, root: str, *, trusted_hops: int = 0) -> "Access":
        """Knows the root token only, until it is given more."""
        known, key = KnownTokens(root), audit_key(root)
        return cls(service=service, rules=rules, tokens=known, key=key, trusted_hops=trusted_hops)

    async def admit(self, request: Request, presented: str) -> None:
        """Returns when the request may go on; an act has its first row then. Raises ApiError 401, 403 or 503."""
        token = self.tokens.find(presented, self.clock())
        self.used.add(token.id)
        route = self._template(request)
        rule = self.rules.get(f"{request.method} {route}", UNKNOWN)
        if not allows(token.scopes, rule.wants):
            needed = " or ".join(granting(rule.wants))
            raise ApiError(403, "missing_scope", f"The token {token.name} lacks the scope {needed}.")
        if rule.act:
            act = self._act(request, token, route)
            await self.trail.begin(act)
            request.scope[ACTS].append(act)

    def _template(self, request: Request) -> str:
        """The route's whole path: the request's scope has it without the prefixes of the routers around it."""
        called = (request.scope["endpoint"], request.method)
        if called not in self._templates:
            self._templates = {(found.endpoint, found.method): found.path for found in guarded_routes(request.app)}
        return self._templates[called]

    def _act(self, request: Request, token: Token, route: str) -> Act:
        return Act(
            actor_id=token.id,
            actor_name=token.name,
            address=written_address(client_address(request.headers.raw, request.client, self.trusted_hops)),
            service=self.service,
            method=request.method,
            route=route,
            target=target(request.path_params, self.key),
            request_id=request_id(request.headers.get("x-request-id")),
        )


class Route(NamedTuple):
    endpoint: object
    method: str
    path: str


def guarded_routes(app: FastAPI) -> Iterator[Route]:
    """Every route that the guard stands before."""
    return (route for route, is_guarded in all_routes(app) if is_guarded)


def all_routes(app: FastAPI) -> Iterator[tuple[Route, bool]]:
    """Every route with whether the guard stands before it."""
    for context in iter_route_contexts(app.routes):
        dependant = getattr(context, "dependant", None)  # the documentation's routes have none
        is_guarded = dependant is not None and any(one.call is guard for one in dependant.dependencies)
        for method in context.methods or ():
            yield Route(context.endpoint, method, context.path or ""), is_guarded


async def guard(request: Request, credentials: _Bearer = None) -> None:
    """Demands `Authorization: Bearer TOKEN` with the scope that the service's table names for the route."""
    access: Access = request.app.state.access
    await access.admit(request, credentials.credentials if credentials else "")


GUARD = Depends(guard)
"""For `dependencies` of a router or a route."""
