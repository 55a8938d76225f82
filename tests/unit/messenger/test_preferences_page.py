"""The preferences page: what it shows, what it saves, and that it holds at once."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from functools import partial
from html.parser import HTMLParser
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.communication import Communication
from headrace.contracts.policy import parse_policy
from headrace.contracts.profile_event import ErasureRow
from services.messenger.choices import CHANNELS, Standing
from services.messenger.links import PublicLinks
from services.messenger.page import language_of
from services.messenger.page_texts import TEXTS
from services.messenger.preferences_page import NoNumber, preferences_body, read_choice
from services.messenger.stated_preferences import drop_heard
from services.messenger.store import open_store
from tests.unit.messenger.rig import PARTITIONS, SMS, START, Rig, campaign, eventually

POLICY = {"topics": {"offers": {"name": "Offers", "locales": {"cs": "Nabídky <b>"}}, "news": {"name": "News"}}}
FORM = {"offered": ["email", "sms"], "shown": ["offers", "news", "tips"], "monthly_maximum": "", "preferred": ""}


class Page(HTMLParser):
    """The fields of a page's forms, and everything it would load or run."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.boxes: dict[tuple[str, str], bool] = {}
        self.hidden: list[tuple[str, str]] = []
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append(tag)
        self.loads += [name for name in found if name in ("src", "action") or name.startswith("on")]
        if found.get("type") == "checkbox":
            self.boxes[found["name"] or "", found["value"] or ""] = "checked" in found
        if found.get("type") == "hidden":
            self.hidden.append((found["name"] or "", found["value"] or ""))


class Visit:
    """A customer on the page of a text message that was sent."""

    def __init__(self, rig: Rig, browser: httpx.AsyncClient, url: str) -> None:
        self.rig, self.browser, self.url = rig, browser, url

    async def page(self, **headers: str) -> httpx.Response:
        return await self.browser.get(self.url, headers=headers)

    async def save(self, **fields: Any) -> httpx.Response:
        return await self.browser.post(self.url, data={**FORM, **fields})


async def put_policy(rig: Rig, policy: Mapping[str, Any]) -> None:
    body = msgspec.json.encode(parse_policy(dict(policy)).model_dump(mode="json")).decode()
    await rig.pool.execute("INSERT INTO definition VALUES ('policy', 'default', 1, 'live', NULL, 0)")
    await rig.pool.execute("INSERT INTO definition_version VALUES ('policy', 'default', 1, $1, 0)", body)


@pytest.fixture
async def visit(rig: Rig) -> AsyncIterator[Visit]:
    await put_policy(rig, POLICY)
    other = campaign(id="tips", topic="tips", trigger={"segment": "other", "on": "entered"})
    await rig.define(SMS, campaign(topic="offers"), other)
    async with rig.running() as messenger:
        await rig.customer("p1")
        await rig.enter("p1", "e1")
        await eventually(partial(settled, rig, 1))
        (row,) = await rig.messages()
        keyring = (await open_store(rig.pool, PARTITIONS)).keyring
        transport = httpx.ASGITransport(messenger.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop.test") as browser:
            yield Visit(rig, browser, PublicLinks("http://shop.test", keyring).preferences(row["id"]))


async def settled(rig: Rig, count: int) -> bool:
    statuses = await rig.statuses()
    return len(statuses) == count and not {"pending", "claimed"} & set(statuses)


async def next_message(rig: Rig, entry: str) -> tuple[str, str | None]:
    """What becomes of one more message to p1."""
    count = len(await rig.messages())
    await rig.enter("p1", entry)
    await eventually(partial(settled, rig, count + 1))
    row = await rig.pool.fetchrow("SELECT status, reason FROM message WHERE entry_id = $1", entry)
    assert row is not None
    return row["status"], row["reason"]


async def test_the_page_shows_how_it_is_now(visit: Visit) -> None:
    await visit.rig.customer("p1", communication={"topics": ["news"], "monthly_maximum": 4, "preferred": "sms"})
    answer = await visit.page()
    page = Page(answer.text)
    assert page.boxes == {
        ("channel", "email"): True,
        ("channel", "sms"): True,
        ("channel", "viber"): False,  # there is a number, and no consent
        ("channel", "whatsapp"): False,
        ("topic", "offers"): False,
        ("topic", "news"): True,
        ("topic", "tips"): False,
    }
    assert 'value="4"' in answer.text
    assert '<option value="sms" selected>' in answer.text
    assert "+420" not in answer.text
    assert "jana@" not in answer.text


async def test_the_page_runs_and_loads_nothing(visit: Visit) -> None:
    answer = await visit.page()
    page = Page(answer.text)
    assert page.loads == []
    assert not {"script", "link", "img", "iframe"} & set(page.tags)
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers.get("set-cookie") is None


async def test_looking_changes_nothing(visit: Visit) -> None:
    await visit.page()
    assert await visit.rig.updates() == []
    assert await visit.rig.pool.fetchval("SELECT count(*) FROM preference") == 0


async def test_what_is_saved_is_told_to_the_profile_service(visit: Visit) -> None:
    visit.rig.clock.now += 5
    answer = await visit.save(channel=["email"], topic=["news"], monthly_maximum="3", preferred="email")
    assert answer.status_code == 200
    assert TEXTS["en"].saved in answer.text
    assert Page(answer.text).boxes["channel", "sms"] is False
    await eventually(partial(told, visit.rig))
    (update,) = await visit.rig.updates()
    chosen = {
        "channels": ["email", "viber", "whatsapp"],
        "topics": ["news"],
        "monthly_maximum": 3,
        "preferred": "email",
    }
    assert (update.profile_id, update.event, update.at) == ("p1", "Preferences Set", START + 5)
    assert update.traits == {"communication": chosen}
    assert update.consents == {"sms": "withdrawn"}
    assert update.properties["campaign_id"] == "welcome"


async def told(rig: Rig) -> bool:
    return bool(await rig.updates())


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"channel": ["email", "sms"], "topic": ["offers"]}, None),
        ({"channel": ["email"], "topic": ["offers"]}, "no_consent"),
        ({"channel": ["sms"], "topic": ["news"]}, "preference"),
        ({"channel": ["sms"], "topic": ["offers"], "monthly_maximum": "1"}, "monthly_maximum"),
        ({"stop": "1"}, "no_consent"),
    ],
)
async def test_what_is_chosen_holds_at_once(visit: Visit, fields: Mapping[str, Any], reason: str | None) -> None:
    visit.rig.clock.now += 5
    await visit.save(**fields)
    assert await next_message(visit.rig, "e2") == (("skipped", reason) if reason else ("accepted", None))


async def test_a_channel_that_was_withdrawn_can_be_had_again(visit: Visit) -> None:
    visit.rig.clock.now += 5
    await visit.save(channel=["email"], topic=["offers", "news", "tips"])
    visit.rig.clock.now += 5
    await visit.save(channel=["email", "sms"], topic=["offers", "news", "tips"])
    await eventually(partial(told_twice, visit.rig))
    last = (await visit.rig.updates())[-1]
    assert (last.traits, last.consents) == ({"communication": {}}, {"sms": "granted"})
    assert await next_message(visit.rig, "e2") == ("accepted", None)


async def told_twice(rig: Rig) -> bool:
    return len(await rig.updates()) == 2


async def test_saving_the_same_again_tells_nothing(visit: Visit) -> None:
    for _ in range(3):
        visit.rig.clock.now += 5
        await visit.save(channel=["email"], topic=["news"])
    await eventually(partial(told, visit.rig))
    assert len(await visit.rig.updates()) == 1


async def test_stopping_everything_withdraws_every_channel(visit: Visit) -> None:
    answer = await visit.browser.post(visit.url, data={"stop": "1"})
    assert TEXTS["en"].stopped in answer.text
    await eventually(partial(told, visit.rig))
    (update,) = await visit.rig.updates()
    assert update.consents == dict.fromkeys(sorted(CHANNELS), "withdrawn")


@pytest.mark.parametrize("wrong", ["-1", "1001", "3.5", "many", "²", "1" * 5000])
async def test_a_wrong_number_saves_nothing_and_is_said(visit: Visit, wrong: str) -> None:
    answer = await visit.save(channel=[], monthly_maximum=wrong)
    assert answer.status_code == 400
    assert 'role="alert"' in answer.text
    assert await visit.rig.pool.fetchval("SELECT count(*) FROM preference") == 0


@pytest.mark.parametrize("body", [b"", b"\xff", b"{}", b"channel=email", b"monthly_maximum=1&" + b"x" * 70_000])
async def test_what_is_not_the_pages_form_saves_nothing(visit: Visit, body: bytes) -> None:
    assert (await visit.browser.post(visit.url, content=body)).status_code == 200
    assert await visit.rig.pool.fetchval("SELECT count(*) FROM preference") == 0


async def test_unknown_channels_and_topics_are_not_stored(visit: Visit) -> None:
    evil = ["<script>", "webhook", "fax"]
    await visit.save(
        offered=[*FORM["offered"], *evil], channel=["email", "sms", *evil], topic=["news", *evil], preferred="fax"
    )
    await eventually(partial(told, visit.rig))
    (update,) = await visit.rig.updates()
    assert (update.traits, update.consents) == ({"communication": {"topics": ["news"]}}, {})


async def test_it_is_the_customer_whose_message_it_is_now(visit: Visit) -> None:
    await visit.rig.customer("p2")
    await visit.rig.pool.execute("DELETE FROM profiles.profile_v1 WHERE id = 'p1'")
    await visit.rig.pool.execute("INSERT INTO profiles.alias_v1 VALUES ('p1', 'p2')")
    await visit.save(channel=["email"])
    await eventually(partial(told, visit.rig))
    assert [update.profile_id for update in await visit.rig.updates()] == ["p2"]


async def test_what_was_chosen_before_a_merge_still_holds_after_it(visit: Visit) -> None:
    visit.rig.clock.now += 5
    await visit.save(channel=["email"], topic=["offers"])
    await visit.rig.customer("p2")
    await visit.rig.pool.execute("DELETE FROM profiles.profile_v1 WHERE id = 'p1'")
    await visit.rig.pool.execute("INSERT INTO profiles.alias_v1 VALUES ('p1', 'p2')")
    assert await next_message(visit.rig, "e2") == ("skipped", "no_consent")


async def test_when_the_profile_service_has_heard_it_its_word_counts(visit: Visit) -> None:
    visit.rig.clock.now += 5
    await visit.save(channel=["email"], topic=["offers"])
    await eventually(partial(told, visit.rig))
    await drop_heard(visit.rig.pool)
    assert await visit.rig.pool.fetchval("SELECT count(*) FROM preference") == 1
    (update,) = await visit.rig.updates()
    await visit.rig.pool.execute(
        "INSERT INTO profiles.timeline_v1 (profile_id, message_id) VALUES ('p1', $1)", update.message_id
    )
    await drop_heard(visit.rig.pool)
    assert await visit.rig.pool.fetchval("SELECT count(*) FROM preference") == 0
    assert await next_message(visit.rig, "e2") == ("accepted", None)


async def test_the_janitor_drops_what_is_heard(visit: Visit) -> None:
    await visit.save(channel=["email"])
    await visit.rig.pool.execute(
        "INSERT INTO profiles.timeline_v1 (profile_id, message_id) SELECT profile_id, message_id FROM preference"
    )
    housekeeping = asyncio.create_task((await visit.rig.assemble()).janitor.run())
    await eventually(partial(nothing_kept, visit.rig))
    housekeeping.cancel()


async def nothing_kept(rig: Rig) -> bool:
    return not await rig.pool.fetchval("SELECT count(*) FROM preference")


async def test_a_newer_consent_of_the_profile_counts_before_the_choice_is_heard(visit: Visit) -> None:
    visit.rig.clock.now += 5
    await visit.save(stop="1")
    consents = {"sms": {"status": "granted", "time": START + 6}}
    await visit.rig.pool.execute(
        "UPDATE profiles.profile_v1 SET consents = $1::jsonb", msgspec.json.encode(consents).decode()
    )
    assert await next_message(visit.rig, "e2") == ("accepted", None)


async def test_an_erased_customer_has_no_page_and_no_choice(visit: Visit) -> None:
    await visit.save(channel=["email"])
    await visit.rig.publish_row(ErasureRow(seq=1, epoch=1, time=START, low=START, profile_id="p1"))
    await eventually(partial(nothing_kept, visit.rig))
    assert (await visit.page()).status_code == 404
    assert (await visit.save(channel=[])).status_code == 404
    assert await nothing_kept(visit.rig)


async def test_tokens_of_other_purposes_open_nothing(visit: Visit) -> None:
    keyring = (await open_store(visit.rig.pool, PARTITIONS)).keyring
    (row,) = await visit.rig.messages()
    tokens = [
        *(keyring.sign(purpose, row["id"]) for purpose in ("unsubscribe", "open", "click")),
        visit.url.rpartition("/")[2][:-1] + "*",
        "1.s.x",
        keyring.sign("preferences", "s" + "0" * 32),
    ]
    for token in tokens:
        for answer in (
            await visit.browser.get(f"/p/{token}"),
            await visit.browser.post(f"/p/{token}", data={"stop": "1"}),
        ):
            assert answer.status_code == 404
            assert token not in answer.text
    assert await visit.rig.updates() == []


async def test_the_page_speaks_the_customers_language(visit: Visit) -> None:
    page = await visit.page(**{"Accept-Language": "cs-CZ,cs;q=0.9,en;q=0.5"})
    assert '<html lang="cs">' in page.text
    assert "Nabídky &lt;b&gt;" in page.text
    await visit.rig.customer("p1", locale="en-GB")
    assert '<html lang="en">' in (await visit.page(**{"Accept-Language": "cs"})).text


@pytest.mark.parametrize(
    ("accepted", "traits", "language"),
    [
        ("", {}, "en"),
        ("cs", {}, "cs"),
        ("de,cs;q=0.8,en;q=0.9", {}, "en"),
        ("de, cs;q=0.8", {}, "cs"),
        ("cs;q=0, en;q=0.1", {}, "en"),
        ("CS-cz", {}, "cs"),
        ("en", {"locale": "cs_CZ"}, "cs"),
        ("en", {"language": "cs"}, "cs"),
        ("cs", {"locale": "de", "language": 5}, "cs"),
        ("cs", {"locale": "english"}, "cs"),
        ("*;q=;;,\x00", {}, "en"),
    ],
)
def test_which_language(accepted: str, traits: Mapping[str, Any], language: str) -> None:
    assert language_of(accepted, traits) == language


@given(st.text())
def test_any_header_gives_a_language(accepted: str) -> None:
    assert language_of(accepted) in TEXTS


def test_both_languages_say_everything() -> None:
    for texts in TEXTS.values():
        for value in texts:
            parts = value.values() if isinstance(value, Mapping) else (value,) if isinstance(value, str) else value
            assert all(parts)
        assert set(texts.channel_names) == set(CHANNELS)
        assert "{topic}" in texts.only_topic
        assert "{topic}" in texts.topic_left[1]


@given(st.text(min_size=1), st.text(min_size=1), st.sampled_from(sorted(TEXTS)))
def test_what_others_wrote_stays_text(topic: str, name: str, language: str) -> None:
    named = parse_policy({"topics": {"x": {"name": "x"}}}).topics["x"].model_copy(update={"name": name})
    standing = Standing({"email": True}, {topic: True}, Communication(preferred=topic), (), ())
    page = Page(preferences_body(standing, {topic: named}, language))
    plain = Page(preferences_body(standing, {topic: named.model_copy(update={"name": "x"})}, language))
    assert page.tags == plain.tags
    assert page.loads == []


@given(st.dictionaries(st.sampled_from([*FORM, "channel", "topic", "stop"]), st.lists(st.text(), min_size=1)))
def test_any_form_is_a_choice_or_none(form: Mapping[str, list[str]]) -> None:
    try:
        choice = read_choice(form)
    except NoNumber:
        assert form["monthly_maximum"][0]
        return
    assert (choice is None) == ("monthly_maximum" not in form)
    assert choice is None or choice.monthly_maximum is None or 0 <= choice.monthly_maximum <= 1000
