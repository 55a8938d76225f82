"""A year of real orders through the whole platform, once in peace and once per service under kill -9.

    HEADRACE_RETAIL_CSV=online_retail.csv.gz python -m tests.faults.retail_year [SERVICE…]

Every run must end in what an independent count of the file says: profiles, memberships, timelines, and one SMS
per customer who came by meanwhile. So must twelve segments that were defined before the import, and the same
twelve added after it. Prints the sizes and one line a run; exit code 1 when a run differs.
"""

import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx

from tests.e2e.api import Api
from tests.e2e.retail import Expected, Shop
from tests.e2e.retail_memberships import Memberships
from tests.e2e.retail_orders import read_buyers
from tests.e2e.retail_segments import expected as expected_members
from tests.e2e.stack import Stack
from tests.e2e.wait import wait_until

CALM = "none"
SERVICES = (CALM, "ingest", "profiles", "segmenter", "messenger")
KILL_SECONDS = (2.0, 6.0)
PATIENCE_SECONDS = 180
VISITORS = 200


def main() -> int:
    path = Path(os.environ.get("HEADRACE_RETAIL_CSV", ""))
    if not path.is_file():
        print("Set HEADRACE_RETAIL_CSV to the path of online_retail.csv.gz (UCI Online Retail).")
        return 1
    expected = Expected(path)
    members = expected_members(read_buyers(path))
    print(f"file: {expected.rows} rows, {expected.invoices} invoices", flush=True)
    print(f"members: {', '.join(f'{segment} {len(found)}' for segment, found in members.items())}", flush=True)
    return max(run(path, expected, members, victim) for victim in sys.argv[1:] or SERVICES)


def run(path: Path, expected: Expected, members: Mapping[str, Sequence[str]], victim: str) -> int:
    """One import on a fresh platform while `victim` is killed again and again; 0 when nothing differs."""
    with Stack() as stack, tempfile.TemporaryDirectory() as folder:
        api = Api(stack)
        try:
            shop = Shop(api, "year", Path(folder), phones=0, path=path)
            memberships = Memberships(api, shop, Path(folder), members)
            memberships.define("before")
            memberships.import_countries(path)
            profiles = _measure(stack, shop, expected, victim)
            _twice(memberships, profiles)
            return 0
        except AssertionError as error:
            print(f"killed {victim}: DIFFERS: {error}", flush=True)
            return 1
        finally:
            api.close()


def _measure(stack: Stack, shop: Shop, expected: Expected, victim: str) -> Mapping[str, str]:
    """Import while the victim is killed; the profiles by customer, once all is as counted."""
    killer = _Killer(stack, victim)
    started = time.monotonic()
    command = (sys.executable, "-m", "headrace.cli.main", *shop.import_arguments())
    with killer, subprocess.Popen(command, env=stack.env, stdout=subprocess.DEVNULL) as importing:
        visitors = expected.customers[:VISITORS]
        for number, customer in enumerate(visitors):
            _come_by(shop, customer, number)
        assert importing.wait() == 0, "the import failed"
        imported = time.monotonic() - started
    wait_until(lambda: _all_ready(shop.api), PATIENCE_SECONDS, what="every service to be back")
    profiles = shop.settled(expected, PATIENCE_SECONDS)
    settled = time.monotonic() - started
    phones = [shop.phone(number) for number in range(VISITORS)]
    wait_until(lambda: len(shop.api.sms(*phones)) >= VISITORS, PATIENCE_SECONDS, what="an SMS for each visitor")
    sent = [message["to"] for message in shop.api.sms(*phones)]
    assert sorted(sent) == sorted(phones), f"{len(sent)} SMS for {VISITORS} visitors"
    print(
        f"killed {victim} {killer.kills} times: {len(profiles)} profiles, "
        f"{len(expected.two_orders)} with two orders, {len(expected.big_spenders)} big spenders, {len(sent)} SMS: "
        f"as counted. Import {imported:.0f} s ({expected.invoices / imported:.0f} orders/s), "
        f"all checked after {settled:.0f} s",
        flush=True,
    )
    return profiles


def _twice(memberships: Memberships, profiles: Mapping[str, str]) -> None:
    """The twelve segments are as counted, and so are twelve more that are defined now."""
    memberships.wait_exact("before", profiles, PATIENCE_SECONDS)
    defining = memberships.define("after")
    for group in ("after", "before"):
        memberships.check(group, profiles)
    started = time.monotonic()
    checked = sum(memberships.verify(group, profiles) for group in ("after", "before"))
    print(
        f"twelve segments as counted, defined before the import and after it (live within {defining:.0f} s); "
        f"{checked} memberships verified in {time.monotonic() - started:.0f} s, 0 mismatches",
        flush=True,
    )


def _all_ready(api: Api) -> bool:
    try:
        for service in SERVICES[1:]:
            api.get(service, "/readyz")
    except httpx.HTTPError:
        return False
    return True


def _come_by(shop: Shop, customer: str, number: int) -> None:
    def posted() -> bool:
        try:
            return shop.api.post("/v1/batch", shop.visit(customer, number)).is_success
        except httpx.TransportError:
            return False

    wait_until(posted, PATIENCE_SECONDS, what="ingest to take the visit")


class _Killer:
    """kill -9 of one service at random moments while the context lasts."""

    def __init__(self, stack: Stack, victim: str) -> None:
        self._stack = stack
        self._victim = victim
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="killer")
        self.kills = 0

    def __enter__(self) -> "_Killer":
        if self._victim != CALM:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(random.uniform(*KILL_SECONDS)):
            self._stack.kill_service(self._victim)
            self.kills += 1


if __name__ == "__main__":
    sys.exit(main())
