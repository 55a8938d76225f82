"""The guide shows the whole language, and everything it shows is right."""

import re
from typing import Any, get_args

import pytest

from headrace.contracts.documents import load_document
from headrace.contracts.segment import KINDS, parse_segment
from headrace.contracts.segment_conditions import Response
from headrace.contracts.segment_lint import CONDITIONS, LEAVES
from headrace.contracts.segment_rfm import RFM_CLASSES
from headrace.contracts.segment_shapes import Shape, shape_of
from headrace.contracts.segment_tests import AGGREGATIONS, Weekday
from tests.unit.repository.tree import texts

GUIDE = texts()["docs/segments.md"]
BLOCKS = re.findall(r"^```yaml\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
CODE = "\n".join([*BLOCKS, *re.findall(r"`[^`\n]+`", GUIDE)])


def documents() -> list[Any]:
    """Every example: a definition, or a list of conditions each of which could be one."""
    found = []
    for block in BLOCKS:
        loaded = load_document(block)
        whens = loaded if isinstance(loaded, list) else []
        found += [{"id": "shown", "name": "Shown", "when": when} for when in whens] or [loaded]
    return found


@pytest.mark.parametrize("document", documents(), ids=lambda document: str(document.get("when", document))[:60])
def test_every_example_is_right(document: Any) -> None:
    parse_segment(document)


def shapes() -> list[Shape]:
    """Of all parts of all conditions."""
    found, waiting = [], [*LEAVES.values(), *KINDS.values()]
    for model in waiting:
        found.append(shape_of(model))
        waiting += [part for part in found[-1].parts.values() if part not in waiting]
    return found


WORDS = {
    *CONDITIONS,
    *KINDS,
    *AGGREGATIONS,
    *RFM_CLASSES,
    *get_args(Response),
    *get_args(Weekday),
    *(key for shape in shapes() for key in shape.known),
}


@pytest.mark.parametrize("word", sorted(WORDS))
def test_every_word_of_the_language_is_shown(word: str) -> None:
    assert re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", CODE)


@pytest.mark.parametrize("kind", LEAVES)
def test_every_condition_has_an_example(kind: str) -> None:
    assert any(f"{{'{kind}': " in str(document) for document in documents())


def test_every_operator_and_aggregate_has_an_example() -> None:
    shown = str(documents())
    operators = {key for shape in shapes() for key in shape.operators}
    assert [word for word in sorted({*operators, *AGGREGATIONS}) if f"'{word}': " not in shown] == []


def test_the_grid_of_classes_is_the_contracts() -> None:
    rows = re.findall(r"^\| \*\*(\d)\*\* \| (.*) \|$", GUIDE, re.MULTILINE)
    columns = [(5,), (4,), (3,), (2, 1)]
    shown = {
        (recency, int(frequency)): cell.strip("` ")
        for frequency, cells in rows
        for scores, cell in zip(columns, cells.split("|"), strict=True)
        for recency in scores
    }
    assert shown == {
        (recency, frequency): name
        for name, (recencies, frequencies) in RFM_CLASSES.items()
        for recency in recencies
        for frequency in frequencies
    }


def test_it_can_be_read_in_one_sitting() -> None:
    assert len(GUIDE.splitlines()) <= 400
