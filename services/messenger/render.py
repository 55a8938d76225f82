"""Liquid templates to finished texts, within limits. Pure.

A template is code that a marketer wrote: it gets only the variables of DESIGN §7, no files and no includes,
and a bounded amount of loops, memory and output. What customers wrote is data: it is never compiled, and is
escaped in HTML.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from liquid import BoundTemplate, Environment
from liquid.exceptions import LiquidError, OutputStreamLimitError

from headrace.contracts.errors import HeadraceError, Problem
from headrace.contracts.template import EmailTemplate, Template
from services.messenger.html_text import html_to_text
from services.messenger.survey_urls import names_survey

VARIABLES = ("profile", "segment", "campaign", "event", "voucher", "unsubscribe_url", "survey_url")
_LATER = frozenset({"preferences_url"})
_OUTPUT_BYTES = 512 * 1024
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_TEXT_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class TemplateFailed(HeadraceError):
    """The template could not be rendered for this customer. The message says why, without their data."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A finished message. `subject` and `html` only for e-mail."""

    text: str
    subject: str | None = None
    html: str | None = None


class _Environment(Environment):
    output_stream_limit = _OUTPUT_BYTES
    loop_iteration_limit = 10_000
    local_namespace_limit = 256 * 1024
    context_depth_limit = 20


def _environment(*, autoescape: bool) -> Environment:
    environment = _Environment(autoescape=autoescape)
    for tag in ("include", "render"):
        del environment.tags[tag]
    environment.add_filter("replace", _bounded(environment.filters["replace"], _replaced_size))
    environment.add_filter("join", _bounded(environment.filters["join"], _joined_size))
    return environment


def _bounded(plain: Callable[..., Any], size: Callable[..., int]) -> Callable[..., Any]:
    """These two filters multiply what they are given in one step; the engine's own limits come too late."""

    def checked(*args: Any, **kwargs: Any) -> Any:
        if size(*args) > _OUTPUT_BYTES:
            raise OutputStreamLimitError("output stream limit reached", token=None)
        return plain(*args, **kwargs)

    checked.with_environment = getattr(plain, "with_environment", False)  # type: ignore[attr-defined]
    return checked


def _replaced_size(value: object, old: object = "", new: object = "", *_: object) -> int:
    text = str(value)
    return len(text) + text.count(str(old)) * len(str(new))


def _joined_size(value: object, separator: object = " ", *_: object) -> int:
    items = len(value) if isinstance(value, list | tuple) else 1
    return items * len(str(separator))


_TEXT = _environment(autoescape=False)
_HTML = _environment(autoescape=True)


@lru_cache(maxsize=1024)
def _compiled(source: str, html: bool) -> BoundTemplate:
    return (_HTML if html else _TEXT).from_string(source)


def check(template: Template) -> list[Problem]:
    """What is wrong in the template's Liquid: syntax, unknown filters and variables."""
    return [problem for field, source, html in _sources(template) for problem in _check(field, source, html)]


def render(template: Template, variables: Mapping[str, Any]) -> Rendered:
    """Raises TemplateFailed. A subject is one line; texts keep line breaks and lose other control characters."""
    done = {field: _render(field, source, html, variables) for field, source, html in _sources(template)}
    if not isinstance(template, EmailTemplate):
        text = done["text"].strip()
        if not text:
            raise TemplateFailed("the text is empty")
        return Rendered(text=text)
    html = done.get("html")
    text = done["text"] if "text" in done else html_to_text(html or "")
    return Rendered(text=text, subject=single_line(done["subject"]), html=html)


def render_text(source: str, variables: Mapping[str, Any]) -> str:
    """A piece of Liquid that stands for itself. Raises TemplateFailed."""
    return _render("text", source, False, variables)


def single_line(text: str) -> str:
    """Fit for a header: every run of control characters (line breaks too) becomes one space."""
    return _CONTROLS.sub(" ", text).strip()


def _sources(template: Template) -> Iterable[tuple[str, str, bool]]:
    if not isinstance(template, EmailTemplate):
        return [("text", template.text or "", False)]
    fields = [("subject", template.subject, False), ("html", template.html, True), ("text", template.text, False)]
    return [(name, source, html) for name, source, html in fields if source is not None]


def _render(field: str, source: str, html: bool, variables: Mapping[str, Any]) -> str:
    try:
        text = _compiled(source, html).render(**variables)
    except LiquidError as error:
        raise TemplateFailed(f"{field}: {type(error).__name__}") from error
    except Exception as error:
        # whatever a filter does with odd data, only this message fails
        raise TemplateFailed(f"{field}: a filter got a value it cannot handle") from error
    return _TEXT_CONTROLS.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def _check(field: str, source: str, html: bool) -> list[Problem]:
    try:
        found = _compiled(source, html).analyze()
    except LiquidError as error:
        return [Problem(field, f"Liquid: {error.message}", "see the Liquid documentation for tags and filters")]
    problems = [
        Problem(field, f"the filter {name} does not exist", "see the Liquid documentation for filters")
        for name in found.filters
        if name not in _TEXT.filters
    ]
    for name in found.globals:
        root = re.split(r"[.\[]", name, maxsplit=1)[0]
        if root in _LATER:
            problems.append(Problem(field, f"the variable {root} is not supported yet", "leave it out"))
        elif root not in VARIABLES:
            problems.append(Problem(field, f"unknown variable {root}", f"use one of {', '.join(VARIABLES)}"))
    if not all(names_survey(path.segments) for path in found.globals.get("survey_url", ())):
        problems.append(Problem(field, "survey_url names no survey", "write its id: survey_url.coffee-taste"))
    return problems
