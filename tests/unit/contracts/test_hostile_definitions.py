"""Whatever stands in a document, it is a definition or has problems that say something."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.contracts.campaign import CampaignDefinition, parse_campaign
from headrace.contracts.campaign_steps import STEP_KINDS
from headrace.contracts.errors import InvalidDefinition, Problem
from headrace.contracts.policy import parse_policy
from headrace.contracts.template import parse_block, parse_template
from headrace.contracts.voucher import parse_voucher_pool

WORDS = sorted(
    {
        *(
            *CampaignDefinition.model_fields,
            *STEP_KINDS,
            "sms",
            "channel",
            "channels",
            "step:send",
            "step:",
            "text",
        ),
        *("then", "else", "if", "variants", "winner", "schedule", "at", "cron", "event", "segment", "audience"),
    }
)
VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["sms", "5%", "1h"])
DOCUMENTS = st.recursive(
    VALUES, lambda part: st.lists(part) | st.dictionaries(st.text() | st.sampled_from(WORDS), part), max_leaves=20
)
PARSERS = (parse_campaign, parse_template, parse_block, parse_policy, parse_voucher_pool)


@pytest.mark.parametrize("parse", PARSERS)
@given(document=DOCUMENTS)
def test_any_document(parse: Callable[[Any], object], document: Any) -> None:
    tried(parse, document)


@settings(max_examples=300)
@given(
    st.lists(st.dictionaries(st.sampled_from(sorted(STEP_KINDS)), DOCUMENTS, max_size=2)),
    st.dictionaries(st.sampled_from(["schedule", "event", "by", "segment", "audience"]), DOCUMENTS, max_size=2),
)
def test_any_steps_and_trigger(steps: list[Any], trigger: Any) -> None:
    tried(parse_campaign, {"kind": "campaign", "id": "a", "name": "A", "trigger": trigger, "steps": steps})


def tried(parse: Callable[[Any], object], document: Any) -> None:
    found: list[Problem] | None = None
    try:
        parse(document)
    except InvalidDefinition as error:
        found = error.problems
    assert found is None or (found and all(problem.reason for problem in found))
