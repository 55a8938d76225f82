"""What customers read: languages, blocks, MJML, what is missing, and each channel's own."""

from typing import Any

import pytest

from headrace.contracts.template import BlockDefinition, Template, parse_block, parse_template
from services.messenger.render import Rendered, TemplateFailed, render
from services.messenger.sms_text import Parts
from services.messenger.template_check import check
from services.messenger.variables import event_variable

JANA = {"first_name": "Jana", "locale": "cs-CZ"}
EVENT = {
    "event": "Cart Viewed",
    "properties": {"cart_id": "c1", "products": [{"name": "Káva <mletá>", "price": 249}, {"name": "Čaj"}]},
    "timestamp": "2026-06-05T22:30:00Z",
}


def template(channel: str, **fields: Any) -> Template:
    return parse_template({"id": "a", "channel": channel, **fields})


def variables(traits: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    profile = {"id": "p1", "traits": JANA if traits is None else traits, "time_zone": "Europe/Prague"}
    return {"profile": profile, "event": event_variable(EVENT), "unsubscribe_url": "http://x/u", **more}


def blocks(**sources: dict[str, str]) -> dict[str, BlockDefinition]:
    return {name: parse_block({"id": name, **fields}) for name, fields in sources.items()}


def sms(text: str, traits: dict[str, Any] | None = None, **more: Any) -> Rendered:
    return render(template("sms", text=text, **more), variables(traits))


@pytest.mark.parametrize(
    ("traits", "text", "locale"),
    [
        ({"locale": "cs-CZ"}, "Ahoj z Česka", "cs-CZ"),
        ({"locale": "cs-SK"}, "Ahoj", "cs"),
        ({"language": "cs"}, "Ahoj", "cs"),
        ({"locale": "de-DE", "language": "cs"}, "Hello", None),
        ({}, "Hello", None),
    ],
)
def test_the_customers_language(traits: dict[str, Any], text: str, locale: str | None) -> None:
    locales = {"cs": {"text": "Ahoj"}, "cs-CZ": {"text": "Ahoj z Česka"}}
    done = sms("Hello", traits, locales=locales)
    assert (done.text, done.locale) == (text, locale)


def test_an_email_is_all_in_one_language() -> None:
    mail = template(
        "email",
        subject="Hello",
        html="<p>Hello</p>",
        text="Hello",
        locales={"cs": {"subject": "Ahoj, {{ profile.traits.first_name | vocative }}", "mjml": MJML}},
    )
    done = render(mail, variables(), blocks=blocks(footer={"text": "Patička"}))
    assert (done.subject, done.locale) == ("Ahoj, Jano", "cs")
    assert done.html is not None
    assert "Hello" not in done.html + done.text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ profile.traits.first_name | vocative }}, {{ 'petr' | vocative | capitalize }}", "Jano, Petře"),
        ("{{ event.products[0].price | money: 'CZK' }}", "249,00 Kč"),
        ("{{ 1234.5 | money: 'EUR', 'en' }}", "€1,234.50"),
        ("{{ event.timestamp | date_local: '%-d. %-m. %H:%M' }}", "6. 6. 00:30"),
        ("{{ event.timestamp | date_local: '%A' }}", "sobota"),
        ("{{ event.name }} {{ event.properties.cart_id }} {{ event.products.size }}", "Cart Viewed c1 2"),
        ("{% for p in event.products %}{{ p.name }};{% endfor %}", "Káva <mletá>;Čaj;"),
        ("x{{ nothing | vocative }}{{ nothing | money: 'CZK' }}{{ nothing | date_local: '%d' }}", "x"),
    ],
)
def test_filters_and_variables(text: str, expected: str) -> None:
    assert sms(text).text == expected


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("Hi {{ profile.traits.first_name }}", ()),
        ("Hi {{ profile.traits.nick }}!", ("profile.traits.nick",)),
        ("Hi {{ profile.traits.nick | default: 'friend' }}", ()),
        ("Hi {{ profile.traits.nick | vocative | default: 'friend' }}", ()),
        ("Hi {{ profile.traits.nick | default: profile.traits.also }}", ("profile.traits.nick",)),
        ("Hi {{ profile.traits.nick | upcase }}", ("profile.traits.nick",)),
        ("Hi {{ 'you, ' | append: profile.traits.nick }}", ("profile.traits.nick",)),
        ("Hi {% if profile.traits.nick %}{{ profile.traits.nick }}{% endif %}", ()),
        ("Hi {% for p in event.gifts %}{{ p }}{% endfor %}", ("event.gifts",)),
        ("Hi {% for p in event.gifts %}{{ p }}{% else %}-{% endfor %}", ()),
        ("{{ voucher.code }} {{ voucher.code }} {{ preferences_url }}!", ("voucher.code", "preferences_url")),
        ("Hi {% echo profile.traits.nick %}", ("profile.traits.nick",)),
        ("{% for p in event.products %}{{ p.name }} {{ p.price }}{% endfor %}", ("p.price",)),
    ],
)
def test_what_is_missing_is_told(text: str, missing: tuple[str, ...]) -> None:
    assert sms(text).missing == missing


def test_blank_values_are_missing_too_and_values_are_never_told() -> None:
    traits: dict[str, Any] = {"a": " ", "b": None, "c": [], "d": False, "e": 0, "key": "secret"}
    done = sms(
        "x{{profile.traits.a}}{{profile.traits.b}}{{profile.traits.c}}{{profile.traits[profile.traits.key]}}",
        traits,
    )
    assert done.missing == (
        "profile.traits.a",
        "profile.traits.b",
        "profile.traits.c",
        "profile.traits[profile.traits.key]",
    )
    assert sms("{{ profile.traits.d }}{{ profile.traits.e }}", traits).missing == ()


def test_sms_count_their_parts_and_wear_down_letters_only_when_told() -> None:
    text = "Příliš žluťoučký kůň " + "x" * 60
    assert sms(text).parts == Parts("UCS-2", 81, 2)
    done = sms(text, transliterate=True)
    assert (done.text[:20], done.parts) == ("Prilis zlutoucky kun", Parts("GSM-7", 81, 1))


# blocks

FOOTER = {"html": "<p>{{ who }} – {{ campaign.name }}</p>", "text": "-- {{ who }}"}


def test_a_block_fits_its_surroundings() -> None:
    mail = template(
        "email",
        subject="S {% render 'footer', who: 'we' %}",
        html="<div>{% render 'footer', who: profile.traits.first_name %}</div>",
        text="{% render 'footer', who: profile.traits.first_name %}",
    )
    known = blocks(footer=FOOTER)
    assert check(mail, known) == []
    done = render(mail, variables({"first_name": "<Jana>"}, campaign={"name": "A & B"}), blocks=known)
    assert done.html == "<div><p>&lt;Jana&gt; – A &amp; B</p></div>"
    assert (done.text, done.subject) == ("-- <Jana>", "S -- we")


def test_one_text_stands_for_both() -> None:
    mail = template("email", subject="S", html="<b>{% render 'plain' %}</b>", text="{% render 'rich' %}")
    known = blocks(
        plain={"text": "Shop <Praha> & {{ profile.traits.first_name }}\nline\n"},
        rich={
            "html": "<p>Hi {{ profile.traits.first_name }}</p><p>{% render 'plain' %} <a href='http://x/'>go</a></p>"
        },
    )
    done = render(mail, variables({"first_name": "<i>"}), blocks=known)
    assert done.html == "<b>Shop &lt;Praha&gt; &amp; &lt;i&gt;<br>\nline</b>"
    assert done.text == "Hi <i>\n\nShop <Praha> & <i>\nline go (http://x/)"


def test_blocks_render_blocks_and_loops_over_them() -> None:
    known = blocks(
        item={"text": "{{ p.name }}{% render 'price', of: p.price %} "}, price={"text": "{{ of | money: 'CZK' }}"}
    )
    text = "{% render 'item' for event.products as p %}"
    assert check(template("sms", text=text), known) == []
    assert render(template("sms", text=text), variables(), blocks=known).text == "Káva <mletá>249,00 Kč Čaj"


def test_what_is_missing_in_a_block_is_told() -> None:
    done = render(
        template("sms", text="x{% render 'a' %}"), variables(), blocks=blocks(a={"text": "{{ voucher.code }}"})
    )
    assert done.missing == ("voucher.code",)


def test_a_block_that_is_gone_fails_the_message() -> None:
    with pytest.raises(TemplateFailed):
        render(template("sms", text="x{% render 'a' %}"), variables())


# MJML

MJML = """<mjml>
<mj-head><mj-title>{{ campaign.name }}</mj-title></mj-head>
<mj-body><mj-section><mj-column>
{% for p in event.products %}
<mj-text>{{ p.name | default: "?" }} {% if 1 < 2 and "a" != 'b' %}<b>yes</b>{% endif %}</mj-text>
{% endfor %}
<mj-button href="{{ unsubscribe_url | append: "?a=1" }}">Odhlásit</mj-button>
{% render "footer" %}
</mj-column></mj-section></mj-body></mjml>"""


def test_liquid_survives_mjml() -> None:
    mail = template("email", subject="S", mjml=MJML)
    known = blocks(footer={"html": "<tr><td>Patička {{ profile.traits.first_name }}</td></tr>"})
    assert check(mail, known) == []
    done = render(mail, variables(campaign={"name": "A & B"}), blocks=known)
    assert done.html is not None
    assert done.html.startswith("<!doctype html>")
    for part in ("<title>A &amp; B</title>", "Káva &lt;mletá&gt; <b>yes</b>", "Čaj <b>yes</b>"):
        assert part in done.html
    assert 'href="http://x/u?a=1"' in done.html
    assert "Patička Jana" in done.html
    assert "{{" not in done.html
    assert "liquid0q" not in done.html
    assert "Odhlásit (http://x/u?a=1)" in done.text


@pytest.mark.parametrize(
    ("mjml", "reason"),
    [
        ("<p>x</p>", "line 1: unexpected token"),
        ("<mjml><mj-body>{{ profile.id\n\n }}\n<mj-text></mj-body></mjml>", "MJML: "),
        ("<mjml><mj-body><mj-include path='/etc/passwd' /></mj-body></mjml>", "unable to load included template"),
        ("<mjml><mj-body>" + "<mj-section>" * 401 + "</mj-body></mjml>", "more than 400"),
        ("<mjml><mj-body><mj-raw>" + "<b>" * 3001 + "</mj-raw></mj-body></mjml>", "more than 400"),
        ("<mjml><mj-body>{% if 1 %}</mj-body></mjml>", "Liquid: "),
        ("<mjml><mj-body>{{ evnt.name }}</mj-body></mjml>", "unknown variable evnt"),
    ],
)
def test_what_is_no_mjml_is_refused(mjml: str, reason: str) -> None:
    (problem,) = check(template("email", subject="S", mjml=mjml))
    assert problem.path == "mjml"
    assert reason in problem.reason


def test_the_deepest_mjml_that_is_allowed_does_not_end_the_process() -> None:
    for element in ("mj-section", "mj-wrapper", "mj-hero", "mj-column"):
        nested = f"<{element}>" * 390 + f"</{element}>" * 390
        check(template("email", subject="S", mjml=f"<mjml><mj-body>{nested}</mj-body></mjml>"))
    nested = "<div>" * 2900 + "</div>" * 2900
    check(template("email", subject="S", mjml=f"<mjml><mj-body><mj-raw>{nested}</mj-raw></mj-body></mjml>"))


# Viber and WhatsApp


def test_viber_has_a_button_where_both_its_parts_are_there() -> None:
    viber = template(
        "viber",
        text="Hi",
        image_url="https://x/{{ profile.traits.image }}.png",
        button="{{ profile.traits.button }}",
        button_url="{{ profile.traits.url }}",
    )
    done = render(viber, variables({"image": "a", "button": "Go", "url": "https://y/"}))
    assert done.extras == {"image_url": "https://x/a.png", "button": "Go", "button_url": "https://y/"}
    assert render(viber, variables({"image": "a", "button": "Go"})).extras == {"image_url": "https://x/a.png"}
    with pytest.raises(TemplateFailed):
        render(viber, variables({"button": "Go", "url": "javascript:alert(1)"}))


def test_whatsapp_fills_the_approved_template() -> None:
    whatsapp = template(
        "whatsapp",
        name="order_sent",
        language="cs",
        parameters=["{{ profile.traits.first_name | vocative }}", "{{ event.properties.cart_id }}\n\tnow"],
        text="Ahoj {{1}}, košík {{ 2 }}",
    )
    assert check(whatsapp) == []
    done = render(whatsapp, variables())
    assert done.extras == {"name": "order_sent", "language": "cs", "parameters": ["Jano", "c1 now"]}
    assert done.text == "Ahoj Jano, košík c1 now"
    with pytest.raises(TemplateFailed):
        render(whatsapp, variables({}))
