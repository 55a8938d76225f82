"""Which codes an event redeems: by what is written in it, by property against the rules said one by one."""

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.messenger.coupons import SKEW_MS, Given, Use, codes_in, order_in, redemptions

NOW = 1_700_000_000_000
CODES = ("AAA", "BBB", "CCC")
ROOTS = ("p1", "p2")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["abc", " ABC ", "ßab"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)
TIMES = st.integers(NOW - 2 * SKEW_MS, NOW + 2 * SKEW_MS)


def use(*codes: str, root: str = "p1", at: int = NOW, number: int = 0) -> Use:
    return Use(number, root, at, codes, None)


def code(
    name: str = "AAA",
    *,
    id: int = 1,
    root: str | None = "p1",
    shared: bool = False,
    at: int = NOW,
    ends: int | None = None,
) -> Given:
    return Given(id, "spring", name, shared, root, at, ends, "welcome", "e1")


def done(uses: list[Use], given_: list[Given]) -> list[tuple[int, str]]:
    return [(one.given.id, one.redeemed) for one in redemptions(uses, given_)]


def test_where_codes_stand() -> None:
    properties = {"coupon": " abc ", "coupon_id": "ABC", "products": [{"coupon": "x-1"}, 7, {"coupon": None}]}
    assert codes_in("Order Completed", properties) == ("ABC", "X-1")
    assert codes_in("Coupon Applied", {"coupon_name": "abc"}) == ("ABC",)
    assert codes_in("Page Seen", properties) == ()
    assert codes_in("Order Completed", {"coupon": "ßab"}) == (), "its capitals would be SSAB, another code"


def test_the_order_is_a_text() -> None:
    values: list[Any] = [7, "a\0b", True, None, []]
    said = [order_in({"order_id": value}) for value in values]
    assert said == ["7", "ab", None, None, None]


@given(
    st.dictionaries(st.sampled_from(["coupon", "coupon_id", "coupon_name", "products", "order_id"]), JSON) | JSON
)
def test_whatever_an_event_says_codes_are_codes(properties: Any) -> None:
    found = codes_in("Order Completed", properties)
    assert all(3 <= len(one) <= 64 and one == one.upper() and one.isascii() for one in found)
    assert len(set(found)) == len(found) <= 20
    order = order_in(properties)
    assert order is None or "\0" not in order


def test_once_and_by_whom() -> None:
    assert done([use("AAA"), use("AAA")], [code()]) == [(1, "in_time")]
    assert done([use("AAA", root="p2")], [code()]) == [(1, "by_another")]
    assert done([use("AAA")], [code(root=None)]) == [(1, "by_another")]
    assert done([use("AAA")], [code(ends=NOW)]) == [(1, "in_time")]
    assert done([use("AAA")], [code(ends=NOW - 1, at=NOW - 2)]) == [(1, "late")]
    assert done([use("AAA", root="p2")], [code(shared=True)]) == []
    both = [code(id=1, root="p2", at=NOW - 1), code(id=2)]
    assert done([use("AAA"), use("AAA")], both) == [(2, "in_time"), (1, "by_another")]


def test_an_order_from_before_its_code_is_history() -> None:
    assert done([use("AAA", at=NOW - SKEW_MS)], [code()]) == [(1, "in_time")]
    assert done([use("AAA", at=NOW - SKEW_MS - 1)], [code()]) == []


USES = st.lists(st.builds(use, st.sampled_from(CODES), root=st.sampled_from(ROOTS), at=TIMES), max_size=6)
GIVEN = st.lists(
    st.builds(
        code,
        st.sampled_from([*CODES, "aaa"]),
        root=st.sampled_from([*ROOTS, None]),
        shared=st.booleans(),
        at=TIMES,
        ends=st.none() | TIMES,
    ),
    max_size=8,
)


@given(USES, GIVEN)
def test_what_is_redeemed_was_given_named_and_the_best_there_was(uses: list[Use], given_: list[Given]) -> None:
    given_ = [code(g.code, id=i, root=g.root, shared=g.shared, at=g.assigned_at, ends=g.expires_at)
              for i, g in enumerate(given_)]  # fmt: skip
    found = list(redemptions(uses, given_))
    assert max(Counter(one.given.id for one in found).values(), default=1) == 1
    left = {one.id: one for one in given_}
    by_use = {id(one.use): one for one in found}
    for each in uses:
        able = [
            one
            for one in left.values()
            if one.code.upper() in each.codes
            and one.assigned_at <= each.at + SKEW_MS
            and (one.root == each.root or not one.shared)
        ]
        redeemed = by_use.get(id(each))
        assert (redeemed is None) == (not able)
        if redeemed is not None:
            best = min(able, key=lambda one: (one.root != each.root, one.assigned_at, one.id))
            assert redeemed.given is left.pop(best.id)
            own = best.root == each.root
            late = best.expires_at is not None and best.expires_at < each.at
            assert redeemed.redeemed == ("by_another" if not own else "late" if late else "in_time")
