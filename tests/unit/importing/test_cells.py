"""One cell at a time: instants, truth values, templates."""

import pytest

from headrace.importing.cells import Numbers, boolean
from headrace.importing.templates import template_reader
from headrace.importing.times import instant_reader


@pytest.mark.parametrize(
    ("format", "zone", "cell", "expected"),
    [
        ("iso", "UTC", "2025-12-24T18:30:00Z", "2025-12-24T18:30:00.000Z"),
        ("iso", "Europe/Prague", "2025-12-24 18:30", "2025-12-24T17:30:00.000Z"),
        ("iso", "Europe/Prague", "2025-12-24T18:30:00+00:00", "2025-12-24T18:30:00.000Z"),
        ("%d/%m/%Y %H:%M", "Europe/London", "01/07/2011 09:05", "2011-07-01T08:05:00.000Z"),
        ("%Y-%m-%d %H:%M", "Europe/Prague", "2025-10-26 02:30", "2025-10-26T00:30:00.000Z"),
        ("epoch_s", "UTC", "1293840000.5", "2011-01-01T00:00:00.500Z"),
        ("epoch_ms", "UTC", "1293840000500", "2011-01-01T00:00:00.500Z"),
    ],
)
def test_instants(format: str, zone: str, cell: str, expected: str) -> None:
    assert instant_reader(format, zone)(cell) == expected


@pytest.mark.parametrize("cell", ["", "yesterday", "2025-13-01", "99999999999999999"])
def test_what_is_no_instant_is_refused(cell: str) -> None:
    for format in ("iso", "epoch_ms"):
        with pytest.raises(ValueError, match=r"is no|outside the years"):
            instant_reader(format, "UTC")(cell)


def test_truth_is_spelt_out() -> None:
    assert [boolean(cell) for cell in ("Yes", "1", "TRUE", "no", "0")] == [True, True, True, False, False]
    with pytest.raises(ValueError, match="neither true"):
        boolean("maybe")


def test_numbers_keep_every_digit() -> None:
    assert str(Numbers().number("-000012.340")) == "-12.340"


def test_a_template_with_an_empty_column_is_left_out() -> None:
    def read(template: str, row: list[str]) -> str | None:
        return template_reader(template, lambda name: lambda cells: cells["ab".index(name)])(row)

    assert read("{a}", ["x", ""]) == "x"
    assert read("{a}", ["", "y"]) is None
    assert read("r:{a}-{b}!", ["x", "y"]) == "r:x-y!"
    assert read("r:{a}-{b}!", ["x", ""]) is None
    assert read("fixed", ["", ""]) == "fixed"
