"""Transitions on their way to `cdp.segment-changes`."""

from collections.abc import Callable, Collection, Iterable

import msgspec

from headrace.contracts.headers import RECEIVED, store_output
from headrace.contracts.segment_change import ChangeAction
from headrace.log.port import NewRecord
from headrace.runtime.publisher import OutboxRecord
from services.segmenter import keys
from services.segmenter.change import SOURCE, Occasion, change_headers, encode_change, redacted_change, scene
from services.segmenter.commit import Output
from services.segmenter.publications import Publications, StreamOutbox
from services.segmenter.redis_client import Client


class _Packed(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """`received_at` came later: what an older version has packed lacks it."""

    position: str
    profile_id: str
    action: ChangeAction
    message_id: str
    traceparent: str | None
    value: bytes
    received_at: int = 0


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(_Packed)


def pack_output(output: Output) -> bytes:
    """An output as the commit stores it: its value, and what the headers say besides epoch and number."""
    return pack_outputs([output])[0]


def pack_outputs(outputs: Iterable[Output]) -> list[bytes]:
    """The same of each."""
    packed = []
    occasion: Occasion | None = None
    for output in outputs:
        change = output.transition
        if change.occasion is not occasion:
            occasion = change.occasion
            on = scene(occasion)
            profile_id, before = occasion.profile_id, f"{occasion.seq},{occasion.now},{occasion.profile_id}"
        value = encode_change(change, on)
        position = f"{before},{change.step}"
        trace, received = output.traceparent, output.received_at
        packed.append(_encode((position, profile_id, change.action, change.message_id, trace, value, received)))
    return packed


def redacted_output(packed: bytes, profile_ids: Collection[str]) -> bytes | None:
    """The stored output without the person, if it is about one of these; else None."""
    output = _decoder.decode(packed)
    if output.profile_id not in profile_ids:
        return None
    return _encode(msgspec.structs.replace(output, value=redacted_change(output.value)))


class ChangeOutbox(StreamOutbox):
    """The outbox of one epoch of one partition's changes."""

    def __init__(
        self, redis: Client, publications: Publications, epoch: int, *, on_published: Callable[[int], None]
    ) -> None:
        super().__init__(redis, publications, epoch, keys.outbox, _record, on_published=on_published)


def _record(epoch: int, number: bytes, raw: bytes) -> OutboxRecord:
    seq = int(number.partition(b"-")[0])
    output = _decoder.decode(raw)
    event = change_headers(
        output.action, message_id=output.message_id, profile_id=output.profile_id, traceparent=output.traceparent
    )
    headers = event + store_output(source=SOURCE, epoch=epoch, seq=seq, position=output.position)
    if output.received_at:
        headers += ((RECEIVED, b"%d" % output.received_at),)
    return OutboxRecord(seq, output.position, NewRecord(output.profile_id.encode(), output.value, headers))
