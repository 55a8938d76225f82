"""Tracking links over HTTP: where they lead, what they write, and what they cannot be made to do."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx
import pytest

from headrace.contracts.message import MessageOutcome
from headrace.contracts.profile_event import ErasureRow
from headrace.contracts.survey_link import SurveyKeys, SurveyLinks
from services.messenger.engagement import Hit
from services.messenger.hits import Hits
from services.messenger.html_links import find_links
from services.messenger.links import PublicLinks
from services.messenger.outbox import OutcomeOutbox
from services.messenger.store import open_store
from tests.unit.messenger.rig import PARTITIONS, START, Rig, ScriptedProvider, campaign, eventually

PERSON = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:115.0) Gecko/20100101 Thunderbird/115.3.1"}
APPLE = {"User-Agent": "Mozilla/5.0"}
SHOP, CART = "https://shop.test/?a=1&b=ž", "http://cart.test/x#top"
TEMPLATE = {
    "kind": "template",
    "id": "tracked",
    "channel": "email",
    "subject": "Hi",
    "html": "<body><a href='https://shop.test/?a=1&amp;b=ž'>shop</a> <a href=\"http://cart.test/x#top\">cart</a>"
    " <a href='{{ preferences_url }}'>p</a> <a href='{{ unsubscribe_url }}'>u</a></body>",
}


@dataclass
class Mail:
    """A mail that was sent to p1, and a browser."""

    rig: Rig
    browser: httpx.AsyncClient
    html: str
    text: str
    message_id: str

    @property
    def links(self) -> list[str]:
        return [link.address for link in find_links(self.html).links]

    @property
    def pixel(self) -> str:
        return self.html.split('<img src="')[1].split('"')[0]

    async def row(self) -> Any:
        (row,) = await self.rig.messages()
        return row

    async def told(self, count: int) -> list[MessageOutcome]:
        """The outcomes of opens and clicks, once there are so many."""
        await eventually(partial(self._there, count))
        return await self._told()

    async def _there(self, count: int) -> bool:
        return len(await self._told()) >= count

    async def _told(self) -> list[MessageOutcome]:
        return [one for one in await self.rig.published() if one.outcome in ("opened", "clicked")]


async def send(rig: Rig, template: dict[str, Any], **changes: Any) -> None:
    steps = [{"send": {"channel": template["channel"], "template": template["id"]}}]
    await rig.define(template, campaign(state="draft"), campaign(id="mail", steps=steps, **changes))
    await rig.customer("p1")
    await rig.enter("p1", "e1")
    await eventually(partial(accepted, rig))


async def accepted(rig: Rig) -> bool:
    return await rig.statuses() == ["accepted"]


@pytest.fixture
async def mail(rig: Rig) -> AsyncIterator[Mail]:
    async with rig.running() as messenger:
        await send(rig, TEMPLATE)
        assert isinstance(rig.provider, ScriptedProvider)
        out = rig.provider.sent[0]
        transport = httpx.ASGITransport(messenger.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop.test", headers=PERSON) as browser:
            yield Mail(rig, browser, out.html or "", out.text, out.id)


async def test_a_mail_is_tracked_in_its_html_only(mail: Mail) -> None:
    assert [link.split("/")[3] for link in mail.links] == ["c", "c", "p", "u"]
    assert (await mail.row())["links"] == [SHOP, CART]
    assert (await mail.row())["html"] == mail.html
    assert SHOP in mail.text
    assert "/c/" not in mail.text


async def test_a_text_message_is_not_tracked(rig: Rig) -> None:
    async with rig.running():
        await send(rig, {"kind": "template", "id": "t", "channel": "sms", "text": "https://shop.test/"})
    assert isinstance(rig.provider, ScriptedProvider)
    assert rig.provider.sent[0].text == "https://shop.test/"


async def test_a_transactional_mail_is_tracked_too(rig: Rig) -> None:
    async with rig.running():
        await send(rig, TEMPLATE, purpose="transactional")
    assert (await rig.messages())[0]["links"] == [SHOP, CART]


async def test_a_link_leads_where_the_mail_said(mail: Mail) -> None:
    answer = await mail.browser.get(mail.links[0])
    assert (answer.status_code, answer.headers["location"]) == (302, "https://shop.test/?a=1&b=%C5%BE")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers.get("set-cookie") is None
    assert (await mail.browser.get(mail.links[1])).headers["location"] == CART


async def test_the_pixel_is_a_gif_of_43_bytes(mail: Mail) -> None:
    answer = await mail.browser.get(mail.pixel)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/gif")
    assert answer.headers["cache-control"] == "no-store"
    assert len(answer.content) == 43
    assert answer.content.startswith(b"GIF89a")


async def test_first_times_are_told_and_repeats_counted(mail: Mail) -> None:
    for headers in (APPLE, APPLE, PERSON, PERSON, PERSON):
        mail.rig.clock.now += 1
        await mail.browser.get(mail.pixel, headers=headers)
    for link in (0, 1, 0, 0):
        mail.rig.clock.now += 1
        await mail.browser.get(mail.links[link])
    told = await mail.told(4)
    assert sorted((one.outcome, one.machine, one.link or "", one.at - START) for one in told) == [
        ("clicked", False, CART, 7),
        ("clicked", False, SHOP, 6),
        ("opened", False, "", 3),
        ("opened", True, "", 1),
    ]
    assert {(one.id, one.profile_id, one.campaign_id) for one in told} == {(mail.message_id, "p1", "mail")}
    row = await mail.row()
    assert (row["opens"], row["machine_opens"]) == (3, 2)
    assert (row["machine_opened_at"], row["opened_at"], row["clicked_at"]) == (START + 1, START + 3, START + 6)
    clicks = await mail.rig.pool.fetch("SELECT link, first_at, count FROM click ORDER BY link")
    assert [tuple(click) for click in clicks] == [(1, START + 6, 3), (2, START + 7, 1)]


async def test_a_click_is_an_open(mail: Mail) -> None:
    await mail.browser.get(mail.links[0])
    assert [one.outcome for one in await mail.told(2)] == ["opened", "clicked"]
    assert ((await mail.row())["opened_at"], (await mail.row())["opens"]) == (START, 0)


async def test_a_scanner_that_follows_a_link_is_led_on_and_counts_for_nothing(mail: Mail) -> None:
    answer = await mail.browser.get(mail.links[0], headers={"User-Agent": "BarracudaCentral.org"})
    assert answer.status_code == 302
    assert await mail.rig.pool.fetchval("SELECT count(*) FROM click") == 0
    assert (await mail.row())["opened_at"] is None


async def test_head_counts_nothing(mail: Mail) -> None:
    assert (await mail.browser.head(mail.links[0])).headers["location"].startswith("https://shop.test/")
    pixel = await mail.browser.head(mail.pixel)
    assert (pixel.status_code, pixel.headers["content-length"]) == (200, "43")
    row = await mail.row()
    assert (row["opened_at"], row["machine_opened_at"], row["clicked_at"], row["opens"]) == (None, None, None, 0)


async def test_a_burst_is_few_transactions(mail: Mail) -> None:
    before = await mail.rig.pool.fetchval("SELECT txid_current()")
    await asyncio.gather(*(mail.browser.get(mail.pixel) for _ in range(100)))
    after = await mail.rig.pool.fetchval("SELECT txid_current()")
    assert (await mail.row())["opens"] == 100
    assert after - before < 50
    assert len(await mail.told(1)) == 1


async def test_two_processes_tell_a_first_time_once(mail: Mail) -> None:
    others = [await mail.rig.assemble() for _ in range(3)]
    transports = [httpx.ASGITransport(other.app) for other in others]
    clients = [httpx.AsyncClient(transport=t, base_url="http://shop.test", headers=PERSON) for t in transports]
    await asyncio.gather(*(client.get(url) for client in clients for url in (mail.pixel, *mail.links[:2]) * 4))
    assert sorted(one.outcome for one in await mail.told(3)) == ["clicked", "clicked", "opened"]
    assert await mail.rig.pool.fetchval("SELECT sum(count) FROM click") == 24
    for client in clients:
        await client.aclose()


async def test_what_is_being_settled_is_waited_for(mail: Mail) -> None:
    """Its sender holds the message while the mail's pixel is fetched."""
    async with mail.rig.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("UPDATE message SET reason = reason")
        fetching = asyncio.create_task(mail.browser.get(mail.pixel))
        await eventually(partial(waits_for_a_row, mail.rig))
        await transaction.commit()
    assert (await fetching).status_code == 200
    assert (await mail.row())["opens"] == 1


async def waits_for_a_row(rig: Rig) -> bool:
    return bool(await rig.pool.fetchval("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))


@pytest.mark.parametrize("kind", ["c", "o"])
async def test_tokens_of_other_purposes_and_forged_ones_are_nothing(mail: Mail, kind: str) -> None:
    suffix = ".gif" if kind == "o" else ""
    urls = {"c": mail.links[0], "p": mail.links[2], "u": mail.links[3], "o": mail.pixel}
    tokens = {name: url.rpartition("/")[2].removesuffix(".gif") for name, url in urls.items()}
    genuine = tokens.pop(kind)
    keyring = (await open_store(mail.rig.pool, PARTITIONS)).keyring
    forged = [
        *tokens.values(),
        genuine[:-1] + ("A" if genuine[-1] != "A" else "B"),
        genuine.replace("1.", "2.", 1),
        genuine.replace("-1.", "-2."),
        "https%3A%2F%2Fevil.test",
        "x",
        keyring.sign("unsubscribe", f"{mail.message_id}-1"),
        *(keyring.sign("click", f"{mail.message_id}-{number}") for number in (0, 99)),
    ]
    for token in set(forged) - {genuine}:
        answer = await mail.browser.get(f"/{kind}/{token}{suffix}")
        assert answer.status_code == 404, token
        assert "location" not in answer.headers
    assert (await mail.row())["opened_at"] is None


@pytest.mark.parametrize("extra", ["?url=https://evil.test/", "?u=//evil.test", "#https://evil.test"])
async def test_nothing_in_the_address_says_where_it_leads(mail: Mail, extra: str) -> None:
    assert (await mail.browser.get(mail.links[1] + extra)).headers["location"] == CART


@pytest.mark.parametrize(
    "target", ["javascript:alert(1)", "//evil.test/", "https://a.test/\r\nSet-Cookie: x=1", "data:text/html,x", ""]
)
async def test_a_stored_target_that_is_none_of_the_web_leads_nowhere(mail: Mail, target: str) -> None:
    await mail.rig.pool.execute("UPDATE message SET links = ARRAY[$1]", target)
    answer = await mail.browser.get(mail.links[0])
    assert "set-cookie" not in answer.headers
    if answer.status_code == 302:
        assert answer.headers["location"] == "https://a.test/Set-Cookie:%20x=1"
    else:
        assert answer.status_code == 404


async def test_what_is_erased_answers_and_writes_nothing(mail: Mail) -> None:
    await mail.rig.publish_row(ErasureRow(seq=1, epoch=1, time=START, low=START, profile_id="p1"))
    await eventually(partial(erased, mail.rig))
    assert (await mail.browser.get(mail.pixel)).status_code == 200
    assert (await mail.browser.get(mail.links[0])).status_code == 404
    row = await mail.row()
    assert (row["links"], row["opened_at"], row["opens"], row["clicked_at"]) == ([], None, 0, None)


async def erased(rig: Rig) -> bool:
    return bool(await rig.pool.fetchval("SELECT erased_at FROM message"))


async def test_a_click_while_nothing_can_be_written_still_leads_on(mail: Mail) -> None:
    await mail.rig.pool.execute("ALTER TABLE click RENAME TO click_away")
    try:
        assert (await mail.browser.get(mail.links[0])).status_code == 302
    finally:
        await mail.rig.pool.execute("ALTER TABLE click_away RENAME TO click")


async def test_a_surveys_link_stands_on_the_timeline_without_its_token(rig: Rig) -> None:
    rig.survey_links = SurveyLinks("https://answers.test", SurveyKeys({1: b"k" * 32}))
    template = {**TEMPLATE, "html": "<a href='{{ survey_url.coffee-taste }}'>s</a>"}
    async with rig.running() as messenger:
        await send(rig, template)
        transport = httpx.ASGITransport(messenger.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop.test", headers=PERSON) as browser:
            (row,) = await rig.messages()
            keyring = (await open_store(rig.pool, PARTITIONS)).keyring
            link = PublicLinks("http://shop.test", keyring).click(row["id"], 1)
            assert (await browser.get(link)).headers["location"] == rig.survey_links.to("coffee-taste", "p1")
            mail = Mail(rig, browser, "", "", row["id"])
            assert [one.link for one in await mail.told(2)] == [None, "https://answers.test/s/coffee-taste"]


async def test_a_hit_on_what_never_was_writes_nothing(mail: Mail) -> None:
    outbox = OutcomeOutbox(mail.rig.pool, partitions=PARTITIONS, epoch=1)
    await Hits(mail.rig.pool, outbox, shown=str, on_outcome=lambda: None).record(Hit("s-none", START))
    assert await mail.told(0) == []
