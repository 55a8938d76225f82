"""Topics are declared once, and the partitioner is part of the contract."""

from collections import Counter

import pytest

from headrace.contracts.topics import TOPICS, Topic, partition_of

# Partitioner version 1. These numbers may never change: data of running deployments lies by them.
VECTORS = [
    ("", 4, 0),
    ("u1", 4, 1),
    ("u1", 24, 13),
    ("p48e5", 24, 1),
    ("segment/profile", 24, 4),
    ("Žluťoučký kůň", 24, 10),
    ("\ud800", 24, 8),
    ("u1", 1, 0),
]


@pytest.mark.parametrize(("key", "partitions", "expected"), VECTORS)
def test_partitioner_vectors(key: str, partitions: int, expected: int) -> None:
    assert partition_of(key, partitions) == expected


def test_keys_spread_evenly() -> None:
    counts = Counter(partition_of(f"user-{number}", 24) for number in range(24_000))
    assert len(counts) == 24
    assert all(850 < count < 1150 for count in counts.values())


def test_names_are_unique_and_versioned() -> None:
    names = [topic.name for topic in TOPICS]
    assert len(set(names)) == len(names)
    assert all(name.startswith("cdp.") and name.endswith(".v1") for name in names)


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_every_topic_has_a_sentence_and_a_key(topic: Topic) -> None:
    assert topic.description.endswith(".")
    assert topic.key


def test_inputs_that_stamp_time_have_the_logs_own_clock() -> None:
    assert {topic.name for topic in TOPICS if topic.log_append_time} == {"cdp.events.v1", "cdp.messages.v1"}
