"""The rules of identity: which identifier decides, what the settings file says, and what is wrong in it."""

import pytest

from services.profiles.identity_file import parse_rules
from services.profiles.identity_rules import DAY, DEFAULT_RULES, TypeRule


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
