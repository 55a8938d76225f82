"""Computed traits: the record with the highest (epoch, sequence) holds, in whatever order they come."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.headers import store_output
from headrace.log.port import Record
from services.profiles.computed import MAX_BYTES, Change, Computed, changed, read_change
from services.profiles.intake import Unreadable

VALUES = st.one_of(st.none(), st.integers(-9, 9).map(lambda number: msgspec.Raw(str(number).encode())))


def record(value: bytes, epoch: str = "1") -> Record:
    headers = tuple(
        (name, epoch.encode() if name == "headrace-epoch" else given)
        for name, given in store_output(source="segmenter", epoch=1, seq=1, position="")
    )
    return Record("cdp.computed-traits.v1", 0, 0, 0, b"p1", value, headers)


def body(traits: Any = None, **trait: Any) -> bytes:
    named = {"id": "total", "version": 1, "reason": "event", "sequence": 7} | trait
    return msgspec.json.encode(
        {"type": "identify", "traits": {"total": 1} if traits is None else traits, "profile": {"id": "p1"}}
        | {"trait": named}
    )


@given(
    st.dictionaries(st.tuples(st.sampled_from("ab"), st.integers(1, 3), st.integers(1, 4)), VALUES, max_size=12),
    st.randoms(),
)
def test_the_order_of_records_does_not_matter_and_a_repeat_changes_nothing(
    given_values: dict[tuple[str, int, int], msgspec.Raw | None], random: Any
) -> None:
    changes = [Change("p1", trait, (epoch, seq), value) for (trait, epoch, seq), value in given_values.items()]
    expected = {}
    for change in sorted(changes, key=lambda one: one.version):
        expected[change.trait_id] = change.value
    found = Computed()
    for change in random.sample(changes + changes, 2 * len(changes)):
        found.apply(change)
    assert found.values == {trait: value for trait, value in expected.items() if value is not None}
    assert found.versions.keys() == expected.keys()
    assert not any(found.apply(change) for change in changes)


def test_only_the_profiles_that_are_there_change() -> None:
    stored = {"p1": Computed(), "p2": Computed({}, {"a": (2, 1)})}
    news = [Change(one, "a", (1, 9), msgspec.Raw(b"1")) for one in ("p1", "p2", "p3")]
    assert changed(stored, news) == {"p1"}


def test_a_record_is_read_with_its_number_as_it_was_written() -> None:
    exact = b"12345678901234567890.123456789"
    sent = body().replace(b'"total":1', b'"total":' + exact)
    assert read_change(record(sent, "3")) == Change("p1", "total", (3, 7), msgspec.Raw(exact))
    assert read_change(record(body({"total": None}))).value is None


@pytest.mark.parametrize(
    ("value", "epoch", "reason"),
    [
        (b"", "1", "undecodable"),
        (b'{"traits":{"total":1}}', "1", "undecodable"),
        (body(sequence="many"), "1", "undecodable"),
        (body({"other": 1}), "1", "invalid_trait"),
        (body({"TOTAL": 1}, id="TOTAL"), "1", "invalid_trait"),
        (body({"total": "x" * MAX_BYTES}), "1", "invalid_trait"),
        (body(), "", "invalid_epoch"),
        (body(), "-1", "invalid_epoch"),
    ],
)
def test_what_is_no_computed_trait_is_told_why(value: bytes, epoch: str, reason: str) -> None:
    with pytest.raises(Unreadable) as refused:
        read_change(record(value, epoch))
    assert refused.value.reason == reason
