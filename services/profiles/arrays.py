"""Arrays as literals: text for parameters written `$1::text::text[]`.

asyncpg takes lists as well, but asks of every element whether it is a list itself: that costs more than all else
that a batch sends.
"""

from collections.abc import Iterable, Sequence


def text_array(values: Sequence[str]) -> str:
    """The literal of a text[] without NULLs."""
    if not values:
        return "{}"
    joined = '","'.join(values)
    if "\\" in joined or joined.count('"') != 2 * len(values) - 2:
        joined = '","'.join(map(_escaped, values))
    return f'{{"{joined}"}}'


def nullable_text_array(values: Sequence[str | None]) -> str:
    """The literal of a text[] in which None is NULL."""
    present = [value for value in values if value is not None]
    if len(present) == len(values):
        return text_array(present)
    return "{" + ",".join(["NULL" if value is None else f'"{_escaped(value)}"' for value in values]) + "}"


def number_array(values: Iterable[int]) -> str:
    """The literal of an array of integers."""
    return "{" + ",".join(map(str, values)) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')
