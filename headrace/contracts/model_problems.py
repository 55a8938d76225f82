"""What a pydantic model refuses, in words for who wrote the document: path, reason, suggestion."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from headrace.contracts.errors import Problem

_REASONS = {
    "missing": "is missing",
    "extra_forbidden": "is no field here",
    "string_type": "must be text",
    "list_type": "must be a list",
    "too_short": "needs at least one item",
    "string_too_short": "is empty",
    "model_type": "must be an object",
    "dict_type": "must be an object",
}


def model_problems(error: ValidationError, models: Iterable[type[BaseModel]], guide: str) -> list[Problem]:
    """`models`: those whose fields may be meant by a name that is none. `guide`: where the format is explained."""
    names = sorted(set(_names(models)))
    return [_problem(detail, names, guide) for detail in error.errors()]


def near(word: str, words: Iterable[str]) -> str:
    """`did you mean …?`, or nothing where no word is like it."""
    found = nearest(word, words)
    return f"did you mean {found}?" if found else ""


def nearest(word: str, words: Iterable[str]) -> str:
    """The one that is most like it, or nothing."""
    found = get_close_matches(word, list(words), n=1)
    return found[0] if found else ""


def _names(models: Iterable[type[BaseModel]]) -> Iterator[str]:
    for model in models:
        for name, field in model.model_fields.items():
            yield field.alias or name


def _problem(detail: ErrorDetails, names: list[str], guide: str) -> Problem:
    location = detail["loc"]
    reason = _REASONS.get(detail["type"]) or detail["msg"].removeprefix("Value error, ")
    hint = ""
    if detail["type"] == "extra_forbidden":
        hint = near(str(location[-1]), names)
    elif detail["type"] == "string_type":
        hint = "put it in quotes"
    return Problem(".".join(map(str, location)), reason, hint or guide)
