"""The rules of identity: which identifier decides, what the settings file says, and what is wrong in it."""

import re
from pathlib import Path

import pytest
import yaml

from headrace.contracts.errors import SettingsError
from services.profiles.identity_file import parse_rules, read_rules
from services.profiles.identity_rules import DAY, DEFAULT_RULES, SourceRule, TypeRule

EXAMPLE = Path(__file__).parents[3] / "examples" / "identity.yaml"


def test_user_email_phone_others_by_name_browser_device() -> None:
    kinds = ["ios.id", "anonymous_id", "pos_id", "phone", "card", "email", "user_id"]
    expected = ["user_id", "email", "phone", "card", "pos_id", "anonymous_id", "ios.id"]
    assert sorted(kinds, key=DEFAULT_RULES.rank) == expected


def test_what_the_file_does_not_say_stays() -> None:
    rules = parse_rules({"identifiers": {"crm": {"hard": True}, "email": {"limit": 2, "within": "30d"}}})
    assert rules.of("crm") == TypeRule(priority=50, hard=True, limit=1, within=None)
    assert rules.of("email") == TypeRule(priority=2, limit=2, within=30 * DAY)
    assert rules.of("phone") == DEFAULT_RULES.of("phone")


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "the file must be an object"),
        ({"identifier": {}}, "did you mean identifiers"),
        ({"identifiers": {"email": {"limits": 3}}}, "did you mean limit"),
        ({"identifiers": {"email": {"limit": 0}}}, r"identifiers\.email\.limit must be a whole number from 1"),
        (
            {"identifiers": {"user_id": {"hard": False}}},
            r"identifiers\.user_id\.hard: two user ids are",
        ),
        (
            {"identifiers": {"email": {"within": "a year"}}},
            r"email\.within must be ever or a duration",
        ),
        ({"identifiers": {"crm": {"hard": True, "limit": 3}}}, "a hard type has one value ever"),
        ({"blocked": [{"pattern": "("}]}, r"blocked\.\*\.0\.pattern is no regular expression"),
        ({"blocked": [0]}, "must be an object"),
        ({"sources": {"till": {"region": "CZE"}}}, r"sources\.till\.region must be an ISO country code"),
        ({"sources": {"till": {"party": "fourth"}}}, r"sources\.till\.party must be one of zero, first"),
        ({"quarantine": {"within": "ever"}}, r"quarantine\.within must be a duration"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(document: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_rules(document)


def test_blocked_values_are_by_type_or_for_all() -> None:
    rules = parse_rules({"blocked": {"*": ["Guest"], "email": [{"pattern": ".*@till[.]example"}]}})
    assert rules.is_blocked("user_id", "guest")
    assert rules.is_blocked("email", "no@till.example")
    assert not rules.is_blocked("email", "no@till.example.org")
    assert not rules.is_blocked("card", "no@till.example")


def test_the_example_is_the_defaults() -> None:
    given = yaml.safe_load(EXAMPLE.read_text())
    rules = parse_rules(given)
    assert rules.types == DEFAULT_RULES.types
    assert rules.quarantine == DEFAULT_RULES.quarantine
    assert set(given["identifiers"]) == set(DEFAULT_RULES.types), "it names all of them"
    for kind, rule in given["identifiers"].items():
        default = DEFAULT_RULES.types[kind]
        assert rule["priority"] == default.priority
        assert rule.get("weak", False) is default.weak
        assert rule.get("hard", False) is default.hard
        if not default.hard:
            assert (rule["limit"], rule["within"]) == (default.limit, "365d")


def test_what_the_example_leaves_out_can_be_written_as_it_says() -> None:
    text = EXAMPLE.read_text()
    for part in ("blocked", "sources"):
        text = re.sub(rf"# {part}:\n(#   .*\n)+", lambda found: re.sub("(?m)^# ", "", found[0]), text)
    rules = parse_rules(yaml.safe_load(text))
    assert rules.is_blocked("user_id", "guest")
    assert rules.is_blocked("email", "7@till.example")
    assert rules.source("partner") == SourceRule(party="third", trait_priority=-10)
    assert rules.source("till").region == "CZ"
    assert rules.source("web") == SourceRule()


def test_a_file_is_read_and_what_is_wrong_in_it_names_it_and_the_line(tmp_path: Path) -> None:
    file = tmp_path / "identity.yaml"
    file.write_text("identifiers:\n  email: {limit: 2}\n")
    assert read_rules(str(file)).of("email").limit == 2
    file.write_text("identifiers:\n  email: {limit: 2\n")
    with pytest.raises(SettingsError, match=r"identity\.yaml' is no YAML(.|\n)*line 3"):
        read_rules(str(file))
    file.write_text("identifiers: {email: {limt: 2}}\n")
    with pytest.raises(SettingsError, match=r"identifiers\.email: limt is not known; did you mean limit"):
        read_rules(str(file))
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        read_rules(str(tmp_path / "none.yaml"))
    assert read_rules(None) is DEFAULT_RULES
