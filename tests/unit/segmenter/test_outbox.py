"""What waits in the outbox: with when its event was received, also read as an older version has packed it."""

import msgspec

from headrace.contracts.headers import carried_receipt, carried_trace
from services.segmenter.change import Occasion, Person, Transition
from services.segmenter.commit import Output
from services.segmenter.outbox import _record, pack_output, redacted_output

RECEIVED = 1_700_000_000_000
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
WHO = Person(user_id="u1", email="jana@shop.test")
OCCASION = Occasion("p1", "event", RECEIVED - 5_000, "m1", 7, 7, RECEIVED, WHO)
ENTERED = Transition(OCCASION, "vip", "VIP", 1, "entered", "e1", "c1", 1, 0)


def test_a_change_says_when_its_event_was_received() -> None:
    record = _record(1, b"1-0", pack_output(Output(1, ENTERED, TRACE, RECEIVED))).record
    assert carried_receipt(record.headers) == RECEIVED
    assert carried_trace(record.headers) == TRACE


def test_one_that_no_event_caused_says_nothing() -> None:
    record = _record(1, b"1-0", pack_output(Output(1, ENTERED, TRACE))).record
    assert carried_receipt(record.headers) == 0
    assert "headrace-received" not in dict(record.headers)


def test_what_an_older_version_has_packed_is_read() -> None:
    packed = msgspec.msgpack.decode(pack_output(Output(1, ENTERED, TRACE, RECEIVED)))
    older = msgspec.msgpack.encode(packed[:6])
    now = _record(1, b"1-0", pack_output(Output(1, ENTERED, TRACE)))
    assert _record(1, b"1-0", older) == now


def test_redaction_takes_the_person_out_and_leaves_the_rest() -> None:
    redacted = redacted_output(pack_output(Output(1, ENTERED, TRACE, RECEIVED)), {"p1"})
    assert redacted is not None
    record = _record(1, b"1-0", redacted).record
    assert b"jana@shop.test" not in (record.value or b"")
    assert carried_receipt(record.headers) == RECEIVED
    assert redacted_output(redacted, {"p2"}) is None
