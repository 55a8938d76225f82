"""Previews and test messages over HTTP: what they say, and that nothing of them stays."""

from functools import partial
from typing import Any

import httpx
import pytest

from headrace.contracts.profile_event import ErasureRow
from services.messenger.providers.port import NotSent, Refused, Unsure
from services.messenger.trial import Allowance
from tests.unit.messenger.rig import MAIL, START, Rig, eventually
from tests.unit.messenger.test_api import Api, api
from tests.unit.messenger.test_once import scripted

__all__ = ["api"]
POLICY = {"sms": {"currency": "CZK", "prices": {"CZ": "1.10"}, "default_price": "2"}, "time_zone": "Europe/Prague"}
CART = {
    "channel": "sms",
    "text": "{{ profile.traits.first_name | vocative }}, {{ event.products[0].name }} za "
    "{{ event.products[0].price | money: 'CZK' }}, do {{ voucher.expires_at | date_local: '%-d. %-m.' }} "
    "{{ voucher.code }}",
    "locales": {"en": {"text": "Hi {{ profile.traits.first_name }}"}},
}
WISH: dict[str, Any] = {
    "event": {"event": "Cart Viewed", "properties": {"products": [{"name": "Káva", "price": 249}]}},
    "voucher": {"code": "A-1", "expires_at": 1_780_698_600_000},
}


async def preview(api: Api, template: dict[str, Any], **wish: Any) -> dict[str, Any]:
    answer = await api.client.post("/v1/preview", json={"template": template, **wish})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_preview_is_what_the_customer_would_read(api: Api) -> None:
    await api.client.put("/v1/policies/default", json=POLICY)
    await api.rig.customer("p1", locale="cs")
    await api.rig.pool.execute("INSERT INTO profiles.alias_v1 VALUES ('old', 'p1')")
    assert (await api.client.put("/v1/templates/cart", json=CART)).status_code == 200
    for path, body in (("templates/cart/preview", {}), ("preview", {"template": CART})):
        answer = await api.client.post(f"/v1/{path}", json={**body, "profile_id": "old", **WISH})
        assert answer.json() == {
            "channel": "sms",
            "locale": None,
            "subject": None,
            "text": "Jano, Káva za 249,00 Kč, do 6. 6. A-1",
            "html": None,
            "extras": {},
            "missing": [],
            "sms": {
                "encoding": "UCS-2",
                "characters": 37,
                "parts": 1,
                "country": "CZ",
                "cost": "1.10",
                "currency": "CZK",
            },
        }


async def test_a_preview_without_a_customer_shows_what_may_be_missing(api: Api) -> None:
    found = await preview(api, CART)
    assert found["missing"] == [
        "profile.traits.first_name",
        "event.products[0].name",
        "event.products[0].price",
        "voucher.expires_at",
        "voucher.code",
    ]
    assert (found["sms"]["country"], found["sms"]["cost"]) == (None, "0")
    assert (await preview(api, CART, locale="en_GB"))["locale"] == "en"


async def test_a_preview_of_a_mail_has_links_that_lead_nowhere(api: Api) -> None:
    await api.rig.customer("p1")
    found = await preview(api, {k: v for k, v in MAIL.items() if k != "id"}, profile_id="p1")
    assert (found["subject"], found["sms"]) == ("Hi Jana", None)
    assert found["html"] == "<p>Jana <a href='http://shop.test/u/preview'>off</a></p>"


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("preview", {"template": {"channel": "sms", "text": "{{ event.nmae }}"}}, 400, "invalid_definition"),
        ("preview", {"template": {"channel": "fax"}}, 400, "invalid_definition"),
        ("preview", {"template": {"channel": "sms", "text": "{{ profile.traits.x }}"}}, 400, "template_failed"),
        ("preview", {"template": {"channel": "sms", "text": "{{ survey_url.taste }}"}}, 400, "template_failed"),
        ("preview", {"template": CART, "profile_id": "nobody"}, 404, "not_found"),
        ("preview", {"template": CART, "locale": "Czech please"}, 400, "invalid_request"),
        ("preview", {}, 400, "invalid_request"),
        ("templates/none/preview", {}, 404, "not_found"),
        ("templates/none/test", {"to": "+420601000001"}, 404, "not_found"),
        ("templates/hello/test", {"to": "jana"}, 400, "invalid_address"),
        ("templates/hello/test", {}, 400, "invalid_request"),
    ],
)
async def test_what_cannot_be_shown_is_explained(
    api: Api, path: str, body: dict[str, Any], status: int, code: str
) -> None:
    answer = await api.client.post(f"/v1/{path}", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def send_test(api: Api, template: str = "hello", **body: Any) -> httpx.Response:
    return await api.client.post(f"/v1/templates/{template}/test", json={"to": "+420 601 000 009", **body})


async def test_a_test_is_sent_now_and_leaves_no_trace(api: Api) -> None:
    await api.rig.customer("p1", consent=None)
    answer = (await send_test(api, profile_id="p1")).json()
    assert answer == {"status": "accepted", "reason": None, "reason_text": None, "locale": None, "missing": []}
    (sent,) = scripted(api.rig).sent
    assert (sent.to, sent.text, sent.channel) == ("+420601000009", "[TEST] Hi Jana", "sms")
    assert await api.rig.messages() == []
    assert await api.rig.entries() == []
    assert await api.rig.published() == []


async def test_a_test_of_a_mail_is_marked_in_its_subject(api: Api) -> None:
    await api.client.put("/v1/templates/hello-mail", json=MAIL)
    answer = await send_test(api, "hello-mail", to=" Kim@Shop.test ")
    assert answer.json()["missing"] == ["profile.traits.first_name"]
    (sent,) = scripted(api.rig).sent
    assert (sent.to, sent.subject, sent.one_click_url) == ("Kim@shop.test", "[TEST] Hi", None)


@pytest.mark.parametrize(
    ("result", "status"), [(Refused("no"), "refused"), (NotSent("no"), "not_sent"), (Unsure("no"), "unknown")]
)
async def test_a_test_says_what_the_provider_said(api: Api, result: Any, status: str) -> None:
    await api.rig.customer("p1")
    scripted(api.rig).script.append(result)
    answer = (await send_test(api, profile_id="p1")).json()
    assert (answer["status"], answer["reason"]) == (status, "no")


async def test_an_address_that_is_suppressed_gets_no_test(api: Api) -> None:
    await api.rig.customer("p1")
    await api.client.post("/v1/suppressions", json={"channel": "sms", "address": "+420601000009"})
    answer = (await send_test(api, profile_id="p1")).json()
    assert (answer["status"], answer["reason"]) == ("refused", "suppressed")
    assert scripted(api.rig).sent == []


async def test_tests_are_few_a_minute(api: Api) -> None:
    await api.rig.customer("p1")
    statuses = [(await send_test(api, profile_id="p1")).status_code for _ in range(11)]
    assert statuses == [200] * 10 + [429]
    api.rig.clock.now += 60_000
    assert (await send_test(api, profile_id="p1")).status_code == 200


def test_an_allowance_is_given_back_after_its_window() -> None:
    allowance = Allowance(2, 100)
    assert [allowance.take(now) for now in (0, 10, 20, 99, 100, 105, 110)] == [0, 0, 80, 1, 0, 5, 0]


async def test_what_was_missing_is_stored_and_reported(rig: Rig, api: Api) -> None:
    await api.client.put("/v1/templates/hello", json={"channel": "sms", "text": "Hi {{ profile.traits.nick }}!"})
    await rig.customer("p1")
    await rig.enter("p1", "e1")
    await eventually(lambda: api.sent(1))
    (item,) = (await api.client.get("/v1/messages", params={"profile_id": "p1"})).json()["items"]
    assert (item["missing"], item["parts"], item["country"], item["locale"]) == (
        ["profile.traits.nick"],
        1,
        "CZ",
        None,
    )
    report = (await api.client.get("/v1/campaigns/welcome/report")).json()
    assert report["missing"] == {"profile.traits.nick": 1}
    await rig.publish_row(ErasureRow(seq=1, epoch=1, time=START, low=START, profile_id="p1"))
    await eventually(partial(_erased, rig))
    (row,) = await rig.messages()
    assert (row["missing"], row["locale"], row["text"]) == ([], None, None)


async def _erased(rig: Rig) -> bool:
    return all(row["erased_at"] is not None for row in await rig.messages())
