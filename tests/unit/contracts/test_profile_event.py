"""Profile events: what is encoded is read back, and a republished row is the same bytes."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.profile_event import EventRow, ProfileEvent, decode_profile_event, encode_row
from tests.unit.contracts.records import PROFILE_EVENTS

ENVELOPE = ("seq", "epoch", "time", "low")
NUMBERS = st.integers(0, 2**53)


@pytest.mark.parametrize("record", PROFILE_EVENTS, ids=lambda record: type(record).__name__)
def test_round_trip(record: ProfileEvent) -> None:
    assert decode_profile_event(msgspec.json.encode(record)) == record


@pytest.mark.parametrize("record", PROFILE_EVENTS[:-1], ids=lambda record: type(record).__name__)
@given(seq=NUMBERS, epoch=NUMBERS, time=NUMBERS, low=NUMBERS)
def test_a_frozen_payload_takes_its_rows_numbers(
    record: ProfileEvent, seq: int, epoch: int, time: int, low: int
) -> None:
    full = msgspec.json.decode(msgspec.json.encode(record), type=dict[str, msgspec.Raw])
    body = {"kind": full.pop("kind")} | {key: value for key, value in full.items() if key not in ENVELOPE}
    value = encode_row(seq=seq, epoch=epoch, time=time, low=low, payload=msgspec.json.encode(body))
    expected = msgspec.structs.replace(record, seq=seq, epoch=epoch, time=time, low=low)
    assert decode_profile_event(value) == expected


def test_the_senders_number_text_is_kept() -> None:
    payload = (
        b'{"kind":"event","profile_id":"p","source":"s","message_id":"m","type":"track","ts":1,'
        b'"properties":{"total":12.50,"big":12345678901234567890.10}}'
    )
    row = decode_profile_event(encode_row(seq=1, epoch=1, time=1, low=1, payload=payload))
    assert isinstance(row, EventRow)
    assert bytes(row.properties) == b'{"total":12.50,"big":12345678901234567890.10}'


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'{"kind":"unheard-of","seq":1}',
        b'{"seq":1,"epoch":1,"time":1,"low":1}',
        b'{"kind":"erasure","seq":"1","epoch":1,"time":1,"low":1,"profile_id":"p"}',
    ],
)
def test_poison_is_a_decode_error(value: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_profile_event(value)


def test_a_field_of_a_later_version_is_passed_over() -> None:
    value = b'{"kind":"tick","seq":1,"epoch":1,"low":5,"added_later":true}'
    assert decode_profile_event(value).low == 5
