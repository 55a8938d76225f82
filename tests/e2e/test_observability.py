"""What the platform tells of itself: metrics that move, one trace into the dead letters, logs without people."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from headrace.contracts.event import Event
from headrace.contracts.headers import EPOCH, SEQ, TRACEPARENT, header
from headrace.contracts.instant import format_instant
from headrace.contracts.topics import (
    COMPUTED_TRAITS,
    DEAD_LETTERS,
    EVENTS,
    MESSAGES,
    PROFILE_EVENTS,
    PROVIDER_CALLBACKS,
    SEGMENT_CHANGES,
    Topic,
)
from headrace.log.connect import connect_log
from headrace.log.port import Log, NewRecord, Record
from tests.e2e.api import Api
from tests.e2e.stack import Stack
from tests.e2e.wait import wait_until

NAME, EMAIL, PHONE, SECRET = "Kanarienvogel", "kanarienvogel@shop.test", "601777333", "kanarien-geheimnis"
CANARIES = (NAME, PHONE, SECRET)
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARTITIONS = 4
DEFINITIONS = f"""
kind: segment
id: watched
name: Watched
when: {{event: {{name: Watched, count: {{gte: 1}}}}}}
---
kind: template
id: watched
channel: sms
text: "{SECRET} {{{{ profile.traits.first_name }}}}"
---
kind: campaign
id: watched
name: Watched
trigger: {{segment: watched, on: entered}}
steps: [{{send: {{channels: [sms], template: watched}}}}]
"""


@dataclass(frozen=True)
class Watched:
    """A stack on which everything happened that is worth telling, good and bad, to people with telling names."""

    stack: Stack
    api: Api

    def value(self, service: str, name: str, **labels: object) -> float:
        """The sum of the samples of a metric that have these labels."""
        text = httpx.get(f"{self.stack.url(service)}/metrics").raise_for_status().text
        wanted = {key: str(value) for key, value in labels.items()}.items()
        samples = (s for family in text_string_to_metric_families(text) for s in family.samples)
        return sum(s.value for s in samples if s.name == f"headrace_{name}" and wanted <= s.labels.items())

    def sinks(self, most: float, service: str, name: str, **labels: object) -> None:
        wait_until(
            lambda: self.value(service, name, **labels) <= most, 20, what=f"{service} {name} {labels} <= {most}"
        )

    def reaches(self, least: float, service: str, name: str, **labels: object) -> None:
        wait_until(
            lambda: self.value(service, name, **labels) >= least, 20, what=f"{service} {name} {labels} >= {least}"
        )


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    file = tmp_path_factory.mktemp("watched") / "definitions.yaml"
    file.write_text(DEFINITIONS, encoding="utf-8")
    with Stack() as stack:
        api = Api(stack)
        api.headrace("apply", "-f", file, "--wait")
        good_traffic(api)
        refused_requests(stack, api)
        asyncio.run(bad_records(stack))
        asyncio.run(another_process(stack))
        yield Watched(stack, api)
        api.close()


def good_traffic(api: Api) -> None:
    """One who wants messages, one who does not; a retry."""
    for user, consents in (("w1", True), ("w2", False)):
        person = {"first_name": NAME, "email": f"{user}.{EMAIL}", "phone": f"+420{PHONE}"}
        api.post("/v1/identify", {"userId": user, "traits": person if consents else {"first_name": NAME}})
        if consents:
            api.post("/v1/track", {"userId": user, "event": "Consent Given", "properties": {"channel": "sms"}})
        visit = {"userId": user, "event": "Watched", "messageId": f"{user}-visit", "properties": {"note": SECRET}}
        for _ in range(2):
            api.post("/v1/track", visit).raise_for_status()
    wait_until(lambda: api.sms(f"+420{PHONE}"), what="the SMS")
    wait_until(
        lambda: list(api.items("messenger", "/v1/messages", status="skipped")), what="the one who said nothing"
    )


def refused_requests(stack: Stack, api: Api) -> None:
    """Mistakes of all kinds, with what nobody should find in a log."""
    batch = {"batch": [{"type": "track", "userId": EMAIL, "context": {"ip": SECRET}}]}
    api.post("/v1/batch", batch, traceparent=f"00-{TRACE}-00f067aa0ba902b7-01").raise_for_status()
    api.get("profiles", "/v1/profiles", query=f"w1.{EMAIL}")
    with httpx.Client(auth=(SECRET, ""), timeout=10) as client:
        client.post(f"{stack.ingest_url}/v1/track", content=f'{{"userId": "{EMAIL}"')
        client.post(f"{stack.ingest_url}/v1/track?email={EMAIL}", json={"userId": EMAIL, "event": "X"})
        client.get(f"{stack.messenger_url}/u/{SECRET}")
        client.get(f"{stack.profiles_url}/v1/profiles/lookup?type=email&value={EMAIL}")
    admin = {"Authorization": f"Bearer {stack.admin_token}"}
    with httpx.Client(headers=admin, timeout=10) as client:
        client.get(f"{stack.profiles_url}/v1/profiles/lookup?type=email&value=x{EMAIL}")
        client.put(f"{stack.messenger_url}/v1/templates/x", content=f"{{{{ {SECRET}")
        client.put(f"{stack.segmenter_url}/v1/segments/x", content=f"when: {SECRET}")
        client.post(f"{stack.profiles_url}/v1/control", content=f'{{"id": "{SECRET}\\u0000"')


async def bad_records(stack: Stack) -> None:
    """What no service can read or store, put on the log by somebody else."""
    trace = (TRACEPARENT, f"00-{TRACE}-00f067aa0ba902b7-01".encode())
    garbage = NewRecord(EMAIL.encode(), f'{{"userId": "{EMAIL}", {SECRET}'.encode(), (trace,))
    nul = msgspec.json.encode({"nickname": f"{NAME}\0"})
    poison = Event(
        type="identify",
        message_id="poison",
        source="s",
        timestamp=format_instant(0),
        received_at=format_instant(0),
        user_id="w1",
        traits=msgspec.Raw(nul),
    )
    log = await connect_log(stack.setting("HEADRACE_LOG_URL"), rollback_horizon_ms=600_000)
    try:
        for topic in (EVENTS, MESSAGES):
            await log.append(stack.topic(topic), 0, [garbage])
        await log.append(stack.topic(EVENTS), 0, [NewRecord(b"w1", msgspec.json.encode(poison), (trace,))])
        change = await last_change(log, stack.topic(SEGMENT_CHANGES))
        # what nobody sent before is a hole; the last of them is no change, yet well numbered
        numbers = numbered(change, int(header(change.headers, SEQ) or 0) + 1)
        no_change = NewRecord(garbage.key, garbage.value, (*numbers, trace))
        await log.append(change.topic, change.partition, [no_change])
        hole = NewRecord(change.key, change.value, numbered(change, 1000))
        await log.append(change.topic, change.partition, [hole])
    finally:
        await log.close()


async def last_change(log: Log, topic: str) -> Record:
    """The newest change of a partition that has any; both customers' changes were acted upon before."""
    for partition in range(PARTITIONS):
        if end := (await log.bounds(topic, partition)).end:
            return (await log.read(topic, partition, end - 1))[0]
    raise AssertionError("no segment change was published")


def numbered(record: Record, seq: int) -> tuple[tuple[str, bytes], ...]:
    return tuple(
        (name, b"%d" % seq if name == SEQ else value) for name, value in record.headers if name in (EPOCH, SEQ)
    )


async def another_process(stack: Stack) -> None:
    """Somebody moves the positions of the inputs: the next commits are fenced, and what is read again is known."""
    connection = await asyncpg.connect(stack.setting("HEADRACE_DATABASE_URL"))
    try:
        await connection.execute("UPDATE profiles.input SET next_offset = next_offset - 1 WHERE next_offset > 1")
    finally:
        await connection.close()


def test_ingest_counts_what_it_took_and_what_it_refused(watched: Watched) -> None:
    watched.reaches(7, "ingest", "events_accepted_total")
    assert watched.value("ingest", "events_accepted_total", type="track") == 5
    assert watched.value("ingest", "events_rejected_total") >= 2
    assert watched.value("ingest", "dead_letters_total") == 1


def test_profiles_tell_retries_dead_letters_fenced_commits_and_lag(watched: Watched) -> None:
    watched.reaches(2, "profiles", "events_duplicate_total", conflict="false")
    watched.reaches(1, "profiles", "dead_letters_total", reason="unprocessable")
    watched.reaches(2, "profiles", "dead_letters_total", reason="undecodable")
    for user in range(8):
        watched.api.post("/v1/track", {"userId": f"f{user}", "event": "Anything"})
    watched.reaches(1, "profiles", "fenced_commits_total", store="profiles")
    assert watched.value("profiles", "records_processed_total", topic=watched.stack.topic(EVENTS)) >= 7
    for q in range(PARTITIONS):
        watched.sinks(0, "profiles", "lag_records", partition=q)
        assert 0 <= watched.value("profiles", "oldest_unprocessed_age_seconds", partition=q) < 60
    assert watched.value("profiles", "ticks_published_total") > 0


def test_segmenter_tells_transitions_and_how_long_they_took(watched: Watched) -> None:
    watched.reaches(2, "segmenter", "segment_transitions_total", segment="watched", action="entered")
    assert watched.value("segmenter", "event_to_membership_seconds_count") == 2
    assert 0 < watched.value("segmenter", "event_to_membership_seconds_sum") < 20
    for q in range(PARTITIONS):
        watched.sinks(20, "segmenter", "lag_records", topic=watched.stack.topic(PROFILE_EVENTS), partition=q)


def test_messenger_tells_messages_dead_letters_and_a_gap(watched: Watched) -> None:
    for status, number in (("pending", 2), ("claimed", 1), ("accepted", 1), ("skipped", 1)):
        assert watched.value("messenger", "messages_total", campaign="watched", status=status) == number
    watched.reaches(1, "messenger", "dead_letters_total", reason="undecodable")
    watched.reaches(1, "messenger", "sequence_gaps_total", topic=watched.stack.topic(SEGMENT_CHANGES))
    watched.reaches(1, "messenger", "partition_halted")
    watched.reaches(1, "messenger", "lag_records", topic=watched.stack.topic(SEGMENT_CHANGES))
    watched.reaches(1, "messenger", "oldest_unprocessed_age_seconds", topic=watched.stack.topic(SEGMENT_CHANGES))


def test_every_service_counts_and_times_its_requests(watched: Watched) -> None:
    watched.api.get("profiles", "/v1/profiles", query="nobody")
    for service, route, status in (
        ("ingest", "/v1/track", 200),
        ("ingest", "/v1/batch", 200),
        ("profiles", "/v1/profiles", 200),
        ("profiles", "/v1/profiles/lookup", 401),
        ("segmenter", "/v1/segments/{segment_id}", 400),
        ("messenger", "/u/{token}", 404),
    ):
        assert watched.value(service, "http_requests_total", route=route, status=status) >= 1, (service, route)
        assert watched.value(service, "http_request_seconds_count", route=route) >= 1
        assert watched.value(service, "process_memory_bytes") > 10_000_000


@pytest.mark.parametrize(
    ("service", "inputs"),
    [
        ("profiles", (EVENTS, MESSAGES, COMPUTED_TRAITS)),
        ("segmenter", (PROFILE_EVENTS, SEGMENT_CHANGES)),
        ("messenger", (SEGMENT_CHANGES, PROFILE_EVENTS, PROVIDER_CALLBACKS)),
    ],
)
def test_lag_and_age_of_every_input_of_every_partition(
    watched: Watched, service: str, inputs: Sequence[Topic]
) -> None:
    def looked_at() -> bool:
        text = httpx.get(f"{watched.stack.url(service)}/metrics").raise_for_status().text
        return all(
            f'{gauge}{{partition="{q}",topic="{watched.stack.topic(topic)}"}}' in text
            for gauge in ("headrace_lag_records", "headrace_oldest_unprocessed_age_seconds")
            for topic in inputs
            for q in range(PARTITIONS)
        )

    wait_until(looked_at, 20, what=f"lag and age of {service}'s inputs")


def test_what_is_used_beside_what_may_be(watched: Watched) -> None:
    watched.reaches(100_000, "segmenter", "state_memory_bytes")
    assert watched.value("ingest", "ingest_buffer_limit_bytes") > watched.value("ingest", "ingest_buffered_bytes")
    for service in ("profiles", "segmenter", "messenger"):
        assert watched.value(service, "database_connections_limit") >= 8
    for service in ("profiles", "messenger"):
        assert abs(watched.value(service, "clock_skew_seconds")) < 2


def test_from_event_to_provider_over_all_services(watched: Watched) -> None:
    watched.reaches(1, "messenger", "event_to_provider_seconds_count", channel="sms")
    assert 0 < watched.value("messenger", "event_to_provider_seconds_sum", channel="sms") < 30


def test_dead_letters_carry_the_trace_of_what_they_stand_for(watched: Watched) -> None:
    async def letters() -> Sequence[Record]:
        topic = watched.stack.topic(DEAD_LETTERS)
        log = await connect_log(watched.stack.setting("HEADRACE_LOG_URL"), rollback_horizon_ms=600_000)
        try:
            return [one for q in range(PARTITIONS) for one in await log.read(topic, q, 0)]
        finally:
            await log.close()

    found = asyncio.run(letters())
    origins = {msgspec.json.decode(one.value or b"", type=dict[str, Any])["origin_topic"] for one in found}
    assert origins == {"http", *map(watched.stack.topic, (EVENTS, MESSAGES, SEGMENT_CHANGES))}
    assert all(TRACE.encode() in (header(one.headers, TRACEPARENT) or b"") for one in found)


def test_no_log_names_anybody(watched: Watched) -> None:
    watched.reaches(1, "profiles", "dead_letters_total", reason="unprocessable")
    killed = watched.stack.kill_service("profiles")
    watched.stack.wait_restarted("profiles", killed)
    files = [path for path in (watched.stack.data_dir / "logs").rglob("*") if path.is_file()]
    assert files
    texts = {path.name: path.read_text("utf-8", "replace") for path in files}
    texts["output"] = watched.stack.said()
    assert "record_refused" in "".join(texts.values()), "the logs that were looked at are the services'"
    for name, text in texts.items():
        lines = [line for line in text.splitlines() if any(canary.lower() in line.lower() for canary in CANARIES)]
        assert lines == [], f"{name} names somebody"
