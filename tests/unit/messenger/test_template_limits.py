"""Whatever stands in a template and whatever customers wrote: a message, or TemplateFailed; never their HTML."""

import contextlib
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.contracts.template import Template, parse_block, parse_template
from services.messenger.blocks import blocks_in
from services.messenger.liquid_engine import compiled
from services.messenger.liquid_filters import MAX_VALUE
from services.messenger.mjml import MjmlFailed, mjml_to_html
from services.messenger.render import TemplateFailed, render
from services.messenger.template_check import check, check_block

FILTERS = sorted(compiled("", "html").env.filters)
EVIL = st.sampled_from(
    [
        "<script>alert(1)</script>",
        "\"'><img src=x onerror=y>",
        "&lt;script&gt;",
        "%3Cscript%3E",
        "PHNjcmlwdD4=",
        "{{ profile.id }}",
        "{% raw %}",
        "</td></style>-->",
        "a\r\nBcc: x@x.test",
        "\u2028x",
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | EVIL,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "price", "name"]), inner),
    max_leaves=6,
)
PATHS = st.sampled_from(
    [
        "profile.traits.x",
        "profile.traits",
        "profile",
        "event.products",
        "event.products[0].price",
        "voucher.code",
        "nothing",
        "profile.traits[profile.traits.x]",
        "'<b>'",
        "5",
        "(1..9)",
    ]
)
CALLS = st.builds(
    lambda name, arguments: f" | {name}" + (f": {', '.join(arguments)}" if arguments else ""),
    st.sampled_from(FILTERS),
    st.lists(PATHS, max_size=2),
)
OUTPUTS = st.builds(lambda path, calls: "{{ " + path + "".join(calls) + " }}", PATHS, st.lists(CALLS, max_size=3))
SOURCES = st.recursive(
    OUTPUTS
    | st.sampled_from(["x", "{% render 'b' %}", "{% render 'b', who: profile.traits.x %}", "{{", "{% endif %}"]),
    lambda inner: st.one_of(
        st.builds("{}{}".format, inner, inner),
        st.builds("{{% if {} %}}{}{{% else %}}{}{{% endif %}}".format, PATHS, inner, inner),
        st.builds("{{% for i in {} %}}{}{{{{ i }}}}{{% endfor %}}".format, PATHS, inner),
        st.builds("{{% assign y = {} %}}{}{{{{ y }}}}".format, PATHS, inner),
        st.builds("{{% capture y %}}{}{{% endcapture %}}{{{{ y }}}}".format, inner),
    ),
    max_leaves=6,
)
BLOCKS = {"b": parse_block({"id": "b", "html": "<i>{{ who }}{{ profile.traits.x }}</i>"})}


def variables(value: Any) -> dict[str, Any]:
    return {
        "profile": {"id": "p1", "traits": {"x": value, "locale": value}, "time_zone": value},
        "event": {"products": [{"price": value, "name": value}], "properties": value},
        "voucher": {"code": value},
    }


def mail(**fields: Any) -> Template:
    return parse_template({"id": "a", "channel": "email", **fields})


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.seen |= {f"@{name}" for name, _ in attrs}


def tags(html: str) -> set[str]:
    parser = _Tags()
    parser.feed(html)
    parser.close()
    return parser.seen


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(SOURCES, VALUES)
def test_a_message_or_template_failed_and_no_html_of_customers(source: str, value: Any) -> None:
    template = mail(subject=source[:1000], html=f"<p title='{source}'>{source}</p>", text=source)
    check(template, BLOCKS)
    try:
        done = render(template, variables(value), blocks=BLOCKS, locale=None)
    except TemplateFailed:
        return
    assert done.html is not None
    assert tags(done.html) <= {"p", "@title", "i", "b", "br"}
    assert done.subject is not None
    assert len(done.subject.splitlines()) == 1
    assert max(len(done.html), len(done.text), len(done.subject)) <= MAX_VALUE


@settings(deadline=None)
@given(EVIL, st.text(max_size=20))
def test_what_customers_wrote_stays_text_in_mjml(evil: str, text: str) -> None:
    source = """<mjml><mj-body><mj-section><mj-column>
    <mj-text css-class="{{ profile.traits.x }}">{{ profile.traits.x }}</mj-text>
    <mj-button href="{{ profile.traits.x }}">{{ profile.traits.x }}</mj-button>
    </mj-column></mj-section></mj-body></mjml>"""
    template = mail(subject="S", mjml=source)
    plain, done = (render(template, variables(value)).html or "" for value in ("x", text + evil))
    assert tags(done) == tags(plain)


@settings(deadline=None)
@given(st.text(max_size=200) | st.text(st.sampled_from("<>/mj-body{%} \"'&!-[]x"), max_size=200))
def test_any_mjml_is_compiled_or_refused(text: str) -> None:
    for source in (
        text,
        f"<mjml><mj-body>{text}</mj-body></mjml>",
        f"<mjml><mj-body><mj-text>{text}</mj-text></mj-body></mjml>",
    ):
        with contextlib.suppress(MjmlFailed):
            assert isinstance(mjml_to_html(source), str)


@settings(deadline=None)
@given(VALUES, st.sampled_from(["sms", "viber"]), st.sampled_from(["cs", "xx", None]), SOURCES)
def test_short_messages_are_no_less_safe(value: Any, channel: str, locale: str | None, source: str) -> None:
    urls = {"button": source, "button_url": f"https://x/{source}", "image_url": source}
    own: dict[str, Any] = {"transliterate": True} if channel == "sms" else urls
    template = parse_template({"id": "a", "channel": channel, "text": source, **own})
    try:
        done = render(template, variables(value), blocks=BLOCKS, locale=locale)
    except TemplateFailed:
        return
    assert done.text.strip()
    assert not any(ord(c) < 32 and c not in "\n\t" for c in done.text)
    assert all(re.fullmatch(r"https?://\S+", url) for name, url in done.extras.items() if name != "button")


@settings(deadline=None)
@given(SOURCES, st.booleans())
def test_any_block_is_used_or_refused(source: str, html: bool) -> None:
    block = parse_block({"id": "b", "html" if html else "text": source})
    problems = check_block(block, {})
    assert all(problem.reason for problem in problems)
    assert problems or "b" not in blocks_in(block)


@pytest.mark.parametrize(
    "text",
    [
        "{{ 'x' " + "| base64_encode " * 200 + "}}",
        "{% assign x = 'ab' %}{% for i in (1..30) %}{% assign x = x | append: x %}{% endfor %}{{ x }}",
        "{% assign x = 'aaaaaaaaaa' %}{% for i in (1..13) %}{% assign x = x | append: x %}{% endfor %}"
        "{% for i in (1..9999) %}{% assign y = x | split: '' | sort | join: 'b' | size %}{% endfor %}",
        "{% assign n = 9 %}{% for i in (1..60) %}{% assign n = n | times: n %}{% endfor %}{{ n }}",
        "{% for i in (1..101) %}{% for j in (1..101) %}x{% endfor %}{% endfor %}",
        "{% render 'self' %}",
        "{% render 'many' for event.products %}" * 200,
    ],
)
@pytest.mark.timeout(20)
def test_nothing_takes_too_much(text: str) -> None:
    known = {
        "self": parse_block({"id": "self", "text": "x{% render 'self' %}"}),
        "many": parse_block({"id": "many", "text": "{% for i in (1..9999) %}xxxxxxxxxxxxxxxxxxxxxx{% endfor %}"}),
    }
    with pytest.raises(TemplateFailed):
        render(parse_template({"id": "a", "channel": "sms", "text": text}), variables("x"), blocks=known)
