"""Whether a command's output is the one that a page shows.

In what is shown `…` stands for anything, and `<profile id>` for a value that is not known before: the first time
it is learnt, from then on it must be the same, in outputs and in commands.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

_HOLE = re.compile(r"<([a-z][a-z ]*)>|…")
_MORE = "…"

Values = dict[str, str]


def filled(text: str, values: Values) -> str:
    """`text` with the values that are known in the place of their names."""
    return _HOLE.sub(lambda hole: values.get(hole[1], hole[0]) if hole[1] else hole[0], text)


def unfilled(text: str) -> list[str]:
    """Names for which nothing is known, in a text that went through `filled`."""
    return [hole[0] for hole in _HOLE.finditer(text)]


def same_text(shown: str, given: str, values: Values) -> Values | None:
    """The values learnt when `given` reads as `shown`, else None. Spaces at line ends and runs of spaces do not
    count; a line of nothing but `…` stands for any number of lines."""
    names: list[str] = []
    pattern = "".join(_line(line, values, names) for line in _lines(shown))
    found = re.fullmatch(pattern, "".join(f"{line}\n" for line in _lines(given)))
    return None if found is None else dict(zip(names, found.groups(), strict=True))


def same_json(shown: str, given: str, values: Values) -> Values | None:
    """The same for JSON, one document after another. A key `…` stands for further keys, an item `…` for further
    items; the order of keys does not count."""
    try:
        expected, found = list(_documents(shown)), list(_documents(given))
    except ValueError:
        return None
    learnt = dict(values)
    return learnt if _agree(expected, found, learnt) else None


def _lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.strip().splitlines()]


def _line(line: str, values: Values, names: list[str]) -> str:
    if line == _MORE:
        return r"(?:.*\n)*?"
    return _pattern(line, values, names) + r"\n"


def _pattern(text: str, values: Values, names: list[str]) -> str:
    parts, end = [], 0
    for hole in _HOLE.finditer(text):
        parts.append(re.escape(text[end : hole.start()]))
        parts.append(_hole(hole[1], values, names))
        end = hole.end()
    return "".join(parts) + re.escape(text[end:])


def _hole(name: str | None, values: Values, names: list[str]) -> str:
    if name is None:
        return ".*"
    if name in values:
        return re.escape(values[name])
    if name in names:
        return rf"\{names.index(name) + 1}"
    names.append(name)
    return r"([^\s\"]+)"


def _documents(text: str) -> Iterator[Any]:
    decoder, rest = json.JSONDecoder(), text.strip()
    while rest:
        document, end = decoder.raw_decode(rest)
        yield document
        rest = rest[end:].strip()


def _agree(shown: Any, given: Any, values: Values) -> bool:
    if isinstance(shown, str):
        return _agree_text(shown, given, values)
    if isinstance(shown, dict):
        return isinstance(given, dict) and _agree_objects(shown, given, values)
    if isinstance(shown, list):
        return isinstance(given, list) and _agree_lists(shown, given, values)
    return bool(shown == given) and isinstance(shown, bool) == isinstance(given, bool)


def _agree_text(shown: str, given: Any, values: Values) -> bool:
    if shown == _MORE:
        return True
    names: list[str] = []
    found = re.fullmatch(_pattern(shown, values, names), given if isinstance(given, str) else json.dumps(given))
    if found is None:
        return False
    values.update(zip(names, found.groups(), strict=True))
    return True


def _agree_objects(shown: dict[str, Any], given: dict[str, Any], values: Values) -> bool:
    keys = shown.keys() - {_MORE}
    if not keys <= given.keys() or (_MORE not in shown and keys != given.keys()):
        return False
    return all(_agree(shown[key], given[key], values) for key in shown if key != _MORE)


def _agree_lists(shown: list[Any], given: list[Any], values: Values) -> bool:
    if shown and shown[-1] == _MORE:
        shown = shown[:-1]
        given = given[: len(shown)]
    return len(shown) == len(given) and all(
        _agree(one, other, values) for one, other in zip(shown, given, strict=True)
    )
