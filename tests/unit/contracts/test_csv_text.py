"""Every CSV that we write: a spreadsheet runs nothing of it, and it reads back as what was written."""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headrace.cli.importing.report import Report
from headrace.contracts.csv_text import FORMULA, csv_rows
from headrace.importing.outcome import Rejection
from services.messenger import voucher_file
from services.messenger.report_csv import report_csv
from services.segmenter.export import ExportedMember, head, rows
from tests.unit.repository.tree import texts

Writer = Callable[[str], str]

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.builds(
    "".join, st.lists(st.sampled_from([*FORMULA, '"', ",", " ", "'", "1", "cmd", "\0"]), max_size=6)
)


def members(text: str) -> str:
    member = ExportedMember(text, text, text, text, text, 3, text)
    return (head("csv") + rows("csv", [member])).decode()


def vouchers(text: str) -> str:
    return voucher_file.head() + voucher_file.rows([dict.fromkeys(voucher_file.COLUMNS, text)])


def report(text: str) -> str:
    return report_csv({"name": text, "variants": [{"variant": text, text or "x": text}]}).decode()


def rejections(text: str) -> str:
    with TemporaryDirectory() as folder:
        path = Path(folder, "rejected.csv")
        with Report(path, lambda line: (text, line), resumed=False) as written:
            written.add(Rejection(1, text, text, text))
        with path.open(encoding="utf-8", newline="") as file:
            return file.read()


WRITERS = [members, vouchers, report, rejections, lambda text: csv_rows([[text, "x"]])]


@pytest.mark.parametrize("writer", WRITERS)
@given(TEXTS)
@example("=1+1")
@example('"=1+1')
@example("+420601123456")
@example('x"\r\n=1+1')
def test_no_cell_begins_as_a_formula_and_each_reads_back(writer: Writer, text: str) -> None:
    written = writer(text)
    table = list(csv.reader(io.StringIO(written, newline="")))
    assert len({len(row) for row in table}) == 1
    cells = [cell for row in table for cell in row]
    assert not [cell for cell in cells if cell.lstrip('"').startswith(FORMULA)]
    assert text in cells or f"'{text}" in cells


def test_numbers_and_truths_stay_what_they_are() -> None:
    assert csv_rows([[-5, -0.5, True, False, None, "", "-5"]]) == "-5,-0.5,true,false,,,'-5\r\n"


def test_nothing_else_writes_csv() -> None:
    others = [
        path
        for path, text in texts().items()
        if path.startswith(("headrace/", "services/")) and ("csv.writer" in text or "DictWriter" in text)
    ]
    assert others == []
