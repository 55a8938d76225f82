"""What conditions share is called by what it is: equal pieces have equal names in every plan, in every process."""

from binascii import b2a_base64
from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import msgspec

from headrace.contracts.segment_conditions import Leaf
from headrace.contracts.segment_tests import EventTest

_KNOWN_SHAPES = 65_536
_encoder = msgspec.json.Encoder(order="deterministic")
_shapes: dict[bytes, tuple[str, str]] = {}


def leaf_id(node: Leaf) -> str:
    """What a customer's deadlines and sequences call the leaf: the same in every plan."""
    return "~" + _digest_bytes(node.key)


def shape_of(leaf_key: bytes, test: EventTest) -> tuple[str, str]:
    """The ids of the journal and of the atom of an event condition: equal for conditions that share them."""
    known = _shapes.get(leaf_key)
    if known is None:
        aggregate, compared = test.aggregate
        names = sorted(set(test.name))
        where = [item.model_dump(mode="json", by_alias=True, exclude_none=True) for item in test.where]
        shape = {
            "names": names,
            "where": sorted(where, key=_encoder.encode),
            "aggregate": aggregate,
            "of": getattr(compared, "of", None),
            "between": None if test.between is None else test.between.bounds,
            "currency": (getattr(compared, "currency", None) or "").upper(),
        }
        if len(_shapes) >= _KNOWN_SHAPES:
            _shapes.clear()
        known = _shapes[leaf_key] = digest(names), digest(shape)
    return known


def digest(shape: Sequence[Any] | Mapping[str, Any]) -> str:
    return _digest_bytes(_encoder.encode(shape))


@lru_cache(maxsize=_KNOWN_SHAPES)
def _digest_bytes(raw: bytes) -> str:
    return b2a_base64(blake2b(raw, digest_size=9).digest(), newline=False).decode()
