"""A message links to the customer's own survey, or is not sent."""

import pytest

from headrace.contracts.errors import SettingsError
from headrace.contracts.survey_link import SurveyKeys, SurveyLink, SurveyLinks
from headrace.runtime.settings import Environment
from services.messenger.settings import read_settings
from tests.unit.messenger.rig import SMS, START, Rig, ScriptedProvider, eventually
from tests.unit.messenger.test_settings import BASE

LINKS = SurveyLinks("https://shop.test", SurveyKeys({1: b"k" * 32}))


async def settled(rig: Rig) -> bool:
    return bool(await rig.statuses()) and not {"pending", "claimed"} & set(await rig.statuses())


@pytest.mark.parametrize("links", [LINKS, None])
async def test_a_message_links_to_the_survey_of_the_one_it_goes_to(rig: Rig, links: SurveyLinks | None) -> None:
    rig.survey_links = links
    await rig.define({**SMS, "text": "{{ survey_url.taste }}"})
    await rig.customer("p1")
    async with rig.running():
        await rig.enter("p1", "e1")
        await eventually(lambda: settled(rig))
    assert isinstance(rig.provider, ScriptedProvider)
    if links is None:
        assert [(row["status"], row["reason"]) for row in await rig.messages()] == [("failed", "template_error")]
        assert rig.provider.sent == []
    else:
        (sent,) = rig.provider.sent
        token = sent.text.removeprefix("https://shop.test/s/")
        assert links.keys.verify(token, START) == SurveyLink("taste", "p1")


def test_links_are_made_when_there_is_a_key() -> None:
    assert read_settings(Environment(BASE)).survey_links is None
    keyed = {**BASE, "HEADRACE_SURVEY_KEYS": f"1:{'6b' * 32}"}
    assert read_settings(Environment(keyed)).survey_links == SurveyLinks("http://127.0.0.1:8081", LINKS.keys)
    public = {**keyed, "HEADRACE_SURVEY_URL": "https://shop.test/"}
    assert read_settings(Environment(public)).survey_links == LINKS
    with pytest.raises(SettingsError, match="HEADRACE_SURVEY_KEYS"):
        read_settings(Environment({**BASE, "HEADRACE_SURVEY_KEYS": "secret"}))
