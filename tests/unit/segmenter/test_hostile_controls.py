"""A control record that makes no sense has no effect, on every replay alike, and stops no partition."""

from typing import Any

import msgspec
import pytest

from headrace.contracts.profile_event import ControlRow
from services.segmenter.catalog import Catalog
from services.segmenter.partition import decode_repair

_CUTS = {"population": "p", "version": 1, "at": 1, "recency": [1], "frequency": [1]}


def control(kind: str, payload: bytes) -> ControlRow:
    return ControlRow(seq=1, epoch=1, time=1, low=1, id="c1", control=kind, payload=msgspec.Raw(payload))


def cuts(**changes: Any) -> bytes:
    return msgspec.json.encode({**_CUTS, **changes})


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("cut_points", cuts(monetary=["NaN"])),
        ("cut_points", cuts(monetary=["Infinity"])),
        ("cut_points", cuts(monetary=["many"])),
        ("cut_points", cuts(recency="never")),
        ("cut_points", b"[" * 100_000),
        ("define", b'{"segment_id":"x","version":1,"definition":' + b"[" * 100_000),
        ("define", b'{"segment_id":"\xff","version":1}'),
        ("activate", b"{}"),
        ("delete", b"null"),
        ("unheard-of", b"{}"),
    ],
)
def test_it_changes_no_catalog(kind: str, payload: bytes) -> None:
    assert Catalog().apply(control(kind, payload)) == (Catalog(), None)


def test_cut_points_that_make_sense_do() -> None:
    after, sweep = Catalog().apply(control("cut_points", cuts(monetary=["1.5"])))
    assert after.cuts["p"].monetary == ("1.5",)
    assert sweep is not None


def test_a_repair_names_nobody_whom_no_store_can_hold() -> None:
    wanted = decode_repair(msgspec.json.encode({"profile_ids": ["p1", "p\0"], "segments": ["x"]}))
    assert (wanted.profile_ids, wanted.segments) == (("p1",), ("x",))
    assert decode_repair(b"[" * 100_000).profile_ids == ()
