"""Liquid: what templates can do, and what they cannot."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.survey_link import SurveyKeys, SurveyLinks
from headrace.contracts.template import Template, parse_template
from services.messenger.render import TemplateFailed, render
from services.messenger.survey_urls import SurveyUrls
from services.messenger.template_check import check

LINKS = SurveyLinks("http://shop.test", SurveyKeys({1: b"k" * 32}))
VARIABLES: dict[str, Any] = {
    "profile": {"id": "p1", "traits": {"name": "Jana", "n": 3, "items": [1, 2, 3]}, "computed": {"total": 12.5}},
    "segment": {"id": "vip", "name": "VIP"},
    "campaign": {"id": "welcome", "name": "Welcome"},
    "unsubscribe_url": "http://shop.test/u/1.s1.x",
    "survey_url": SurveyUrls(LINKS, "p1"),
}


def sms(text: str) -> Template:
    return parse_template({"id": "a", "channel": "sms", "text": text})


def mail(**fields: str) -> Template:
    return parse_template({"id": "a", "channel": "email", "subject": "S", **fields})


def named(name: str) -> dict[str, Any]:
    return {**VARIABLES, "profile": {"traits": {"name": name}}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hi {{ profile.traits.name }}, {{ profile.computed.total }}", "Hi Jana, 12.5"),
        ("{{ profile.traits.none | default: 'friend' }}", "friend"),
        (
            "{% for i in profile.traits.items %}{{ i }}{% unless forloop.last %},{% endunless %}{% endfor %}",
            "1,2,3",
        ),
        (
            "{{ segment.name | downcase }} {{ campaign.name }} {{ unsubscribe_url }}",
            "vip Welcome http://shop.test/u/1.s1.x",
        ),
        ("{% if profile.traits.n > 2 %}many{% endif %}", "many"),
        ("{{ survey_url.taste }} {{ survey_url['a-b'] }}", f"{LINKS.to('taste', 'p1')} {LINKS.to('a-b', 'p1')}"),
        ("{{ survey_url.size }}", LINKS.to("size", "p1")),
        ("{{ profile.traits.items | join: '+' }} {{ 'aXa' | replace: 'X', '-' }}", "1+2+3 a-a"),
    ],
)
def test_what_templates_can_do(text: str, expected: str) -> None:
    assert check(sms(text)) == []
    assert render(sms(text), VARIABLES).text == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{% if %}", "Liquid"),
        ("{{ 'open", "Liquid"),
        ("{% include 'x' %}", "Liquid"),
        ("{% render 'x' %}", "no block x"),
        ("{{ profile.id | nope }}", "filter nope"),
        ("{{ customer.name }}", "unknown variable customer"),
        ("{{ survey_url }}", "names no survey"),
        ("{{ survey_url['A B'] }}", "names no survey"),
        ("{{ profile.id | safe }}", "filter safe"),
        ("{{ preferences_url.x }}", "is a link"),
        ("{{ event.nmae }}", "event has no nmae"),
        ("{{ profile.first_name }}", "profile has no first_name"),
    ],
)
def test_what_is_refused_when_the_template_is_put(text: str, reason: str) -> None:
    (problem,) = check(sms(text))
    assert reason in problem.reason
    assert problem.path == "text"


@pytest.mark.parametrize(
    "text",
    [
        "{% for i in (1..1000000) %}x{% endfor %}",
        "{% assign x = 'aaaaaaaaaa' %}{% for i in (1..1000) %}{% assign x = x | append: x %}{% endfor %}",
        "{% assign x = 'aaaaaaaaaa' %}{% for i in (1..13) %}{% assign x = x | append: x %}{% endfor %}"
        "{{ x | replace: 'a', x }}",
        "{% assign x = 'aaaaaaaaaa' %}{% for i in (1..13) %}{% assign x = x | append: x %}{% endfor %}"
        "{{ x | split: '' | join: x }}",
        "{% for i in (1..9999) %}{{ profile.traits.name | append: '" + "y" * 1000 + "' }}{% endfor %}",
        "{{ 1 | divided_by: 0 }}",
        "{{ 'x' | nope }}",
        "  ",
    ],
)
def test_a_template_that_goes_too_far_fails_alone(text: str) -> None:
    with pytest.raises(TemplateFailed):
        render(sms(text), VARIABLES)


def test_without_a_key_a_message_with_a_link_to_a_survey_is_not_sent() -> None:
    with pytest.raises(TemplateFailed):
        render(sms("Hi {{ survey_url.taste }}"), {**VARIABLES, "survey_url": SurveyUrls(None, "p1")})


def test_a_failure_says_nothing_of_the_customer() -> None:
    with pytest.raises(TemplateFailed) as caught:
        render(sms("{{ profile.traits.name | date: profile.traits.name | divided_by: 0 }}"), named("Secret"))
    assert "Secret" not in str(caught.value)


@given(st.text())
def test_what_customers_wrote_stays_text_in_html(name: str) -> None:
    rendered = render(mail(html="<p>{{ profile.traits.name }}</p>"), named(name))
    assert rendered.html is not None
    inside = rendered.html.removeprefix("<p>").removesuffix("</p>")
    assert not set(inside) & set("<>\"'")


@given(st.text())
def test_a_subject_is_one_line_and_texts_have_no_controls(name: str) -> None:
    fields = {"subject": "Hi {{ profile.traits.name }}", "text": "{{ profile.traits.name }}", "html": "x"}
    rendered = render(mail(**fields), named(name))
    assert rendered.subject is not None
    assert len(rendered.subject.splitlines()) == 1
    assert not any(ord(c) < 32 and c not in "\n\t" for c in rendered.subject + rendered.text)


@given(st.sampled_from(["{{", "{%", "}}", "%}", "{{ profile.id }}", "{% for i in (1..9) %}x{% endfor %}"]))
def test_data_is_never_a_template(name: str) -> None:
    assert render(sms("-{{ profile.traits.name }}"), named(name)).text == f"-{name}"


def test_html_alone_gets_a_text_part() -> None:
    rendered = render(mail(html="<p>Hi <a href='{{ unsubscribe_url }}'>off</a></p>"), VARIABLES)
    assert rendered.text == "Hi off (http://shop.test/u/1.s1.x)"
