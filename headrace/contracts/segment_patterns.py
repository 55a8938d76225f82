"""Regular expressions of `matches`: compiled by RE2, whose time is linear in the text whatever the pattern.

What RE2 does not know (back references, looking around) is refused. So is a repetition of what already repeats
without bounds, `(a+)+`: whoever runs such a pattern elsewhere (a console, a data warehouse) may wait for ever.
"""

import re
from functools import lru_cache
from typing import Any

import re2

_MEMORY = 1 << 20  # bytes that a compiled pattern may take
_REPEATS = frozenset({"MAX_REPEAT", "MIN_REPEAT"})
_MANY = 20  # from here on a bounded repetition inside of another counts as unbounded


@lru_cache(maxsize=4_096)
def compiled_pattern(pattern: str) -> Any:
    """The pattern for `search`. Raises ValueError for what RE2 refuses."""
    options = re2.Options()
    options.max_mem = _MEMORY
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        raise ValueError(_reason(error)) from error


def pattern_problem(pattern: str) -> str | None:
    """Why the pattern is refused; None when it is fine."""
    try:
        compiled_pattern(pattern)
    except ValueError as error:
        return f"is no regular expression in RE2's syntax: {error}"
    try:
        tree = re._parser.parse(pattern)  # type: ignore[attr-defined]  # the standard library has no public one
    except (re.error, OverflowError, RecursionError):
        return None  # RE2's own syntax, such as \pN: nothing else runs it
    if _repeats_repetition(tree, inside=False):
        return "repeats what already repeats, such as (a+)+: elsewhere that can take for ever"
    return None


def _reason(error: Exception) -> str:
    text = error.args[0] if error.args else ""
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)


def _repeats_repetition(tree: Any, *, inside: bool) -> bool:
    for operation, argument in tree:
        if inside and str(operation) == "BRANCH" and any(not len(branch) for branch in argument[1]):
            return True  # (a|aa)+, factored: a, then nothing or another a
        repeats = str(operation) in _REPEATS and argument[1] > _MANY
        if repeats and inside:
            return True
        if any(_repeats_repetition(part, inside=inside or repeats) for part in _parts(argument)):
            return True
    return False


def _parts(argument: Any) -> list[Any]:
    """The patterns inside of an operation's argument."""
    if isinstance(argument, re._parser.SubPattern):  # type: ignore[attr-defined]
        return [argument]
    if isinstance(argument, list | tuple):
        return [part for one in argument for part in _parts(one)]
    return []
