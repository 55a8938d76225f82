"""The sizing model of docs/capacity.md, held against a small load of other proportions than it was made with."""

import pytest
import uvloop

from tests.bench.bench_capacity import compared, measure, parser
from tests.bench.report import Figure

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]

SIZES = 0.35
"""How far a size may be off, as a part of what is predicted."""
CPU = 3.0
"""How many times more or less CPU all processes together may take than predicted: cores differ."""
PACKED = ("redis deadlines", "redis members")
"""Redis packs small sets: here they are smaller than the model's, which are large."""
ARGUMENTS = ("--events", "4000", "--customers", "500", "--segments", "45", "--padding", "200")


@pytest.fixture(scope="module")
def figures() -> list[Figure]:
    return list(compared(*uvloop.run(measure(parser().parse_args(ARGUMENTS)))))


def test_engines_grow_as_predicted(figures: list[Figure]) -> None:
    sizes = [figure for figure in figures if figure.unit.startswith("B/")]
    assert len(sizes) >= 15
    wrong = [figure for figure in sizes if not _is_near(figure)]
    assert not wrong, wrong


def _is_near(size: Figure) -> bool:
    ratio = size.ratio or 0.0
    return 0 < ratio <= 1 + SIZES and (size.name in PACKED or ratio >= 1 - SIZES)


def test_cores_are_kept_busy_about_as_predicted(figures: list[Figure]) -> None:
    spent = [figure for figure in figures if figure.name.startswith("cpu ") and "messages" not in figure.name]
    assert {"cpu ingest", "cpu profiles", "cpu segmenter", "cpu messenger", "cpu kafka"} <= {f.name for f in spent}
    ratio = sum(figure.value for figure in spent) / sum(figure.limit or 0 for figure in spent)
    assert 1 / CPU <= ratio <= CPU, [(figure.name, figure.value, figure.limit) for figure in spent]
