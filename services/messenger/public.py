"""Public routes that links in messages point at. Everything comes from the signed token."""

from collections.abc import Callable
from dataclasses import dataclass

from fastapi import APIRouter

from headrace.contracts.instant import Millis
from services.messenger.hits import Hits
from services.messenger.links import PublicLinks
from services.messenger.preference_routes import preference_routes
from services.messenger.preferences import Preferences
from services.messenger.tracking_routes import tracking_routes
from services.messenger.unsubscribe import Unsubscribes
from services.messenger.unsubscribe_routes import unsubscribe_routes


@dataclass(frozen=True, slots=True)
class Public:
    """What the routes need."""

    unsubscribes: Unsubscribes
    preferences: Preferences
    hits: Hits
    links: PublicLinks


def public_routes(public: Public, *, clock: Callable[[], Millis], on_outcome: Callable[[], None]) -> APIRouter:
    """`/u` unsubscribes, `/p` shows preferences, `/c` and `/o` track clicks and opens."""
    router = APIRouter()
    router.include_router(
        unsubscribe_routes(
            public.unsubscribes, public.preferences, public.links, clock=clock, on_outcome=on_outcome
        )
    )
    router.include_router(preference_routes(public.preferences, public.links, clock=clock))
    router.include_router(tracking_routes(public.hits, public.links, clock=clock))
    return router
