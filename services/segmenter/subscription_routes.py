"""HTTP of webhook subscriptions: their life, their secrets, their deliveries."""

import asyncio
import secrets
import time
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request

from headrace.contracts.documents import load_document
from headrace.contracts.errors import ApiError, InvalidDefinition, Problem
from headrace.contracts.instant import Millis, format_instant
from headrace.runtime.http import admin_guard
from headrace.runtime.webhooks.signature import mask_secret, write_secret
from headrace.runtime.webhooks.transport import Webhook
from services.segmenter.webhooks.assembly import Webhooks
from services.segmenter.webhooks.attempts import DELAYS_MS
from services.segmenter.webhooks.deliveries import STATUSES
from services.segmenter.webhooks.subscription import parse_subscription
from services.segmenter.webhooks.subscriptions import Subscription
from services.segmenter.webhooks.trial import trial_change

MAX_BODY = 64 * 1024
MAX_ID = 2**63 - 1
SECRET_BYTES = 32
Limit = Annotated[int, Query(ge=1, le=1000)]


def subscription_router(webhooks: Webhooks, *, admin_token: str) -> APIRouter:
    router = APIRouter(prefix="/v1", dependencies=[Depends(admin_guard(admin_token))])
    _add_definitions(router, webhooks)
    _add_life(router, webhooks)
    _add_deliveries(router, webhooks)
    return router


def _add_definitions(router: APIRouter, webhooks: Webhooks) -> None:
    subscriptions, deliveries, clock = webhooks.subscriptions, webhooks.deliveries, webhooks.clock

    @router.put("/subscriptions/{subscription_id}")
    async def put(subscription_id: str, request: Request) -> dict[str, Any]:
        """Create or replace. The secret is answered in full when the subscription is new, and never again."""
        document = await _document(request)
        wanted = parse_subscription(subscription_id, document, webhooks.settings.reach)
        fresh = write_secret(secrets.token_bytes(SECRET_BYTES))
        created = await subscriptions.put(wanted, fresh, clock())
        webhooks.sender.wake()
        stored = await subscriptions.get(subscription_id, clock())
        return _shown(stored) | ({"secret": stored.secret} if created else {})

    @router.get("/subscriptions")
    async def page(cursor: str | None = None, limit: Limit = 100) -> dict[str, Any]:
        """Every subscription, by id."""
        found = await subscriptions.page(cursor or "", limit, clock())
        return {
            "items": [_shown(each) for each in found],
            "next": found[-1].id if len(found) == limit else None,
        }

    @router.get("/subscriptions/{subscription_id}")
    async def get(subscription_id: str) -> dict[str, Any]:
        """With its last delivery, and how many there are by status."""
        stored = await subscriptions.get(subscription_id, clock())
        last = await deliveries.last(subscription_id)
        return {
            **_shown(stored),
            "last_delivery": None if last is None else _delivery(last),
            "deliveries": await deliveries.counts(subscription_id),
        }

    @router.delete("/subscriptions/{subscription_id}")
    async def delete(subscription_id: str) -> dict[str, Any]:
        """Delete it with its deliveries; nothing more is sent."""
        await subscriptions.delete(subscription_id)
        return {"id": subscription_id, "status": "deleted"}


def _add_life(router: APIRouter, webhooks: Webhooks) -> None:
    subscriptions, clock = webhooks.subscriptions, webhooks.clock

    @router.post("/subscriptions/{subscription_id}/rotate")
    async def rotate(subscription_id: str) -> dict[str, Any]:
        """A new secret, answered this once. The one before signs too for a day."""
        secret = write_secret(secrets.token_bytes(SECRET_BYTES))
        ends = await subscriptions.rotate(subscription_id, secret, clock())
        return {"id": subscription_id, "secret": secret, "old_secret_ends": format_instant(ends)}

    @router.post("/subscriptions/{subscription_id}/enable")
    async def enable(subscription_id: str) -> dict[str, Any]:
        """Deliver again, whatever it was disabled for; what waits is sent at once."""
        await subscriptions.enable(subscription_id, clock())
        webhooks.sender.wake()
        return _shown(await subscriptions.get(subscription_id, clock()))

    @router.post("/subscriptions/{subscription_id}/test")
    async def test(subscription_id: str) -> dict[str, Any]:
        """Send a made-up change now, also when disabled; it counts for nothing. Answers what the receiver said."""
        stored = await subscriptions.get(subscription_id, clock())
        message_id = f"test_{secrets.token_hex(16)}"
        webhook = Webhook(stored.url, stored.secrets, message_id, trial_change(message_id, clock()))
        started = time.monotonic()
        reply = await webhooks.transport.send(webhook, clock())
        return {
            "status": "delivered" if reply.delivered else "failed",
            "message_id": message_id,
            "response_status": reply.status,
            "reason": reply.reason or None,
            "response": reply.excerpt,
            "milliseconds": round((time.monotonic() - started) * 1000),
        }


def _add_deliveries(router: APIRouter, webhooks: Webhooks) -> None:
    subscriptions, deliveries, clock = webhooks.subscriptions, webhooks.deliveries, webhooks.clock

    @router.get("/subscriptions/{subscription_id}/deliveries")
    async def page(
        subscription_id: str, status: str | None = None, cursor: str | None = None, limit: Limit = 100
    ) -> dict[str, Any]:
        """Newest first; `status` pending, delivered or failed."""
        if status is not None and status not in STATUSES:
            raise ApiError(400, "invalid_status", f"Send status={', '.join(STATUSES[:-1])} or {STATUSES[-1]}.")
        before = None if cursor is None else _number(cursor)
        if cursor is not None and before is None:
            raise ApiError(400, "invalid_cursor", "Send `next` of the page before, unchanged.")
        await subscriptions.get(subscription_id, clock())
        found = await deliveries.page(subscription_id, status, before, limit)
        return {
            "items": [_delivery(each) for each in found],
            "next": str(found[-1]["id"]) if len(found) == limit else None,
        }

    @router.post("/subscriptions/{subscription_id}/deliveries/{delivery_id}/retry")
    async def retry(subscription_id: str, delivery_id: str) -> dict[str, Any]:
        """Send it at once, whatever became of it, with all its attempts anew."""
        await subscriptions.get(subscription_id, clock())
        number = _number(delivery_id)
        await deliveries.retry(subscription_id, -1 if number is None else number, clock())
        webhooks.sender.wake()
        return {"id": delivery_id, "status": "pending"}


def _shown(stored: Subscription) -> dict[str, Any]:
    reason = stored.disabled_reason if stored.enabled else "operator"
    return {
        "id": stored.id,
        "url": stored.url,
        "segments": stored.segments,
        "actions": stored.actions,
        "secret": mask_secret(stored.secret),
        "old_secret_ends": _instant(stored.old_secret_ends),
        "enabled": stored.enabled,
        "status": stored.status,
        "disabled_reason": reason,
        "failing_since": _instant(stored.failing_since),
        "created_at": format_instant(stored.created_at),
        "updated_at": format_instant(stored.updated_at),
    }


def _delivery(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": str(row["id"]),
        "message_id": row["message_id"],
        "profile_id": row["profile_id"],
        "segment_id": row["segment_id"],
        "action": row["action"],
        "status": row["status"],
        "attempts": row["attempt"],
        "attempts_left": max(0, len(DELAYS_MS) + 1 - row["attempt"]) if row["status"] == "pending" else 0,
        "next_attempt_at": format_instant(row["due_at"]) if row["status"] == "pending" else None,
        "created_at": format_instant(row["created_at"]),
        "attempted_at": _instant(row["attempted_at"]),
        "settled_at": _instant(row["settled_at"]),
        "response_status": row["response_status"],
        "reason": row["reason"],
        "response": row["excerpt"],
    }


def _instant(at: Millis | None) -> str | None:
    return None if at is None else format_instant(at)


def _number(text: str) -> int | None:
    """A delivery's number; None for what is none."""
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 19 else MAX_ID + 1
    return number if number <= MAX_ID else None


async def _document(request: Request) -> Any:
    body = await request.body()
    if len(body) > MAX_BODY:
        raise ApiError(413, "too_large", f"A subscription has at most {MAX_BODY} bytes.")
    try:
        return await asyncio.to_thread(load_document, body.decode())
    except UnicodeDecodeError as error:
        raise InvalidDefinition([Problem("", "is not UTF-8 text", "send JSON or YAML in UTF-8")]) from error
