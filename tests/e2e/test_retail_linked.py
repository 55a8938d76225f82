"""Real orders, half of a customer's by card and half by e-mail, end as with one identifier once linked."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.e2e.api import Api
from tests.e2e.retail import SAMPLE, Expected, Shop
from tests.e2e.retail_linked import CARD, Linked
from tests.e2e.retail_memberships import Memberships
from tests.e2e.retail_orders import read_buyers
from tests.e2e.retail_segments import expected
from tests.e2e.stack import Stack
from tests.e2e.wait import wait_until


@pytest.fixture
def api(stack: Stack) -> Iterator[Api]:
    api = Api(stack)
    yield api
    api.close()


def test_card_and_email_of_one_customer_end_in_one_profile_with_all_orders(api: Api, tmp_path: Path) -> None:
    members, file = expected(read_buyers(SAMPLE)), Expected()
    shop = Shop(api, "linked", tmp_path, phones=600)
    memberships = Memberships(api, shop, tmp_path, members)
    memberships.define("before")
    linked = Linked(api, "linked", SAMPLE, tmp_path)
    linked.import_all("card", linked.by_card())
    linked.import_all("email", linked.by_email())
    linked.import_all("links", linked.links())

    def complete() -> bool:
        by_card, by_email = linked.profiles(CARD), linked.profiles("email")
        return by_card == by_email and sorted(by_card) == file.customers

    wait_until(complete, 120, what="one profile for card and e-mail of each customer")
    profiles = linked.profiles(CARD) | linked.profiles("receipt")
    assert profiles.keys() == {*file.customers, *file.receipts}
    assert len(set(profiles.values())) == len(profiles)
    assert orders(api, profiles.values()) == file.events

    memberships.wait_exact("before", profiles, 60)
    memberships.define("after")
    sizes = {segment: len(found) for segment, found in members.items()}
    for group in ("after", "before"):
        assert memberships.check(group, profiles) == sizes
        memberships.verify(group, profiles)


def orders(api: Api, profile_ids: Iterable[str]) -> Counter[str]:
    return Counter(
        item["event"]
        for profile in profile_ids
        for item in api.timeline(profile)
        if str(item.get("event")).startswith("Order ")
    )
