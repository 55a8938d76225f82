"""Codes that surveys award: one for each customer and survey, by the survey's own page only."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from headrace.contracts.profile_event import EventRow
from services.messenger.awards import Awards
from services.messenger.definitions import Definitions
from services.messenger.survey_awards import SURVEY_COMPLETED, SURVEY_SOURCE, awarded
from services.messenger.vouchers import Vouchers
from tests.unit.messenger.rig import START, Rig, campaign, eventually
from tests.unit.messenger.test_journeys import Town, done, told, town  # noqa: F401
from tests.unit.messenger.voucher_rig import pool, upload

AWARD = {"survey": "taste", "award": {"voucher": "spring"}}


def completed(
    profile_id: str,
    message_id: str,
    said: dict[str, Any] = AWARD,
    *,
    source: str = SURVEY_SOURCE,
    **more: Any,
) -> EventRow:
    row = done(profile_id, SURVEY_COMPLETED, message_id, START, said, **more)
    return msgspec.structs.replace(row, source=source)


async def give(rig: Rig, *rows: EventRow) -> list[tuple[str, str]]:
    async with rig.pool.acquire() as connection, connection.transaction():
        told_ = await Awards(Vouchers(Definitions(rig.pool)).assign).give(connection, rows, START)
    return [(new.update.profile_id, new.update.properties["code"]) for new in told_]


@given(st.recursive(st.none() | st.text() | st.integers(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)))
def test_whatever_stands_there_an_award_is_two_ids_or_none(anything: Any) -> None:
    for properties in (
        anything,
        {"survey": anything, "award": anything},
        {"survey": "s", "award": {"voucher": anything}},
    ):
        found = awarded(SURVEY_COMPLETED, SURVEY_SOURCE, properties)
        assert found is None or [type(part) for part in found] == [str, str]


async def test_a_customer_gets_one_code_of_a_survey(rig: Rig) -> None:
    await pool(rig)
    await upload(rig, "AAA-1", "AAA-2", "AAA-3")
    for name in ("p1", "p2"):
        await rig.customer(name)
    first = completed("p1", "m1")
    assert await give(rig, first, completed("p1", "m2")) == [("p1", "AAA-1")]
    assert await give(rig, first) == []
    assert await give(rig, completed("p1", "m3")) == [], "not again when it is answered anew"
    others = await give(rig, completed("p2", "m4"), completed("p1", "m5", {**AWARD, "survey": "other"}))
    assert [profile_id for profile_id, _ in others] == ["p2", "p1"]
    assert {code for _, code in others} == {"AAA-2", "AAA-3"}
    await rig.pool.execute("INSERT INTO profiles.alias_v1 VALUES ('p1', 'p2')")
    assert await give(rig, completed("p1", "m6")) == [], "who became one had it"


async def test_nobody_else_awards_and_nobody_who_is_not_there_gets_one(rig: Rig) -> None:
    await pool(rig)
    await upload(rig, "AAA-1")
    await rig.customer("p1")
    assert await give(rig, completed("p1", "m1", source="web")) == []
    assert await give(rig, completed("p1", "m2", imported=True)) == []
    assert await give(rig, completed("erased", "m3")) == []
    assert await give(rig, completed("p1", "m4", {"survey": "taste"})) == []
    assert await give(rig, completed("p1", "m5")) == [("p1", "AAA-1")]


async def test_the_log_says_when_there_was_no_code(rig: Rig) -> None:
    await rig.customer("p1")
    with capture_logs() as logged:
        assert await give(rig, completed("p1", "m1")) == []
    assert [(one["event"], one["pool"], one["survey"]) for one in logged] == [
        ("award_not_given", "spring", "taste")
    ]


async def test_the_code_is_told_and_a_campaign_can_send_it(town: Town) -> None:  # noqa: F811
    rig = town.rig
    await pool(rig, value="10 %", expires_after="7d")
    await upload(rig, "AAA-1")
    template = {"kind": "template", "id": "hello", "channel": "sms", "text": "Code {{ event.properties.code }}"}
    await rig.define(template, campaign(trigger={"event": "Voucher Assigned"}, re_entry="never"))
    await town.row(completed("p1", "m1"))
    await eventually(lambda: told(rig, 1))
    (update,) = await rig.updates()
    assert update.event == "Voucher Assigned"
    assert {**update.properties, "entry_id": ""} == {
        **{"survey": "taste", "entry_id": "", "pool_id": "spring", "code": "AAA-1", "value": "10 %"},
        "expires_at": rig.clock() + 7 * 86_400_000,
    }
    # the profile service writes it on the timeline, from where it comes back
    await town.does("p1", "Voucher Assigned", **update.properties)
    assert town.texts() == ["Code AAA-1"]
