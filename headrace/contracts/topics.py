"""Every topic, declared once, with a sentence, its key and its readers."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal


@dataclass(frozen=True, slots=True)
class Topic:
    """A declared topic. `name` is without the deployment's prefix; `groups` are the consumer groups that
    must have passed a record before an embedded log may trim it, `senders` the services that append (empty:
    none yet)."""

    name: str
    key: str
    description: str
    groups: tuple[str, ...] = ()
    cleanup: Literal["delete", "compact"] = "delete"
    log_append_time: bool = False
    kafka_only: bool = False
    senders: tuple[str, ...] = ()


PROFILES_GROUP = "headrace.profiles"
SEGMENTER_GROUP = "headrace.segmenter"
MESSENGER_GROUP = "headrace.messenger"

EVENTS = Topic(
    "cdp.events.v1",
    "userId, else anonymousId, else first external id, else e-mail or phone of the traits",
    "Events as collected from websites, apps and tills, validated.",
    senders=("ingest",),
    groups=(PROFILES_GROUP,),
    log_append_time=True,
)
PROFILE_EVENTS = Topic(
    "cdp.profile-events.v1",
    "profile_id",
    "Events resolved to a profile with the traits they changed; merges, erasures, controls and ticks.",
    senders=("profiles",),
    groups=(SEGMENTER_GROUP, MESSENGER_GROUP),
)
SEGMENT_CHANGES = Topic(
    "cdp.segment-changes.v1",
    "profile_id",
    "A customer entered or exited a segment.",
    senders=("segmenter",),
    groups=(SEGMENTER_GROUP, MESSENGER_GROUP),
)
SEGMENT_MEMBERSHIPS = Topic(
    "cdp.segment-memberships.v1",
    "segment_id/profile_id",
    "Current membership of a customer in a segment; null means not a member. A record stands in the partition of "
    "its profile_id.",
    senders=("segmenter",),
    cleanup="compact",
    kafka_only=True,
)
COMPUTED_TRAITS = Topic(
    "cdp.computed-traits.v1",
    "profile_id",
    "A customer's computed trait has another value.",
    senders=("segmenter",),
    groups=(PROFILES_GROUP,),
)
MESSAGES = Topic(
    "cdp.messages.v1",
    "profile_id",
    "Every outcome of every message, and what journeys, answers and choices change on a customer.",
    senders=("messenger",),
    groups=(PROFILES_GROUP,),
    log_append_time=True,
)
PROVIDER_CALLBACKS = Topic(
    "cdp.provider-callbacks.v1",
    "message id, else sender's address",
    "Verified callbacks from messaging providers, as received.",
    senders=("ingest",),
    groups=(MESSENGER_GROUP,),
)
DEAD_LETTERS = Topic(
    "cdp.dead-letters.v1",
    "as the origin",
    "What could not be processed: reason, origin topic, partition, offset and the raw bytes.",
    senders=("ingest", "profiles", "segmenter", "messenger"),
)

TOPICS: Sequence[Topic] = (
    EVENTS,
    PROFILE_EVENTS,
    SEGMENT_CHANGES,
    SEGMENT_MEMBERSHIPS,
    COMPUTED_TRAITS,
    MESSAGES,
    PROVIDER_CALLBACKS,
    DEAD_LETTERS,
)


def partition_of(key: str, partitions: int) -> int:
    """The partition of a key: BLAKE2b-64 of its UTF-8 bytes, big-endian, modulo the partition count.

    Part of the contract (partitioner version 1): it never changes for a deployment.
    """
    digest = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % partitions
