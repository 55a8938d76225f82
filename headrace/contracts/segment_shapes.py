"""What may be written in each part of a segment definition: its keys, spelt how, and what each of them holds.

Read off the models, so that a key added there is known here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, get_args, get_origin

from headrace.contracts.errors import Problem
from headrace.contracts.segment_examples import example, missing_key
from headrace.contracts.segment_limits import MAX_CONDITIONS
from headrace.contracts.segment_tests import OPERATORS, EventTest, Test
from headrace.contracts.segment_values import Model
from headrace.contracts.segment_words import MAX_WORD, meant, shown, suggested

# Keys that a model takes and has no field for: it puts them elsewhere.
_MOVED: Mapping[type[Model], frozenset[str]] = {EventTest: frozenset({"currency"})}


@dataclass(frozen=True, slots=True)
class Shape:
    """The keys of one part: `required` of them must be there, exactly one of `operators` (if there are any), and
    under those in `parts` is another part, or with `lists` a list of such."""

    known: frozenset[str]
    required: tuple[str, ...]
    operators: frozenset[str]
    parts: Mapping[str, type[Model]]
    lists: frozenset[str]


@lru_cache(maxsize=128)
def shape_of(model: type[Model]) -> Shape:
    fields = {field.alias or name: (name, field) for name, field in model.model_fields.items()}
    parts = {key: part for key, (_, field) in fields.items() if (part := _part(field.annotation)) is not None}
    operators = (
        {key for key, (name, _) in fields.items() if name in OPERATORS} if issubclass(model, Test) else set()
    )
    return Shape(
        frozenset(fields) | _MOVED.get(model, frozenset()),
        tuple(key for key, (_, field) in fields.items() if field.is_required()),
        frozenset(operators),
        parts,
        frozenset(key for key in parts if _listed(fields[key][1].annotation)),
    )


def _part(annotation: Any) -> type[Model] | None:
    """The one model in a type. A union of several is a condition, whose shape is not that of a part."""
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return annotation
    found = {part for one in get_args(annotation) if (part := _part(one)) is not None}
    return found.pop() if len(found) == 1 else None


def _listed(annotation: Any) -> bool:
    return get_origin(annotation) is tuple or any(_listed(one) for one in get_args(annotation))


def shape_problems(path: str, model: type[Model], body: object) -> Iterator[Problem]:
    """Everything wrong with the keys of `body`, which is to be such a part, and of the parts inside of it."""
    if not isinstance(body, Mapping):
        yield Problem(path, "must be an object", example(path, model, body))
        return
    shape, guessed = shape_of(model), set()
    for key, value in body.items():
        where = joined(path, key)
        if key not in shape.known:
            guessed.add(meant(key, shape.known))
            yield Problem(where, "is not known here", suggested(key, shape.known))
        elif value is None:
            yield Problem(where, "is empty", "write its value, or leave the key out")
        elif key in shape.lists:
            yield from _list_problems(where, shape.parts[key], value)
        elif key in shape.parts:
            yield from shape_problems(where, shape.parts[key], value)
    for key in shape.required:
        if key not in body and key not in guessed:
            yield Problem(joined(path, key), "is missing", missing_key(model, key))
    if shape.operators:
        yield from _operator_problems(path, body, shape, guessed)


def _list_problems(path: str, model: type[Model], body: object) -> Iterator[Problem]:
    if not isinstance(body, list | tuple):
        yield Problem(path, "must be a list", "put a dash before each of its items")
    elif len(body) > MAX_CONDITIONS:
        yield Problem(
            path, f"has more than {MAX_CONDITIONS} items", "leave some out, or use in: for several values"
        )
    else:
        for index, part in enumerate(body):
            yield from shape_problems(f"{path}.{index}", model, part)


def _operator_problems(
    path: str, body: Mapping[Any, object], shape: Shape, guessed: set[str | None]
) -> Iterator[Problem]:
    used = [key for key in body if key in shape.operators]
    if len(used) > 1:
        yield Problem(path, f"must have exactly one operator, not {' and '.join(used)}", _one_of(used))
    elif not used and not guessed & {None, *shape.operators}:
        known = ", ".join(sorted(shape.operators))
        yield Problem(path, "must have exactly one operator", f"add one of {known}")


def _one_of(used: list[str]) -> str:
    if {key[:2] for key in used} == {"gt", "lt"}:
        return "for both bounds write between: [10, 20]; else make two conditions under all:"
    return "keep one, or make two conditions under all:"


def joined(path: str, key: object) -> str:
    """The path of a key. What is no text, or endless, is shown as far as it helps."""
    return f"{path}.{shown(key)[:MAX_WORD]}" if path else shown(key)[:MAX_WORD]
