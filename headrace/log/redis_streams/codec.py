"""A record as one stream field: MessagePack of (key, value, headers); null and repeated headers survive."""

from collections.abc import Sequence

import msgspec

from headrace.contracts.headers import Headers
from headrace.log.port import NewRecord, Record

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(tuple[bytes | None, bytes | None, Headers])


def encode(record: NewRecord) -> bytes:
    return _encoder.encode((record.key, record.value, record.headers))


def decode(topic: str, partition: int, entry_id: bytes, fields: Sequence[bytes]) -> Record:
    """`fields` as the append script writes them, and the protocol has them: `t`, time, `r`, record."""
    _, time, _, packed = fields
    key, value, headers = _decoder.decode(packed)
    offset = int(entry_id.partition(b"-")[0]) - 1
    return Record(topic, partition, offset, int(time), key, value, headers)
