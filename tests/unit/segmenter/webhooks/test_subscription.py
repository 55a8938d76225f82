"""What may be asked for, and how a mistake is answered."""

from typing import Any

import pytest

from headrace.contracts.errors import InvalidDefinition
from headrace.runtime.webhooks.address import PUBLIC
from services.segmenter.change import redacted_change
from services.segmenter.webhooks.subscription import WantedSubscription, parse_subscription

URL = "https://example.com/hook"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def parse(document: Any, subscription_id: str = "shop") -> WantedSubscription:
    return parse_subscription(subscription_id, document, PUBLIC)


def test_an_address_is_enough() -> None:
    assert parse({"url": URL}) == WantedSubscription("shop", URL, None, ("entered", "exited"), None, True)


def test_everything() -> None:
    document = {
        "id": "shop",
        "url": URL,
        "segments": ["vip", "new", "vip"],
        "actions": ["exited"],
        "secret": SECRET,
        "enabled": False,
    }
    assert parse(document) == WantedSubscription("shop", URL, ("new", "vip"), ("exited",), SECRET, False)


def test_null_is_absent() -> None:
    assert parse({"url": URL, "segments": None, "actions": None, "secret": None}) == parse({"url": URL})


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ([], ""),
        (None, ""),
        ("text", ""),
        ({}, "url"),
        ({"url": 7}, "url"),
        ({"url": "http://example.com/"}, "url"),
        ({"url": "https://127.0.0.1/"}, "url"),
        ({"url": URL, "id": "other"}, "id"),
        ({"url": URL, "segments": []}, "segments"),
        ({"url": URL, "segments": "vip"}, "segments"),
        ({"url": URL, "segments": ["vip", "Not An Id"]}, "segments.1"),
        ({"url": URL, "segments": ["vip\n"]}, "segments.0"),
        ({"url": URL, "segments": [["vip"]]}, "segments.0"),
        ({"url": URL, "segments": ["vip"] * 1001}, "segments"),
        ({"url": URL, "actions": []}, "actions"),
        ({"url": URL, "actions": ["moved"]}, "actions.0"),
        ({"url": URL, "actions": [{}]}, "actions.0"),
        ({"url": URL, "actions": {"entered": True}}, "actions"),
        ({"url": URL, "secret": "short"}, "secret"),
        ({"url": URL, "secret": 7}, "secret"),
        ({"url": URL, "enabled": "yes"}, "enabled"),
        ({"url": URL, "enabled": 1}, "enabled"),
        ({"url": URL, "ulr": URL}, "ulr"),
        ({"url": URL, 7: URL}, "7"),
    ],
)
def test_a_mistake_is_named_with_what_to_write(document: Any, path: str) -> None:
    with pytest.raises(InvalidDefinition) as refused:
        parse(document)
    (problem,) = refused.value.problems
    assert problem.path == path
    assert problem.reason
    assert problem.suggestion


@pytest.mark.parametrize("subscription_id", ["Shop", "a b", "a\0b", "x" * 65, "a\n"])
def test_an_id_that_is_none_is_refused(subscription_id: str) -> None:
    with pytest.raises(InvalidDefinition):
        parse({"url": URL}, subscription_id)


def test_all_mistakes_come_at_once() -> None:
    with pytest.raises(InvalidDefinition) as refused:
        parse({"actions": ["moved"], "enabled": 3})
    assert [problem.path for problem in refused.value.problems] == ["url", "actions.0", "enabled"]
    assert refused.value.problems[1].reason == "is neither entered nor exited"


def test_an_erased_person_is_taken_out_of_a_body() -> None:
    body = (
        b'{"type":"track","messageId":"m1","userId":"u1","anonymousId":"a1","properties":{"segment_id":"vip"},'
        b'"context":{"personas":{},"traits":{"email":"a@example.com"},"externalIds":[{"id":"x"}]},"profile":{"id":"p"}}'
    )
    assert redacted_change(body) == (
        b'{"type":"track","messageId":"m1","userId":null,"anonymousId":null,"properties":{"segment_id":"vip"},'
        b'"context":{"personas":{},"traits":{},"externalIds":[]},"profile":{"id":"p"}}'
    )
