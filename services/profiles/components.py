"""What leaves a customer when an identifier, or an earlier merge, is taken out again (ADR 12, pure)."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from services.profiles.identity import Identifier

Place = tuple[int, int]
"""A row of the timeline: (output partition, seq)."""


class Evidence(NamedTuple):
    """A row of the customer's history: where it is, the profile that got it last (the one that it was written
    under, or that an unmerge made), and the event's identifiers, the strongest first (none: an outcome, a tag by
    API)."""

    place: Place
    held_as: str
    identifiers: tuple[Identifier, ...]


class Part(NamedTuple):
    """What becomes another customer."""

    identifiers: frozenset[Identifier]
    rows: tuple[Place, ...]


Seniority = Callable[[Identifier], tuple[object, ...]]
"""What orders identifiers: the least one's component stays."""


def without_identifier(
    out: Identifier,
    owners: Mapping[Identifier, str],
    rows: Sequence[Evidence],
    seniority: Seniority,
) -> Part:
    """Take `out` out: it leaves with what only it had connected. `owners`: the customer's identifiers, with the
    profile id that each is stored under."""
    groups = _components(owners.keys() - {out}, rows)
    stays = _senior(groups, seniority)
    beside = {one for row in rows if out in row.identifiers for one in row.identifiers}
    leaving = {out}.union(*(group for group in groups if group is not stays and group & beside))
    return _part(frozenset(leaving), owners, rows, aside=out)


def without_merge(
    losers: Collection[str], owners: Mapping[Identifier, str], rows: Sequence[Evidence], before: Collection[Place]
) -> Part:
    """Take a merge out: what `losers` had leaves, with what later events connected with that alone.
    `before`: the rows that were there before the merge."""
    theirs = {one for one, owner in owners.items() if owner in losers}
    earlier = frozenset(before)
    ours = {
        one
        for row in rows
        if row.place in earlier and row.held_as not in losers
        for one in row.identifiers
        if one in owners and one not in theirs
    }
    later = owners.keys() - theirs - ours
    leaving = set(theirs)
    for group in _components(later, rows):
        near = {one for row in rows if group.intersection(row.identifiers) for one in row.identifiers}
        if near & theirs and not near & ours:
            leaving |= group
    return _part(frozenset(leaving), owners, rows, losers=losers)


def apart_without(
    out: Identifier, owners: Mapping[Identifier, str], rows: Sequence[Evidence], seniority: Seniority
) -> list[Part]:
    """What only `out`, which many share, had held together: a part for each component that does not stay, and
    one for `out` itself, the last."""
    groups = _components(owners.keys() - {out}, rows)
    stays = _senior(groups, seniority)
    beside = {one for row in rows if out in row.identifiers for one in row.identifiers}
    leaving = [frozenset(group) for group in groups if group is not stays and group & beside]
    leaving.sort(key=lambda group: min(map(seniority, group)))
    parts = [_part(group, owners, rows, aside=out) for group in leaving]
    return [*parts, _part(frozenset({out}), owners, rows, aside=out)]


def _part(
    leaving: frozenset[Identifier],
    owners: Mapping[Identifier, str],
    rows: Iterable[Evidence],
    *,
    aside: Identifier | None = None,
    losers: Collection[str] = (),
) -> Part:
    """`leaving` with the rows that are theirs. A row that names nobody goes with the profile that got it last, if
    all of that leaves."""
    staying = {owner for one, owner in owners.items() if one not in leaving}
    gone = {owner for one, owner in owners.items() if one in leaving and owner not in staying} | {*losers}
    moved = [row.place for row in rows if _leaves(row, leaving, owners, aside, gone)]
    return Part(leaving, tuple(moved))


def _leaves(
    row: Evidence,
    leaving: frozenset[Identifier],
    owners: Mapping[Identifier, str],
    aside: Identifier | None,
    gone: Collection[str],
) -> bool:
    own = [one for one in row.identifiers if one in owners]
    if not own:
        return row.held_as in gone
    return next((one for one in own if one != aside), own[0]) in leaving


def _components(identifiers: Iterable[Identifier], rows: Iterable[Evidence]) -> list[set[Identifier]]:
    """The identifiers, connected where a row names several."""
    group = {one: {one} for one in identifiers}
    for row in rows:
        first: set[Identifier] | None = None
        for one in row.identifiers:
            if one not in group or group[one] is first:
                continue
            if first is None:
                first = group[one]
                continue
            small, large = sorted((first, group[one]), key=len)
            large |= small
            group.update(dict.fromkeys(small, large))
            first = large
    return list({id(one): one for one in group.values()}.values())


def _senior(groups: Sequence[set[Identifier]], seniority: Seniority) -> set[Identifier] | None:
    return min(groups, key=lambda group: min(map(seniority, group)), default=None)
