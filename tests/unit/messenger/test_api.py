"""The messenger over HTTP: definitions, messages, reports, and the public unsubscribe link."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest

from services.messenger.assembly import Messenger
from tests.http.documented import DocumentedTransport
from tests.unit.messenger.rig import CAMPAIGN, MAIL, SMS, TOKEN, Rig, ScriptedProvider, campaign, eventually

ADMIN = {"Authorization": f"Bearer {TOKEN}"}
YAML = """
kind: campaign
id: cart
name: Cart
trigger: {segment: cart-abandoners, on: entered}
steps:
  - send: {channels: [sms], template: hello}
"""


@dataclass
class Api:
    """A running messenger and a client of its API with the admin token."""

    rig: Rig
    messenger: Messenger
    client: httpx.AsyncClient
    public: httpx.AsyncClient

    async def sent(self, count: int) -> bool:
        assert isinstance(self.rig.provider, ScriptedProvider)
        return len(self.rig.provider.sent) == count and "claimed" not in await self.rig.statuses()


@pytest.fixture
async def api(rig: Rig) -> AsyncIterator[Api]:
    async with rig.running() as messenger:
        transport = DocumentedTransport("messenger", messenger.app)
        async with (
            httpx.AsyncClient(transport=transport, base_url="http://shop.test", headers=ADMIN) as client,
            httpx.AsyncClient(transport=transport, base_url="http://shop.test") as public,
        ):
            yield Api(rig, messenger, client, public)


async def test_a_definition_put_unchanged_keeps_its_version(api: Api) -> None:
    answers = [
        (await api.client.put("/v1/campaigns/cart", content=YAML)).json(),
        (await api.client.put("/v1/campaigns/cart", json={**CAMPAIGN, "id": "cart", "name": "New"})).json(),
        (await api.client.put("/v1/campaigns/cart", json={**CAMPAIGN, "name": "New", "id": "cart"})).json(),
        (await api.client.put("/v1/campaigns/cart", json=campaign(id="cart", name="New", state="paused"))).json(),
    ]
    assert [answer["version"] for answer in answers] == [1, 2, 2, 3]
    assert answers[-1] == {"id": "cart", "version": 3, "status": "paused"}
    shown = (await api.client.get("/v1/campaigns/cart")).json()
    assert (shown["name"], shown["status"], shown["version"]) == ("New", "paused", 3)


async def test_a_deleted_definition_comes_back_as_a_later_version(api: Api) -> None:
    assert (await api.client.delete("/v1/campaigns/welcome")).json() == {"id": "welcome", "deleted": True}
    assert (await api.client.get("/v1/campaigns/welcome")).status_code == 404
    assert (await api.client.get("/v1/campaigns")).json() == {"items": [], "next": None}
    assert (await api.client.put("/v1/campaigns/welcome", json=CAMPAIGN)).json()["version"] == 2


async def test_lists_are_paged(api: Api) -> None:
    for name in ("a", "b", "c"):
        await api.client.put(f"/v1/templates/{name}", json={**SMS, "id": name})
    one = (await api.client.get("/v1/templates", params={"limit": 3})).json()
    two = (await api.client.get("/v1/templates", params={"limit": 3, "cursor": one["next"]})).json()
    assert [item["id"] for item in one["items"] + two["items"]] == ["a", "b", "c", "hello"]
    assert two["next"] is None


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v1/campaigns/x", "holdout: 500%", "holdout"),
        ("/v1/campaigns/x", "id: y", "id"),
        ("/v1/templates/x", '{"channel": "sms", "text": "{{ nobody.name }}"}', "text"),
        ("/v1/templates/x", '{"channel": "sms", "text": "{% if %}"}', "text"),
        ("/v1/campaigns/x", "a: [", "line 1, column 5"),
    ],
)
async def test_a_wrong_definition_is_told_where_and_why(api: Api, path: str, body: str, field: str) -> None:
    answer = await api.client.put(path, content=body)
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid_definition"
    assert field in {problem["path"] for problem in answer.json()["problems"]}


async def test_campaign_and_template_must_fit(api: Api) -> None:
    await api.client.put("/v1/templates/hello-mail", json=MAIL)
    wrong = campaign(steps=[{"send": {"channel": "sms", "template": "hello-mail"}}])
    assert (await api.client.put("/v1/campaigns/welcome", json=wrong)).status_code == 400
    other = {**MAIL, "id": "hello"}
    assert (await api.client.put("/v1/templates/hello", json=other)).status_code == 400
    in_use = await api.client.delete("/v1/templates/hello")
    assert (in_use.status_code, in_use.json()["code"]) == (409, "in_use")
    assert (await api.client.delete("/v1/templates/hello-mail")).status_code == 200


async def test_the_admin_token_is_needed_everywhere_but_on_public_links(api: Api) -> None:
    paths = {path: item for path, item in api.messenger.app.openapi()["paths"].items() if path.startswith("/v1/")}
    assert len(paths) >= 6
    for path, item in paths.items():
        for method in item:
            answer = await api.public.request(method, path, json={})
            assert (answer.status_code, answer.json()["success"]) == (401, False), path


async def test_messages_and_report(api: Api) -> None:
    await api.rig.customer("p1")
    await api.rig.customer("p2", consent=None)
    await api.rig.pool.execute("INSERT INTO profiles.alias_v1 VALUES ('old', 'p1')")
    for number, profile in enumerate(["p1", "p1", "p2", "old"]):
        await api.rig.enter(profile, f"e{number}")
    await eventually(lambda: api.sent(3))
    await eventually(lambda: none_waits(api.rig))

    for profile in ("p1", "old"):
        found = (await api.client.get("/v1/messages", params={"profile_id": profile})).json()["items"]
        assert {item["entry_id"] for item in found} == {"e0", "e1", "e3"}
        assert {item["profile_id"] for item in found} == {"p1"}
    (skipped,) = (await api.client.get("/v1/messages", params={"status": "skipped"})).json()["items"]
    assert (skipped["profile_id"], skipped["reason"], skipped["channel"]) == ("p2", "no_consent", "sms")
    assert "+420601000001" not in (await api.client.get("/v1/messages")).text

    report = (await api.client.get("/v1/campaigns/welcome/report")).json()
    assert (report["campaign_id"], report["entered"]) == ("welcome", 4)
    assert report["statuses"] == {"accepted": 3, "skipped": 1}
    assert report["reasons"] == {"skipped": {"no_consent": 1}}


async def none_waits(rig: Rig) -> bool:
    return not {"pending", "claimed"} & set(await rig.statuses())


async def test_messages_are_paged_without_repeats(api: Api) -> None:
    await api.rig.customer("p1")
    for number in range(5):
        await api.rig.enter("p1", f"e{number}")
    await eventually(lambda: api.sent(5))
    found: list[str] = []
    cursor = None
    while True:
        params = {"limit": "2", "campaign_id": "welcome"} | ({"cursor": cursor} if cursor else {})
        page = (await api.client.get("/v1/messages", params=params)).json()
        found += [item["entry_id"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert sorted(found) == [f"e{number}" for number in range(5)]
    assert (await api.client.get("/v1/messages", params={"cursor": "%%%"})).status_code == 400


async def mail_link(api: Api) -> str:
    """Send p1 an e-mail; the path of its one-click link."""
    steps = [{"send": {"channel": "email", "template": "hello-mail"}}]
    await api.rig.define(MAIL, campaign(state="draft"), campaign(id="mail", steps=steps))
    await api.rig.customer("p1")
    await api.rig.enter("p1", "e1")
    await eventually(lambda: api.sent(1))
    assert isinstance(api.rig.provider, ScriptedProvider)
    url = api.rig.provider.sent[0].one_click_url or ""
    return url.removeprefix("http://shop.test")


async def suppressed(rig: Rig) -> int:
    return int(await rig.pool.fetchval("SELECT count(*) FROM suppression"))


async def test_a_link_that_is_only_opened_unsubscribes_nobody(api: Api) -> None:
    link = await mail_link(api)
    page = await api.public.get(link)
    assert page.status_code == 200
    assert '<form method="post">' in page.text
    assert await suppressed(api.rig) == 0


@pytest.mark.parametrize("form", ["urlencoded", "multipart"])
async def test_one_click_unsubscribes_as_rfc_8058_says(api: Api, form: str) -> None:
    link = await mail_link(api)
    body = {"List-Unsubscribe": "One-Click"}
    answer = await (
        api.public.post(link, data=body)
        if form == "urlencoded"
        else api.public.post(link, files={name: (None, value) for name, value in body.items()})
    )
    assert (answer.status_code, answer.headers.get("set-cookie")) == (200, None)
    assert await suppressed(api.rig) == 1
    await eventually(lambda: unsubscribed(api.rig))


async def unsubscribed(rig: Rig) -> bool:
    return "unsubscribed" in {outcome.outcome for outcome in await rig.published()}


async def test_a_grant_after_unsubscribing_counts_and_so_does_unsubscribing_again(api: Api) -> None:
    link = await mail_link(api)
    await api.public.post(link)
    api.rig.clock.now += 10
    await api.rig.pool.execute(
        "UPDATE profiles.profile_v1 SET consents = jsonb_build_object('email',"
        " jsonb_build_object('status', 'granted', 'time', $1::bigint))",
        api.rig.clock.now,
    )
    await api.rig.enter("p1", "e2")
    await eventually(lambda: api.sent(2))
    api.rig.clock.now += 10
    for _ in range(2):
        await api.public.post(link)
    await api.rig.enter("p1", "e3")
    await eventually(lambda: skipped(api.rig))
    outcomes = [outcome.message_id for outcome in await api.rig.published() if outcome.outcome == "unsubscribed"]
    assert len(outcomes) == len(set(outcomes)) == 2


async def skipped(rig: Rig) -> bool:
    return "skipped" in await rig.statuses()


@pytest.mark.parametrize("token", ["1.s0.abc", "zzzz", "1.s" + "0" * 32 + "." + "A" * 22])
async def test_a_forged_link_does_nothing(api: Api, token: str) -> None:
    for answer in (await api.public.get(f"/u/{token}"), await api.public.post(f"/u/{token}")):
        assert answer.status_code == 404
        assert token not in answer.text


async def test_health_and_metrics(api: Api) -> None:
    assert (await api.public.get("/healthz")).status_code == 200
    ready = {"success": True, "ready": ["database", "log", "refilled"]}
    assert (await api.public.get("/readyz")).json() == ready
    await api.rig.customer("p1")
    await api.rig.enter("p1", "e1")
    await eventually(lambda: api.sent(1))
    text = (await api.public.get("/metrics")).text
    for status in ("pending", "claimed", "accepted"):
        assert f'headrace_messages_total{{campaign="welcome",channel="sms",status="{status}"}} 1.0' in text
    assert 'headrace_entry_to_provider_seconds_count{channel="sms"} 1.0' in text


async def test_a_branch_s_condition_is_a_segment_while_a_campaign_has_it(api: Api) -> None:
    condition = {"event": {"name": "Order Completed", "within": "7d"}}
    branch = {"branch": {"if": condition, "then": [{"send": {"channel": "sms", "template": "hello"}}]}}
    for name in ("one", "two"):
        body = campaign(id=name, steps=[branch])
        assert (await api.client.put(f"/v1/campaigns/{name}", json=body)).status_code == 200
    assert list(api.rig.segmenter.hidden.values()) == [condition]
    await api.client.delete("/v1/campaigns/one")
    assert list(api.rig.segmenter.hidden.values()) == [condition], "the other one has it too"
    await api.client.delete("/v1/campaigns/two")
    assert api.rig.segmenter.hidden == {}
    api.rig.segmenter.silent = True
    answer = await api.client.put("/v1/campaigns/one", json=campaign(id="one", steps=[branch]))
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
