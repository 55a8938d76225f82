"""The guide shows every word of a campaign, and everything it shows is right."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from headrace.cli.documents import KINDS
from headrace.contracts.campaign import CampaignDefinition, parse_campaign
from headrace.contracts.campaign_lint import Known, lint_campaigns
from headrace.contracts.campaign_steps import STEP_KINDS
from headrace.contracts.documents import load_documents
from headrace.contracts.policy import PolicyDefinition
from headrace.contracts.segment import parse_segment
from headrace.contracts.template import (
    BlockDefinition,
    EmailTemplate,
    SmsTemplate,
    ViberTemplate,
    WhatsAppTemplate,
)
from headrace.contracts.voucher import VoucherPool
from tests.unit.repository.tree import texts

GUIDE = texts()["docs/campaigns.md"]
BLOCKS = re.findall(r"^```yaml\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
CODE = "\n".join([*BLOCKS, *re.findall(r"`[^`\n]+`", GUIDE)])
MODELS: tuple[type[BaseModel], ...] = (
    *(CampaignDefinition, PolicyDefinition, BlockDefinition, VoucherPool),
    *(SmsTemplate, EmailTemplate, ViberTemplate, WhatsAppTemplate),
)


def documents() -> Iterator[Any]:
    """Every definition; a list holds triggers, or conditions of branches."""
    for block in BLOCKS:
        for loaded in load_documents(block):
            if not isinstance(loaded, list):
                yield loaded
                continue
            for one in loaded:
                trigger = (
                    isinstance(one.get("event"), str) or "schedule" in one or isinstance(one.get("segment"), str)
                )
                yield shown_trigger(one) if trigger else {"kind": "segment", "id": "a", "name": "A", "when": one}


def shown_trigger(trigger: Any) -> dict[str, Any]:
    steps = [{"send": {"channel": "sms", "template": "cart-sms"}}]
    return {"kind": "campaign", "id": "shown", "name": "Shown", "trigger": trigger, "steps": steps}


DOCUMENTS = list(documents())


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: f"{document['kind']} {document['id']}")
def test_every_example_is_right(document: Any) -> None:
    KINDS[document["kind"]].parse(document)


def test_the_examples_fit_together() -> None:
    parsed: dict[str, dict[str, Any]] = {}
    for document in DOCUMENTS:
        parsed.setdefault(document["kind"], {})[document["id"]] = KINDS[document["kind"]].parse(document)
    campaigns, templates = parsed["campaign"], parsed["template"]
    known = Known(campaigns=campaigns, templates=templates, blocks=parsed["block"], pools=parsed["vouchers"])
    assert [str(found.problem.reason) for found in lint_campaigns(known) if not found.note] == []


def models(found: list[type[BaseModel]]) -> list[type[BaseModel]]:
    """These models and all that they hold."""
    for model in found:
        for field in model.model_fields.values():
            found += [one for one in held(field.annotation) if one not in found]
    return found


def held(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in getattr(annotation, "__args__", ()):
        yield from held(part)


WORDS = {
    *STEP_KINDS,
    *("always", "never", "segment_exited", "draft", "paused", "live", "marketing", "transactional"),
    *("sms", "email", "viber", "whatsapp", "preferred", "opens", "clicks", "conversion", "entered", "exited"),
    *(
        field.alias or name
        for model in models([*MODELS, *STEP_KINDS.values()])
        for name, field in model.model_fields.items()
    ),
}


@pytest.mark.parametrize("word", sorted(WORDS))
def test_every_word_is_shown(word: str) -> None:
    assert re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", CODE)


@pytest.mark.parametrize("kind", STEP_KINDS)
def test_every_step_has_an_example(kind: str) -> None:
    assert any(f"'{kind}': " in str(document) for document in DOCUMENTS)


def test_the_segment_of_a_response_is_one() -> None:
    [segment] = [one for one in DOCUMENTS if one["id"] == "read-but-not-clicked"]
    parse_segment(segment)


def test_the_circle_is_told_as_lint_tells_it() -> None:
    first = parse_campaign(
        {**shown_trigger({"event": "Points Awarded"}), "id": "a", "steps": [{"tag": {"name": "seen"}}]}
    )
    body = {**shown_trigger({"segment": "seen-it"}), "id": "b", "steps": [{"award_points": {"points": 1}}]}
    when = {"tag": {"name": "seen"}}
    segment = parse_segment({"kind": "segment", "id": "seen-it", "name": "Seen", "when": when})
    known = Known(campaigns={"a": first, "b": parse_campaign(body)}, segments={"seen-it": segment})
    told = next(found.problem for found in lint_campaigns(known) if not found.note)
    assert f"weekly.yaml:1 {told.path}: {told.reason} ({told.suggestion})" in GUIDE


def test_it_can_be_read_in_one_sitting() -> None:
    assert len([line for line in GUIDE.splitlines() if not line.startswith("```")]) <= 400
