"""Which token is presented."""

import pytest

from headrace.contracts.errors import ApiError
from headrace.runtime.access.act import audit_key, request_id, target
from headrace.runtime.access.secret import TOKEN_PREFIX, new_secret
from headrace.runtime.access.tokens import ROOT, KnownTokens, Token, digest

READER = Token("1", "reader", frozenset({"read"}), 1_000)


@pytest.fixture
def known() -> KnownTokens:
    tokens = KnownTokens("r00t")
    tokens.replace([(digest("stored"), READER)])
    return tokens


def test_the_root_token_and_stored_ones_are_found(known: KnownTokens) -> None:
    assert known.find("r00t", 10**15) is ROOT
    assert known.find("stored", 999) is READER


@pytest.mark.parametrize("presented", ["", "r00", "r00t ", "store", "\udcff", "reader"])
def test_others_are_not(known: KnownTokens, presented: str) -> None:
    with pytest.raises(ApiError) as refused:
        known.find(presented, 0)
    assert (refused.value.status, refused.value.code) == (401, "unauthorized")


def test_a_token_holds_until_the_instant_it_expires(known: KnownTokens) -> None:
    with pytest.raises(ApiError) as refused:
        known.find("stored", 1_000)
    assert (refused.value.status, refused.value.code) == (401, "token_expired")


def test_what_is_replaced_is_gone(known: KnownTokens) -> None:
    known.replace([])
    with pytest.raises(ApiError):
        known.find("stored", 0)
    assert known.find("r00t", 0) is ROOT


def test_secrets_are_long_and_differ() -> None:
    secrets = {new_secret(TOKEN_PREFIX) for _ in range(100)}
    assert len(secrets) == 100
    assert min(map(len, secrets)) >= len(TOKEN_PREFIX) + 43  # 256 bits


def test_a_target_names_definitions_and_hides_customers() -> None:
    key = audit_key("r00t")
    shown = target({"segment_id": "vip", "profile_id": "eva@example.com"}, key)
    assert shown["segment_id"] == "vip"
    assert "eva" not in shown["profile_id"]
    assert shown["profile_id"] == target({"profile_id": "eva@example.com"}, key)["profile_id"]
    assert shown["profile_id"] != target({"profile_id": "eva@example.com"}, audit_key("other"))["profile_id"]


@pytest.mark.parametrize("unusual", ["a\0b", "a\nb", "\ud800"])
def test_a_target_that_no_store_takes_is_hidden(unusual: str) -> None:
    assert target({"segment_id": unusual}, b"k")["segment_id"].startswith("hmac:")


@pytest.mark.parametrize("given", [None, "", "eva@example.com", "a b", "x" * 65])
def test_a_request_id_that_may_be_words_is_left_out(given: str | None) -> None:
    assert request_id(given) is None


def test_a_request_id_is_kept() -> None:
    assert request_id("req-1.A_b") == "req-1.A_b"
