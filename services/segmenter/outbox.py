"""Transitions on their way to `cdp.segment-changes`."""

from collections.abc import Callable, Collection, Iterable

import msgspec

from headrace.contracts.headers import store_output
from headrace.contracts.segment_change import ChangeAction
from headrace.log.port import NewRecord
from headrace.runtime.publisher import OutboxRecord
from services.segmenter import keys
from services.segmenter.change import SOURCE, Occasion, change_headers, encode_change, redacted_change, scene
from services.segmenter.commit import Output
from services.segmenter.publications import Publications, StreamOutbox
from services.segmenter.redis_client import Client

_Packed = tuple[str, str, ChangeAction, str, str | None, bytes]
_encode = msgspec.msgpack.Encoder().encode
_decoder: msgspec.msgpack.Decoder[_Packed] = msgspec.msgpack.Decoder(_Packed)


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
        packed.append(_encode((position, profile_id, change.action, change.message_id, output.traceparent, value)))
    return packed


def redacted_output(packed: bytes, profile_ids: Collection[str]) -> bytes | None:
    """The stored output without the person, if it is about one of these; else None."""
    position, profile_id, action, message_id, trace, value = _decoder.decode(packed)
    if profile_id not in profile_ids:
        return None
    return _encode((position, profile_id, action, message_id, trace, redacted_change(value)))


class ChangeOutbox(StreamOutbox):
    """The outbox of one epoch of one partition's changes."""

    def __init__(
        self, redis: Client, publications: Publications, epoch: int, *, on_published: Callable[[int], None]
    ) -> None:
        super().__init__(redis, publications, epoch, keys.outbox, _record, on_published=on_published)


def _record(epoch: int, number: bytes, raw: bytes) -> OutboxRecord:
    seq = int(number.partition(b"-")[0])
    position, profile_id, action, message_id, trace, value = _decoder.decode(raw)
    event = change_headers(action, message_id=message_id, profile_id=profile_id, traceparent=trace)
    headers = event + store_output(source=SOURCE, epoch=epoch, seq=seq, position=position)
    return OutboxRecord(seq, position, NewRecord(profile_id.encode(), value, headers))
