"""MJML to the HTML that mail programs understand, with its Liquid left in place. Pure.

Liquid is no XML: `{% if a < b %}` and `href="{{ x | default: "y" }}"` would break the parser. So every tag is
replaced by a word before and put back after.
"""

import re
from collections.abc import Mapping
from functools import lru_cache

import mrml

from headrace.contracts.errors import HeadraceError

_LIQUID = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_ELEMENT = re.compile(r"<(?=[A-Za-z])")
_MJ_ELEMENT = re.compile(r"<mj-", re.IGNORECASE)
_POSITION = re.compile(r"(.*?) in root template at position (\d+):\d+", re.DOTALL)
# The parser recurses once per nested element and must not run out of stack, which would end the process: these
# hold even if each element stood in the one before.
_MAX_ELEMENTS = 3000
_MAX_MJ_ELEMENTS = 400


class MjmlFailed(HeadraceError):
    """The text is no MJML. The message says what is wrong and in which line."""


@lru_cache(maxsize=256)
def mjml_to_html(source: str) -> str:
    """Raises MjmlFailed. `mj-include` is refused: there are no files."""
    if len(_ELEMENT.findall(source)) > _MAX_ELEMENTS or len(_MJ_ELEMENT.findall(source)) > _MAX_MJ_ELEMENTS:
        raise MjmlFailed(f"more than {_MAX_MJ_ELEMENTS} MJML elements, or {_MAX_ELEMENTS} elements in all")
    words, text = _covered(source)
    html = _compiled(text, words)
    return _uncovered(html, words)


def _covered(source: str) -> tuple[Mapping[str, str], str]:
    """Which Liquid each word stands for, and the text with the words."""
    mark = next(word for n in range(len(source) + 1) if (word := f"liquid{n}q") not in source)
    words: dict[str, str] = {}

    def cover(match: re.Match[str]) -> str:
        word = f"{mark}{len(words)}x"
        words[word] = match[0]
        return word

    return words, _LIQUID.sub(cover, source.strip())


def _uncovered(text: str, words: Mapping[str, str]) -> str:
    if not words:
        return text
    mark = next(iter(words)).rpartition("q")[0]
    return re.sub(rf"{mark}q\d+x", lambda match: words.get(match[0], match[0]), text)


def _compiled(text: str, words: Mapping[str, str]) -> str:
    try:
        return str(mrml.to_html(text, mrml.ParserOptions(include_loader=mrml.noop_loader())).content)
    except OSError as error:
        raise MjmlFailed(_told(str(error), text, words)) from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # how Rust's panics arrive: no subclass of Exception
            raise
        raise MjmlFailed("it cannot be compiled") from error


def _told(message: str, text: str, words: Mapping[str, str]) -> str:
    match = _POSITION.fullmatch(message)
    if match is None:
        return message.removesuffix(" in root template")
    before = text.encode()[: int(match[2])].decode(errors="ignore")
    return f"line {_uncovered(before, words).count(chr(10)) + 1}: {match[1]}"
