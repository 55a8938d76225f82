"""HTTP of the dead letters, for operators: list them, replay them. Every request does a bounded amount of work
and says in `next` where to go on."""

import asyncio
import base64
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from headrace.contracts.errors import ApiError
from headrace.contracts.instant import format_instant
from headrace.log.port import LogError
from headrace.runtime.access.guard import GUARD
from services.ingest.dead_letters import MAX_SCANNED, DeadLetters, StoredLetter
from services.ingest.replay import Replayed, Replayer

MAX_BODY = 256 * 1024
MAX_REPLAYED = 500

Limit = Annotated[int, Query(ge=1, le=200)]


class Place(BaseModel):
    partition: int = Field(ge=0)
    offset: int = Field(ge=0)


class ReplayRequest(BaseModel):
    """Exactly one of `ids`, `positions`, `reason` and `all` says which letters. `cursor` is `next` of the answer
    before; what became a dead letter after the first of the requests is left out."""

    model_config = ConfigDict(extra="forbid")

    ids: list[str] | None = Field(default=None, min_length=1, max_length=1_000)
    positions: list[Place] | None = Field(default=None, min_length=1, max_length=100)
    reason: str | None = None
    all: bool = False
    cursor: str | None = None

    def wants(self, letter: StoredLetter) -> bool:
        if self.ids is not None:
            return letter.letter.id in self.ids
        return self.all or letter.letter.reason == self.reason


def dead_letter_router(letters: DeadLetters, replayer: Replayer) -> APIRouter:
    """One request at a time: letters are large."""
    router = APIRouter(prefix="/v1/dead-letters", tags=["dead letters"], dependencies=[GUARD])
    one_at_a_time = asyncio.Lock()

    @router.get("")
    async def newest(
        partition: int | None = None, cursor: str | None = None, limit: Limit = 50, reason: str | None = None
    ) -> Response:
        """The newest first. A page may be short and yet have a `next`."""
        if partition is not None and not 0 <= partition < letters.partitions:
            raise ApiError(400, "unknown_partition", f"Send a partition below {letters.partitions}.")
        async with one_at_a_time:
            with _log_answers():
                before = await letters.ends() if cursor is None else _numbers(cursor, letters.partitions)
                page = await letters.newest(before, limit, partition=partition, reason=reason)
        following = None if page.before is None else _cursor(page.before)
        return _answer([_shown(stored) for stored in page.letters], following)

    @router.post("/replay")
    async def replay(request: Request) -> Response:
        """Put letters through again; what became of each. Safe to repeat."""
        wanted = await _wanted(request)
        async with one_at_a_time:
            with _log_answers():
                if wanted.positions is not None:
                    return _answer(await _at(wanted.positions, letters, replayer), None)
                return _answer(*await _sweep(wanted, letters, replayer))

    return router


async def _at(places: Sequence[Place], letters: DeadLetters, replayer: Replayer) -> list[Replayed]:
    results = []
    for place in places:
        known = place.partition < letters.partitions
        stored = await letters.at(place.partition, place.offset) if known else None
        if stored is None:
            results.append(Replayed(id=None, partition=place.partition, offset=place.offset, outcome="missing"))
        else:
            results += await replayer.replay([stored])
    return results


async def _sweep(
    wanted: ReplayRequest, letters: DeadLetters, replayer: Replayer
) -> tuple[list[Replayed], str | None]:
    """Go through the partitions, oldest first, up to where they ended when the first request came."""
    if wanted.cursor is None:
        partition, offset, ends = 0, 0, await letters.ends()
    else:
        partition, offset, *ends = _numbers(wanted.cursor, letters.partitions + 2)
    results: list[Replayed] = []
    scanned = 0
    while partition < letters.partitions:
        found = await letters.ahead(partition, offset, ends[partition])
        if not found:
            partition, offset = partition + 1, 0
            continue
        results += await replayer.replay([stored for stored in found if wanted.wants(stored)])
        offset = found[-1].offset + 1
        scanned += len(found)
        if scanned >= MAX_SCANNED or len(results) >= MAX_REPLAYED:
            return results, _cursor([partition, offset, *ends])
    return results, None


async def _wanted(request: Request) -> ReplayRequest:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY:
            raise ApiError(413, "too_large", f"Send at most {MAX_BODY} bytes.")
    try:
        wanted = ReplayRequest.model_validate_json(body)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, p['loc']))}: {p['msg']}" for p in error.errors())
        raise ApiError(400, "invalid_request", f"Correct the request: {problems}.") from error
    given = (wanted.ids is not None, wanted.positions is not None, wanted.reason is not None, wanted.all)
    if sum(given) != 1:
        raise ApiError(400, "invalid_request", "Send one of ids, positions, reason, and all: true.")
    return wanted


def _shown(stored: StoredLetter) -> dict[str, Any]:
    letter = stored.letter
    try:
        raw, encoding = letter.raw.decode(), "utf-8"
    except UnicodeDecodeError:
        raw, encoding = base64.b64encode(letter.raw).decode(), "base64"
    return {
        "id": letter.id,
        "partition": stored.partition,
        "offset": stored.offset,
        "reason": letter.reason,
        "detail": letter.detail,
        "service": letter.service,
        "origin_topic": letter.origin_topic,
        "origin_partition": letter.origin_partition,
        "origin_offset": letter.origin_offset,
        "source": letter.source,
        "message_id": letter.message_id,
        "at": format_instant(letter.at),
        "complete": letter.complete,
        "raw": raw,
        "raw_encoding": encoding,
    }


def _answer(items: Sequence[Any], following: str | None) -> Response:
    return Response(msgspec.json.encode({"items": items, "next": following}), media_type="application/json")


def _cursor(numbers: Sequence[int]) -> str:
    return ".".join(map(str, numbers))


def _numbers(cursor: str, count: int) -> list[int]:
    parts = cursor.split(".")
    if len(parts) != count or not all(part.isascii() and part.isdigit() and len(part) < 19 for part in parts):
        raise ApiError(400, "invalid_cursor", "Send `cursor` as `next` of the page before.")
    return [int(part) for part in parts]


@contextmanager
def _log_answers() -> Iterator[None]:
    try:
        yield
    except LogError as error:
        raise ApiError(
            503, "log_unavailable", "The event log does not answer; repeat the request.", retry_after=1
        ) from error
