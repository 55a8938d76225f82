"""Tills, a CRM and a loyalty programme, imported by the shipped mappings, meet in one record per customer."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from headrace.cli.shipped import example
from tests.e2e.api import Api
from tests.e2e.stack import Stack
from tests.e2e.wait import wait_until

FILES = ("till-receipts", "crm-contacts", "loyalty-export")


@pytest.fixture(scope="module")
def api(stack: Stack) -> Iterator[Api]:
    api = Api(stack)
    yield api
    api.close()


def exported(name: str, folder: Path) -> Path:
    """The example's file, its customers none of another test."""
    text = example(f"imports/{name}.csv").read_text(encoding="utf-8")
    for old, new in (("900", "off-900"), ("@example.com", "@offline.example"), ("c-", "off-c-"), ("602", "608")):
        text = text.replace(old, new)
    file = folder / f"{name}.csv"
    file.write_text(text, encoding="utf-8")
    return file


def reordered(file: Path) -> bytes:
    """The same rows as somebody else exports them."""
    header, *rows = file.read_bytes().splitlines()
    return b"\r\n".join([header, *random.Random(5).sample(rows, len(rows))])


def upload(api: Api, name: str, content: bytes) -> dict[str, Any]:
    form = {"mapping": example(f"imports/{name}.yaml").read_bytes(), "file": content}
    answer = httpx.post(
        f"{api.stack.ingest_url}/v1/import", files=form, auth=(api.stack.write_key, ""), trust_env=False
    )
    result: dict[str, Any] = answer.raise_for_status().json()
    return result


def passed(api: Api, profile: str, *identifiers: tuple[str, str]) -> None:
    """Wait until what was sent before, under each of these, has been read: a marker behind it has."""
    seen = {"type": "track", "event": "Seen", "timestamp": "2025-12-01T00:00:00Z"}
    batch = [
        {**seen, "messageId": f"marker:{kind}", "context": {"externalIds": [{"type": kind, "id": value}]}}
        for kind, value in identifiers
    ]
    assert api.post("/v1/import", {"batch": batch}).is_success
    expected = {message["messageId"] for message in batch}
    wait_until(
        lambda: expected <= {row["message_id"] for row in api.timeline(profile)}, 30, what="the markers to pass"
    )


def test_what_was_imported_is_one_customer_and_a_second_upload_changes_nothing(api: Api, tmp_path: Path) -> None:
    files = {name: exported(name, tmp_path) for name in FILES}
    for name, file in files.items():
        done = api.headrace("import", file, "--mapping", example(f"imports/{name}.yaml"))
        assert ", 0 rows rejected" in done.stdout

    def jana() -> dict[str, Any] | None:
        found = api.profile("loyalty_card", "off-9001")
        complete = found and found["traits"].get("firstName") and found["tags"] and len(found["consents"]) == 2
        return found if found and complete and len(orders(found)) == 2 else None

    def orders(profile: dict[str, Any]) -> list[str]:
        names = {"Order Completed", "Order Refunded"}
        return sorted(row["message_id"] for row in api.timeline(profile["id"]) if row.get("event") in names)

    wait_until(lambda: jana() is not None, 30, what="the customer to be complete")
    known = jana()
    assert known is not None
    for kind, value in (("email", "jana@offline.example"), ("crm_id", "off-c-1"), ("phone", "+420608123456")):
        same = api.profile(kind, value)
        assert same is not None
        assert same["id"] == known["id"], kind
    assert orders(known) == ["pos:brno-1:2:1001", "pos:brno-1:2:R1003"]
    assert {channel: consent["status"] for channel, consent in known["consents"].items()} == {
        "email": "granted",
        "sms": "withdrawn",
    }
    assert known["tags"] == ["loyalty-gold", "tea", "vip-manual"]
    assert known["traits"]["loyalty"] == {"tier": "gold", "points": 1540, "since": "2024-01-15"}

    before = [row["message_id"] for row in api.timeline(known["id"])]
    for name, file in files.items():
        assert upload(api, name, reordered(file))["rejected_rows"] == 0
    passed(api, known["id"], ("loyalty_card", "off-9001"), ("crm_id", "off-c-1"))
    after = [row["message_id"] for row in api.timeline(known["id"]) if not row["message_id"].startswith("marker:")]
    assert sorted(after) == sorted(before)
