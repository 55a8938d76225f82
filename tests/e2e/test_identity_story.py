"""Web, app and till of one customer meet in one record, strangers do not, and what was wrong is taken apart."""

from collections.abc import Iterator
from itertools import count, permutations
from typing import Any

import pytest

from tests.e2e.api import Api, Document
from tests.e2e.stack import Stack
from tests.e2e.wait import wait_until

DEFINITIONS = """
kind: segment
id: story-two-orders
name: Two orders
when: {event: {name: Order Completed, where: [{path: properties.shop, eq: story}], count: {gte: 2}}}
---
kind: segment
id: story-one-order
name: One order
when: {event: {name: Order Completed, where: [{path: properties.shop, eq: story}], count: {eq: 1}}}
---
kind: template
id: story-thanks
channel: sms
text: Thanks!
---
kind: campaign
id: story-thanks
name: Thanks
include_current: true
trigger: {segment: story-two-orders, on: entered}
steps: [{send: {channels: [sms], template: story-thanks}}]
---
kind: campaign
id: story-welcome
name: Welcome
include_current: true
trigger: {segment: story-one-order, on: entered}
steps: [{send: {channels: [sms], template: story-thanks}}]
"""
_numbers = count(1)


@pytest.fixture(scope="module")
def api(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    file = tmp_path_factory.mktemp("story") / "definitions.yaml"
    file.write_text(DEFINITIONS, encoding="utf-8")
    api = Api(stack)
    api.headrace("apply", "-f", file, "--wait")
    yield api
    api.close()


def send(api: Api, **message: Any) -> None:
    message.setdefault("messageId", f"story-{next(_numbers)}")
    assert api.post("/v1/batch", {"batch": [message]}).status_code == 200


def found(api: Api, kind: str, value: str) -> Document:
    wait_until(lambda: api.profile(kind, value) is not None, 20, what=f"the profile of {value}")
    profile = api.profile(kind, value)
    assert profile is not None
    return profile


def orders(api: Api, profile_id: str) -> list[str]:
    names = (str(item["properties"].get("order")) for item in api.timeline(profile_id) if item["kind"] == "event")
    return sorted(name for name in names if name != "None")


def order(name: str) -> dict[str, Any]:
    return {"type": "track", "event": "Order Completed", "properties": {"shop": "meeting", "order": name}}


@pytest.mark.parametrize("sequence", list(permutations(("web", "app", "till"))), ids="-".join)
def test_web_app_and_till_meet_in_one_record_whichever_comes_first(api: Api, sequence: tuple[str, ...]) -> None:
    one = "-".join(sequence)
    email = {"email": f"{one}@example.com"}
    card = {"id": f"card-{one}", "type": "loyalty_card", "collection": "users", "encoding": "none"}
    calls: dict[str, list[dict[str, Any]]] = {
        "web": [
            {**order("web"), "anonymousId": f"browser-{one}"},
            {"type": "identify", "anonymousId": f"browser-{one}", "traits": email},
        ],
        "app": [
            {**order("app"), "userId": one, "context": {"device": {"id": f"phone-{one}", "type": "ios"}}},
            {"type": "identify", "userId": one, "traits": email},
        ],
        "till": [{**order("till"), "context": {"channel": "pos", "externalIds": [card], "traits": email}}],
    }
    for place in sequence:
        for call in calls[place]:
            send(api, **call)
    profile = found(api, "loyalty_card", f"card-{one}")
    wait_until(lambda: orders(api, profile["id"]) == ["app", "till", "web"], 20, what="all three orders in one")
    names = {(item["type"], item["value"]) for item in found(api, "user_id", one)["identifiers"]}
    assert names == {
        ("user_id", one),
        ("email", email["email"]),
        ("loyalty_card", card["id"]),
        ("anonymous_id", f"browser-{one}"),
        ("ios.id", f"phone-{one}"),
    }


def test_two_customers_on_one_tablet_stay_two(api: Api) -> None:
    for who in ("ann", "bob", "ann", "bob"):
        send(api, **order(who), userId=f"tablet-{who}", anonymousId="the-tablet")
    ann, bob = found(api, "user_id", "tablet-ann"), found(api, "user_id", "tablet-bob")
    assert ann["id"] != bob["id"]
    wait_until(lambda: orders(api, ann["id"]) == ["ann", "ann"], 20, what="Ann's orders")
    wait_until(lambda: orders(api, bob["id"]) == ["bob", "bob"], 20, what="Bob's orders")
    why = api.get("profiles", f"/v1/profiles/{bob['id']}/merges")["items"]
    assert [(item["kind"], item["reason"], item["evidence"]["dropped"]) for item in why] == [
        ("kept_apart", "hard", ["anonymous_id", "the-tablet"])
    ]


@pytest.mark.parametrize("nobody", ["null", "undefined", "0", "00000000-0000-0000-0000-000000000000", "Anonymous"])
def test_a_placeholder_joins_nobody(api: Api, nobody: str) -> None:
    for who in ("one", "two"):
        send(api, **order(who), userId=nobody, anonymousId=f"{nobody}-{who}")
    one, two = (found(api, "anonymous_id", f"{nobody}-{who}") for who in ("one", "two"))
    assert one["id"] != two["id"]
    assert one["user_id"] is None


def test_what_was_wrong_is_taken_apart_and_nobody_hears_of_it(api: Api) -> None:
    """Two strangers with one order each were taken for one with two orders."""
    shop = {"type": "track", "event": "Order Completed", "properties": {"shop": "story"}}
    for who, phone in (("sam", "+420601000101"), ("kim", "+420601000102")):
        send(api, type="identify", anonymousId=f"story-{who}", traits={"phone": phone})
        send(
            api,
            type="track",
            event="Consent Given",
            anonymousId=f"story-{who}",
            properties={"channel": "sms"},
        )
        send(api, **shop, anonymousId=f"story-{who}")
    sam, kim = (found(api, "anonymous_id", f"story-{who}")["id"] for who in ("sam", "kim"))
    wait_until(lambda: {sam, kim} <= api.members("story-one-order"), 20, what="one order each")
    wait_until(lambda: len(api.sms("+420601000101", "+420601000102")) == 2, 20, what="a welcome each")

    link = {"externalIds": [{"id": "shared-card", "type": "card", "collection": "users", "encoding": "none"}]}
    for who in ("sam", "kim"):
        send(api, type="identify", anonymousId=f"story-{who}", context=link)
    wait_until(lambda: found(api, "anonymous_id", "story-kim")["id"] == sam, 20, what="one customer")
    wait_until(lambda: sam in api.members("story-two-orders"), 20, what="two orders together")
    wait_until(lambda: len(api.sms("+420601000101", "+420601000102")) == 3, 20, what="thanks for two orders")

    wanted = {"identifier": {"type": "anonymous_id", "value": "story-kim"}}
    answer = api.admin.post(f"{api.stack.profiles_url}/v1/profiles/{sam}/unmerge", json=wanted)
    kim = answer.raise_for_status().json()["into"]
    wait_until(lambda: {sam, kim} <= api.members("story-one-order"), 20, what="one order each again")
    assert not {sam, kim} & api.members("story-two-orders")
    assert found(api, "anonymous_id", "story-kim")["id"] == kim

    send(api, type="track", event="Looked", userId="story-last")
    found(api, "user_id", "story-last")
    for segment in ("story-one-order", "story-two-orders"):
        verified = api.admin.post(f"{api.stack.segmenter_url}/v1/segments/{segment}/verify", timeout=60).json()
        assert verified["mismatches"] == 0
    assert len(api.sms("+420601000101", "+420601000102")) == 3
    assert campaigns_of(api, sam) == ["story-thanks", "story-welcome"]
    assert campaigns_of(api, kim) == ["story-welcome"]

    merged = api.admin.post(f"{api.stack.profiles_url}/v1/profiles/{kim}/merge", json={"into": sam})
    merged.raise_for_status()
    wait_until(lambda: sam in api.members("story-two-orders"), 20, what="two orders together again")
    send(api, type="identify", userId="story-new", traits={"phone": "+420601000103"})
    send(api, type="track", event="Consent Given", userId="story-new", properties={"channel": "sms"})
    send(api, **shop, userId="story-new")
    wait_until(lambda: len(api.sms("+420601000103")) == 1, 20, what="a welcome to somebody else")
    assert len(api.sms("+420601000101", "+420601000102")) == 3
    assert campaigns_of(api, sam) == ["story-thanks", "story-welcome", "story-welcome"]


def campaigns_of(api: Api, profile_id: str) -> list[str]:
    """The campaigns that the customer has had a message of."""
    items = api.get("messenger", "/v1/messages", profile_id=profile_id)["items"]
    return sorted(item["campaign_id"] for item in items)
