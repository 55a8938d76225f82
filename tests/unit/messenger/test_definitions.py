"""What a definition may say, and what it is told when it says something else."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.campaign import CampaignDefinition, body_of, parse_campaign
from headrace.contracts.documents import load_document, load_documents
from headrace.contracts.errors import InvalidDefinition
from headrace.contracts.template import EmailTemplate, parse_template
from tests.unit.messenger.rig import MAIL, SMS, campaign, parsed_campaign


def problems(**changes: Any) -> dict[str, str]:
    with pytest.raises(InvalidDefinition) as caught:
        parse_campaign(campaign(**changes))
    return {problem.path: problem.reason for problem in caught.value.problems}


def test_a_campaign_has_the_defaults_of_the_design() -> None:
    parsed = parsed_campaign()
    assert (parsed.state, parsed.purpose, parsed.include_current) == ("live", "marketing", False)
    assert parsed.max_entry_age_ms == 24 * 3_600_000
    assert parse_campaign(body_of(parsed)) == parsed


@pytest.mark.parametrize(
    "send",
    [
        {"channel": "sms", "template": "hello"},
        {"channels": ["sms"], "template": "hello"},
        {"channels": ["sms"], "templates": {"sms": "hello"}},
    ],
)
def test_the_ways_to_name_channel_and_template(send: dict[str, Any]) -> None:
    [(path, parsed)] = parsed_campaign(steps=[{"send": send}]).sends
    assert (path, parsed.channel, parsed.template_for("sms")) == ("0", "sms", "hello")


def test_each_mistake_is_one_problem() -> None:
    assert problems(id="Not An Id", nmae="x", steps=[]) == {
        "id": "is not written as it must be",
        "nmae": "is not a known field",
        "steps": "needs at least one item",
    }
    assert problems(steps=[{"wait": "1x"}]) == {"steps.0.wait": "is not written as it must be"}


def test_a_step_does_one_thing() -> None:
    document = campaign(steps=[{"wait": "1h", "send": {"channel": "sms", "template": "hello"}}, 3, {"wiat": "1h"}])
    with pytest.raises(InvalidDefinition) as caught:
        parse_campaign(document)
    two, no_step, unknown = caught.value.problems
    assert (two.path, two.reason) == ("steps.0", "has send and wait in one step")
    assert two.suggestion == "a step does one thing: make two steps"
    assert (no_step.path, unknown.path) == ("steps.1", "steps.2")
    assert no_step.suggestion.startswith("write one of send, wait, wait_until, branch,")


@pytest.mark.parametrize("key", ["sms", "step:send", "step:"])
def test_a_field_that_looks_like_a_branch_of_a_union_is_only_unknown(key: str) -> None:
    assert problems(**{key: 1}) == {key: "is not a known field"}


def test_a_misspelt_field_is_told_its_neighbour() -> None:
    with pytest.raises(InvalidDefinition) as caught:
        parse_campaign(campaign(triger={"segment": "vip"}))
    suggestions = [problem.suggestion for problem in caught.value.problems]
    assert suggestions == ["did you mean trigger?"]


@pytest.mark.parametrize(
    "send",
    [
        {"channel": "sms"},
        {"channel": "sms", "template": "a", "templates": {"sms": "a"}},
        {"channel": "sms", "templates": {"email": "a"}},
    ],
)
def test_a_send_names_its_template_once(send: dict[str, Any]) -> None:
    assert "steps.0.send" in problems(steps=[{"send": send}])


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda x: (
            st.lists(x) | st.dictionaries(st.text() | st.sampled_from(sorted(CampaignDefinition.model_fields)), x)
        ),
    )
)
def test_no_document_does_worse_than_problems(document: object) -> None:
    for parse in (parse_campaign, parse_template):
        with pytest.raises(InvalidDefinition) as caught:
            parse(document)
        assert all(problem.reason for problem in caught.value.problems)


def test_templates_by_channel() -> None:
    assert parse_template(dict(SMS)).channel == "sms"
    mail = parse_template(dict(MAIL))
    assert isinstance(mail, EmailTemplate)
    assert mail.text is None


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"id": "a", "channel": "fax", "text": "x"}, ""),
        ({"id": "a", "channel": "email", "subject": "x", "mjml": "<mjml/>", "html": "x"}, ""),
        ({"id": "a", "channel": "email", "subject": "x"}, ""),
        ({"id": "a", "channel": "sms", "text": "x", "html": "x"}, "html"),
        ({"id": "a", "channel": "sms"}, "text"),
    ],
)
def test_templates_that_are_refused(document: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidDefinition) as caught:
        parse_template(document)
    assert [problem.path for problem in caught.value.problems] == [path]


def test_yaml_words_stay_words() -> None:
    """YAML 1.1 would read a boolean key, a boolean, minutes and a date."""
    assert load_document("{on: entered, country: NO, at: 12:30, day: 2026-01-31, n: 1.5, b: true, z: null}") == {
        "on": "entered",
        "country": "NO",
        "at": "12:30",
        "day": "2026-01-31",
        "n": 1.5,
        "b": True,
        "z": None,
    }


def test_several_documents_and_json() -> None:
    assert load_documents('{"a": [1, "x"]}\n---\nb: 2\n---\n') == [{"a": [1, "x"]}, {"b": 2}]


@pytest.mark.parametrize(
    "text", ["a: &x [1]\nb: *x", "a: [1", "a: !!python/object:os.system {}", "", "a: 1\n---\nb: 2"]
)
def test_documents_that_are_refused(text: str) -> None:
    with pytest.raises(InvalidDefinition):
        load_document(text)
