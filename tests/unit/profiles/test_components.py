"""What leaves when an identifier, or a merge, is taken out."""

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.profiles.components import Evidence, Part, apart_without, without_identifier, without_merge
from services.profiles.identity import Identifier, strongest_first
from services.profiles.identity_rules import DEFAULT_RULES

names = st.tuples(st.sampled_from(["user_id", "email", "card", "anonymous_id"]), st.sampled_from("abc"))
profiles = st.sampled_from(["ann", "bob", "cid"])
histories = st.lists(st.tuples(profiles, st.sets(names, max_size=3)), min_size=1, max_size=12)


def seniority(one: Identifier) -> tuple[object, ...]:
    return one[0] != "user_id", *DEFAULT_RULES.rank(one[0]), one[1]


def customer(history: list[tuple[str, set[Identifier]]]) -> tuple[dict[Identifier, str], list[Evidence]]:
    """Each identifier is stored under the first profile that an event of it was written under."""
    owners: dict[Identifier, str] = {}
    rows = []
    for seq, (profile, named) in enumerate(history):
        rows.append(Evidence((0, seq), profile, strongest_first(named)))
        for one in named:
            owners.setdefault(one, profile)
    return owners, rows


def connected(identifiers: set[Identifier], rows: list[Evidence]) -> list[set[Identifier]]:
    """Components, by looking again and again."""
    groups = [{one} for one in identifiers]
    for row in rows:
        near = [group for group in groups if group & set(row.identifiers)]
        groups = [group for group in groups if group not in near]
        if near:
            groups.append(set().union(*near))
    return groups


@given(histories, st.integers(0, 50))
def test_an_identifier_leaves_with_what_only_it_connects(
    history: list[tuple[str, set[Identifier]]], which: int
) -> None:
    owners, rows = customer(history)
    if not owners:
        return
    out = sorted(owners)[which % len(owners)]
    part = without_identifier(out, owners, rows, seniority)
    beside = {one for row in rows if out in row.identifiers for one in row.identifiers} - {out}
    groups = connected(owners.keys() - {out}, rows)
    stays = min(groups, key=lambda group: min(map(seniority, group)), default=set())
    assert part.identifiers == {out}.union(*(group for group in groups if group != stays and group & beside))
    check_rows(part, rows, out)


def check_rows(part: Part, rows: list[Evidence], out: Identifier) -> None:
    for row in rows:
        others = [one for one in row.identifiers if one != out]
        if row.identifiers:
            decides = others[0] if others else out
            assert (row.place in part.rows) == (decides in part.identifiers)


@given(histories, st.integers(0, 50))
def test_parts_without_a_shared_identifier_hold_nothing_together(
    history: list[tuple[str, set[Identifier]]], which: int
) -> None:
    owners, rows = customer(history)
    if not owners:
        return
    out = sorted(owners)[which % len(owners)]
    *parts, own = apart_without(out, owners, rows, seniority)
    taken = [one for part in (*parts, own) for one in part.identifiers]
    moved = [place for part in (*parts, own) for place in part.rows]
    assert len(taken) == len(set(taken))
    named = {row.place for row in rows if row.identifiers}
    assert len(named.intersection(moved)) == len([place for place in moved if place in named])
    assert own.identifiers == {out}
    together = without_identifier(out, owners, rows, seniority)
    assert together.identifiers == set(taken)
    assert named.intersection(together.rows) == named.intersection(moved)


@given(histories, histories, histories)
def test_a_merge_taken_out_gives_back_what_both_had_had(
    winner: list[tuple[str, set[Identifier]]],
    loser: list[tuple[str, set[Identifier]]],
    later: list[tuple[str, set[Identifier]]],
) -> None:
    """Both had had identifiers of their own; later events connect anything."""
    ours = [("ann", {(kind, f"{value}1") for kind, value in named}) for _, named in winner]
    theirs = [("bob", {(kind, f"{value}2") for kind, value in named}) for _, named in loser]
    either = [("ann", {(kind, f"{value}{n % 3}") for kind, value in named}) for n, (_, named) in enumerate(later)]
    owners, rows = customer([*ours, *theirs, *either])
    before = [row.place for row in rows[: len(ours) + len(theirs)]]
    part = without_merge(["bob"], owners, rows, before)
    had: defaultdict[str, set[Identifier]] = defaultdict(set)
    for profile, named in [*ours, *theirs]:
        had[profile] |= named
    assert had["bob"] <= part.identifiers
    assert not part.identifiers & had["ann"]
    for row in rows[: len(ours)]:
        assert row.place not in part.rows
    for row in rows[len(ours) : len(ours) + len(theirs)]:
        assert row.place in part.rows


ANN, TABLET, PHONE, MAIL = ("user_id", "ann"), ("anonymous_id", "t"), ("phone", "+420"), ("email", "a@b.cz")


@pytest.mark.parametrize(
    ("out", "leaves"),
    [(TABLET, {TABLET, PHONE}), (PHONE, {PHONE}), (ANN, {ANN, TABLET, PHONE}), (MAIL, {MAIL})],
    ids=["tablet", "phone", "user", "email"],
)
def test_a_tablet_that_two_used(out: Identifier, leaves: set[Identifier]) -> None:
    rows = [
        Evidence((0, 0), "bob", (PHONE, TABLET)),
        Evidence((0, 1), "ann", (ANN, MAIL)),
        Evidence((0, 2), "ann", (ANN, TABLET)),
        Evidence((0, 3), "ann", (ANN,)),
    ]
    owners = {TABLET: "bob", PHONE: "bob", ANN: "ann", MAIL: "ann"}
    assert without_identifier(out, owners, rows, seniority).identifiers == leaves


def test_what_names_nobody_goes_with_the_profile_that_had_it_last() -> None:
    rows = [
        Evidence((0, 0), "bob", (TABLET,)),
        Evidence((0, 1), "bob", ()),
        Evidence((0, 2), "ann", (ANN, TABLET)),
        Evidence((0, 3), "ann", ()),
    ]
    part = without_identifier(TABLET, {TABLET: "bob", ANN: "ann"}, rows, seniority)
    assert part.rows == ((0, 0), (0, 1))
