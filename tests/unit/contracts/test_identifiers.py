"""What broken clients send instead of an id is never one; what looks like a joke may be."""

import pytest

from headrace.contracts.identifiers import is_placeholder


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "\t\n",
        "null",
        "NULL",
        " null ",
        "undefined",
        "Undefined",
        "none",
        "NaN",
        "nil",
        "(null)",
        "0",
        "-1",
        "00000000",
        "00000000-0000-0000-0000-000000000000",
        "anonymous",
        "Anonymous",
        "[object Object]",
        "[object object]",
    ],
)
def test_placeholders(value: str) -> None:
    assert is_placeholder(value)


@pytest.mark.parametrize(
    "value",
    ["test", "user", "guest", "1", "10", "01", "-2", "a", "nullable", "anonymous-7", "0x0", "000-1"],
)
def test_ordinary_ids(value: str) -> None:
    assert not is_placeholder(value)
