"""The KafkaUsers' rights on a real broker with Kafka's own authorizer: enough for the services, and no more."""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from headrace.contracts.topics import TOPICS
from headrace.log.kafka.address import parse_address
from headrace.log.kafka.topics import create_topics
from tests import deployment, engines
from tests.deploy.cluster import Guarded, guarded, services
from tests.deploy.manifests import SERVICES, get, rendered
from tests.deploy.valkey import ValkeyServer
from tests.e2e.api import Api
from tests.e2e.stack import Stack
from tests.e2e.wait import wait_until

pytestmark = pytest.mark.kafka

PARTITIONS = 4
DEFINITIONS = """
kind: segment
id: buyers
name: Buyers
when: {event: {name: Order Completed}}
---
kind: trait
id: orders
name: Orders
value: {event: {name: Order Completed, count: {}}}
---
kind: template
id: thanks
channel: sms
text: Thanks!
---
kind: campaign
id: thanks
name: Thanks
trigger: {segment: buyers, on: entered}
steps: [{send: {channels: [sms], template: thanks}}]
"""


@pytest.fixture(scope="module")
def kafka() -> Iterator[Guarded]:
    with engines.data_folder() as folder, guarded(folder) as found:
        address = parse_address(found.broker.url)
        asyncio.run(create_topics(address, TOPICS, PARTITIONS, horizon_ms=0, timeout=10))
        yield found


@pytest.fixture(scope="module")
def api(kafka: Guarded, postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The four services, each as itself."""
    folder = tmp_path_factory.mktemp("rights")
    with contextlib.ExitStack() as place:
        valkey = ValkeyServer(place.enter_context(engines.data_folder()))
        settings = {
            "HEADRACE_DATABASE_URL": place.enter_context(deployment.database(postgres_url)),
            "HEADRACE_TOPIC_PREFIX": "",
            "HEADRACE_PARTITIONS": str(PARTITIONS),
        }
        stack = Stack(settings)
        place.callback(stack.remove)
        for service in ("profiles", "segmenter", "messenger"):
            stack.env[f"HEADRACE_{service.upper()}_URL"] = stack.url(service)
        subprocess.run((sys.executable, "-m", "headrace.cli.main", "migrate"), env=stack.env, check=True)
        place.enter_context(valkey.running())
        own = {
            service: {
                "HEADRACE_LOG_URL": kafka.log_url(service, folder),
                "HEADRACE_REDIS_URL": valkey.url_of(service),
            }
            for service in SERVICES
        }
        place.enter_context(services(stack, own))
        api = Api(stack)
        place.callback(api.close)
        yield api


def test_an_event_goes_all_the_way_with_each_service_logged_in_as_itself(api: Api, tmp_path: Path) -> None:
    (file := tmp_path / "definitions.yaml").write_text(DEFINITIONS, encoding="utf-8")
    api.headrace("apply", "-f", file, "--wait")
    phone = "+447700900123"
    batch = [
        {"type": "identify", "userId": "ada", "traits": {"phone": phone}},
        {"type": "track", "userId": "ada", "event": "Consent Given", "properties": {"channel": "sms"}},
        {"type": "track", "userId": "ada", "event": "Order Completed", "properties": {"total": 1}},
    ]
    assert api.post("/v1/batch", {"batch": batch}).status_code == 200
    wait_until(lambda: api.sms(phone), 30, what="the SMS")
    profile = wait_until(lambda: api.profile("user_id", "ada"), what="the profile")
    wait_until(
        lambda: any(event["event"] == "SMS Sent" for event in api.timeline(profile["id"])),
        30,
        what="the outcome on the timeline",
    )
    wait_until(lambda: (api.profile("user_id", "ada") or {}).get("computed"), 30, what="the computed trait")


def test_dead_letters_are_listed(api: Api) -> None:
    assert api.headrace("dead-letters", "list", "--json").stdout == ""


def rights(service: str, operation: str) -> set[str]:
    acls = get(rendered("production"), "KafkaUser", f"headrace-{service}")["spec"]["authorization"]["acls"]
    return {acl["resource"]["name"] for acl in acls if operation in acl["operations"]}


def code(error: KafkaError | None) -> int | None:
    return None if error is None else error.code()


def refused(consumer: Consumer, why: int) -> bool:
    """Whether the next word is this refusal. Raises AssertionError when it is a record."""
    told = consumer.poll(1)
    assert told is None or told.error() is not None
    return told is not None and code(told.error()) == why


@pytest.mark.parametrize("service", [*SERVICES, "keda"])
def test_other_topics_are_not_written(kafka: Guarded, service: str) -> None:
    outcomes: list[int | None] = []
    others = {topic.name for topic in TOPICS} - rights(service, "Write")
    producer = Producer({**kafka.login(service), "acks": "all", "log_level": 0})
    for topic in others:
        producer.produce(topic, b"x", key=b"k", on_delivery=lambda error, _: outcomes.append(code(error)))
    assert producer.flush(20) == 0
    assert outcomes == [KafkaError.TOPIC_AUTHORIZATION_FAILED] * len(others)


@pytest.mark.parametrize("service", [*SERVICES, "keda"])
def test_other_topics_are_not_read(kafka: Guarded, service: str) -> None:
    login = {**kafka.login(service), "group.id": "none", "enable.auto.commit": False, "log_level": 0}
    for topic in {topic.name for topic in TOPICS} - rights(service, "Read"):
        consumer = Consumer(login)
        consumer.assign([TopicPartition(topic, 0, 0)])
        # the group, which is nobody's, is refused as well
        wait_until(partial(refused, consumer, KafkaError.TOPIC_AUTHORIZATION_FAILED), 20, what=f"{topic} refused")
        consumer.close()


@pytest.mark.parametrize("service", SERVICES)
def test_the_groups_of_others_are_not_joined(kafka: Guarded, service: str) -> None:
    other = "profiles" if service == "messenger" else "messenger"
    consumer = Consumer({**kafka.login(service), "group.id": f"headrace.{other}", "log_level": 0})
    consumer.subscribe([TOPICS[0].name])
    wait_until(partial(refused, consumer, KafkaError.GROUP_AUTHORIZATION_FAILED), 20, what="the group refused")
    consumer.close()


@pytest.mark.parametrize("service", SERVICES)
def test_topics_are_not_created(kafka: Guarded, service: str) -> None:
    client = AdminClient({**kafka.login(service), "log_level": 0})
    with pytest.raises(KafkaException) as refused:
        client.create_topics([NewTopic("other", num_partitions=1)])["other"].result(20)
    assert refused.value.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
