"""A messenger on a real database and a real log, with its own clock and a provider that does as told."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from headrace.contracts.campaign import CampaignDefinition, parse_campaign
from headrace.contracts.customer_update import CustomerUpdate, MessageRecord
from headrace.contracts.headers import cloud_event, store_output
from headrace.contracts.instant import format_instant
from headrace.contracts.message import MessageOutcome
from headrace.contracts.policy import PolicyDefinition
from headrace.contracts.profile_event import ErasureRow, EventRow, MergeRow, Tick
from headrace.contracts.survey_link import SurveyLinks
from headrace.contracts.template import parse_template
from headrace.contracts.topics import DEAD_LETTERS, MESSAGES, PROFILE_EVENTS, SEGMENT_CHANGES, partition_of
from headrace.log.connect import connect_log
from headrace.log.port import Log, NewRecord
from headrace.log.topics import ensure_topics
from headrace.runtime.migrations import migrate
from headrace.runtime.postgres import connect_pool
from headrace.runtime.settings import CommonSettings
from headrace.runtime.tasks import run_together
from services.messenger.assembly import Messenger, assemble
from services.messenger.definitions import Definitions
from services.messenger.journeys import Question, Unanswered
from services.messenger.main import MIGRATIONS, SCHEMA
from services.messenger.providers.choose import CHANNELS
from services.messenger.providers.guard import Channel, Guarded
from services.messenger.providers.port import NO_CASCADES, Accepted, Outgoing, Provider, SendResult
from services.messenger.providers.settings import ProviderSettings
from services.messenger.segmenter import AudienceMember, SegmenterUnavailable, UnknownSegment
from services.messenger.settings import Settings
from services.messenger.store import Pool

START = 1_700_000_000_000
PARTITIONS = 2
TOKEN = "admin-token"

# What the messenger sees of the profile service: the contract's views, here as tables.
PROFILE_VIEWS = """
CREATE SCHEMA profiles;
CREATE TABLE profiles.alias_v1 (profile_id text, root text);
CREATE TABLE profiles.identifier_v1 (type text, value text, profile_id text);
CREATE TABLE profiles.suppressed_v1 (profile_id text);
CREATE TABLE profiles.timeline_v1 (partition int, seq bigint, epoch int, time bigint, low bigint, profile_id text,
    kind text, event text, ts bigint, source text, message_id text, payload text);
CREATE TABLE profiles.profile_v1 (id text, user_id text, traits jsonb, consents jsonb, computed jsonb, tags jsonb,
    identifiers jsonb, time_zone text, first_seen bigint, last_seen bigint);
"""

SMS = {"kind": "template", "id": "hello", "channel": "sms", "text": "Hi {{ profile.traits.first_name }}"}
MAIL = {
    "kind": "template",
    "id": "hello-mail",
    "channel": "email",
    "subject": "Hi {{ profile.traits.first_name }}",
    "html": "<p>{{ profile.traits.first_name }} <a href='{{ unsubscribe_url }}'>off</a></p>",
}
CAMPAIGN = {
    "kind": "campaign",
    "id": "welcome",
    "name": "Welcome",
    "trigger": {"segment": "vip", "on": "entered"},
    "steps": [{"send": {"channels": ["sms"], "template": "hello"}}],
}


class ManualClock:
    """Time that a test moves."""

    def __init__(self, now: int = START) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


class ScriptedProvider:
    """Answers with what `script` says, by default that it accepted; remembers what it was handed."""

    def __init__(self, *, name: str = "scripted", idempotent: bool = False) -> None:
        self.name = name
        self.idempotent = idempotent
        self.cascades = NO_CASCADES
        self.script: list[SendResult] = []
        self.sent: list[Outgoing] = []
        self.forgotten: set[str] = set()

    async def send(self, message: Outgoing) -> SendResult:
        self.sent.append(message)
        return self.script.pop(0) if self.script else Accepted(f"accepted-{message.id}")

    async def forget(self, message_ids: Sequence[str]) -> None:
        self.forgotten.update(message_ids)

    async def close(self) -> None:
        return None


class FakeSegmenter:
    """Who is in which segment, as a test says; branches' hidden segments are kept as they were defined."""

    def __init__(self) -> None:
        self.members: dict[str, set[str]] = {}
        self.hidden: dict[str, Mapping[str, Any]] = {}
        self.asked: list[Sequence[Question]] = []
        self.silent = False

    async def ask(self, questions: Sequence[Question]) -> Mapping[Question, bool]:
        self.asked.append(questions)
        if self.silent:
            raise Unanswered("not now")
        return {q: q.profile_id in self.members.get(q.segment_id, ()) for q in questions}

    async def audience(self, segment_id: str, cursor: str | None) -> tuple[list[AudienceMember], str | None]:
        if self.silent:
            raise SegmenterUnavailable("not now")
        if segment_id not in self.members:
            raise UnknownSegment(segment_id)
        page = sorted(key for key in self.members[segment_id] if key > (cursor or ""))[:2]
        return [AudienceMember(key, f"e-{key}", START) for key in page], page[-1] if len(page) == 2 else None

    async def define(self, segment_id: str, name: str, when: Mapping[str, Any]) -> None:
        if self.silent:
            raise SegmenterUnavailable("not now")
        self.hidden[segment_id] = when

    async def remove(self, segment_id: str) -> None:
        if self.silent:
            raise SegmenterUnavailable("not now")
        self.hidden.pop(segment_id, None)


@dataclass
class Rig:
    """Engines and inputs that outlive a messenger process."""

    pool: Pool
    log: Log
    data_dir: Path
    clock: ManualClock = field(default_factory=ManualClock)
    provider: Provider = field(default_factory=ScriptedProvider)
    providers: dict[str, list[Provider]] = field(default_factory=dict)
    """Of channels that do not use `provider`, in their order."""
    segmenter: FakeSegmenter = field(default_factory=FakeSegmenter)
    topic_prefix: str = ""
    survey_links: SurveyLinks | None = None
    _seqs: dict[tuple[str, int], "itertools.count[int]"] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        common = CommonSettings("redis://", PARTITIONS, self.topic_prefix, "127.0.0.1", TOKEN, 600_000, True)
        return Settings(
            common,
            "",
            self.data_dir,
            8083,
            "http://shop.test",
            ProviderSettings(self.data_dir),
            4,
            None,
            self.survey_links,
        )

    async def assemble(self) -> Messenger:
        now = self.clock()
        channels = {
            name: Channel(
                name, [Guarded(each, now) for each in self.providers.get(name, [self.provider])], self.clock
            )
            for name in CHANNELS
        }
        return await assemble(self.settings, self.log, self.pool, channels, self.segmenter, clock=self.clock)

    @asynccontextmanager
    async def running(self, *parts: str) -> AsyncIterator[Messenger]:
        """A messenger process as far as `parts` name it (all: follow, sender)."""
        messenger = await self.assemble()
        await messenger.refill.wait()
        work: dict[str, Callable[[], Awaitable[None]]] = {
            "follow": messenger.follow,
            "sender": sending(messenger),
            "journeys": messenger.runner.run,
        }
        tasks = [asyncio.ensure_future(work[part]()) for part in parts or work]
        try:
            yield messenger
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def define(self, *documents: Mapping[str, Any]) -> None:
        definitions = Definitions(self.pool)
        for document in documents:
            if document["kind"] == "campaign":
                await definitions.put("campaign", parse_campaign(dict(document)), self.clock())
            else:
                await definitions.put("template", parse_template(dict(document)), self.clock())

    async def define_policy(self, policy: PolicyDefinition) -> None:
        await Definitions(self.pool).put("policy", policy, self.clock())

    async def customer(self, profile_id: str, *, consent: str | None = "granted", **traits: Any) -> None:
        known = {"first_name": "Jana", "phone": "+420601000001", "email": "jana@shop.test"} | traits
        state = {"status": consent, "time": START - 1000}
        consents = {"sms": state, "email": state} if consent else {}
        await self.pool.execute("DELETE FROM profiles.profile_v1 WHERE id = $1", profile_id)
        await self.pool.execute(
            "INSERT INTO profiles.profile_v1 VALUES ($1, NULL, $2, $3, '{}', '[]', '[]', NULL, 0, 0)",
            *(profile_id, msgspec.json.encode(known).decode(), msgspec.json.encode(consents).decode()),
        )

    async def enter(self, profile_id: str, entry: str, *, seq: int | None = None, **change: Any) -> None:
        """Publish a segment change as the segmenter does."""
        partition = partition_of(profile_id, PARTITIONS)
        value = entered(profile_id, entry, **{"at": self.clock(), **change})
        await self.publish(SEGMENT_CHANGES.name, partition, value, seq=seq)

    async def publish(
        self, topic: str, partition: int, value: bytes, *, seq: int | None = None, epoch: int = 1
    ) -> None:
        record = self.numbered(topic, partition, value, seq=seq, epoch=epoch)
        await self.log.append(self.topic_prefix + topic, partition, [record])

    def numbered(
        self, topic: str, partition: int, value: bytes, *, seq: int | None = None, epoch: int = 1
    ) -> NewRecord:
        """A store's next output for this partition."""
        number = next(self._seqs.setdefault((topic, partition), itertools.count(1))) if seq is None else seq
        headers = store_output(source="test", epoch=epoch, seq=number, position="")
        headers += cloud_event(kind="test", event_id="x", source="test", traceparent=TRACE)
        return NewRecord(b"k", value, headers)

    async def publish_row(self, row: MergeRow | ErasureRow | EventRow) -> None:
        partition = partition_of(row.profile_id, PARTITIONS)
        await self.publish(PROFILE_EVENTS.name, partition, msgspec.json.encode(row))

    async def publish_tick(self, partition: int) -> None:
        value = msgspec.json.encode(Tick(seq=0, epoch=1, low=START))
        headers = store_output(source="profiles", epoch=1, seq=0, position="0")
        headers += cloud_event(kind="profile.tick.v1", event_id="t", source="profiles")
        topic = self.topic_prefix + PROFILE_EVENTS.name
        await self.log.append(topic, partition, [NewRecord(None, value, headers)])

    async def messages(self) -> list[asyncpg.Record]:
        return list(await self.pool.fetch("SELECT * FROM message ORDER BY id"))

    async def statuses(self) -> list[str]:
        return [row["status"] for row in await self.messages()]

    async def published(self) -> list[MessageOutcome]:
        """Outcomes on the log, checked for dense numbers."""
        found: list[MessageRecord] = []
        for partition in range(PARTITIONS):
            records = await self.log.read(self.topic_prefix + MESSAGES.name, partition, 0)
            seqs = [int(dict(record.headers)["headrace-seq"]) for record in records]
            assert seqs == list(range(1, len(seqs) + 1))
            found += [msgspec.json.decode(record.value or b"", type=MessageRecord) for record in records]
        return [record for record in found if isinstance(record, MessageOutcome)]

    async def updates(self) -> list[CustomerUpdate]:
        """Updates of customers on the log, in the order in which they were told."""
        found: list[MessageRecord] = []
        for partition in range(PARTITIONS):
            records = await self.log.read(self.topic_prefix + MESSAGES.name, partition, 0)
            found += [msgspec.json.decode(record.value or b"", type=MessageRecord) for record in records]
        return sorted((r for r in found if isinstance(r, CustomerUpdate)), key=lambda r: (r.at, r.step or ""))

    async def entries(self) -> list[asyncpg.Record]:
        return list(await self.pool.fetch("SELECT * FROM entry ORDER BY campaign_id, entry_id"))

    async def dead_letters(self, partition: int) -> int:
        return (await self.log.bounds(self.topic_prefix + DEAD_LETTERS.name, partition)).end

    async def position(self, topic: str, partition: int) -> int:
        """The stored input position's seq."""
        query = "SELECT seq FROM input_position WHERE topic = $1 AND partition = $2"
        seq = await self.pool.fetchval(query, self.topic_prefix + topic, partition)
        return int(seq or 0)


TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def entered(
    profile_id: str, entry: str, *, at: int, reason: str = "event", segment: str = "vip", event: str = "Entered"
) -> bytes:
    properties = {
        "segment_id": segment,
        "segment_name": "VIP",
        "segment_version": 1,
        "action": event.lower(),
        "reason": reason,
        "entry_id": entry,
    }
    return msgspec.json.encode(
        {
            "type": "track",
            "event": f"Audience {event}",
            "messageId": f"m-{entry}",
            "userId": None,
            "anonymousId": None,
            "timestamp": format_instant(at),
            "properties": properties,
            "context": {"traits": {}},
            "profile": {"id": profile_id},
        }
    )


def campaign(**changes: Any) -> dict[str, Any]:
    return {**CAMPAIGN, **changes}


def parsed_campaign(**changes: Any) -> CampaignDefinition:
    return parse_campaign(campaign(**changes))


async def eventually(condition: Callable[[], Awaitable[object]], seconds: float = 10.0) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def prepare_database(database_url: str) -> None:
    """The messenger's schema, beside stand-ins for the views it reads."""
    connection = await asyncpg.connect(database_url)
    await connection.execute(PROFILE_VIEWS)
    await connection.close()
    await migrate(database_url, schema=SCHEMA, scripts=MIGRATIONS)


async def empty_database(database_url: str) -> None:
    """Take back what a test wrote; the schema stays."""
    connection = await asyncpg.connect(database_url)
    tables = await connection.fetch(
        "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables"
        " WHERE schemaname IN ('messenger', 'profiles') AND tablename <> 'alembic_version'"
    )
    await connection.execute("TRUNCATE " + ", ".join(table["name"] for table in tables))
    await connection.close()


@asynccontextmanager
async def open_rig(
    database_url: str, log_url: str, data_dir: Path, *, topic_prefix: str = ""
) -> AsyncIterator[Rig]:
    pool = await connect_pool(database_url, schema=SCHEMA, max_size=10)
    log = await connect_log(log_url, rollback_horizon_ms=600_000)
    try:
        await ensure_topics(log, prefix=topic_prefix, partitions=PARTITIONS)
        yield Rig(pool, log, data_dir, topic_prefix=topic_prefix)
    finally:
        await log.close()
        await pool.close()


def sending(messenger: Messenger) -> Callable[[], Awaitable[None]]:
    """The senders of all channels."""

    async def run() -> None:
        await run_together(*(sender.run() for sender in messenger.senders))

    return run


def by_outcome(outcomes: Sequence[MessageOutcome]) -> list[tuple[str, str | None]]:
    return sorted((outcome.outcome, outcome.reason) for outcome in outcomes)
