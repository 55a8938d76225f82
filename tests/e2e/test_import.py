"""The carried sample of real orders through `headrace import`: whole, once, also when services are killed."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.api import Api
from tests.e2e.retail import Expected, Shop
from tests.e2e.stack import Stack
from tests.e2e.wait import wait_until

SERVICES = ("ingest", "profiles", "segmenter", "messenger")
VISITORS = 24


@pytest.fixture(scope="module")
def api(stack: Stack) -> Iterator[Api]:
    api = Api(stack)
    yield api
    api.close()


@pytest.fixture(scope="module")
def expected() -> Expected:
    return Expected()


def come_by(shop: Shop, customer: str, number: int) -> None:
    """Post a visit until ingest has taken it, as any client does."""

    def posted() -> bool:
        try:
            return shop.api.post("/v1/batch", shop.visit(customer, number)).is_success
        except httpx.TransportError:
            return False

    wait_until(posted, 30, what="ingest to take the visit")


def test_the_sample_arrives_whole_and_a_second_import_changes_nothing(
    api: Api, expected: Expected, tmp_path: Path
) -> None:
    shop = Shop(api, "calm", tmp_path, phones=100)
    report = f"{expected.rows} rows: {expected.invoices} messages accepted, 0 rows rejected"
    assert report in api.headrace(*shop.import_arguments()).stdout
    profiles = shop.settled(expected)
    assert len(set(profiles.values())) == len(expected.customers) + len(expected.receipts)
    known = api.get("profiles", "/v1/profiles/count")

    assert report in api.headrace(*shop.import_arguments()).stdout
    # every customer's visit is behind whatever the second import put on that customer's partition
    for number, customer in enumerate(expected.customers):
        come_by(shop, customer, number)
    wait_until(lambda: shop.members("visited", profiles) == expected.customers, 30, what="the visits")
    assert shop.settled(expected) == profiles
    assert api.get("profiles", "/v1/profiles/count") == known
    phones = [shop.phone(number) for number in range(len(expected.customers))]
    wait_until(lambda: len(api.sms(*phones)) == len(phones), 30, what="an SMS for each visit")
    assert {message["campaign_id"] for message in api.sms(*phones)} == {"calm-hello"}


@pytest.mark.timeout(240)
def test_killing_every_service_during_the_import_loses_and_doubles_nothing(
    api: Api, stack: Stack, expected: Expected, tmp_path: Path
) -> None:
    shop = Shop(api, "stormy", tmp_path, phones=500)
    visitors = expected.customers[:VISITORS]
    command = (sys.executable, "-m", "headrace.cli.main", *shop.import_arguments())
    killed = {"ingest": stack.kill_service("ingest")}
    with subprocess.Popen(command, env=stack.env, stdout=subprocess.DEVNULL) as importing:
        wait_until(shop.profiles, 30, what="the first profile of the import")
        killed |= {service: stack.kill_service(service) for service in SERVICES if service != "ingest"}
        for service, pid in killed.items():
            stack.wait_restarted(service, pid, 60)
        assert importing.wait(60) == 0
    for number, customer in enumerate(visitors):
        come_by(shop, customer, number)
        if number % 6 == 0:
            service = SERVICES[number // 6]
            stack.wait_restarted(service, stack.kill_service(service), 60)

    profiles = shop.settled(expected)
    assert len(set(profiles.values())) == len(expected.customers) + len(expected.receipts)
    wait_until(lambda: shop.members("visited", profiles) == visitors, 30, what="the visits")
    phones = {shop.phone(number) for number in range(VISITORS)}
    wait_until(lambda: {m["to"] for m in api.sms(*phones)} == phones, 30, what="an SMS for each visitor")
    assert len(api.sms(*phones)) == VISITORS
