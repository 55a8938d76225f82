"""One cell at a time: instants, truth values, templates."""

import contextlib
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.importing.cells import Numbers, boolean, currency, word_reader
from headrace.importing.templates import template_reader
from headrace.importing.times import date_reader, instant_reader


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


@pytest.mark.parametrize(
    ("decimal", "thousands", "cell", "expected"),
    [
        (",", "", "12,50", "12.50"),
        (",", " ", "1 234 567,5", "1234567.5"),
        (",", " ", "1\u00a0234,5", "1234.5"),
        (",", ".", "-1.234,50", "-1234.50"),
        (".", ",", "1,234.5", "1234.5"),
        (".", ",", "1234.5", "1234.5"),
    ],
)
def test_numbers_as_the_file_writes_them(decimal: str, thousands: str, cell: str, expected: str) -> None:
    assert str(Numbers(decimal, thousands).number(cell)) == expected


@pytest.mark.parametrize(
    ("decimal", "thousands", "cell"),
    [(".", "", "1,234"), (",", ".", "1.23"), (",", " ", "12 34,5"), (".", ",", "1,2345"), (",", "", "1.5")],
)
def test_no_number_is_guessed(decimal: str, thousands: str, cell: str) -> None:
    with pytest.raises(ValueError, match="is no number"):
        Numbers(decimal, thousands).number(cell)


def test_another_decimal_mark_is_told_with_what_to_write() -> None:
    with pytest.raises(ValueError, match=r"csv\.decimal: ','"):
        Numbers().number("9,90")


def test_whole_numbers_may_be_written_with_a_fraction_of_nothing() -> None:
    numbers = Numbers(",", " ")
    assert [numbers.integer(cell) for cell in ("1 000", "2,0", "-3")] == [1000, 2, -3]
    for cell in ("2,5", "1234567890123456", "x"):
        with pytest.raises(ValueError, match="is no whole number"):
            numbers.integer(cell)


def test_a_huge_cell_is_not_repeated_in_the_reason() -> None:
    with pytest.raises(ValueError, match="100000 characters") as found:
        Numbers().number("x" * 100_000)
    assert len(str(found.value)) < 200


@pytest.mark.parametrize("format", ["%d.%m.%Y %H:%M", "%Y-%m-%d %H:%M:%S", "%Y%m%d", "%d/%m/%Y"])
@given(st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2100, 1, 1)))
def test_formats_of_numbers_are_read_as_strptime_reads_them(format: str, moment: datetime) -> None:
    text = moment.strftime(format)
    zone = ZoneInfo("Europe/Prague")
    expected = datetime.strptime(text, format).replace(tzinfo=zone).astimezone(UTC)
    assert instant_reader(format, zone.key)(text) == expected.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def test_names_of_months_are_read_too() -> None:
    assert instant_reader("%d %b %Y", "UTC")("24 Dec 2025") == "2025-12-24T00:00:00.000Z"


@pytest.mark.parametrize(
    "cell", ["0001-01-01 00:00", "9999-12-31 23:59", "24.12.2025", "2025-2-30 1:00", "２０２５-01-01 00:00"]
)
def test_instants_at_the_edge_are_refused_or_read_and_never_break(cell: str) -> None:
    for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago"):
        with contextlib.suppress(ValueError):
            instant_reader("%Y-%m-%d %H:%M", zone)(cell)


def test_dates_have_no_zone() -> None:
    assert date_reader("%d.%m.%Y")("31.5.1990") == "1990-05-31"
    with pytest.raises(ValueError, match="is no date of the format"):
        date_reader("%d.%m.%Y")("31.6.1990")


def test_currencies_are_three_capitals() -> None:
    assert currency("czk") == "CZK"
    with pytest.raises(ValueError, match="is no currency"):
        currency("Kč")


def test_words_are_looked_up() -> None:
    read = word_reader({"F": "female", "1": True})
    assert (read("F"), read("1")) == ("female", True)
    with pytest.raises(ValueError, match="is none of F, 1"):
        read("f")
