"""Which stored segments ask for which, inside of the transaction that changes one of them."""

from collections.abc import Collection
from typing import TypeAlias

import asyncpg

from headrace.contracts.errors import ApiError, InvalidDefinition
from headrace.contracts.segment import Definition, StagesDefinition
from headrace.contracts.segment_references import reference_problems, references
from headrace.contracts.segment_values import COMPUTED
from headrace.contracts.trait import SLOT
from headrace.contracts.trait_references import computed_asked, computed_problems
from services.segmenter.catalog import Version

Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
Reader: TypeAlias = "Connection | asyncpg.Pool[asyncpg.Record]"

LOCK = "SELECT pg_advisory_xact_lock(hashtext('segment-definitions'))"
"""Held by whoever checks how definitions hang together and then changes one."""

# Of every segment the newest version, and those that are still in force on some partition.
_IN_FORCE = """
    WITH everywhere AS (
        SELECT id, max(version) AS version FROM (
            SELECT id, version FROM progress WHERE live GROUP BY id, version HAVING count(*) >= $1
        ) complete GROUP BY id
    )
    SELECT v.id, v.version, v.definition, v.version = s.version AS newest
    FROM segment s JOIN segment_version v USING (id) LEFT JOIN everywhere e USING (id)
    WHERE s.state <> 'deleted' AND NOT v.gone AND v.kind <> 'trait' AND (
        v.version = s.version
        OR v.version >= coalesce(e.version, 0)
           AND EXISTS (SELECT FROM progress p WHERE p.id = v.id AND p.version = v.version AND p.live)
    ) AND ($2::text[] IS NULL OR EXISTS (SELECT FROM unnest($2) asked WHERE strpos(v.definition, asked) > 0))
    ORDER BY v.id, v.version
"""
_NEWEST = """
    SELECT version, definition FROM segment JOIN segment_version USING (id, version) WHERE id = ANY($1)
"""
_TRAITS = "SELECT substr(id, $1 + 1) AS id FROM segment WHERE state <> 'deleted' AND starts_with(id, 'trait:')"
_STAGES = """
    SELECT id, version, definition FROM segment JOIN segment_version USING (id, version)
    WHERE id = ANY($1) AND kind = 'stages' AND state <> 'deleted'
"""


async def owner_of(reader: Reader, segment_id: str) -> StagesDefinition | None:
    """The stages that this segment is one of."""
    parts = segment_id.split("-")
    prefixes = ["-".join(parts[:size]) for size in range(1, len(parts))]
    if not prefixes or "\0" in segment_id:
        return None
    for _, version, text in await reader.fetch(_STAGES, prefixes):
        stages = Version(version, text).parse()
        if isinstance(stages, StagesDefinition) and any(part.id == segment_id for part in stages.segments()):
            return stages
    return None


def part_of_stages(segment_id: str, stages: StagesDefinition) -> ApiError:
    message = f"{segment_id} belongs to stages {stages.id}: change those instead."
    return ApiError(409, "part_of_stages", message)


async def check_put(
    connection: Connection, partitions: int, definition: Definition, before: Definition | None
) -> None:
    """Whether this definition may take the place of `before`. Raises InvalidDefinition or ApiError 409."""
    owner = await owner_of(connection, definition.id)
    if owner is not None:
        raise part_of_stages(definition.id, owner)
    if isinstance(definition, StagesDefinition) or next(references(definition), None) is not None:
        newest, older = await _in_force(connection, partitions)
        problems = reference_problems(definition, newest)
        if problems:
            raise InvalidDefinition(problems)
        if older and reference_problems(definition, {**newest, **older}):
            message = "A version of another segment that is still in force stands against it; retry when that "
            raise ApiError(409, "not_yet", f"{message}segment's newest version is live.", retry_after=5)
    await check_computed(connection, definition)
    lost = _defined(before) - _defined(definition)
    if lost:
        await check_unused(connection, partitions, lost, but=definition.id)


async def check_references(reader: Reader, partitions: int, definition: Definition) -> None:
    """Raises InvalidDefinition when it asks for what is not there, or in a circle."""
    await check_computed(reader, definition)
    if isinstance(definition, StagesDefinition) or next(references(definition), None) is not None:
        newest, _ = await _in_force(reader, partitions)
        problems = reference_problems(definition, newest)
        if problems:
            raise InvalidDefinition(problems)


async def check_computed(reader: Reader, definition: Definition) -> None:
    """Raises InvalidDefinition when it asks for a computed trait that is not there."""
    if computed_asked(definition):
        known = await reader.fetch(_TRAITS, len(SLOT))
        if problems := list(computed_problems(definition, [row["id"] for row in known])):
            raise InvalidDefinition(problems)


async def asking_for_trait(reader: Reader, partitions: int, trait_id: str) -> list[str]:
    """The ids of the definitions of which a version in force, or the newest, asks for this computed trait."""
    rows = await reader.fetch(_IN_FORCE, partitions, [f"{COMPUTED}.{trait_id}"])
    asking = ((key, computed_asked(Version(version, text).parse())) for key, version, text, _ in rows)
    return sorted({key for key, asked in asking if trait_id in asked})


async def check_unused(connection: Connection, partitions: int, segment_ids: Collection[str], *, but: str) -> None:
    """Raises ApiError 409 when a segment other than `but` asks for one of these."""
    users = await asking_for(connection, partitions, segment_ids)
    users.pop(but, None)
    if users:
        names = ", ".join(sorted(users))
        gone = ", ".join(sorted(set().union(*users.values())))
        raise ApiError(409, "segment_in_use", f"Segments ask for {gone}: {names}. Change or delete those first.")


async def asking_for(reader: Reader, partitions: int, segment_ids: Collection[str]) -> dict[str, set[str]]:
    """The ids of the definitions of which a version in force, or the newest, asks for one of these segments, each
    with the segments that it asks for."""
    written = [f'"id":"{key}"' for key in segment_ids]
    found: dict[str, set[str]] = {}
    for key, version, text, _ in await reader.fetch(_IN_FORCE, partitions, written):
        asked = {asked for _, asked in references(Version(version, text).parse())}
        if wanted := asked & {*segment_ids}:
            found.setdefault(key, set()).update(wanted)
    return found


async def dependents(reader: Reader, partitions: int, definition: Definition) -> list[str]:
    """The ids of all definitions that ask for a segment of this one, directly or through others, ascending."""
    found: set[str] = set()
    wanted = _defined(definition)
    while wanted:
        users = {*await asking_for(reader, partitions, wanted)} - found - {definition.id}
        found |= users
        wanted = set()
        for version, text in await reader.fetch(_NEWEST, sorted(users)):
            wanted |= _defined(Version(version, text).parse())
    return sorted(found)


def _defined(definition: Definition | None) -> set[str]:
    return set() if definition is None else {segment.id for segment in definition.segments()}


async def _in_force(reader: Reader, partitions: int) -> tuple[dict[str, Definition], dict[str, Definition]]:
    """By id, the newest versions, and the oldest that are still in force of those that have one."""
    newest: dict[str, Definition] = {}
    older: dict[str, Definition] = {}
    for key, version, text, is_newest in await reader.fetch(_IN_FORCE, partitions, None):
        definition = Version(version, text).parse()
        if is_newest:
            newest[key] = definition
        else:
            older.setdefault(key, definition)
    return newest, older
