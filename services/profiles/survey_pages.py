"""The pages of a survey: HTML without scripts, for phones as for screen readers (pure). All texts are escaped."""

import base64
from collections.abc import Iterable, Mapping
from hashlib import sha256
from html import escape

from headrace.contracts.survey import (
    DateQuestion,
    MultipleChoice,
    NumberQuestion,
    Question,
    ScaleQuestion,
    SingleChoice,
    SurveyDefinition,
    TextQuestion,
)
from services.profiles.survey_texts import TEXTS, Texts

_STYLE = (
    "*{box-sizing:border-box}body{font:1.125rem/1.5 system-ui,sans-serif;max-width:36rem;margin:0 auto;"
    "padding:1.5rem 1rem;color:#1a1a1a;background:#fff}h1{font-size:1.5rem}fieldset{border:0;margin:0;padding:0}"
    "legend,.question{font-weight:600;padding:0;margin:0 0 .5rem;display:block}.option{display:block;"
    "padding:.75rem;margin:.5rem 0;border:1px solid #767676;border-radius:.5rem}.option input{width:1.25rem;"
    "height:1.25rem;vertical-align:-.2rem;margin-right:.75rem}.field{font:inherit;width:100%;padding:.75rem;"
    "border:1px solid #767676;border-radius:.5rem}button{font:inherit;padding:.75rem 1.5rem;margin:1rem .5rem 0 0;"
    "border:1px solid #1a1a1a;border-radius:.5rem;background:#1a1a1a;color:#fff}button.skip{background:#fff;"
    "color:#1a1a1a}.error{color:#a40000;font-weight:600}.help{margin:0 0 .5rem}"
)
_STYLE_HASH = base64.b64encode(sha256(_STYLE.encode()).digest()).decode()
HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}
ANSWER, QUESTION, SKIP = "answer", "question", "skip"
"""Names of the form's fields."""


def question_page(survey: SurveyDefinition, question: Question, *, refused: bool = False) -> str:
    """The form of one question; it is sent to the page's own address. `refused`: the last answer was none."""
    texts = TEXTS[survey.language]
    notice = f'<p class="error" id="error" role="alert">{escape(texts.invalid)}</p>' if refused else ""
    # the browser holds nobody up who wants to skip
    skip = f'<button class="skip" name="{SKIP}" value="1" formnovalidate>{escape(texts.skip)}</button>'
    form = (
        f'<form method="post" accept-charset="utf-8">'
        f'<input type="hidden" name="{QUESTION}" value="{escape(question.id)}">'
        f"{notice}{_fields(question, texts, refused)}"
        f'<button type="submit">{escape(texts.next)}</button>{skip if question.optional else ""}</form>'
    )
    return _page(survey.language, survey.title or survey.name, form)


def thanks_page(survey: SurveyDefinition) -> str:
    texts = TEXTS[survey.language]
    return _page(survey.language, texts.thanks_title, _paragraph(survey.thanks or texts.thanks))


def gone_page(language: str = "en") -> str:
    """For a survey that is no more and for a customer who is none: it does not say which."""
    title, sentence = TEXTS[language].gone
    return _page(language, title, _paragraph(sentence))


def refused_page() -> str:
    """For a link that we did not sign, or that has expired. Nothing is known of who follows it: both languages."""
    parts = [_paragraph(f"{texts.refused[0]}. {texts.refused[1]}", name) for name, texts in TEXTS.items()]
    return _page("en", TEXTS["en"].refused[0], "".join(parts))


def _page(language: str, title: str, body: str) -> str:
    return (
        f'<!doctype html>\n<html lang="{language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="robots" content="noindex">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><main><h1>{escape(title)}</h1>{body}</main></body></html>\n"
    )


def _paragraph(text: str, language: str | None = None) -> str:
    lang = f' lang="{language}"' if language else ""
    return f"<p{lang}>{escape(text)}</p>"


def _fields(question: Question, texts: Texts, refused: bool) -> str:
    described = [name for name, there in (("help", question.help is not None), ("error", refused)) if there]
    about = f' aria-describedby="{" ".join(described)}"' if described else ""
    if (options := _options(question, texts)) is not None:
        return f"<fieldset{about}><legend>{escape(question.text)}</legend>{_help(question)}{options}</fieldset>"
    label = f'<label class="question" for="{ANSWER}">{escape(question.text)}</label>'
    return f"{label}{_help(question)}{_field(question, about)}"


def _help(question: Question) -> str:
    return f'<p class="help" id="help">{escape(question.help)}</p>' if question.help is not None else ""


def _options(question: Question, texts: Texts) -> str | None:
    """Everything that is chosen from; None for what is written."""
    if isinstance(question, MultipleChoice):
        return _boxes("checkbox", ((choice.value, choice.text) for choice in question.choices), required=False)
    if isinstance(question, SingleChoice):
        return _boxes("radio", ((choice.value, choice.text) for choice in question.choices))
    if isinstance(question, ScaleQuestion):
        return _boxes("radio", _steps(question))
    if isinstance(question, NumberQuestion | TextQuestion | DateQuestion):
        return None
    return _boxes("radio", (("yes", texts.yes), ("no", texts.no)))


def _steps(question: ScaleQuestion) -> Iterable[tuple[str, str]]:
    ends = {question.min: question.low, question.max: question.high}
    for step in range(question.min, question.max + 1):
        end = ends.get(step)
        yield str(step), f"{step} – {end}" if end else str(step)


def _boxes(kind: str, options: Iterable[tuple[str, str]], *, required: bool = True) -> str:
    demand = " required" if required else ""
    return "".join(
        f'<label class="option"><input type="{kind}" name="{ANSWER}" value="{escape(value)}"{demand}>'
        f"{escape(text)}</label>"
        for value, text in options
    )


def _field(question: Question, about: str) -> str:
    common = f'class="field" id="{ANSWER}" name="{ANSWER}" required{about}'
    if isinstance(question, NumberQuestion):
        low = f' min="{question.min}"' if question.min is not None else ""
        high = f' max="{question.max}"' if question.max is not None else ""
        return f'<input type="number" inputmode="decimal" step="any"{low}{high} {common}>'
    if isinstance(question, TextQuestion):
        return f'<textarea rows="4" maxlength="{question.max_length}" {common}></textarea>'
    return f'<input type="date" {common}>'
