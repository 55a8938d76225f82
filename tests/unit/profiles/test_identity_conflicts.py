"""Who never becomes one: customers with hard identifiers, limits, public keys, what was taken apart, and what
strangers share."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.profiles.identity import Identifier
from services.profiles.identity_rules import DAY, IdentityRules, Quarantine, TypeRule
from tests.unit.profiles.town import Seen, Town

EVER = None
STRICT = IdentityRules(
    {
        "crm": TypeRule(hard=True, limit=1, within=EVER),
        "email": TypeRule(priority=2, limit=2, within=EVER),
        "phone": TypeRule(priority=3, limit=2, within=50),
        "anonymous_id": TypeRule(priority=90, limit=3, within=EVER, weak=True),
        "device": TypeRule(priority=95, limit=2, within=EVER, weak=True),
    },
    quarantine=Quarantine(links=1_000_000),
)
KINDS = ("user_id", "crm", "email", "phone", "anonymous_id", "device.id")
IDENTIFIER = st.tuples(st.sampled_from(KINDS), st.sampled_from("123456"))
NAMES = st.lists(IDENTIFIER, min_size=1, max_size=4, unique=True).map(tuple)
CUTS = st.lists(st.integers(1, 12), max_size=20)


def batches(events: Sequence[Seen], cuts: Sequence[int]) -> list[Sequence[Seen]]:
    """The events in order, as many at a time as `cuts` say, and the rest one by one."""
    ends = [0]
    for size in (*cuts, *[1] * len(events)):
        ends.append(min(len(events), ends[-1] + size))
    return [events[first:last] for first, last in pairwise(ends) if first < last]


def counted(town: Town, group: set[Identifier], kind: str, now: int) -> int:
    within = town.rules.of(kind).within
    begin = now - within if within is not None else -1
    return sum(found[0] == kind and town.first_seen[found] > begin for found in group)


@given(st.lists(st.tuples(NAMES, st.booleans(), st.integers(0, 40)), max_size=30), CUTS)
def test_no_profile_ever_holds_two_hard_values_nor_more_than_its_limits(
    history: list[tuple[tuple[Identifier, ...], bool, int]], cuts: list[int]
) -> None:
    town, now, events = Town(STRICT), 0, []
    for names, trusted, passed in history:
        now += passed
        events.append(Seen(names, now, trusted))
    for batch in batches(events, cuts):
        town.apply(batch)
        for group in town.groups().values():
            for kind in KINDS:
                assert counted(town, group, kind, batch[-1].ts) <= STRICT.of(kind).limit


@given(st.lists(st.tuples(NAMES, st.integers(0, 400)), max_size=30), CUTS)
def test_what_counts_for_ever_holds_in_any_order_of_times(
    history: list[tuple[tuple[Identifier, ...], int]], cuts: list[int]
) -> None:
    town = Town(STRICT)
    for batch in batches([Seen(names, ts) for names, ts in history], cuts):
        town.apply(batch)
        for group in town.groups().values():
            for kind in KINDS:
                if STRICT.of(kind).within is EVER:
                    assert sum(found[0] == kind for found in group) <= STRICT.of(kind).limit


def of_person(person: int) -> st.SearchStrategy[tuple[Identifier, ...]]:
    """What one customer names: nothing of anybody else's, and not more than the rules allow."""
    own = [("user_id", f"u{person}"), ("crm", f"c{person}")]
    own += [(kind, f"{person}{n}") for kind in ("email", "phone", "anonymous_id", "device.id") for n in "12"]
    return st.lists(st.sampled_from(own), min_size=1, max_size=3, unique=True).map(tuple)


@given(
    st.lists(st.integers(0, 2).flatmap(of_person), max_size=25),
    st.lists(st.booleans(), min_size=25, max_size=25),
    CUTS,
    st.randoms(use_true_random=False),
)
def test_without_conflict_who_is_one_depends_neither_on_the_order_nor_on_the_batches(
    history: list[tuple[Identifier, ...]], trusted: list[bool], cuts: list[int], random: st.DrawFn
) -> None:
    events = [Seen(names, n) for n, names in enumerate(history)]
    shuffled = random.sample(events, len(events))  # type: ignore[attr-defined]
    expected = components(history)
    for order, sizes in ((events, cuts), (shuffled, cuts), (shuffled, [])):
        town = Town(STRICT)
        for batch in batches(order, sizes):
            town.apply(batch)
        assert {frozenset(group) for group in town.groups().values()} == expected
        assert town.refusals == []
        assert {town.root(seen.identifiers[0]) for seen, _ in town.events} == set(town.groups())


def components(history: Sequence[tuple[Identifier, ...]]) -> set[frozenset[Identifier]]:
    """Connected components, written apart from the code under test."""
    groups: list[set[Identifier]] = []
    for names in history:
        touching = [group for group in groups if group & set(names)]
        groups = [group for group in groups if group not in touching] + [set(names).union(*touching)]
    return {frozenset(group) for group in groups}


@given(st.lists(st.tuples(NAMES, st.booleans()), max_size=30), CUTS)
def test_a_public_key_never_joins_two_known_customers(
    history: list[tuple[tuple[Identifier, ...], bool]], cuts: list[int]
) -> None:
    events = [Seen(names, n, trusted) for n, (names, trusted) in enumerate(history)]
    town, batched = Town(), Town()
    for seen in events:
        before = known(town)
        town.apply([seen])
        if not seen.trusted:
            assert len({town.live(profile_id) for profile_id in before}) == len(before)
    for batch in batches(events, cuts):
        batched.apply(batch)
    assert partition(batched) == partition(town), "the batches decided who is known"


def known(town: Town) -> set[str]:
    """The profiles with something that a key which is not public has named, a browser or a device put aside."""
    strong = {found for found in town.trusted if not town.rules.of(found[0]).weak}
    return {profile_id for profile_id, group in town.groups().items() if group & strong}


def partition(town: Town) -> set[frozenset[Identifier]]:
    return {frozenset(group) for group in town.groups().values()}


def test_a_trusted_key_joins_what_a_public_one_may_not() -> None:
    town = Town()
    pair = (("email", "a"), ("card", "c"))
    town.apply([Seen(pair[:1], 1), Seen(pair[1:], 2), Seen(pair, 3, trusted=False)])
    assert [one.rule for one in town.refusals] == ["public_key"]
    assert len(town.groups()) == 2
    town.apply([Seen(pair, 4, trusted=True)])
    assert len(town.groups()) == 1


def test_a_public_key_joins_a_known_customer_with_what_no_other_key_has_named() -> None:
    town = Town()
    card, email = ("card", "c"), ("email", "a")
    town.apply([Seen((email,), 1, trusted=False), Seen((card,), 2), Seen((email, card), 3, trusted=False)])
    assert len(town.groups()) == 1


A, B, C = ("email", "a"), ("card", "b"), ("phone", "c")
APART = {A: frozenset({("x", 0)}), B: frozenset({("x", 1)})}


@given(st.lists(st.sampled_from([(A,), (B,), (A, B)]), max_size=12), CUTS)
def test_what_was_taken_apart_never_meets_again_by_the_same_evidence(
    history: list[tuple[Identifier, ...]], cuts: list[int]
) -> None:
    town = Town(apart=APART)
    town.apply([Seen((A,), 0), Seen((B,), 0)])
    for batch in batches([Seen(names, n) for n, names in enumerate(history)], cuts):
        town.apply(batch)
    assert partition(town) == {frozenset({A}), frozenset({B})}
    assert {one.rule for one in town.refusals} <= {"apart"}


def test_what_was_taken_apart_meets_again_by_other_evidence() -> None:
    town = Town(apart=APART)
    town.apply([Seen((A,), 0), Seen((B, C), 0), Seen((A, B, C), 1)])
    assert partition(town) == {frozenset({A, B, C})}
    other = Town(apart={**APART, C: frozenset({("y", 0)})})
    other.apply([Seen((A,), 0), Seen((B, C), 0), Seen((A, C), 1)])
    assert partition(other) == {frozenset({A, B, C})}, "the two stood on sides of different unmerges"


@given(
    st.lists(st.sampled_from(["ann", "bob", None]), min_size=1, max_size=20),
    st.lists(st.sampled_from(["tablet", "cookie", "both"]), min_size=20, max_size=20),
    CUTS,
)
def test_two_customers_on_one_tablet_stay_two(users: list[str | None], shared: list[str], cuts: list[int]) -> None:
    on = {"tablet": [("device.id", "t")], "cookie": [("anonymous_id", "c")]}
    on["both"] = [*on["tablet"], *on["cookie"]]
    events = [
        Seen((*([("user_id", user)] if user is not None else []), *on[what]), n)
        for n, (user, what) in enumerate(zip(users, shared, strict=False))
    ]
    town = Town()
    for batch in batches(events, cuts):
        town.apply(batch)
    assert not town.quarantined
    for seen, profile_id in town.events:
        if seen.identifiers[0][0] == "user_id":
            assert town.root(seen.identifiers[0]) == town.live(profile_id)
    assert all(sum(kind == "user_id" for kind, _ in group) <= 1 for group in town.groups().values())


VISITORS = 1_000
DEVICE = ("device.id", "kiosk")


@pytest.mark.parametrize("kind", ["anonymous_id", "user_id", "email", "card"])
@pytest.mark.parametrize("step", [1_000, 365 * DAY // VISITORS], ids=["fast", "over a year"])
@pytest.mark.parametrize("size", [1, 250])
def test_a_thousand_visitors_behind_one_device_are_a_thousand_customers(kind: str, step: int, size: int) -> None:
    town = Town()
    events = [Seen(((kind, f"v{n}"), DEVICE), n * step) for n in range(VISITORS)]
    for batch in batches(events, [size] * (VISITORS // size)):
        town.apply(batch)
    assert set(town.quarantined) == {DEVICE}
    assert max(len(group) for group in town.groups().values()) <= town.rules.of(kind).limit + 1
    town.take_apart()
    assert len(town.groups()) == VISITORS + 1
    town.apply([Seen((DEVICE,), VISITORS * step), Seen((("email", "new"), DEVICE), VISITORS * step)])
    assert town.groups()[town.live(town.events[-2][1])] == {DEVICE}
    assert town.root(("email", "new")) != town.root(DEVICE)


@pytest.mark.parametrize("other", ["card", "phone", "crm"])
def test_a_placeholder_in_a_strong_place_is_found_as_well(other: str) -> None:
    town = Town()
    town.apply([Seen((("email", "info@till"), (other, f"x{n}")), n * DAY) for n in range(60)])
    assert set(town.quarantined) == {("email", "info@till")}


def test_a_customer_of_many_browsers_is_no_placeholder() -> None:
    town = Town()
    town.apply([Seen((("email", "a"), ("anonymous_id", f"x{n}")), n * DAY // 2) for n in range(700)])
    assert not town.quarantined


def test_what_is_dropped_may_be_somebody_elses_later() -> None:
    town = Town()
    town.apply([Seen((("user_id", "u1"), ("email", f"e{n}")), n) for n in range(6)])
    assert town.root(("email", "e5")) is None
    town.apply([Seen((("user_id", "u2"), ("email", "e5")), 10)])
    assert town.root(("email", "e5")) == town.root(("user_id", "u2"))


def test_values_of_an_earlier_period_do_not_count() -> None:
    town = Town()
    town.apply([Seen((("user_id", "u1"), ("email", f"e{n}")), n * 80 * DAY) for n in range(20)])
    assert len(town.groups()) == 1


def test_the_rule_that_keeps_apart_is_told() -> None:
    town = Town()
    cookie = ("anonymous_id", "c")
    town.apply([Seen((("user_id", "u1"), cookie), 1), Seen((("user_id", "u2"), cookie), 2)])
    [refusal] = town.refusals
    assert (refusal.rule, refusal.dropped, refusal.kept) == ("hard", cookie, (("user_id", "u2"),))
    assert refusal.other is not None
    assert refusal.other.id == town.root(("user_id", "u1"))
