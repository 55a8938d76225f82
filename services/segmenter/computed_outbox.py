"""Computed traits on their way to `cdp.computed-traits`."""

from collections.abc import Collection, Iterable

import msgspec

from headrace.contracts.headers import store_output
from headrace.log.port import NewRecord
from headrace.runtime.publisher import OutboxRecord
from services.segmenter import keys
from services.segmenter.change import SOURCE
from services.segmenter.commit import ComputedOutput
from services.segmenter.computation import computation_headers, encode_computation, redacted_computation
from services.segmenter.publications import Publications, StreamOutbox
from services.segmenter.redis_client import Client

_Packed = tuple[str, str, str, str | None, bytes]
_encode = msgspec.msgpack.Encoder().encode
_decoder: msgspec.msgpack.Decoder[_Packed] = msgspec.msgpack.Decoder(_Packed)


def pack_computed(outputs: Iterable[ComputedOutput]) -> list[bytes]:
    """Outputs as the commit stores them: the value, and what the headers say besides epoch and number."""
    return [_packed(output) for output in outputs]


def redacted_computed(packed: bytes, profile_ids: Collection[str]) -> bytes | None:
    """The stored output without the person and the value, if it is about one of these; else None."""
    position, profile_id, message_id, trace, value = _decoder.decode(packed)
    if profile_id not in profile_ids:
        return None
    return _encode((position, profile_id, message_id, trace, redacted_computation(value)))


class ComputedOutbox(StreamOutbox):
    """The outbox of one epoch of one partition's computed traits."""

    def __init__(self, redis: Client, publications: Publications, epoch: int) -> None:
        super().__init__(redis, publications, epoch, keys.computed_outbox, _record, on_published=_nobody)


def _packed(output: ComputedOutput) -> bytes:
    made = output.computation
    value = encode_computation(made)
    return _encode((str(made.position), made.occasion.profile_id, made.message_id, output.traceparent, value))


def _record(epoch: int, number: bytes, raw: bytes) -> OutboxRecord:
    seq = int(number.partition(b"-")[0])
    position, profile_id, message_id, trace, value = _decoder.decode(raw)
    event = computation_headers(message_id=message_id, profile_id=profile_id, traceparent=trace)
    headers = event + store_output(source=SOURCE, epoch=epoch, seq=seq, position=position)
    return OutboxRecord(seq, position, NewRecord(profile_id.encode(), value, headers))


def _nobody(offset: int) -> None:
    """Nothing of ours follows the topic."""
