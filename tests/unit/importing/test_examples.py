"""The mappings that are shipped read the files beside them, without a row left over."""

import json
from collections import Counter
from typing import Any

import pytest

from headrace.cli.importing.run import open_source
from headrace.cli.shipped import example
from headrace.importing.outcome import Outgoing


def messages(name: str) -> list[dict[str, Any]]:
    outcomes = list(open_source([example(f"imports/{name}.csv")], example(f"imports/{name}.yaml")).outcomes)
    assert all(isinstance(one, Outgoing) for one in outcomes), outcomes
    return [json.loads(one.body) for one in outcomes if isinstance(one, Outgoing)]


def test_till_receipts() -> None:
    sold, anonymous, refunded, other_shop = messages("till-receipts")
    assert sold["messageId"] == "pos:brno-1:2:1001"
    assert sold["properties"]["total"] == 1508.8
    assert [item["sku"] for item in sold["properties"]["products"]] == ["TEA-01", "MUG-07"]
    assert sold["context"]["externalIds"][0] == {
        **{"id": "9001", "type": "loyalty_card"},
        **{"collection": "users", "encoding": "none"},
    }
    assert anonymous["anonymousId"] == "receipt:brno-1:2:1002"
    assert (refunded["event"], refunded["properties"]["total"]) == ("Order Refunded", -1249)
    assert other_shop["messageId"] != sold["messageId"]
    assert other_shop["properties"]["products"][0]["name"] == 'Oil "extra"'


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "crm-contacts",
            {"identify": 3, "Consent Given": 2, "Consent Withdrawn": 2, "Tag Added": 3},
        ),
        ("loyalty-export", {"identify": 2, "Tag Added": 1, "Tag Removed": 1}),
    ],
)
def test_people_with_their_consents_and_tags(name: str, expected: dict[str, int]) -> None:
    found = messages(name)
    assert Counter(message.get("event") or message["type"] for message in found) == expected
    assert len({message["messageId"] for message in found}) == len(found)


def test_a_formula_is_a_name_like_any_other() -> None:
    (first,) = [m["traits"] for m in messages("crm-contacts") if m.get("traits", {}).get("lastName") == "Malá"]
    assert first["firstName"] == "=cmd()"
