"""A record as one stream field: MessagePack of (key, value, headers); null and repeated headers survive."""

from collections.abc import Mapping

import msgspec

from headrace.contracts.headers import Headers
from headrace.log.port import NewRecord, Record

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(tuple[bytes | None, bytes | None, Headers])


def encode(record: NewRecord) -> bytes:
    return _encoder.encode((record.key, record.value, record.headers))


def decode(topic: str, partition: int, entry_id: bytes, fields: Mapping[bytes, bytes]) -> Record:
    key, value, headers = _decoder.decode(fields[b"r"])
    offset = int(entry_id.partition(b"-")[0]) - 1
    return Record(topic, partition, offset, int(fields[b"t"]), key, value, headers)
