"""What scopes permit, for any set of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.runtime.access.rules import rules
from headrace.runtime.access.scopes import PERMISSIONS, SCOPES, allows, granting, is_reading, permissions

SCOPE_SETS = st.frozensets(st.sampled_from(SCOPES))
ANY_TEXTS = st.frozensets(st.text())


@given(SCOPE_SETS, SCOPE_SETS)
def test_scopes_together_permit_what_each_permits_and_no_more(one: frozenset[str], other: frozenset[str]) -> None:
    assert permissions(one | other) == permissions(one) | permissions(other)


@given(SCOPE_SETS)
def test_every_scope_permits_itself(scopes: frozenset[str]) -> None:
    assert scopes <= permissions(scopes)


@given(SCOPE_SETS.filter(lambda scopes: "admin" not in scopes))
def test_only_admin_permits_what_is_for_admin(scopes: frozenset[str]) -> None:
    assert "admin" not in permissions(scopes)
    assert permissions(scopes | {"admin"}) == PERMISSIONS


@given(SCOPE_SETS)
def test_who_may_write_may_read_the_same(scopes: frozenset[str]) -> None:
    held = permissions(scopes)
    assert {f"{wanted}:read" for wanted in held if f"{wanted}:read" in PERMISSIONS} <= held


@given(st.frozensets(st.sampled_from(["read", "segments:read"])))
def test_who_may_read_may_not_write(scopes: frozenset[str]) -> None:
    assert all(is_reading(wanted) for wanted in permissions(scopes))


@given(ANY_TEXTS.filter(lambda names: names.isdisjoint(SCOPES)))
def test_what_is_no_scope_permits_nothing(names: frozenset[str]) -> None:
    assert permissions(names) == frozenset()


@pytest.mark.parametrize("wanted", sorted(PERMISSIONS))
def test_a_refusal_names_scopes_that_would_do(wanted: str) -> None:
    assert all(allows([scope], wanted) for scope in granting(wanted))


def test_a_table_with_a_wrong_permission_is_refused() -> None:
    with pytest.raises(ValueError, match="everything"):
        rules({"GET /v1/x": "everything"})
    with pytest.raises(ValueError, match="GET /v1/y"):
        rules({"GET /v1/x": "read"}, exports=frozenset({"GET /v1/y"}))


def test_acts_are_what_changes_something_and_exports() -> None:
    table = rules(
        {"GET /t": "admin", "GET /e": "read", "POST /preview": "segments:read", "PUT /s": "segments"},
        exports=frozenset({"GET /e"}),
    )
    assert {route for route, rule in table.items() if rule.act} == {"GET /e", "PUT /s"}
