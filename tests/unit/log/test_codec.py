"""Whatever a record holds comes back from its one stream field."""

from hypothesis import given
from hypothesis import strategies as st

from headrace.log.port import NewRecord, Record
from headrace.log.redis_streams.codec import decode, encode

_bytes = st.binary(max_size=64)
_names = st.text(st.characters(codec="utf-8"), max_size=16)


@given(
    key=st.none() | _bytes,
    value=st.none() | _bytes,
    headers=st.lists(st.tuples(_names, _bytes), max_size=5).map(tuple),
    offset=st.integers(min_value=0, max_value=2**53),
    time=st.integers(min_value=0, max_value=2**45),
)
def test_round_trip(
    key: bytes | None, value: bytes | None, headers: tuple[tuple[str, bytes], ...], offset: int, time: int
) -> None:
    entry = [b"t", b"%d" % time, b"r", encode(NewRecord(key, value, headers))]
    record = decode("topic", 7, b"%d-0" % (offset + 1), entry)
    assert record == Record("topic", 7, offset, time, key, value, headers)
