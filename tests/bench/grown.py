"""What there is at a moment at which nothing waits, and how much more there is at a later one."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import asyncpg
import httpx

from tests.bench import cpu, stored
from tests.bench.stored import Table
from tests.e2e.segmenter_rig import eventually
from tests.e2e.stack import Stack
from tests.kafka.broker import Broker

_COUNTS = """
    SELECT (SELECT count(*) FROM profiles.timeline WHERE kind = 'event') AS rows,
        (SELECT count(*) FROM profiles.profile WHERE merged_into IS NULL) AS customers,
        (SELECT count(*) FROM profiles.identifier) AS identifiers,
        (SELECT count(*) FROM messenger.message) AS messages
"""
_DONE = """
    SELECT (SELECT sum(next_seq - 1)::bigint FROM profiles.counter) AS rows,
        (SELECT coalesce(sum(seq), 0)::bigint FROM segmenter.follower) AS followed
"""
_APPLIED = re.compile(
    r'^headrace_records_processed_total\{[^}]*topic="[^"]*cdp.profile-events[^}]*\} (\S+)$', re.MULTILINE
)


@dataclass(frozen=True)
class Look:
    """`cpu`: seconds by process; `kafka`: bytes by topic; `redis`: bytes by kind of key; `counts`: see the query,
    and `memberships`."""

    cpu: Mapping[str, float]
    kafka: Mapping[str, int]
    postgres: Mapping[str, Table]
    redis: Mapping[str, int]
    counts: Mapping[str, int]

    def since(self, before: "Look") -> "Look":
        """What has been added."""
        nothing = Table(0, 0)
        return Look(
            {name: spent - before.cpu.get(name, 0) for name, spent in self.cpu.items()},
            {name: size - before.kafka.get(name, 0) for name, size in self.kafka.items()},
            {
                name: Table(
                    *(now - then for now, then in zip(table, before.postgres.get(name, nothing), strict=True))
                )
                for name, table in self.postgres.items()
            },
            {name: size - before.redis.get(name, 0) for name, size in self.redis.items()},
            {name: count - before.counts[name] for name, count in self.counts.items()},
        )


@dataclass(frozen=True)
class Observer:
    """Looks at a stack on a broker of its own."""

    stack: Stack
    broker: Broker
    patience: float = 300.0

    async def look(self) -> Look:
        """As soon as nothing waits any more."""
        state = self.stack.setting("HEADRACE_REDIS_URL")
        connection = await asyncpg.connect(self.stack.setting("HEADRACE_DATABASE_URL"))
        try:
            await self._settled(connection, state)
            processes = {**self.stack.pids(), "kafka": self.broker.pid}
            spent = {name: cpu.seconds(pid) for name, pid in processes.items()}
            counts = dict(await connection.fetchrow(_COUNTS) or {})
            tables = await stored.postgres(connection)
        finally:
            await connection.close()
        counts |= {"memberships": stored.memberships(state), "changes": stored.done(state)[1]}
        prefix = self.stack.env.get("HEADRACE_TOPIC_PREFIX", "")
        return Look(spent, stored.kafka(self.broker.data, prefix), tables, stored.state(state), counts)

    async def _settled(self, connection: "asyncpg.Connection[asyncpg.Record]", state: str) -> None:
        """The segmenter and the messenger have read every row, and the segmenter its own changes."""

        async def so() -> bool:
            rows, followed = await connection.fetchrow(_DONE) or (0, 0)
            applied, changes = stored.done(state)
            return applied >= rows and followed >= changes and _applied(self.stack.messenger_url) >= rows

        await eventually(so, self.patience)


def _applied(url: str) -> int:
    """How many rows of the timeline the service there has applied."""
    page = httpx.get(f"{url}/metrics", timeout=30, trust_env=False)
    return int(sum(float(number) for number in _APPLIED.findall(page.raise_for_status().text)))
