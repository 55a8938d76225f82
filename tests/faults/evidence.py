"""What a platform holds: its timeline, topics, memberships, outboxes, as anybody outside could read them."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import asyncpg
import httpx
import msgspec
import redis

from headrace.contracts.headers import SEQ, header
from headrace.log.connect import connect_log
from headrace.log.port import Log, Record

EVENTS, PROFILE_EVENTS, SEGMENT_CHANGES = "cdp.events.v1", "cdp.profile-events.v1", "cdp.segment-changes.v1"
MESSAGES, DEAD_LETTERS = "cdp.messages.v1", "cdp.dead-letters.v1"
TOPICS = (PROFILE_EVENTS, SEGMENT_CHANGES, MESSAGES, DEAD_LETTERS)
_HORIZON_MS = 600_000
_VERIFY_SECONDS = 300.0

Document = dict[str, Any]


@dataclass(frozen=True)
class TimelineRow:
    """A row of `profiles.timeline_v1`. Instants in milliseconds."""

    partition: int
    seq: int
    epoch: int
    time: int
    low: int
    profile_id: str
    kind: str
    event: str | None
    ts: int | None
    source: str | None
    message_id: str | None
    payload: Document


@dataclass
class Evidence:
    """Everything found, from the beginning. `roots`: what merged profiles became; `records` by (topic, partition);
    `outboxes` by partition: number and
    messageId of the changes that the segmenter's store still holds. `in_doubt`: ids of messages that may have been
    sent before a restore, of which the log did not say so."""

    timeline: list[TimelineRow] = field(default_factory=list)
    roots: dict[str, str] = field(default_factory=dict)
    records: dict[tuple[str, int], list[Record]] = field(default_factory=lambda: defaultdict(list))
    members: dict[str, set[str]] = field(default_factory=dict)
    outboxes: dict[int, list[tuple[int, str]]] = field(default_factory=dict)
    sms: list[Document] = field(default_factory=list)
    unsettled: list[Document] = field(default_factory=list)
    in_doubt: set[str] = field(default_factory=set)

    def profiles(self) -> set[str]:
        """Everybody on the timeline, as what they became."""
        return {self.roots.get(row.profile_id, row.profile_id) for row in self.timeline if row.kind == "event"}


class Witness:
    """Reads the evidence, again and again; what cannot change is read once. Straight from the engines, without
    the proxies that the services are behind."""

    def __init__(
        self,
        *,
        log_url: str,
        database_url: str,
        redis_url: str,
        admin: httpx.Client,
        outbox: Path,
        partitions: int,
        topic_prefix: str = "",
    ) -> None:
        """`admin` asks with the admin token; `outbox` is the folder of the file provider. What `topic_prefix`
        stands before is found under the topics' own names."""
        self._urls = (log_url, database_url, redis_url)
        self._admin = admin
        self._outbox = outbox
        self._partitions = partitions
        self._topic_prefix = topic_prefix
        self._runner = asyncio.Runner()
        self._log: Log | None = None
        self._seqs: dict[int, int] = defaultdict(int)
        self._offsets: dict[tuple[str, int], int] = {}
        self._replaced: set[str] = set()
        self.evidence = Evidence()

    def __enter__(self) -> "Witness":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._log is not None:
            self._runner.run(self._log.close())
        self._runner.close()

    def forget_timeline(self) -> None:
        """Read it again from its first row: the database was put back."""
        self._seqs.clear()
        self.evidence.timeline.clear()

    def look_at_log(self) -> Evidence:
        """As far as the engines alone tell; no service need run."""
        self._run(self._read())
        return self.evidence

    def look(self, segmenter: str, messenger: str, segments: tuple[str, ...]) -> Evidence:
        """The evidence as of now, by the services' addresses."""
        self.read_topics()
        self._read_redis()
        for segment in segments:
            items = self._items(f"{segmenter}/v1/segments/{segment}/members")
            self.evidence.members[segment] = {item["profile_id"] for item in items}
        self.evidence.sms = self._messages()
        self.evidence.unsettled = [
            message
            for status in ("pending", "claimed", "unknown", "failed", "skipped")
            for message in self._items(f"{messenger}/v1/messages", status=status)
        ]
        return self.evidence

    def read_topics(self) -> None:
        """What topics and timeline hold now; no service is asked."""
        self._run(self._read())

    def verified(self, segmenter: str, segments: tuple[str, ...]) -> dict[str, Document]:
        """What the service says when it compares each segment's members, all of them, with their histories."""
        found = {}
        for segment in segments:
            answer = self._admin.post(f"{segmenter}/v1/segments/{segment}/verify", timeout=_VERIFY_SECONDS)
            found[segment] = answer.raise_for_status().json()
        return found

    def _run(self, work: "Coroutine[Any, Any, None]") -> None:
        self._runner.run(work)

    async def _read(self) -> None:
        log_url, database_url, _ = self._urls
        if self._log is None:
            self._log = await connect_log(log_url, rollback_horizon_ms=_HORIZON_MS)
        connection = await asyncpg.connect(database_url)
        try:
            for partition in range(self._partitions):
                await self._read_timeline(connection, partition)
            aliases = await connection.fetch("SELECT profile_id, root FROM profiles.alias_v1")
            self.evidence.roots = {row["profile_id"]: row["root"] for row in aliases}
        finally:
            await connection.close()
        for topic in TOPICS:
            for partition in range(self._partitions):
                await self._read_topic(self._log, topic, partition)

    async def _read_timeline(self, connection: asyncpg.Connection, partition: int) -> None:
        rows = await connection.fetch(
            "SELECT partition, seq, epoch, time, low, profile_id, kind, event, ts, source, message_id, payload "
            "FROM profiles.timeline_v1 WHERE partition = $1 AND seq > $2 ORDER BY seq",
            partition,
            self._seqs[partition],
        )
        for row in rows:
            values = dict(row) | {"payload": json.loads(row["payload"])}
            self.evidence.timeline.append(TimelineRow(**values))
            self._seqs[partition] = row["seq"]

    def replaced(self, topic: str) -> None:
        """The topic was made anew: what it held before counts together with what it holds, whatever the order in
        which it was published again."""
        self._replaced.add(topic)
        for partition in range(self._partitions):
            self._offsets.pop((topic, partition), None)

    async def _read_topic(self, log: Log, topic: str, partition: int) -> None:
        key, name = (topic, partition), self._topic_prefix + topic
        if key not in self._offsets:
            self._offsets[key] = (await log.bounds(name, partition)).begin
        while records := await log.read(name, partition, self._offsets[key], max_records=2_000):
            self.evidence.records[key] += records
            self._offsets[key] = records[-1].offset + 1
        if topic in self._replaced:
            self.evidence.records[key].sort(key=_number)

    def _read_redis(self) -> None:
        with redis.Redis.from_url(self._urls[2]) as client:
            for partition in range(self._partitions):
                epochs = sorted(client.scan_iter(match=f"headrace:segmenter:{{{partition}}}:outbox:*"))
                entries = client.xrange(epochs[-1]) if epochs else []
                self.evidence.outboxes[partition] = [_change(*entry) for entry in entries]

    def _items(self, url: str, **query: str) -> list[Document]:
        found: list[Document] = []
        cursor: str | None = None
        while True:
            page = self._admin.get(url, params=query | ({"cursor": cursor} if cursor else {})).raise_for_status()
            found += page.json()["items"]
            if not (cursor := page.json()["next"]):
                return found

    def _messages(self) -> list[Document]:
        path = self._outbox / "sms.jsonl"
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
        return [json.loads(line) for line in lines]


def _number(record: Record) -> int:
    return int(header(record.headers, SEQ) or 0)


def _change(entry: bytes, fields: dict[bytes, bytes]) -> tuple[int, str]:
    """The entry's id is the change's number; one of the things packed in it is the record's value."""
    packed = msgspec.msgpack.decode(fields[b"r"])
    value = next(part for part in packed if isinstance(part, bytes) and part.startswith(b"{"))
    return int(entry.partition(b"-")[0]), str(json.loads(value)["messageId"])
