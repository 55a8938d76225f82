"""Moving journeys that are under way to the campaign's current version."""

from dataclasses import dataclass

from headrace.contracts.campaign_steps import walk
from headrace.contracts.instant import Millis
from services.messenger.definitions import Definitions
from services.messenger.program import program
from services.messenger.store import Pool


@dataclass(frozen=True, slots=True)
class Moved:
    """How many journeys follow the current version now, and how many stay with theirs because the step that they
    stand at is not the same there."""

    moved: int
    stayed: int


class Moves:
    def __init__(self, pool: Pool, definitions: Definitions) -> None:
        self._pool = pool
        self._definitions = definitions

    async def move(self, campaign_id: str, version: int, now: Millis) -> Moved:
        """Let journeys of earlier versions go on with `version` from the step that they stand at, where both
        versions have a step of the same kind there."""
        async with self._pool.acquire() as connection, connection.transaction():
            rows = await connection.fetch(_GROUPS, campaign_id, version)
            keys = [(campaign_id, row["campaign_version"]) for row in rows] + [(campaign_id, version)]
            versions = await self._definitions.campaign_versions(connection, keys)
            new = dict(walk(versions[campaign_id, version].steps))
            moved = stayed = 0
            for row in rows:
                old = program(versions[campaign_id, row["campaign_version"]]).places.get(row["step"])
                target = new.get(row["step"])
                if old is not None and target is not None and type(target) is type(old.step):
                    done = await connection.execute(
                        _MOVE, campaign_id, row["campaign_version"], row["step"], version
                    )
                    moved += int(done.rpartition(" ")[2])
                else:
                    stayed += row["n"]
        return Moved(moved, stayed)


_GROUPS = """
    SELECT campaign_version, step, count(*) AS n FROM entry
    WHERE campaign_id = $1 AND campaign_version < $2 AND status = 'active' GROUP BY 1, 2 ORDER BY 1, 2
"""
_MOVE = """
    UPDATE entry SET campaign_version = $4
    WHERE campaign_id = $1 AND campaign_version = $2 AND step = $3 AND status = 'active'
"""
