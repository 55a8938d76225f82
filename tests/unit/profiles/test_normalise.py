"""One spelling per identifier; what is none links nobody."""

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import given
from hypothesis import strategies as st

from services.profiles.normalise import MAX_BYTES, identifier, identifier_type


@pytest.mark.parametrize(
    ("kind", "sent", "stored"),
    [
        ("email", " Jana.Nova+news@Example.COM ", "jana.nova+news@example.com"),
        ("email", "info@háčky.cz", "info@xn--hky-ela4t.cz"),
        ("email", "not an address", None),
        ("email", "a@b", None),
        ("phone", "+420 777 123 456", "+420777123456"),
        ("phone", "00420777123456", "+420777123456"),
        ("phone", "777 123 456", None),
        ("phone", "12", None),
        ("user_id", "  u1 ", "u1"),
        ("user_id", 42, "42"),
        ("user_id", "U1", "U1"),
        ("user_id", "guest", "guest"),
        ("user_id", 2**53, None),
        ("user_id", True, None),
        ("user_id", 1.5, None),
        ("user_id", ["u1"], None),
        ("user_id", None, None),
        ("user_id", "e\u0301", "\u00e9"),
        ("user_id", "u\u200b1", None),
        ("user_id", "u\x001", None),
        ("user_id", "u\u20281", None),
        ("user_id", "u\u034f1", None),
        ("user_id", "u\ufe0f1", None),
        ("user_id", "\u3164", None),
        ("user_id", "\u0161 \u4e00", "\u0161 \u4e00"),
        ("user_id", " NULL ", None),
        ("user_id", "Unknown", None),
        ("email", "INFO@H\u00c1\u010cKY.cz", "info@xn--hky-ela4t.cz"),
        ("email", "jana.n.o.va@example.com", "jana.n.o.va@example.com"),
        ("email", "jana\u200b@example.com", None),
        ("user_id", "x" * MAX_BYTES, "x" * MAX_BYTES),
        ("user_id", "x" * (MAX_BYTES + 1), None),
        ("anonymous_id", "null", None),
        ("anonymous_id", "00000000-0000-0000-0000-000000000000", None),
        ("loyalty_card", "-1", None),
    ],
)
def test_identifiers(kind: str, sent: object, stored: str | None) -> None:
    assert identifier(kind, sent) == stored


def test_national_numbers_need_a_country() -> None:
    assert identifier("phone", "777 123 456", "CZ") == "+420777123456"
    assert identifier("phone", "+49 1512 3456789", "CZ") == "+4915123456789"


def test_normalising_twice_changes_nothing() -> None:
    for kind, sent in [("email", "Jana@HÁČKY.cz"), ("phone", "+420 777 123 456"), ("user_id", " e\u0301 ")]:
        once = identifier(kind, sent)
        assert identifier(kind, once) == once


@pytest.mark.parametrize("kind", ["", " ", 7, None, "x" * 65, "a\u200bb"])
def test_what_cannot_name_a_type(kind: object) -> None:
    assert identifier_type(kind) is None


ADDRESS_PARTS = st.sampled_from(
    ["a", "B", "9", ".", "-", "_", "+", "@", "xn--", "x" * 30, ".test", ".local", ".com", ".c1"]
)


@given(st.lists(ADDRESS_PARTS, max_size=8).map("".join) | st.emails())
def test_an_email_is_what_the_validator_accepts(text: str) -> None:
    try:
        valid = validate_email(text, check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        assert identifier("email", text) is None
    else:
        assert identifier("email", text) == f"{valid.local_part}@{valid.ascii_domain}".lower()
