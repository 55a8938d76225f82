"""What a benchmark shows and writes."""

import json
from pathlib import Path

from tests.bench.report import Figure, Report, write_json

REPORT = Report(
    "ingest",
    "log in memory",
    [
        Figure("single POST", 3_900.4, "requests/CPU-s", limit=14_700.0, against="echo"),
        Figure("POST to answer, p50", 1.234, "ms"),
    ],
)


def test_a_figure_is_told_as_a_part_of_its_limit() -> None:
    assert [figure.ratio for figure in REPORT.figures] == [3_900.4 / 14_700.0, None]


def test_the_table_has_a_line_for_each_figure_with_its_limit_and_the_ratio() -> None:
    title, _, post, answer = REPORT.table().splitlines()
    assert title == "== ingest: log in memory"
    assert post.split() == ["single", "POST", "3,900", "requests/CPU-s", "14,700", "0.27", "echo"]
    assert answer.split() == ["POST", "to", "answer,", "p50", "1.23", "ms"]


def test_the_file_has_the_ratios_too(tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    write_json(file, [REPORT])
    (report,) = json.loads(file.read_bytes())
    assert (report["bench"], report["setting"]) == ("ingest", "log in memory")
    assert [(figure["value"], figure["ratio"]) for figure in report["figures"]] == [
        (3_900.4, 3_900.4 / 14_700.0),
        (1.234, None),
    ]
