"""Unsubscribing by link: all of it by RFC 8058, or one topic by the page's own form."""

from collections.abc import AsyncIterator
from functools import partial

import httpx
import pytest

from headrace.contracts.profile_event import ErasureRow
from services.messenger.links import PublicLinks
from services.messenger.page_texts import TEXTS
from services.messenger.store import open_store
from tests.unit.messenger.rig import PARTITIONS, SMS, START, Rig, campaign, eventually
from tests.unit.messenger.test_preferences_page import POLICY, Page, Visit, put_policy, settled, told

ONE_CLICK = {"List-Unsubscribe": "One-Click"}


@pytest.fixture
async def visit(rig: Rig) -> AsyncIterator[Visit]:
    """On the unsubscribe page of a message of a campaign with a topic."""
    await put_policy(rig, POLICY)
    await rig.define(SMS, campaign(topic="offers"))
    async with rig.running() as messenger:
        await rig.customer("p1")
        await rig.enter("p1", "e1")
        await eventually(partial(settled, rig, 1))
        (row,) = await rig.messages()
        keyring = (await open_store(rig.pool, PARTITIONS)).keyring
        transport = httpx.ASGITransport(messenger.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop.test") as browser:
            yield Visit(rig, browser, PublicLinks("http://shop.test", keyring).unsubscribe(row["id"]))


async def suppressed(rig: Rig) -> int:
    return int(await rig.pool.fetchval("SELECT count(*) FROM suppression"))


async def test_looking_offers_all_one_topic_and_the_preferences_and_changes_nothing(visit: Visit) -> None:
    answer = await visit.page()
    page = Page(answer.text)
    assert page.hidden == [("List-Unsubscribe", "One-Click"), ("scope", "topic")]
    assert page.loads == []
    assert "“Offers”" in answer.text
    link = answer.text.split('<a href="')[1].split('"')[0]
    assert (await visit.browser.get(link)).status_code == 200
    assert "/p/" in link
    assert await suppressed(visit.rig) == 0
    assert (await visit.rig.messages())[0]["unsubscribed_at"] is None


async def test_a_campaign_without_a_topic_offers_none(visit: Visit) -> None:
    await visit.rig.pool.execute(
        "UPDATE definition_version SET body = body - 'topic' WHERE kind = 'campaign' AND id = 'welcome'"
    )
    assert Page((await visit.page()).text).hidden == [("List-Unsubscribe", "One-Click")]
    await visit.browser.post(visit.url, data={"scope": "topic"})
    assert await suppressed(visit.rig) == 1


@pytest.mark.parametrize("kind", ["urlencoded", "multipart", "none", "odd"])
async def test_every_other_post_unsubscribes_from_everything(visit: Visit, kind: str) -> None:
    visit.rig.clock.now += 5
    if kind == "multipart":
        answer = await visit.browser.post(visit.url, files={k: (None, v) for k, v in ONE_CLICK.items()})
    elif kind == "urlencoded":
        answer = await visit.browser.post(visit.url, data=ONE_CLICK)
    else:
        answer = await visit.browser.post(visit.url, content=b"" if kind == "none" else b"\xff" * 70_000)
    assert (answer.status_code, answer.headers.get("set-cookie")) == (200, None)
    assert await suppressed(visit.rig) == 1
    assert (await visit.rig.messages())[0]["unsubscribed_at"] == START + 5
    visit.rig.clock.now += 5
    await visit.browser.post(visit.url, data=ONE_CLICK)
    assert (await visit.rig.messages())[0]["unsubscribed_at"] == START + 5
    await eventually(partial(unsubscribed, visit.rig))
    assert [one.outcome for one in await visit.rig.published()].count("unsubscribed") == 1


async def unsubscribed(rig: Rig) -> bool:
    return "unsubscribed" in {one.outcome for one in await rig.published()}


async def test_one_topic_is_left_out_and_the_others_stay(visit: Visit) -> None:
    answer = await visit.browser.post(visit.url, data={"scope": "topic"}, headers={"Accept-Language": "cs"})
    assert TEXTS["cs"].topic_left[0] in answer.text
    assert "Nabídky &lt;b&gt;" in answer.text
    await eventually(partial(told, visit.rig))
    (update,) = await visit.rig.updates()
    assert (update.traits, update.consents) == ({"communication": {"topics": ["news"]}}, {})
    assert await suppressed(visit.rig) == 0
    await visit.rig.enter("p1", "e2")
    await eventually(partial(settled, visit.rig, 2))
    rows = {row["entry_id"]: row["reason"] for row in await visit.rig.messages()}
    assert rows == {"e1": None, "e2": "preference"}


async def test_who_is_erased_can_still_unsubscribe_and_nothing_is_told(visit: Visit) -> None:
    await visit.rig.publish_row(ErasureRow(seq=1, epoch=1, time=START, low=START, profile_id="p1"))
    await eventually(partial(erased, visit.rig))
    page = await visit.page()
    assert (page.status_code, "/p/" in page.text) == (200, False)
    assert (await visit.browser.post(visit.url, data={"scope": "topic"})).status_code == 200
    assert await suppressed(visit.rig) == 1
    assert not await unsubscribed(visit.rig)


async def erased(rig: Rig) -> bool:
    return bool(await rig.pool.fetchval("SELECT erased_at FROM message"))


async def test_a_forged_link_is_told_so_in_the_browsers_language(visit: Visit) -> None:
    answer = await visit.browser.get("/u/1.s.x", headers={"Accept-Language": "cs"})
    assert (answer.status_code, TEXTS["cs"].not_valid[0] in answer.text) == (404, True)
