"""Voucher codes on the whole platform: uploaded, sent, redeemed by an order, awarded by a survey, exported."""

import csv
import io
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.e2e.api import Api
from tests.e2e.stack import Stack
from tests.e2e.wait import wait_until

DEFINITIONS = """
kind: vouchers
id: vouched
name: Uploaded codes
value: 10 %
---
kind: vouchers
id: vouched-survey
name: Made codes
generate: {prefix: DIKY-, length: 8, at_most: 1000}
---
kind: survey
id: vouched
name: Vouched
award: {tag: vouched-answered, voucher: vouched-survey}
questions: [{id: mood, text: "How are you?", type: text, trait: vouched_mood}]
---
kind: template
id: vouched
channel: sms
text: "Your code: {{ voucher.code }}, {{ voucher.value }}"
---
kind: template
id: vouched-survey
channel: sms
text: "Thank you: {{ event.properties.code }}"
---
kind: campaign
id: vouched
name: Vouched
purpose: transactional
trigger: {event: Vouched Signup}
steps:
  - voucher: {pool: vouched}
  - send: {channels: [sms], template: vouched}
---
kind: segment
id: vouched-redeemed
name: Redeemed
when: {event: {name: Voucher Redeemed, where: [{path: properties.pool_id, eq: vouched}]}}
---
kind: campaign
id: vouched-survey
name: Thanks for the survey
purpose: transactional
trigger: {event: Voucher Assigned}
steps:
  - branch:
      if: {event: {name: Voucher Assigned, where: [{path: properties.survey, eq: vouched}]}}
      then: [{send: {channels: [sms], template: vouched-survey}}]
"""


@pytest.fixture(scope="module")
def api(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("vouched")
    (folder / "definitions.yaml").write_text(DEFINITIONS, encoding="utf-8")
    (folder / "codes.csv").write_text("code,note\nVOUCH-1,a\nVOUCH-2,b\nvouch-2,c\n", encoding="utf-8")
    api = Api(stack)
    api.headrace("apply", "--wait", "-f", folder / "definitions.yaml")
    said = api.headrace("vouchers", "upload", "vouched", folder / "codes.csv").stdout
    assert said == "2 added, 1 known already, 0 lines without a code\n"
    yield api
    api.close()


def customer(api: Api, user: str, phone: str) -> str:
    api.post("/v1/identify", {"userId": user, "traits": {"phone": phone}}).raise_for_status()
    found = wait_until(lambda: api.profile("user_id", user), 20, what="the customer")
    return str(found["id"] if found is not None else "")


def told(api: Api, profile_id: str, event: str) -> list[dict[str, Any]]:
    return [row["properties"] for row in api.timeline(profile_id) if row.get("event") == event]


def track(api: Api, user: str, event: str, **properties: Any) -> None:
    body = {"userId": user, "event": event, "properties": properties}
    api.post("/v1/track", body).raise_for_status()


def test_a_code_is_sent_redeemed_by_an_order_and_told_on_the_timeline(api: Api) -> None:
    phone = "+420601888001"
    eva = customer(api, "vouched-eva", phone)
    track(api, "vouched-eva", "Vouched Signup")
    [message] = wait_until(lambda: api.sms(phone), 20, what="the message")
    assert message["text"] in ("Your code: VOUCH-1, 10 %", "Your code: VOUCH-2, 10 %")
    code = message["text"].split()[2].rstrip(",")
    [assigned] = wait_until(lambda: told(api, eva, "Voucher Assigned"), 20, what="the code on the timeline")
    assert (assigned["code"], assigned["campaign_id"]) == (code, "vouched")
    products = [{"product_id": "x", "price": 5, "coupon": code.lower()}]
    for _ in range(2):
        track(api, "vouched-eva", "Order Completed", order_id="v-1", products=products)
    [redeemed] = wait_until(lambda: told(api, eva, "Voucher Redeemed"), 20, what="the redemption")
    assert (redeemed["code"], redeemed["redeemed"], redeemed["order_id"]) == (code, "in_time", "v-1")
    assert redeemed["entry_id"] == assigned["entry_id"]
    wait_until(lambda: eva in api.members("vouched-redeemed"), 20, what="the segment of who redeemed")
    assert api.get("messenger", "/v1/vouchers/vouched")["counts"] == {
        **{"free": 1, "assigned": 0, "redeemed": 1, "expired": 0}
    }
    rows = list(csv.DictReader(io.StringIO(api.headrace("vouchers", "export", "vouched").stdout)))
    assert {(row["code"], row["status"], row["order_id"]) for row in rows} == {
        (code, "redeemed", "v-1"),
        (({"VOUCH-1", "VOUCH-2"} - {code}).pop(), "free", ""),
    }
    refused = api.headrace("delete", "vouchers", "vouched", check=1)
    assert "Delete first what takes codes of this pool: vouched" in refused.stderr


def test_who_answers_a_survey_gets_a_code_once_and_a_campaign_sends_it(api: Api) -> None:
    phone = "+420601888002"
    jan = customer(api, "vouched-jan", phone)
    made = api.admin.post(f"{api.stack.url('profiles')}/v1/surveys/vouched/links", json={"profile_ids": [jan]})
    [item] = made.raise_for_status().json()["items"]
    for _ in range(2):
        page = httpx.post(item["link"], data={"question": "mood", "answer": "well"}, trust_env=False)
        assert page.status_code == 200
    [assigned] = wait_until(lambda: told(api, jan, "Voucher Assigned"), 20, what="the awarded code")
    assert (assigned["pool_id"], assigned["survey"]) == ("vouched-survey", "vouched")
    assert assigned["code"].startswith("DIKY-")
    [message] = wait_until(lambda: api.sms(phone), 30, what="the message with the code")
    assert message["text"] == f"Thank you: {assigned['code']}"
    found = api.profile("user_id", "vouched-jan")
    assert found is not None
    assert found["tags"] == ["vouched-answered"]
