"""Who renders which block, and what is refused when one is put."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.template import BlockDefinition, parse_block, parse_template
from services.messenger.blocks import blocks_in, blocks_of, circle, reached, users_of
from services.messenger.template_check import check, check_block, check_users


def block(name: str, text: str) -> BlockDefinition:
    return parse_block({"id": name, "text": text})


def known(**texts: str) -> dict[str, BlockDefinition]:
    return {name: block(name, text) for name, text in texts.items()}


def test_the_blocks_of_a_template_are_those_of_all_its_texts() -> None:
    mail = parse_template(
        {
            "id": "a",
            "channel": "email",
            "subject": "{% render 's' %}",
            "mjml": "<mjml><mj-body>{% if 1 < 2 %}{% render 'm' %}{% endif %}</mj-body></mjml>",
            "locales": {"cs": {"subject": "x", "text": "{% for i in (1..2) %}{% render 'c' %}{% endfor %}"}},
        }
    )
    assert blocks_of(mail) == {"s", "m", "c"}
    assert users_of("m", [mail], known(x="{% render 'm' %}", y="{% render 'x' %}").values()) == [
        "block x",
        "template a",
    ]


def test_text_that_only_looks_like_it_renders_nothing() -> None:
    assert (
        blocks_in(
            block(
                "a",
                "{% raw %}{% render 'b' %}{% endraw %} render 'c' {% comment %}{% render 'd' %}{% endcomment %}",
            )
        )
        == set()
    )


@given(st.dictionaries(st.sampled_from("abcdef"), st.sets(st.sampled_from("abcdef"))))
def test_circles_are_found_and_only_circles(graph: dict[str, set[str]]) -> None:
    blocks = known(
        **{name: "x" + "".join(f"{{% render '{to}' %}}" for to in sorted(tos)) for name, tos in graph.items()}
    )
    for name in blocks:
        way = circle(name, blocks)
        assert (way is not None) == (name in reached(graph[name], blocks))
        if way is not None:
            assert way[0] == way[-1] == name
            assert all(two in graph[one] for one, two in itertools.pairwise(way))


@pytest.mark.parametrize(
    ("text", "reason", "suggestion"),
    [
        ("{% render 'a' %}", "the block renders itself: a → a", ""),
        ("{% render 'b' %}", "the block renders itself: a → b → a", ""),
        ("{% render 'footr' %}", "there is no block footr", "did you mean footer?"),
        ("{{ x | vocatif }}", "the filter vocatif does not exist", "did you mean vocative?"),
        ("{{ event.nmae }}", "event has no nmae", "did you mean event.name?"),
        ("{% if %}", "Liquid", ""),
    ],
)
def test_a_block_that_is_wrong(text: str, reason: str, suggestion: str) -> None:
    (problem,) = check_block(block("a", text), known(b="{% render 'a' %}", footer="x"))
    assert reason in problem.reason
    assert suggestion in problem.suggestion


def test_what_renders_a_block_must_be_right_with_it() -> None:
    sms = parse_template({"id": "s", "channel": "sms", "text": "{% render 'b' %}"})
    others = known(b="{% render 'a', who: 1 %}")
    assert check_users(block("a", "{{ who }}"), others, [sms]) == []
    (problem,) = check_users(block("a", "{{ whom }}"), others, [sms])
    assert (problem.path, problem.reason) == ("template s: text", "unknown variable whom")
    assert check(sms, {**others, **known(a="{{ who }}")}) == []
    assert [p.reason for p in check(sms, others)] == ["there is no block a"]
