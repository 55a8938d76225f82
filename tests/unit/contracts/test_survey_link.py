"""Signed links: only our own are believed, and only until they expire."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.errors import SettingsError
from headrace.contracts.ids import profile_id
from headrace.contracts.survey_link import SurveyKeys, SurveyLink, read_survey_keys

OLD, NEW = SurveyKeys({1: b"a" * 32}), SurveyKeys({1: b"a" * 32, 2: b"b" * 32})
LINK = SurveyLink("coffee-taste", profile_id("shop", "m1"))
NOW = 1_790_000_000_000


@given(
    st.text(max_size=80) | st.from_regex(r"[12]\.[a-z]{1,5}\.p[0-9]{1,5}\.0\.[A-Za-z0-9_-]{22}", fullmatch=True)
)
def test_what_we_did_not_sign_is_not_believed(token: str) -> None:
    assert NEW.verify(token, NOW) is None


@given(st.from_regex(r"[a-z0-9-]{1,64}", fullmatch=True), st.text("abcdef0123456789", min_size=1, max_size=64))
def test_what_we_signed_is(survey: str, profile: str) -> None:
    link = SurveyLink(survey, profile)
    assert NEW.verify(NEW.sign(link), NOW) == link


def test_every_character_counts() -> None:
    token = NEW.sign(LINK, expires_at=NOW + 60_000)
    for position, letter in enumerate(token):
        changed = token[:position] + ("A" if letter != "A" else "B") + token[position + 1 :]
        assert NEW.verify(changed, NOW) is None
    assert NEW.verify(f"{token}\n", NOW) is None


def test_it_is_good_until_it_expires() -> None:
    token = NEW.sign(LINK, expires_at=NOW + 500)
    assert NEW.verify(token, NOW + 499) == LINK
    assert NEW.verify(token, NOW + 1_000) is None


def test_a_new_key_signs_and_the_old_one_verifies_as_long_as_it_is_there() -> None:
    token = OLD.sign(LINK)
    assert NEW.verify(token, NOW) == LINK
    assert NEW.sign(LINK).startswith("2.")
    assert SurveyKeys({2: b"b" * 32}).verify(token, NOW) is None


def test_keys_are_read_from_a_setting() -> None:
    keys = read_survey_keys("HEADRACE_SURVEY_KEYS", f"1:{'61' * 32}, 2:{'62' * 32}")
    assert keys == NEW
    assert "6161" not in repr(keys)
    assert "aaaa" not in repr(keys)


@pytest.mark.parametrize("text", ["", "x", "1:61", f"0:{'61' * 32}", f"1:{'61' * 32},1:{'62' * 32}", "61" * 32])
def test_what_is_no_key_is_refused_without_telling_it(text: str) -> None:
    with pytest.raises(SettingsError, match="HEADRACE_SURVEY_KEYS must be keys as 1:") as caught:
        read_survey_keys("HEADRACE_SURVEY_KEYS", text)
    assert "6161" not in str(caught.value)
