"""Records of `cdp.profile-events.v1`: the profile service's timeline, plus ticks.

Every row is frozen at insert with its output partition, dense `seq`, `epoch`, `time` and `low` (DESIGN §4.2,
§4.4). `kind` tells the shape. All instants are milliseconds since the epoch.
"""

from typing import Any, Literal

import msgspec

from headrace.contracts.event import EventType

ConsentStatus = Literal["granted", "withdrawn"]


class Row(msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="kind", frozen=True, gc=False):
    """What every row carries.

    seq: dense number within (epoch, output partition), from 1. time: never falls within the partition.
    low: every input partition is processed up to here; timers due at or before it may fire.
    """

    seq: int
    epoch: int
    time: int
    low: int


class ExternalIdentifier(msgspec.Struct, frozen=True):
    type: str
    value: str


class EventRow(Row, tag="event", frozen=True):
    """A customer's event. `ts` = min(timestamp, time) is the instant at which it counts.

    `traits` are the profile's traits that this event changed, with their new values (null = removed);
    `consents` likewise by channel, `tags` by name (true = put on, false = taken off). `user_id` is the profile's
    known user id after the event, if any.
    """

    profile_id: str
    source: str
    message_id: str
    type: EventType
    ts: int
    event: str | None = None
    name: str | None = None
    properties: msgspec.Raw = msgspec.Raw(b"{}")
    context: msgspec.Raw = msgspec.Raw(b"{}")
    traits: dict[str, Any] = {}
    consents: dict[str, ConsentStatus] = {}
    tags: dict[str, bool] = {}
    user_id: str | None = None
    anonymous_id: str | None = None
    external_ids: tuple[ExternalIdentifier, ...] = ()
    imported: bool = False
    received_at: int = 0


class TombstoneRow(Row, tag="tombstone", frozen=True):
    """On the loser's partition: nothing follows for `profile_id`, its history goes on under `into`."""

    profile_id: str
    into: str
    source: str
    message_id: str


class MergeRow(Row, tag="merge", frozen=True):
    """On the winner's partition: `loser`'s history up to row (`loser_partition`, `loser_seq`) is now part of
    `profile_id`'s. `traits`, `consents` and `tags` are what the merge changed on the winner."""

    profile_id: str
    loser: str
    loser_partition: int
    loser_seq: int
    source: str
    message_id: str
    traits: dict[str, Any] = {}
    consents: dict[str, ConsentStatus] = {}
    tags: dict[str, bool] = {}
    user_id: str | None = None


class UnmergeRow(Row, tag="unmerge", frozen=True):
    """On the partition of `profile_id`: the rows of unmerge `id` (view `profiles.moved_v1`) are no longer part of
    its history, they are `into`'s now. `traits`, `consents` and `tags` are what that changed on `profile_id`, null
    or false where nothing is left; `user_id` is its known user id after it. `more`: one of several that were
    written together, and not the last; what becomes of the customer is seen after that one."""

    profile_id: str
    into: str
    id: str
    source: str
    message_id: str
    traits: dict[str, Any] = {}
    consents: dict[str, ConsentStatus | None] = {}
    tags: dict[str, bool] = {}
    user_id: str | None = None
    more: bool = False


class SplitRow(Row, tag="split", frozen=True):
    """The other half of an `unmerge` row, with the same `time`, on the partition of the new profile `profile_id`,
    and that one's first row: the rows of unmerge `id`, which were `origin`'s, are its history so far. `traits`,
    `consents` and `tags` are all that it has."""

    profile_id: str
    origin: str
    id: str
    source: str
    message_id: str
    traits: dict[str, Any] = {}
    consents: dict[str, ConsentStatus] = {}
    tags: dict[str, bool] = {}
    user_id: str | None = None


class ErasureRow(Row, tag="erasure", frozen=True):
    """The person asked to be forgotten: every store drops what it holds of `profile_id`."""

    profile_id: str


class ControlRow(Row, tag="control", frozen=True):
    """Something that is not an event but changes outputs: a definition, an activation, cut points.

    One row per partition concerned, caused by one `POST /v1/control` with this `id`.
    """

    id: str
    control: str
    payload: msgspec.Raw = msgspec.Raw(b"{}")


class Tick(msgspec.Struct, kw_only=True, tag_field="kind", tag="tick", frozen=True):
    """Time passed and nothing happened: `low` moved. Follows row `seq`; has no number of its own."""

    seq: int
    epoch: int
    low: int


ProfileRow = EventRow | TombstoneRow | MergeRow | UnmergeRow | SplitRow | ErasureRow | ControlRow
ProfileEvent = ProfileRow | Tick


class ControlRequest(msgspec.Struct, kw_only=True, frozen=True):
    """Body of `POST /v1/control`. Idempotent by `id`: repeat until 200.

    `profile_ids` narrows it to the partitions of these customers; absent means all partitions.
    """

    id: str
    kind: str
    payload: msgspec.Raw = msgspec.Raw(b"{}")
    profile_ids: tuple[str, ...] | None = None


def encode_row(*, seq: int, epoch: int, time: int, low: int, payload: bytes) -> bytes:
    """The record's value: the frozen `payload` (JSON object beginning with its `kind`) with the row's numbers
    spliced in front. Publisher and history readers use the same bytes, so a republished row is identical."""
    return b'{"seq":%d,"epoch":%d,"time":%d,"low":%d,%b' % (seq, epoch, time, low, payload[1:])


_decoder: msgspec.json.Decoder[ProfileEvent] = msgspec.json.Decoder(ProfileEvent)


def decode_profile_event(value: bytes) -> ProfileEvent:
    """Raises msgspec.DecodeError or msgspec.ValidationError for what is no profile event."""
    return _decoder.decode(value)
