"""The campaigns in examples/: right together and one by one, in English and Czech, each SMS in one part."""

import io
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from liquid import DictLoader, Environment
from rich.console import Console

from headrace.cli import definitions
from headrace.cli.documents import read_documents
from headrace.cli.shipped import example
from headrace.contracts.campaign import CampaignDefinition
from headrace.contracts.policy import PolicyDefinition
from headrace.contracts.template import BlockDefinition, EmailTemplate, SmsTemplate, WhatsAppTemplate

FOLDER = example("campaigns")
FILES = sorted(FOLDER.glob("*.yaml"))
DOCUMENTS, WRONG = read_documents([example("policy.yaml"), *FILES])
CAMPAIGNS = [one.parsed for one in DOCUMENTS if isinstance(one.parsed, CampaignDefinition)]
TEMPLATES: list[Any] = [one.parsed for one in DOCUMENTS if one.kind == "template"]
BLOCKS = [one.parsed for one in DOCUMENTS if isinstance(one.parsed, BlockDefinition)]
GSM7 = set(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡"
    "ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
KNOWN = {"profile": {"traits": {"first_name": "Maximiliana"}, "computed": {"last-in-cart": "Káva Brazílie"}}}
UNKNOWN: dict[str, Any] = {"profile": {"traits": {}, "computed": {}}}
REST = {
    "voucher": {"code": "VITEJTE-ABCDEFGH", "value": "15 %", "expires_at": "2026-12-24T12:00:00Z"},
    "event": {"properties": {"products": [{"name": "Káva"}, {"name": "Čaj"}]}},
    "unsubscribe_url": "https://m.example.com/u/x",
    "preferences_url": "https://m.example.com/p/x",
    "survey_url": {"after-order": "https://m.example.com/s/1", "po-nakupu": "https://m.example.com/s/2"},
}


def texts(template: Any) -> Iterator[tuple[str, str, str]]:
    """Language, field and source of every text."""
    for language, part in [("", template), *getattr(template, "locales", {}).items()]:
        for field in ("subject", "text", "mjml", "button", "button_url"):
            if (source := getattr(part, field, None)) is not None:
                yield language, field, source


TEXTS = [
    pytest.param(template, source, field, id=f"{template.id} {language} {field}")
    for template in TEMPLATES
    for language, field, source in texts(template)
]


def rendered(source: str, customer: dict[str, Any]) -> str:
    """By plain Liquid; the messenger's own filters are stood in for by what they at most lengthen a text to."""
    environment = Environment(loader=DictLoader({block.id: block.text or "" for block in BLOCKS}))
    environment.filters["vocative"] = lambda name: f"{name}e"
    environment.filters["date_local"] = lambda _, form: form.replace("%Y", "2026").replace("%", "2")
    return environment.from_string(source).render(**customer, **REST)


def lint(*files: Path) -> tuple[int, str]:
    said = io.StringIO()
    return definitions.lint(files, Console(file=said, width=200)), said.getvalue()


def test_they_are_right_together() -> None:
    assert WRONG == []
    assert len(FILES) >= 10
    assert lint(example("policy.yaml"), *FILES)[0] == 0


def test_with_all_other_examples_nothing_is_missing() -> None:
    code, said = lint(*sorted(FOLDER.parent.glob("*/*.yaml")))
    assert (code, "note:" in said) == (0, False)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_is_right_by_itself(file: Path) -> None:
    assert lint(file)[0] == 0


def test_the_campaigns_of_the_guide_are_there() -> None:
    wanted = {"welcome", "cart-rescue", "win-back", "birthday", "review-request", "vip-thanks", "weekend-offer"}
    assert wanted | {"survey-invitation", "survey-reward"} <= {campaign.id for campaign in CAMPAIGNS}


def test_each_names_a_topic_that_customers_can_choose() -> None:
    [policy] = [one.parsed for one in DOCUMENTS if isinstance(one.parsed, PolicyDefinition)]
    chosen = {campaign.topic for campaign in CAMPAIGNS if campaign.purpose == "marketing"} - {None}
    assert chosen == set(policy.topics)


def test_everything_is_written_in_both_languages() -> None:
    locales = {one.id: set(one.locales) for one in TEMPLATES if not isinstance(one, WhatsAppTemplate)}
    assert locales == {id: {"cs"} for id in locales}


@pytest.mark.parametrize(("template", "source", "field"), TEXTS)
def test_a_text_is_finished_for_whoever_gets_it(template: Any, source: str, field: str) -> None:
    for customer in (KNOWN, UNKNOWN):
        text = rendered(source, customer)
        assert text.strip()
        assert not re.search(r"\{\{|\{%| ,|\(\)|  \w", text if field != "mjml" else "")


@pytest.mark.parametrize(
    ("template", "source", "field"), [one for one in TEXTS if isinstance(one.values[0], SmsTemplate)]
)
def test_an_sms_is_one_part(template: SmsTemplate, source: str, field: str) -> None:
    text = rendered(source, KNOWN).strip()
    if template.transliterate:
        text = "".join(one if one in GSM7 else unicodedata.normalize("NFD", one)[0] for one in text)
    assert set(text) <= GSM7
    assert len(text) <= 160


@pytest.mark.parametrize(("template", "source", "field"), [one for one in TEXTS if one.values[2] == "mjml"])
def test_mjml_is_well_formed_and_can_be_unsubscribed_from(
    template: EmailTemplate, source: str, field: str
) -> None:
    tags = {element.tag for element in ElementTree.fromstring(source).iter()}
    assert {"mjml", "mj-body", "mj-section", "mj-column", "mj-text"} <= tags
    assert re.search(r'\{% render "footer-(en|cs)" %\}', source)


@pytest.mark.parametrize("footer", ["footer-en", "footer-cs"])
def test_a_footer_has_the_links_that_the_law_asks_for(footer: str) -> None:
    [block] = [one for one in BLOCKS if one.id == footer]
    for text in (block.html, block.text):
        assert text is not None
        assert "{{ unsubscribe_url }}" in text
        assert "{{ preferences_url }}" in text
