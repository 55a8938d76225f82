"""Topics with settings that would break a guarantee are refused, with the words that set them right."""

import pytest

from headrace.contracts.topics import EVENTS, PROFILE_EVENTS, SEGMENT_MEMBERSHIPS, TOPICS
from headrace.log.kafka.topics import LARGEST_BATCH, check, settings_of
from headrace.log.port import WrongTopicSettings

DAY_MS = 86_400_000


@pytest.mark.parametrize("horizon_ms", [0, DAY_MS, 30 * DAY_MS])
def test_what_we_create_we_accept(horizon_ms: int) -> None:
    for topic in TOPICS:
        check(topic, 24, 24, settings_of(topic, horizon_ms, 3), horizon_ms)


def test_an_acknowledged_record_has_two_copies_where_there_are_three() -> None:
    assert settings_of(EVENTS, DAY_MS, 3)["min.insync.replicas"] == "2"
    assert settings_of(EVENTS, DAY_MS, 1)["min.insync.replicas"] == "1"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("message.timestamp.type", "CreateTime", "it must be LogAppendTime"),
        ("retention.ms", str(DAY_MS - 1), f"--add-config retention.ms={DAY_MS}"),
        ("cleanup.policy", "compact", "it must be delete"),
        ("max.message.bytes", "1048588", f"--add-config max.message.bytes={LARGEST_BATCH}"),
    ],
)
def test_a_wrong_setting_is_refused(name: str, value: str, said: str) -> None:
    settings = {**settings_of(EVENTS, DAY_MS, 3), name: value}
    with pytest.raises(WrongTopicSettings, match=f"{EVENTS.name} has {name}={value}") as caught:
        check(EVENTS, 24, 24, settings, DAY_MS)
    assert said in str(caught.value)


def test_a_compacted_topic_must_be_one() -> None:
    settings = {**settings_of(SEGMENT_MEMBERSHIPS, DAY_MS, 3), "cleanup.policy": "delete"}
    with pytest.raises(WrongTopicSettings, match="it must be compact"):
        check(SEGMENT_MEMBERSHIPS, 24, 24, settings, DAY_MS)


def test_a_wrong_partition_count_says_how_to_go_on() -> None:
    with pytest.raises(WrongTopicSettings, match=r"12 partitions, not 24.*HEADRACE_PARTITIONS=12"):
        check(EVENTS, 12, 24, settings_of(EVENTS, DAY_MS, 3), DAY_MS)


def test_retention_for_ever_and_a_producers_time_elsewhere_are_fine() -> None:
    settings = {
        **settings_of(PROFILE_EVENTS, DAY_MS, 3),
        "retention.ms": "-1",
        "message.timestamp.type": "CreateTime",
    }
    check(PROFILE_EVENTS, 24, 24, settings, DAY_MS)
