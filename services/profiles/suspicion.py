"""Identifiers that strangers share: what speaks for it, and how much is too much (ADR 12). Pure."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from headrace.contracts.instant import Millis
from services.profiles.fold import Located
from services.profiles.identity import Identifier, Refusal
from services.profiles.identity_rules import IdentityRules, Quarantine


class Suspicion(NamedTuple):
    """At `at`, `link` led to `other`, or (`refused`) was kept from it."""

    link: Identifier
    other: Identifier
    at: Millis
    refused: bool


class Note(NamedTuple):
    """What is kept of a suspicion against an identifier: the type of the other one, when, and whether it was
    refused. There is one note for each other identifier."""

    kind: str
    at: Millis
    refused: bool


def suspicions(located: Iterable[Located], rules: IdentityRules) -> Iterator[Suspicion]:
    """What a batch says against identifiers."""
    for one in located:
        if not one.brought and not one.refusals:
            continue
        at = one.arrival.incoming.ts
        for link, other in one.brought:
            yield Suspicion(link, other, at, refused=False)
        for refusal in one.refusals:
            for link, other in _accused(refusal, rules):
                yield Suspicion(link, other, at, refused=True)


def is_shared(notes: Iterable[Note], limits: Quarantine) -> bool:
    """Whether an identifier with these notes is to be quarantined: it was kept from more than `links` others, or
    led to more than `links` of one type in some period of `within`. The order of the notes does not matter."""
    found = list(notes)
    if sum(one.refused for one in found) > limits.links:
        return True
    times: dict[str, list[Millis]] = defaultdict(list)
    for one in found:
        times[one.kind].append(one.at)
    return any(_burst(sorted(each), limits) for each in times.values())


def _burst(times: list[Millis], limits: Quarantine) -> bool:
    return any(last - first < limits.within for first, last in zip(times, times[limits.links :], strict=False))


def _accused(refusal: Refusal, rules: IdentityRules) -> Iterator[tuple[Identifier, Identifier]]:
    """Who may be the one that strangers share: what was dropped, or what it would have come to."""
    if refusal.rule not in ("hard", "limit"):
        return
    if not rules.of(refusal.dropped[0]).hard:
        yield refusal.dropped, refusal.kept[0]
    for kept in refusal.kept:
        if _may_be_shared(kept, refusal.dropped, rules):
            yield kept, refusal.dropped


def _may_be_shared(kept: Identifier, dropped: Identifier, rules: IdentityRules) -> bool:
    """That a customer has more browsers than are counted says nothing against a stronger identifier, and nothing
    speaks against a hard one."""
    rule = rules.of(kept[0])
    return not rule.hard and (rule.weak or not rules.of(dropped[0]).weak)
