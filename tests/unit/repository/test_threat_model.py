"""The threat model names tests; they exist."""

import re

import pytest

from tests.unit.repository.tree import ROOT

NAMED = sorted(
    set(re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", (ROOT / "docs/threat-model.md").read_text("utf-8")))
)


def test_every_class_of_threats_has_controls_with_tests() -> None:
    page = (ROOT / "docs/threat-model.md").read_text("utf-8")
    parts = dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))
    stride = ("Spoofing", "Tampering", "Repudiation", "Information disclosure", "Denial of service")
    for name in (*stride, "Elevation of privilege"):
        rows = [line for line in parts[name].splitlines() if line.startswith("| ")][2:]
        assert rows
        assert [row for row in rows if "`tests/" not in row.rsplit("|", 2)[1]] == []


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_a_named_test_exists(path: str, name: str) -> None:
    text = (ROOT / path).read_text("utf-8")
    assert re.search(rf"^(?:(?:async )?def {name}\(|{name} = )", text, re.MULTILINE) if name else text
