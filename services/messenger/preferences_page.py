"""The preferences page, and what its form says. Everything that is not ours is escaped."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape

from headrace.contracts.communication import MAX_MONTHLY
from headrace.contracts.errors import HeadraceError
from headrace.contracts.policy import Topic
from services.messenger.choices import Choice, Standing
from services.messenger.form import Form
from services.messenger.page import paragraph
from services.messenger.page_texts import TEXTS, Texts

STOP = "stop"
_MONTHLY = "monthly_maximum"


class NoNumber(HeadraceError):
    """The monthly maximum is no whole number from 0 to 1000."""


@dataclass(frozen=True, slots=True)
class Notice:
    """What stands above the form; `wrong`: the monthly maximum was no number."""

    text: str
    wrong: bool = False


def read_choice(form: Form) -> Choice | None:
    """None when it is not this page's form. Raises NoNumber."""
    if _MONTHLY not in form:
        return None
    written = form[_MONTHLY][0].strip()
    if written and not (
        written.isascii() and written.isdigit() and len(written) <= 9 and int(written) <= MAX_MONTHLY
    ):
        raise NoNumber("write a whole number from 0 to 1000, or nothing")
    return Choice(
        form.get("offered", ()),
        form.get("channel", ()),
        form.get("shown", ()),
        form.get("topic", ()),
        int(written) if written else None,
        form.get("preferred", [""])[0] or None,
    )


def topic_name(topic_id: str, topic: Topic | None, language: str) -> str:
    """The policy's name in the page's language, else its name, else the id."""
    if topic is None:
        return topic_id
    near = (name for locale, name in topic.locales.items() if locale.split("-")[0] == language)
    return topic.locales.get(language) or next(near, topic.name)


def preferences_body(
    standing: Standing, topics: Mapping[str, Topic | None], language: str, notice: Notice | None = None
) -> str:
    """Two forms that are sent to the page's own address: the choice, and stopping everything."""
    texts = TEXTS[language]
    wrong = notice is not None and notice.wrong
    shown = "" if notice is None else _notice(notice)
    names = {topic_id: topic_name(topic_id, topic, language) for topic_id, topic in topics.items()}
    form = (
        _hidden("offered", standing.channels)
        + _hidden("shown", standing.topics)
        + _boxes("channel", texts.channels, _ticks(standing.channels, texts.channel_names), texts.channels_help)
        + (_boxes("topic", texts.topics, _ticks(standing.topics, names)) if standing.topics else "")
        + _maximum(texts, standing.said.monthly_maximum, wrong)
        + _preferred(texts, standing)
        + f'<button type="submit">{escape(texts.save)}</button>'
    )
    stop = (
        f'<input type="hidden" name="{STOP}" value="1">'
        f'<button class="other" type="submit">{escape(texts.stop_button)}</button>'
    )
    return (
        f'{shown}<form method="post" accept-charset="utf-8">{form}</form>'
        f"<h2>{escape(texts.stop[0])}</h2>{paragraph(texts.stop[1])}"
        f'<form method="post" accept-charset="utf-8">{stop}</form>'
    )


def _notice(notice: Notice) -> str:
    if notice.wrong:
        return f'<p class="error" id="error" role="alert">{escape(notice.text)}</p>'
    return paragraph(notice.text, kind="saved", role="status")


def _hidden(name: str, values: Iterable[str]) -> str:
    return "".join(f'<input type="hidden" name="{name}" value="{escape(value)}">' for value in values)


def _ticks(chosen: Mapping[str, bool], names: Mapping[str, str]) -> Iterable[tuple[str, str, bool]]:
    return ((value, names[value], ticked) for value, ticked in chosen.items())


def _boxes(name: str, legend: str, boxes: Iterable[tuple[str, str, bool]], about: str = "") -> str:
    options = "".join(
        f'<label class="option"><input type="checkbox" name="{name}" value="{escape(value)}"'
        f"{' checked' if ticked else ''}>{escape(text)}</label>"
        for value, text, ticked in boxes
    )
    described = f' aria-describedby="{name}-help"' if about else ""
    note = f'<p class="help" id="{name}-help">{escape(about)}</p>' if about else ""
    return f"<fieldset{described}><legend>{escape(legend)}</legend>{note}{options}</fieldset>"


def _maximum(texts: Texts, maximum: int | None, wrong: bool) -> str:
    value = f' value="{maximum}"' if maximum is not None else ""
    error = ' aria-invalid="true"' if wrong else ""
    described = "monthly-help error" if wrong else "monthly-help"
    return (
        f'<label class="question" for="monthly">{escape(texts.monthly)}</label>'
        f'<p class="help" id="monthly-help">{escape(texts.monthly_help)}</p>'
        f'<input class="field" id="monthly" name="{_MONTHLY}" type="number" inputmode="numeric" min="0" '
        f'max="{MAX_MONTHLY}" step="1"{value}{error} aria-describedby="{described}">'
    )


def _preferred(texts: Texts, standing: Standing) -> str:
    """Offered where there is a choice."""
    if len(standing.channels) < 2:
        return _hidden("preferred", [standing.said.preferred or ""])
    options = "".join(
        f'<option value="{escape(value)}"{" selected" if value == (standing.said.preferred or "") else ""}>'
        f"{escape(text)}</option>"
        for value, text in [("", texts.no_preferred), *((c, texts.channel_names[c]) for c in standing.channels)]
    )
    return (
        f'<label class="question" for="preferred">{escape(texts.preferred)}</label>'
        f'<select class="field" id="preferred" name="preferred">{options}</select>'
    )
