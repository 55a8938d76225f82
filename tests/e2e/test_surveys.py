"""Surveys on a real Postgres and a real log: pages, answers, provenance, what is worth asking."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from headrace.contracts.profile_event import EventRow
from headrace.contracts.survey_link import SurveyKeys, SurveyLink
from services.profiles.identity_rules import IdentityRules, SourceRule
from services.profiles.merging import merge
from tests.e2e.profiles_rig import T0, event, profiles_rig
from tests.e2e.survey_rig import KEYS, TASTE, Surveys, asked, survey_rig

DAY = 86_400_000
NOW = time.time_ns() // 1_000_000
FORM = {"question": "roast", "answer": "dark"}


@pytest.fixture
async def surveys(database_url: str, log_url: str, topic_prefix: str) -> AsyncIterator[Surveys]:
    async with (
        profiles_rig(database_url, log_url, topic_prefix=topic_prefix) as rig,
        survey_rig(rig, NOW) as surveys,
    ):
        yield surveys


async def test_one_question_at_a_time_until_the_end(surveys: Surveys) -> None:
    await surveys.put(TASTE)
    customer = await surveys.customer()
    link = await surveys.link(customer)
    page = await surveys.browser.get(link)
    assert (page.status_code, asked(page)) == (200, "How roasted?")
    page = await surveys.browser.post(link, data=FORM)
    assert (page.status_code, asked(page)) == (200, "How many cups?")
    surveys.clock[0] += 1_000
    page = await surveys.browser.post(link, data={"question": "cups", "answer": "2,5"})
    assert (page.status_code, asked(page)) == (200, None)
    assert "Thank you" in (await surveys.browser.get(link)).text
    profile = await surveys.profile(customer)
    assert (profile["traits"], profile["tags"]) == ({"roast": "dark", "cups": 2.5}, ["quiz-done"])
    assert profile["last_seen"] == surveys.clock[0]
    rows = await surveys.rows(customer)
    assert [(row["event"], row.get("traits"), row.get("tags")) for row in rows] == [
        ("Survey Answered", {"roast": "dark"}, None),
        ("Survey Answered", {"cups": 2.5}, None),
        ("Survey Completed", None, {"quiz-done": True}),
    ]
    assert rows[0]["properties"] == {"survey": "taste", "survey_version": 1, "question": "roast", "answer": "dark"}
    assert rows[0]["source"] == "headrace.survey"
    await surveys.rig.processed()  # and all of it was published
    published = [row for row in await surveys.rig.rows() if isinstance(row, EventRow) and row.type == "track"]
    assert len(published) == 3


async def test_the_pool_of_an_awarded_voucher_stands_in_the_end(surveys: Surveys) -> None:
    """The messenger gives the code. A survey's end without a tag puts none on."""
    await surveys.put({**TASTE, "award": {"voucher": "spring"}, "questions": TASTE["questions"][:1]})
    customer = await surveys.customer()
    await surveys.browser.post(await surveys.link(customer), data=FORM)
    end = (await surveys.rows(customer))[-1]
    assert (end["event"], end["properties"]) == (
        "Survey Completed",
        {"survey": "taste", "survey_version": 1, "award": {"voucher": "spring"}},
    )
    assert (await surveys.profile(customer))["tags"] == []


async def test_answers_have_their_provenance(surveys: Surveys) -> None:
    await surveys.put(TASTE)
    customer = await surveys.customer(city="Brno")
    await surveys.browser.post(await surveys.link(customer), data=FORM)
    told = (await surveys.api.get(f"/v1/profiles/{customer}/traits")).json()
    assert told == {
        "id": customer,
        "traits": {
            "city": {"value": "Brno", "party": "first", "source": "shop", "time": T0},
            "roast": {"value": "dark", "party": "zero", "source": "headrace.survey", "time": NOW},
        },
    }


async def test_looking_changes_nothing(surveys: Surveys) -> None:
    await surveys.put(TASTE)
    customer = await surveys.customer()
    link = await surveys.link(customer)
    before = await surveys.rig.pool.fetchval("SELECT count(*) FROM timeline")
    for _ in range(3):
        await surveys.browser.get(link)
        await surveys.api.get(f"/v1/profiles/{customer}/next-question")
    assert await surveys.rig.pool.fetchval("SELECT count(*) FROM timeline") == before


async def test_a_form_that_is_sent_many_times_at_once_is_one_answer(surveys: Surveys) -> None:
    await surveys.put({**TASTE, "questions": TASTE["questions"][:1]})
    customer = await surveys.customer()
    link = await surveys.link(customer)
    pages = await asyncio.gather(*(surveys.browser.post(link, data=FORM) for _ in range(6)))
    later = await surveys.browser.post(link, data={"question": "roast", "answer": "light"})
    assert {page.status_code for page in [*pages, later]} == {200}
    assert [row["event"] for row in await surveys.rows(customer)] == ["Survey Answered", "Survey Completed"]
    assert (await surveys.profile(customer))["traits"] == {"roast": "dark"}


async def test_what_is_no_answer_is_asked_again_with_a_word_of_why(surveys: Surveys) -> None:
    await surveys.put(TASTE)
    customer = await surveys.customer()
    link = await surveys.link(customer)
    for form in ({"question": "roast"}, {**FORM, "answer": "burnt"}, {"question": "roast", "skip": "1"}):
        page = await surveys.browser.post(link, data=form)
        assert (page.status_code, asked(page), 'role="alert"' in page.text) == (400, "How roasted?", True), form
    for form in ({}, {"question": "nothing", "answer": "x"}):
        page = await surveys.browser.post(link, data=form)
        assert (page.status_code, asked(page)) == (200, "How roasted?"), form
    body = b"question=roast&answer=" + b"x" * 100_000
    assert (await surveys.browser.post(link, content=body)).status_code == 200
    assert await surveys.rows(customer) == []


async def test_what_is_optional_can_be_skipped_and_is_asked_again_later(surveys: Surveys) -> None:
    await surveys.put(TASTE)
    customer = await surveys.customer()
    link = await surveys.link(customer)
    await surveys.browser.post(link, data=FORM)
    page = await surveys.browser.post(link, data={"question": "cups", "skip": "1", "answer": ""})
    assert asked(page) is None
    events = [row["event"] for row in await surveys.rows(customer)]
    assert events == ["Survey Answered", "Survey Question Skipped", "Survey Completed"]
    surveys.clock[0] += 31 * DAY
    assert asked(await surveys.browser.get(link)) == "How many cups?"


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_forged_and_expired_links_are_refused(surveys: Surveys, method: str) -> None:
    await surveys.put(TASTE)
    customer = await surveys.customer()
    link = await surveys.link(customer)
    other = SurveyKeys({1: b"x" * 32}).sign(SurveyLink("taste", customer))
    unknown_key = SurveyKeys({2: b"k" * 32}).sign(SurveyLink("taste", customer))
    forged = [
        f"{link[:-1]}{'A' if link[-1] != 'A' else 'B'}",
        f"/s/{other}",
        f"/s/{unknown_key}",
        "/s/x",
        "/s/1..",
    ]
    forged.append(link.replace(customer, f"p{'0' * 32}"))
    expiring = await surveys.link(customer, expires_in="1h")
    assert (await surveys.browser.get(expiring)).status_code == 200
    surveys.clock[0] += 3_600_000 + 1_000
    for path in [*forged, expiring]:
        page = await surveys.browser.request(method, path, data=FORM if method == "POST" else None)
        assert page.status_code == 403, path
        assert customer not in page.text
    assert await surveys.rows(customer) == []


async def test_a_merged_customers_link_leads_to_the_winner(surveys: Surveys) -> None:
    await surveys.put(TASTE)
    winner = await surveys.customer("u1")
    await surveys.rig.send(event(anonymous="a1"))
    await surveys.rig.processed()
    loser = next(one["id"] for one in await surveys.rig.profiles() if one["user_id"] is None)
    link = await surveys.link(loser)
    await surveys.browser.post(link, data=FORM)
    await merge(surveys.rig.pool, loser, winner, len(surveys.rig.partitions))
    # what was answered before the merge is answered
    assert asked(await surveys.browser.get(link)) == "How many cups?"
    await surveys.browser.post(link, data={"question": "cups", "answer": "3"})
    assert (await surveys.profile(winner))["traits"] == {"roast": "dark", "cups": 3}
    assert await surveys.link(loser) == await surveys.link(winner)


async def test_an_erased_customers_link_and_a_deleted_survey_say_nothing(surveys: Surveys) -> None:
    await surveys.put(TASTE)
    gone, there = await surveys.customer("u1"), await surveys.customer("u2")
    links = [await surveys.link(gone), await surveys.link(there)]
    await surveys.api.delete(f"/v1/profiles/{gone}")
    for page in [await surveys.browser.get(links[0]), await surveys.browser.post(links[0], data=FORM)]:
        assert (page.status_code, "not available" in page.text, "Taste" in page.text) == (404, True, False)
    assert (await surveys.api.delete("/v1/surveys/taste")).json() == {"id": "taste", "deleted": True}
    assert (await surveys.browser.get(links[1])).status_code == 404
    assert (await surveys.api.get("/v1/surveys/taste")).json()["code"] == "unknown_survey"
    await surveys.put(TASTE)
    assert (await surveys.browser.get(links[1])).status_code == 200


async def test_texts_stay_texts(surveys: Surveys) -> None:
    evil = '"><script>alert(1)</script>'
    question = {"id": "q", "text": evil, "help": evil, "trait": "q"}
    choices = {"type": "single_choice", "choices": [{"value": evil, "text": evil}, "x"]}
    scale = {"type": "scale", "low": evil, "high": evil}
    customer = await surveys.customer()
    for kind in (choices, scale, {"type": "text"}):
        await surveys.put(
            {**TASTE, "name": evil, "title": evil, "thanks": evil, "questions": [{**question, **kind}]}
        )
        link = await surveys.link(customer)
        refused = await surveys.browser.post(link, data={"question": "q", "answer": ""})
        for page in (await surveys.browser.get(link), refused):
            assert evil in (asked(page) or "")
            assert "<script" not in page.text
    page = await surveys.browser.post(link, data={"question": "q", "answer": evil})
    assert "<script" not in page.text
    assert (await surveys.profile(customer))["traits"] == {"q": evil}
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert page.headers["cache-control"] == "no-store"


async def test_a_page_is_in_the_surveys_language_and_its_fields_are_named(surveys: Surveys) -> None:
    await surveys.put({**TASTE, "language": "cs"})
    page = await surveys.browser.get(await surveys.link(await surveys.customer()))
    assert '<html lang="cs">' in page.text
    assert "Pokračovat" in page.text
    assert 'name="viewport"' in page.text
    assert page.text.count('<label class="option"><input type="radio" name="answer"') == 2


async def test_the_next_question_by_priority_and_not_again_within_the_period(surveys: Surveys) -> None:
    colour = {"id": "colour", "text": "Colour?", "type": "text", "trait": "colour", "priority": 3}
    style = {"id": "style", "name": "Style", "questions": [colour]}
    await surveys.put(TASTE)
    await surveys.put({"kind": "survey", **style})
    customer = await surveys.customer()
    path = f"/v1/profiles/{customer}/next-question"

    async def following(method: str = "GET", **params: Any) -> Any:
        return (await surveys.api.request(method, path, params=params)).json()

    first = await following()
    assert (first["survey"], first["question"]["id"]) == ("taste", "roast")
    assert asked(await surveys.browser.get(first["link"])) == "How roasted?"
    assert (await following("POST"))["question"]["id"] == "roast"
    assert (await following())["question"]["id"] == "colour"
    assert (await following(survey="taste"))["question"]["id"] == "cups"
    await surveys.browser.post(await surveys.link(customer, "style"), data={"question": "colour", "answer": "red"})
    assert (await following("POST"))["question"]["id"] == "cups"
    assert await following() is None
    assert await following("POST") is None
    surveys.clock[0] += 31 * DAY
    assert (await following())["question"]["id"] == "roast"
    unknown = await surveys.api.get("/v1/profiles/nobody/next-question")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_profile")


async def test_a_shops_own_quiz_sets_the_trait_of_a_survey_that_is_defined(surveys: Surveys) -> None:
    await surveys.put(TASTE)
    customer = await surveys.customer()

    async def send(survey: str, question: Any, answer: Any, at: int) -> None:
        properties = {"survey": survey, "question": question, "answer": answer}
        await surveys.rig.send(event(user="u1", name="Survey Answered", properties=properties, at=T0 + at))

    await send("taste", "roast", "dark", 10)
    await send("taste", "cups", "many", 20)  # no number
    await send("taste", "roast", "burnt", 30)  # no choice
    await send("taste", {"x": 1}, "dark", 40)
    await send("other", "roast", "light", 50)
    await surveys.rig.send(event("identify", user="u1", traits={"roast": "light"}, at=T0 + 5))
    await surveys.rig.processed()
    told = (await surveys.api.get(f"/v1/profiles/{customer}/traits")).json()["traits"]
    assert told == {"roast": {"value": "dark", "party": "zero", "source": "shop", "time": T0 + 10}}
    # it counts as answered
    assert asked(await surveys.browser.get(await surveys.link(customer))) == "How many cups?"
    stated = await surveys.rig.pool.fetchval("SELECT stated FROM timeline WHERE stated LIKE '%zero%'")
    assert '"traits":{"roast":"dark"}' in stated


async def test_definitions_are_kept_in_versions_and_listed(surveys: Surveys) -> None:
    path = "/v1/surveys/taste"
    assert (await surveys.api.put(path, json=TASTE)).json() == {"id": "taste", "version": 1, "status": "live"}
    assert (await surveys.api.put(path, json=TASTE)).json()["version"] == 1
    assert (await surveys.api.put(path, json={**TASTE, "name": "New"})).json()["version"] == 2
    shown = (await surveys.api.get(path)).json()
    assert (shown["name"], shown["version"], shown["questions"][0]["trait"]) == ("New", 2, "roast")
    page = (await surveys.api.get("/v1/surveys")).json()
    assert ([item["id"] for item in page["items"]], page["next"]) == (["taste"], None)
    wrong = await surveys.api.put(path, json={**TASTE, "award": {"voucher": "Spring"}})
    assert (wrong.status_code, wrong.json()["problems"][0]["reason"]) == (400, "is not an id")
    other = await surveys.api.put("/v1/surveys/other", json=TASTE)
    assert other.json()["problems"] == [
        {"path": "id", "reason": "differs from the path", "suggestion": "write id: other"}
    ]


async def test_links_for_many_and_for_nobody(surveys: Surveys) -> None:
    await surveys.put(TASTE)
    customer = await surveys.customer()
    answer = await surveys.api.post(
        "/v1/surveys/taste/links", json={"profile_ids": [customer, customer, "nobody"]}
    )
    token = KEYS.sign(SurveyLink("taste", customer))
    assert answer.json() == {
        "items": [{"profile_id": customer, "link": f"https://shop.test/s/{token}"}],
        "unknown": ["nobody"],
    }
    wrong: list[dict[str, Any]] = [{"profile_ids": []}, {"profile_ids": [customer], "expires_in": "soon"}]
    wrong.append({"profile_ids": [customer], "expires": "30d"})
    for body in wrong:
        assert (await surveys.api.post("/v1/surveys/taste/links", json=body)).status_code == 400
    assert (await surveys.browser.post("/v1/surveys/taste/links", json={})).status_code == 401


async def test_tags_come_by_import(surveys: Surveys) -> None:
    await surveys.rig.send(event(user="u1", name="Tag Added", properties={"tag": "vip"}, imported=True))
    customer = await surveys.customer()
    assert (await surveys.profile(customer))["tags"] == ["vip"]


async def test_after_an_unmerge_an_answer_is_the_one_customers_whose_it_was(surveys: Surveys) -> None:
    await surveys.put(TASTE)
    answer = {"survey": "taste", "question": "roast", "answer": "dark"}
    await surveys.rig.send(
        event(anonymous="a1", name="Survey Answered", properties=answer),
        event("identify", user="u1", anonymous="a1", traits={"plan": "gold"}, trusted=True),
    )
    await surveys.rig.processed()
    [profile] = await surveys.rig.profiles()
    path = f"/v1/profiles/{profile['id']}"
    taken = await surveys.api.post(f"{path}/unmerge", json={"identifier": {"type": "anonymous_id", "value": "a1"}})
    assert taken.status_code == 200, taken.text
    await surveys.rig.processed()
    assert (await surveys.api.get(f"{path}/next-question")).json()["question"]["id"] == "roast"
    other = next(one["id"] for one in await surveys.rig.profiles() if one["id"] != profile["id"])
    told = (await surveys.api.get(f"/v1/profiles/{other}/traits")).json()["traits"]
    assert {name: one["party"] for name, one in told.items()} == {"roast": "zero"}
    assert (await surveys.api.get(f"/v1/profiles/{other}/next-question")).json()["question"]["id"] == "cups"


async def test_a_source_of_a_higher_priority_stands_against_an_answer_and_is_told(
    database_url: str, log_url: str, topic_prefix: str
) -> None:
    rules = IdentityRules(
        sources={"crm": SourceRule(party="second", trait_priority=10)}, trait_sources={"cups": ["headrace.survey"]}
    )
    async with profiles_rig(database_url, log_url, topic_prefix=topic_prefix) as rig:
        rig.settings = replace(rig.settings, identity=rules)
        async with survey_rig(rig, NOW) as surveys:
            await surveys.put(TASTE)
            said = event("identify", user="u1", traits={"roast": "light", "cups": 9})
            said.source = "crm"
            await rig.send(said)
            customer = await surveys.customer(roast="dark", cups=8)
            link = await surveys.link(customer)
            await surveys.browser.post(link, data=FORM)
            await surveys.browser.post(link, data={"question": "cups", "answer": "3"})
            told = (await surveys.api.get(f"/v1/profiles/{customer}/traits")).json()["traits"]
            assert [(one["value"], one["party"], one["source"]) for one in told.values()] == [
                (3, "zero", "headrace.survey"),
                ("light", "second", "crm"),
            ]
            # it was answered all the same
            assert asked(await surveys.browser.get(link)) is None


async def test_what_was_kept_before_sources_were_is_outranked_by_time_as_ever(surveys: Surveys) -> None:
    customer = await surveys.customer(plan="gold", city="Brno")
    old = f'{{"plan": [{T0}, {T0}, 0, 5], "city": [{T0}, {T0}, 0, 5]}}'
    await surveys.rig.pool.execute("UPDATE profile SET trait_times = $1::text::jsonb", old)
    late = event("identify", user="u1", traits={"plan": "tin"}, at=T0 - 1)
    await surveys.rig.send(late, event("identify", user="u1", traits={"city": "Praha"}, at=T0 + 1))
    await surveys.rig.processed()
    told = (await surveys.api.get(f"/v1/profiles/{customer}/traits")).json()["traits"]
    assert told == {
        "city": {"value": "Praha", "party": "first", "source": "shop", "time": T0 + 1},
        "plan": {"value": "gold", "party": "first", "source": None, "time": T0},
    }


async def test_a_suppressed_customer_is_asked_nothing_and_answers_are_not_taken(surveys: Surveys) -> None:
    await surveys.put(TASTE)
    customer = await surveys.customer()
    link = await surveys.link(customer)
    assert (await surveys.api.post(f"/v1/profiles/{customer}/suppress")).status_code == 200
    assert (await surveys.browser.post(link, data=FORM)).status_code == 404
    await surveys.api.get(f"/v1/profiles/{customer}/next-question")
    assert await surveys.rows(customer) == []
    assert (await surveys.profile(customer))["traits"] == {}
