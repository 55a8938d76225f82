"""Blocks and the policy over HTTP: a block changes every template at the next send, and breaks none."""

from functools import partial
from typing import Any

from tests.unit.messenger.rig import eventually
from tests.unit.messenger.test_api import Api, api
from tests.unit.messenger.test_once import scripted

__all__ = ["api"]


async def put(api: Api, path: str, **document: Any) -> tuple[int, dict[str, Any]]:
    answer = await api.client.put(f"/v1/{path}", json=document)
    return answer.status_code, answer.json()


async def test_a_block_changes_every_template_at_the_next_send(api: Api) -> None:
    assert await put(api, "blocks/sign", text="A") == (200, {"id": "sign", "version": 1, "status": "live"})
    assert (await put(api, "templates/hello", channel="sms", text="Hi {% render 'sign' %}"))[0] == 200
    await api.rig.customer("p1")
    for number, text in enumerate(("A", "B"), 1):
        await put(api, "blocks/sign", text=text)
        await api.rig.enter("p1", f"e{number}")
        await eventually(partial(api.sent, number))
    assert [message.text for message in scripted(api.rig).sent] == ["Hi A", "Hi B"]
    assert [row["template_version"] for row in await api.rig.messages()] == [2, 2]


async def test_blocks_are_read_listed_and_deleted_when_nobody_renders_them(api: Api) -> None:
    await put(api, "blocks/inner", html="<b>x</b>")
    await put(api, "blocks/outer", text="{% render 'inner' %}")
    await put(api, "templates/hello", channel="sms", text="{% render 'outer' %}")
    listed = (await api.client.get("/v1/blocks")).json()
    assert [item["id"] for item in listed["items"]] == ["inner", "outer"]
    assert (await api.client.get("/v1/blocks/inner")).json()["html"] == "<b>x</b>"
    for block, user in (("inner", "block outer"), ("outer", "template hello")):
        refused = await api.client.delete(f"/v1/blocks/{block}")
        assert (refused.status_code, refused.json()["code"]) == (409, "in_use")
        assert user in refused.json()["message"]
    await put(api, "templates/hello", channel="sms", text="x")
    for block in ("outer", "inner"):
        assert (await api.client.delete(f"/v1/blocks/{block}")).status_code == 200
    assert (await api.client.get("/v1/blocks/inner")).status_code == 404
    assert (await api.client.delete("/v1/blocks/inner")).status_code == 404


async def test_a_block_that_would_break_something_is_refused(api: Api) -> None:
    await put(api, "blocks/a", text="{{ who }}")
    assert (await put(api, "templates/hello", channel="sms", text="{% render 'a', who: 1 %}"))[0] == 200
    for text, path, reason in (
        ("{% render 'a' %}", "", "renders itself"),
        ("{% render 'b' %}", "text", "no block b"),
        ("{{ whom }}", "template hello: text", "unknown variable whom"),
        ("{% if %}", "text", "Liquid"),
    ):
        status, answer = await put(api, "blocks/a", text=text)
        assert status == 400
        assert answer["problems"][0]["path"] == path
        assert reason in answer["problems"][0]["reason"]
    assert (await put(api, "blocks/a"))[0] == 400
    assert (await put(api, "templates/hello", channel="sms", text="{% render 'c' %}"))[0] == 400


async def test_the_policy_is_one_document(api: Api) -> None:
    assert (await api.client.get("/v1/policies")).json() == {"items": [], "next": None}
    assert (await put(api, "policies/default", caps=[{"at_most": 3, "within": "7d"}]))[1]["version"] == 1
    shown = (await api.client.get("/v1/policies/default")).json()
    assert shown["caps"] == [{"at_most": 3, "within": "7d"}]
    assert [item["id"] for item in (await api.client.get("/v1/policies")).json()["items"]] == ["default"]
    assert (await put(api, "policies/other"))[0] == 400
    status, answer = await put(api, "policies/default", time_zone="Prague")
    assert (status, answer["problems"][0]["path"]) == (400, "time_zone")
    assert (await api.client.delete("/v1/policies/default")).json() == {"id": "default", "deleted": True}
    assert (await api.client.get("/v1/policies/default")).status_code == 404
