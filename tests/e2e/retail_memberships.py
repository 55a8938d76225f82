"""The twelve segments on a running stack: defined before an import and again after it, compared with the count."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.e2e.api import Api
from tests.e2e.retail import Shop
from tests.e2e.retail_segments import COUNTS, Definitions
from tests.e2e.wait import wait_until

_LIVE_SECONDS = 120
_VERIFY_SECONDS = 300
_COUNTRIES = """
kind: import
group_by: InvoiceNo
clean:
  CustomerID: {{strip_suffix: ".0"}}
message:
  type: identify
  message_id: "{shop}:country:{{InvoiceNo}}"
  timestamp: {{column: InvoiceDate, format: "%Y-%m-%d %H:%M:%S", zone: Europe/London}}
  user_id: "{shop}-{{CustomerID}}"
  traits: {{country: "{{Country}}"}}
variants:
  - when: {{column: CustomerID, empty: true}}
    set: {{anonymous_id: "{shop}:receipt:{{InvoiceNo}}"}}
"""


class Memberships:
    """`expected` are the names of each segment's members, ascending."""

    def __init__(self, api: Api, shop: Shop, folder: Path, expected: Mapping[str, Sequence[str]]) -> None:
        self._api = api
        self._shop = shop
        self._folder = folder
        self._expected = expected

    def define(self, group: str) -> float:
        """Put the twelve under ids of this group; the seconds until all of them are live."""
        began = time.monotonic()
        file = self._folder / f"{self._shop.name}-{group}.yaml"
        documents = map(json.dumps, self._definitions(group).documents())
        file.write_text("\n---\n".join(documents), encoding="utf-8")
        self._api.headrace("apply", "-f", file)
        ids = [self._definitions(group).id(name) for name in COUNTS]
        wait_until(lambda: self._api.all_live(*ids), _LIVE_SECONDS, what="the segments to be live")
        return time.monotonic() - began

    def import_countries(self, path: Path) -> None:
        """Every invoice's country as a trait of its buyer, at the invoice's time."""
        mapping = self._folder / f"{self._shop.name}-countries.yaml"
        mapping.write_text(_COUNTRIES.format(shop=self._shop.name), encoding="utf-8")
        self._api.headrace("import", path, "--mapping", mapping, "--rejected", mapping.with_suffix(".csv"))

    def wait_exact(self, group: str, profiles: Mapping[str, str], patience: float) -> None:
        """Wait until each of the group has the expected members."""
        for name in COUNTS:
            try:
                wait_until(lambda: not self._wrong(group, name, profiles), patience)  # noqa: B023
            except AssertionError as error:
                raise AssertionError(f"{group} {name}: {self._wrong(group, name, profiles)}") from error

    def check(self, group: str, profiles: Mapping[str, str]) -> dict[str, int]:
        """Each of the group has exactly the expected members and says so in its size; the sizes."""
        sizes = {}
        for name, members in self._expected.items():
            assert self._wrong(group, name, profiles) == {}, f"{group} {name}"
            segment = self._api.get("segmenter", f"/v1/segments/{self._definitions(group).id(name)}")
            assert segment["size"] == len(members), f"{group} {name}: {segment}"
            sizes[name] = segment["size"]
        return sizes

    def verify(self, group: str, profiles: Mapping[str, str]) -> int:
        """The second evaluator agrees about everybody; how many memberships it looked at."""
        checked = 0
        for name in COUNTS:
            path = f"/v1/segments/{self._definitions(group).id(name)}/verify"
            answer = self._api.admin.post(self._api.stack.segmenter_url + path, timeout=_VERIFY_SECONDS)
            found = answer.raise_for_status().json()
            assert found["mismatches"] == 0, f"{group} {name}: {found}"
            assert found["checked"] >= len(profiles), f"{group} {name}: {found}"
            checked += found["checked"]
        return checked

    def _definitions(self, group: str) -> Definitions:
        return Definitions(self._shop.name, f"{self._shop.name}-{group}")

    def _wrong(self, group: str, name: str, profiles: Mapping[str, str]) -> dict[str, list[str]]:
        """Who is missing and who is there too much, if anybody."""
        found = self._shop.members(f"{group}-{name}", profiles)
        wanted = self._expected[name]
        differences = {"missing": set(wanted) - set(found), "extra": set(found) - set(wanted)}
        return {kind: sorted(names) for kind, names in differences.items() if names}
