"""A report as CSV: one figure a line, so that every part fits one table. Pure.

Columns: `part` (campaign, channel, step, variant, split), `name` (of the channel, the step, the way taken),
`figure` (its path in the JSON report), `value`.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

HEAD = ("part", "name", "figure", "value")
# what a spreadsheet takes for a formula: OWASP, "CSV injection"; security.md 12
_FORMULA = ("=", "+", "-", "@", "\t", "\r", '"=', '"+', '"-', '"@', "'")
_PARTS = {"channels": "channel", "steps": "step", "variants": "variant", "splits": "split"}
_NAMES = ("channel", "step", "path", "variant")


def report_csv(report: Mapping[str, Any]) -> bytes:
    """The report (RFC 4180, UTF-8)."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(HEAD)
    for part, name, figure, value in _lines(report):
        writer.writerow([part, _cell(name), _cell(figure), _cell(value)])
    return text.getvalue().encode("utf-8", "replace")


def _lines(report: Mapping[str, Any]) -> Iterator[tuple[str, str, str, Any]]:
    whole = {key: value for key, value in report.items() if key not in _PARTS}
    for figure, value in _figures(whole):
        yield "campaign", "", figure, value
    for key, part in _PARTS.items():
        for item in report.get(key, ()):
            name = " ".join(str(item[each]) for each in _NAMES if each in item)
            for figure, value in _figures({k: v for k, v in item.items() if k not in _NAMES}):
                yield part, name, figure, value


def _figures(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Everything that holds no other things, with its path."""
    pairs: Iterator[tuple[Any, Any]]
    if isinstance(value, Mapping):
        pairs = iter(value.items())
    elif isinstance(value, Sequence) and not isinstance(value, str):
        pairs = iter(enumerate(value))
    else:
        yield path, value
        return
    for key, inner in pairs:
        yield from _figures(inner, f"{path}.{key}" if path else str(key))


def _cell(value: Any) -> Any:
    """Numbers as they are; a text that a spreadsheet would run gets an apostrophe in front."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value
