"""HTTP of providers' callbacks: verified, then on the log as they came (DESIGN §5)."""

import asyncio
from collections.abc import Callable
from urllib.parse import parse_qs

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response

from headrace.contracts.errors import ApiError
from headrace.contracts.headers import cloud_event
from headrace.contracts.ids import content_id
from headrace.contracts.provider_callback import ProviderCallback
from headrace.contracts.topics import partition_of
from headrace.log.port import Log, LogError, NewRecord, RecordTooLarge
from headrace.runtime.metrics import Metrics
from services.ingest import hook_signatures
from services.ingest.hook_settings import HookSettings

MAX_BODY = 256 * 1024
_PROVIDERS = ("twilio", "bulkgate", "whatsapp", "email")
_TWIML = '<?xml version="1.0" encoding="UTF-8"?><Response/>'


class Hooks:
    """Takes callbacks in: durable when it answers. `clock` gives milliseconds since the epoch."""

    def __init__(
        self,
        log: Log,
        topic: str,
        partitions: int,
        settings: HookSettings,
        metrics: Metrics,
        *,
        clock: Callable[[], int],
        ack_timeout: float,
    ) -> None:
        self._log = log
        self._topic = topic
        self._partitions = partitions
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._ack_timeout = ack_timeout

    def verify(self, provider: str, query: str, body: bytes, headers: dict[str, str]) -> None:
        """Raises ApiError 403 for what the provider did not send, 404 where nothing is set to tell."""
        settings = self._settings
        if provider == "twilio":
            self._known(provider, bool(settings.twilio_tokens), "a twilio:// URL as HEADRACE_SMS_URL")
            url = f"{settings.url}/v1/hooks/twilio" + (f"?{query}" if query else "")
            signature = headers.get("x-twilio-signature", "")
            fine = hook_signatures.twilio(url, body, signature, settings.twilio_tokens)
        elif provider == "whatsapp":
            self._known(provider, bool(settings.whatsapp_secrets), "&app_secret= in HEADRACE_WHATSAPP_URL")
            signature = headers.get("x-hub-signature-256", "")
            fine = hook_signatures.whatsapp(body, signature, settings.whatsapp_secrets)
        else:
            self._known(provider, settings.token is not None, "HEADRACE_HOOK_TOKEN")
            fine = hook_signatures.token(_one(query, "token"), settings.token or "")
        if not fine:
            self._metrics.hooks.labels(provider, "forged").inc()
            raise ApiError(
                403, "bad_signature", "This callback is not signed as it must be; see docs/messaging.md."
            )

    def challenge(self, query: str) -> str:
        """What Meta asks for when a webhook is set up. Raises ApiError 403."""
        given = _one(query, "hub.verify_token")
        known = [hook_signatures.token(given, one) for one in self._settings.whatsapp_verify_tokens]
        if _one(query, "hub.mode") != "subscribe" or not any(known):
            raise ApiError(403, "bad_verify_token", "Set the same verify_token in HEADRACE_WHATSAPP_URL.")
        return _one(query, "hub.challenge")[:500]

    async def take(self, provider: str, query: str, body: bytes, content_type: str) -> None:
        """Raises ApiError 503 when the log does not answer: the provider repeats."""
        said = "&".join(part for part in query.split("&") if not part.startswith("token="))
        text = body.decode("utf-8", "replace")
        key = content_id("c", provider, said, text)
        callback = ProviderCallback(
            id=key,
            provider=provider,
            received_at=self._clock(),
            content_type=content_type[:200],
            body=text,
            query=said[:4_000],
        )
        named = _key(provider, said, text) or key
        headers = cloud_event(kind="provider.callback.v1", event_id=key, source="ingest")
        record = NewRecord(named.encode(), msgspec.json.encode(callback), headers)
        try:
            async with asyncio.timeout(self._ack_timeout):
                await self._log.append(self._topic, partition_of(named, self._partitions), [record])
        except RecordTooLarge as error:
            raise ApiError(413, "record_too_large", "The callback is larger than the log takes.") from error
        except (LogError, TimeoutError) as error:
            raise ApiError(
                503, "log_unavailable", "The event log does not answer; repeat.", retry_after=1
            ) from error
        self._metrics.hooks.labels(provider, "taken").inc()

    @staticmethod
    def _known(provider: str, is_set: bool, what: str) -> None:
        if not is_set:
            raise ApiError(404, "not_configured", f"Callbacks of {provider} need {what}.")


def hook_router(hooks: Hooks) -> APIRouter:
    router = APIRouter(prefix="/v1/hooks", tags=["hooks"])

    @router.get("/whatsapp")
    async def challenge(request: Request) -> PlainTextResponse:
        """How Meta makes sure that a webhook is ours."""
        return PlainTextResponse(hooks.challenge(request.url.query))

    @router.get("/bulkgate")
    async def report(request: Request) -> Response:
        """A delivery report in the query."""
        hooks.verify("bulkgate", request.url.query, b"", dict(request.headers))
        await hooks.take("bulkgate", request.url.query, b"", "")
        return PlainTextResponse("OK")

    @router.post("/{provider}")
    async def take(provider: str, request: Request) -> Response:
        """A provider's callback: of twilio, bulkgate, whatsapp, or email (a report as the mail server got it)."""
        if provider not in _PROVIDERS:
            raise ApiError(404, "unknown_provider", f"Callbacks are taken of {', '.join(_PROVIDERS)}.")
        query, body = request.url.query, await _body(request)
        hooks.verify(provider, query, body, dict(request.headers))
        await hooks.take(provider, query, body, request.headers.get("content-type", ""))
        if provider == "twilio":
            return Response(_TWIML, media_type="text/xml")
        return PlainTextResponse("OK")

    return router


async def _body(request: Request) -> bytes:
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > MAX_BODY:
            raise ApiError(413, "body_too_large", f"A callback has at most {MAX_BODY} bytes.")
    return bytes(raw)


def _one(query: str, name: str) -> str:
    try:
        fields = parse_qs(query, keep_blank_values=True, max_num_fields=hook_signatures.MAX_FIELDS)
    except ValueError:
        return ""
    return fields.get(name, [""])[-1]


def _key(provider: str, query: str, body: str) -> str:
    """Our message id, else the sender's address: what belongs together comes in order."""
    named = _one(query, "m") or _one(query, "tag")
    if not named and provider == "twilio":
        named = _one(body, "From")
    if not named and provider == "bulkgate":
        named = _one(query, "from")
    return named[:200] if "\0" not in named else ""
