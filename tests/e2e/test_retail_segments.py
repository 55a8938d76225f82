"""Twelve segments over the carried sample of real orders have the members that an independent count gives."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.api import Api
from tests.e2e.retail import SAMPLE, Expected, Shop
from tests.e2e.retail_memberships import Memberships
from tests.e2e.retail_orders import read_buyers
from tests.e2e.retail_segments import expected
from tests.e2e.stack import Stack


@pytest.fixture
def api(stack: Stack) -> Iterator[Api]:
    api = Api(stack)
    yield api
    api.close()


def test_twelve_segments_are_exact_whether_defined_before_the_import_or_after_it(api: Api, tmp_path: Path) -> None:
    buyers = read_buyers(SAMPLE)
    members = expected(buyers)
    assert len(members) == 12
    assert all(0 < len(found) < len(buyers) for segment, found in members.items() if segment != "this-year")
    shop = Shop(api, "twelve", tmp_path, phones=0)
    memberships = Memberships(api, shop, tmp_path, members)
    memberships.define("before")
    memberships.import_countries(SAMPLE)
    api.headrace(*shop.import_arguments())
    profiles = shop.settled(Expected())
    memberships.wait_exact("before", profiles, 30)

    memberships.define("after")

    sizes = {segment: len(found) for segment, found in members.items()}
    for group in ("after", "before"):
        assert memberships.check(group, profiles) == sizes
        memberships.verify(group, profiles)
