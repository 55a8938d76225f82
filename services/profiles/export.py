"""Everything held about a person, as one JSON document, piece by piece: a timeline may be long."""

from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

import asyncpg
import msgspec

from services.profiles.consent_records import Place, consent_history, current_consents
from services.profiles.decisions import decided_about
from services.profiles.history_sql import family
from services.profiles.provenance import provenance
from services.profiles.reads import Document, Position, Profiles, positions
from services.profiles.suppressing import suppressed_since
from services.profiles.traits import Stamp

PAGE = 1_000
_TRAITS = "SELECT traits, trait_times FROM profile WHERE id = $1"

Items = AsyncIterator[list[Any]]
_encode = msgspec.json.encode


class Elsewhere(Protocol):
    """What other services hold about a person."""

    @property
    def kinds(self) -> dict[str, Callable[[str], Items]]:
        """By the name of the member: pages of its items, of the profile with this id. Iterating raises
        ElsewhereUnavailable."""
        ...


class ElsewhereUnavailable(Exception):
    """The service that has the rest did not answer."""


async def export(
    pool: asyncpg.Pool, profiles: Profiles, found: Document, elsewhere: Elsewhere
) -> AsyncIterator[bytes]:
    """`{profile, suppressed_since, traits, consents: {current, history}, decisions, <what is elsewhere>, events,
    incomplete}`: newest first each. `incomplete` names what could not be asked for."""
    profile_id = found["id"]
    yield b'{"profile":' + _encode(found)
    for name, value in (await _known(pool, profile_id)).items():
        yield b"," + _encode(name) + b":" + _encode(value)
    yield b',"consents":{"current":' + _encode(await _current(pool, profile_id)) + b',"history":'
    async for piece in _list(_consents(pool, profile_id)):
        yield piece
    yield b"}"
    incomplete = []
    for name, pages in elsewhere.kinds.items():
        yield b"," + _encode(name) + b":"
        try:
            async for piece in _list(pages(profile_id)):
                yield piece
        except ElsewhereUnavailable:
            incomplete.append(name)
            yield b"]"
    yield b',"events":'
    async for piece in _list(_events(profiles, profile_id)):
        yield piece
    yield b',"incomplete":' + _encode(incomplete) + b"}"


async def _list(pages: Items) -> AsyncIterator[bytes]:
    yield b"["
    separator = b""
    async for items in pages:
        if items:
            yield separator + _encode(items)[1:-1]
            separator = b","
    yield b"]"


async def _known(pool: asyncpg.Pool, profile_id: str) -> dict[str, Any]:
    async with pool.acquire() as connection:
        row = await connection.fetchrow(_TRAITS, profile_id)
        decisions = await decided_about(connection, await family(connection, profile_id))
    since = await suppressed_since(pool, profile_id)
    traits = {}
    if row is not None:
        stamps = msgspec.json.decode(row["trait_times"], type=dict[str, Stamp])
        traits = provenance(msgspec.json.decode(row["traits"]), stamps)
    return {"suppressed_since": since and since[1], "traits": traits, "decisions": decisions}


async def _current(pool: asyncpg.Pool, profile_id: str) -> list[dict[str, Any]]:
    async with pool.acquire() as connection:
        return await current_consents(connection, await family(connection, profile_id))


async def _consents(pool: asyncpg.Pool, profile_id: str) -> Items:
    before: Place | None = None
    while True:
        async with pool.acquire() as connection:
            records = await consent_history(connection, await family(connection, profile_id), before, PAGE)
        if not records:
            return
        yield [record for _, record in records]
        before = records[-1][0]


async def _events(profiles: Profiles, profile_id: str) -> Items:
    before: Position | None = None
    while items := await profiles.history(profile_id, before, PAGE):
        yield items
        before = positions(items)
