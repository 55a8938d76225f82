"""A wrong mapping is refused with the place; the shipped one is right."""

from pathlib import Path

import pytest

from headrace.contracts.errors import InvalidDefinition
from headrace.importing.mapping import load_mapping
from tests.unit.importing.shop import mapping

BASE = """
kind: import
message:
  message_id: "x:{A}"
  timestamp: {column: B}
  user_id: "{A}"
"""


def load(tmp_path: Path, text: str) -> None:
    file = tmp_path / "m.yaml"
    file.write_text(text, encoding="utf-8")
    load_mapping(file)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind: import", "message: is missing"),
        (BASE.replace("{column: B}", "{column: B, zone: Mars/Base}"), "message.timestamp.zone: .*no IANA"),
        (BASE + "  propertys: {}", "message.propertys: is no field here"),
        (BASE + "variants: [{when: {column: A}, set: {event: E}}]", "exactly one of empty"),
        (BASE + "items: {fields: {n: {count: lines}}}", "sum and count stand for a whole receipt"),
        (BASE + "  properties: {n: {column: A, as: money}}", "message.properties.n.column.as: Input should be"),
        ("- a", "must be an object"),
        ("{", "cannot|expected"),
        (BASE + "csv: {encoding: cp1520}", "csv.encoding: 'cp1520' is no encoding"),
        (BASE + "csv: {encoding: idna}", "csv.encoding: 'idna' is no encoding"),
        (BASE + "csv: {decimal: ',', thousands: ','}", "cannot be the same mark"),
        (BASE.replace('  message_id: "x:{A}"', "") + "group_by: A", "message_id is missing: with group_by"),
        (BASE.replace("  timestamp: {column: B}", ""), "timestamp is missing"),
        (BASE + "csv: {quote: ';', delimiter: ';'}", "delimiter and quote cannot be the same"),
        (BASE + 'csv: {delimiter: "\\n"}', "csv.delimiter: must be a character"),
        (BASE.replace("{column: B}", "{column: B, format: '%Q'}"), "'%Q' is no strptime pattern"),
        (BASE.replace("{column: B}", "{column: []}"), "needs at least one item"),
        (BASE + "  properties: {n: 3}", "message.properties.n.*must be text"),
        (BASE + '  properties: {n: {value: "\\ud800"}}', "cannot be sent as JSON"),
        (BASE + "  properties: {a: '{A}', a.b: '{B}'}", "a is a value and has a.b in it as well"),
        (BASE + "  context: {traits: '{A}'}", "context.traits is no single value"),
        (BASE + "variants: [{when: {column: A, empty: true}, set: {properties: {a: x, a.b: y}}}]", "a is a value"),
        (BASE + "tags: [{}]", "give name, with when or without"),
        (BASE + "consents: [{channel: sms, column: A, properties: {channel: {value: b}}}]", "stands beside"),
    ],
)
def test_a_wrong_mapping_names_the_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InvalidDefinition, match=message):
        load(tmp_path, text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidDefinition, match=r"m\.yaml: cannot be read"):
        load_mapping(tmp_path / "m.yaml")


def test_a_variant_merges_properties_and_replaces_the_rest() -> None:
    base = mapping().message
    patch = {"properties": {"total": {"value": 0}}, "event": "E"}
    variant = mapping(variants=[{"when": {"column": "Sku", "equals": "x"}, "set": patch}]).variants[0]
    changed = base.patched(variant.set)
    assert changed.event == "E"
    assert set(changed.properties) == {"total", "lines"}
    assert changed.properties["total"] != base.properties["total"]
    assert changed.user_id == base.user_id


def test_a_misspelt_field_is_guessed(tmp_path: Path) -> None:
    with pytest.raises(InvalidDefinition) as found:
        load(tmp_path, BASE + "  propertys: {}")
    assert [problem.suggestion for problem in found.value.problems] == ["did you mean properties?"]
