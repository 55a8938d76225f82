"""An independent count: what must stand everywhere, reckoned from what was answered 200.

Nothing here is shared with the services: events are folded again, naively, in the order the clients sent them.
Only what depends on the instant at which an event became known (windows) is reckoned from the timeline, once
the timeline itself is proven to hold what was answered.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from tests.faults.evidence import Document, Evidence, TimelineRow
from tests.faults.orders import (
    CAMPAIGNS,
    CONSENT,
    FILLED,
    IDENTIFY,
    ORDER,
    PAID,
    PROBE,
    REFUND,
    TAGGED,
    UNTAGGED,
    VISIT,
    WINDOW_SECONDS,
)
from tests.faults.published import Findings, check_topics, entries_and_exits, replayed_profiles
from tests.faults.shoppers import Answered

_WINDOW = 1000 * WINDOW_SECONDS
_BIG = Decimal(1000)
SEGMENTS = (
    "two-orders",
    "big-spenders",
    "content",
    "visiting",
    "abandoners",
    "probed",
    "left-cart",
    "went-away",
    "settled",
    "assorted",
    "promising",
    "reachable",
    "hesitant",
    "welcomed",
)


@dataclass
class Person:
    """What was answered 200 for one user, in the order it was sent."""

    answered: list[Answered] = field(default_factory=list)

    def names(self) -> list[str]:
        return [one.event.name for one in self.answered]

    def orders(self) -> list[Decimal]:
        """The totals of the orders, ascending by when they were sent."""
        return [Decimal(str(one.event.properties["total"])) for one in self.answered if one.event.name == ORDER]

    def phone(self) -> str:
        return next((one.event.phone for one in self.answered if one.event.phone is not None), "")

    def wandered(self) -> bool:
        """Whether it came under two names: then the way its memberships took depends on when they were found to
        be one, and only the end is certain."""
        return any("anonymousId" in one.event.known_as for one in self.answered)

    def paid_in_time(self) -> bool:
        """Whether the payment was in the log before the cart had waited for its window: then the cart was never
        abandoned, however late any service came to see the payment."""
        filled = [one.timestamp for one in self.answered if one.event.name == FILLED]
        paid = [one.answered for one in self.answered if one.event.name == PAID]
        return bool(filled and paid) and paid[0] < filled[0] + _WINDOW


def recount(answered: Sequence[Answered], evidence: Evidence) -> Findings:
    """Compare everything. Empty findings: nothing is lost, nothing doubled."""
    findings = Findings()
    people: dict[str, Person] = defaultdict(Person)
    for one in sorted(answered, key=lambda one: (one.timestamp, one.answered)):
        people[one.event.user].answered.append(one)
    rows = _check_timeline(answered, evidence, findings)
    profiles = _check_profiles(people, rows, evidence, findings)
    check_topics(evidence, findings)
    expected = {
        profile: _expected(people[user], rows.get(profile, []), findings) for user, profile in profiles.items()
    }
    wandered = {profile for user, profile in profiles.items() if people[user].wandered()}
    published = _check_memberships(expected, wandered, evidence, findings)
    phones = {people[user].phone(): profile for user, profile in profiles.items()}
    replayed = replayed_profiles(evidence)
    entries = {
        (campaign, phone): published.get((profile, segment), (0, 0))[0]
        if profile in replayed
        else expected[profile][segment][0]
        for phone, profile in phones.items()
        for campaign, segment in CAMPAIGNS.items()
    }
    _check_messages(entries, phones, evidence, findings)
    return findings


def _check_timeline(
    answered: Iterable[Answered], evidence: Evidence, findings: Findings
) -> dict[str, list[TimelineRow]]:
    """Every answered event exactly once, as it was sent. The rows of each profile, ascending."""
    sent = {one.event.message_id: one for one in answered}
    found: Counter[str] = Counter()
    by_profile: dict[str, list[TimelineRow]] = defaultdict(list)
    for row in evidence.timeline:
        if row.kind == "event":
            by_profile[row.profile_id].append(row)
        if row.kind != "event" or row.source == "headrace.messenger":
            continue
        message_id = str(row.message_id)
        found[message_id] += 1
        one = sent.get(message_id)
        if one is None:
            findings.extra(f"timeline: {message_id} was never answered 200")
        elif (row.ts, row.event) != (one.timestamp, None if one.event.name == IDENTIFY else one.event.name):
            findings.missing(f"timeline: {message_id} is there as {row.event} at {row.ts}")
    for message_id in sent:
        if not found[message_id]:
            findings.missing(f"timeline: {message_id}")
        elif found[message_id] > 1:
            findings.extra(f"timeline: {message_id} {found[message_id]} times")
    return by_profile


def _check_profiles(
    people: dict[str, Person], rows: dict[str, list[TimelineRow]], evidence: Evidence, findings: Findings
) -> dict[str, str]:
    """Each user has one profile of their own, in the end. Profile ids by user."""
    owners: dict[str, set[str]] = defaultdict(set)
    user_of = {one.event.message_id: user for user, person in people.items() for one in person.answered}
    for profile, events in rows.items():
        for row in events:
            if row.message_id in user_of:
                owners[user_of[row.message_id]].add(evidence.roots.get(profile, profile))
    taken: Counter[str] = Counter(profile for found in owners.values() for profile in found)
    for user, found in owners.items():
        if len(found) > 1 or any(taken[profile] > 1 for profile in found):
            findings.extra(f"profiles of {user}: {sorted(found)}")
    return {user: min(found) for user, found in owners.items()}


def _expected(person: Person, rows: list[TimelineRow], findings: Findings) -> dict[str, tuple[int, int]]:
    """How often the customer entered and exited each segment."""
    names, totals = person.names(), person.orders()
    refunded = [REFUND in names[: number + 1] for number in range(len(names))]
    counted = {
        "two-orders": _changes(number >= 2 for number in range(1, len(totals) + 1)),
        "big-spenders": _changes(sum(totals[: number + 1]) >= _BIG for number in range(len(totals))),
        "content": _changes(not gone for gone in refunded),
        "probed": _changes([PROBE in names]),
        "visiting": _changes(_over_time(rows, _visiting)),
        "abandoners": _changes(_over_time(rows, _abandoned)),
        "left-cart": _changes(_over_time(rows, _left_cart)),
        "went-away": _changes(_over_time(rows, _went_away)),
        "settled": _changes([len(totals) >= 2]),
        "assorted": _changes(len(set(totals[:number])) >= 3 for number in range(1, len(totals) + 1)),
        "promising": _changes(number >= 2 and sum(totals[:number]) < _BIG for number in range(1, len(totals) + 1)),
        "reachable": _changes([CONSENT in names]),
        "hesitant": _changes([TAGGED in names, TAGGED in names and UNTAGGED not in names]),
    }
    counted["welcomed"] = _changes([counted[CAMPAIGNS["welcome"]][0] > 0])
    if person.paid_in_time() and counted["abandoners"] != (0, 0):
        findings.extra(
            f"timeline: {person.answered[0].event.user} paid in time, but `low` ran ahead of the payment"
        )
    return counted


def _changes(flags: Iterable[bool]) -> tuple[int, int]:
    """How often a row of answers turns to yes, and back; it begins with no."""
    entered = exited = 0
    inside = False
    for flag in flags:
        entered += flag and not inside
        exited += inside and not flag
        inside = flag
    return entered, exited


Known = dict[str, list[int]]
"""The instants of the events known so far, by name; those of carts also by name and cart."""


def _over_time(rows: Sequence[TimelineRow], inside: Callable[[Known, int], bool]) -> list[bool]:
    """Whether the customer was inside at every instant at which that may change: when a row is applied, and when
    a window's edge passes an event. Time is `low`: edges up to a row's `low` pass before the row."""
    known: Known = defaultdict(list)
    answers: list[bool] = []
    now = 0
    for row in sorted(rows, key=lambda row: row.seq):
        edges = sorted(ts + _WINDOW for ts in known[VISIT] + known[FILLED] if now < ts + _WINDOW <= row.low)
        answers += [inside(known, edge) for edge in edges]
        now = max(now, row.low)
        known[row.event or ""].append(row.ts or 0)
        if cart := row.payload.get("properties", {}).get("cart"):
            known[f"{row.event} {cart}"].append(row.ts or 0)
        answers.append(inside(known, now))
    edges = sorted(ts + _WINDOW for ts in known[VISIT] + known[FILLED] if ts + _WINDOW > now)
    return answers + [inside(known, edge) for edge in edges]


def _visiting(known: Known, now: int) -> bool:
    return any(ts > now - _WINDOW for ts in known[VISIT])


def _abandoned(known: Known, now: int) -> bool:
    return bool(known[FILLED]) and not any(ts > now - _WINDOW for ts in known[FILLED]) and not known[PAID]


def _left_cart(known: Known, now: int) -> bool:
    carts = [name.removeprefix(FILLED) for name in known if name.startswith(f"{FILLED} ")]
    return any(max(known[FILLED + cart]) <= now - _WINDOW and not known[PAID + cart] for cart in carts)


def _went_away(known: Known, now: int) -> bool:
    return bool(known[VISIT]) and not _visiting(known, now)


def _check_memberships(
    expected: dict[str, dict[str, tuple[int, int]]], wandered: set[str], evidence: Evidence, findings: Findings
) -> dict[tuple[str, str], tuple[int, int]]:
    """How often each (profile, segment) entered and exited, as published."""
    sent_or_not = {
        _root(message, evidence) for message in evidence.unsettled if message["id"] in evidence.in_doubt
    }
    wandered = wandered | replayed_profiles(evidence)
    published = entries_and_exits(evidence, findings)
    nothing = dict.fromkeys(SEGMENTS, (0, 0))
    for profile in expected.keys() | {profile for profile, _ in published}:
        for segment, counts in expected.get(profile, nothing).items():
            if segment == "welcomed" and profile in sent_or_not:
                continue  # nobody knows whether it was
            where = f"{segment}/{profile}"
            findings.compare(f"members: {where}", counts[0] - counts[1], profile in evidence.members[segment])
            if profile in wandered or profile in evidence.roots:
                continue
            for kind, wanted, found in zip(
                ("entered", "exited"), counts, published.get((profile, segment), (0, 0)), strict=True
            ):
                findings.compare(f"changes: {where} {kind}", wanted, found)
    for segment, members in evidence.members.items():
        for profile in members - expected.keys():
            findings.extra(f"members: {segment}/{profile} is nobody")
    return published


def _check_messages(
    entries: dict[tuple[str, str], int], phones: dict[str, str], evidence: Evidence, findings: Findings
) -> None:
    """One message for every entry of a campaign's segment, and no other. `entries` by (campaign, phone); `phones`
    say whose they are. What may have been sent before a restore is sent, or is not: it is no more than was on its
    way then."""
    unknown: Counter[tuple[str, str]] = Counter()
    by_profile = {profile: phone for phone, profile in phones.items()}
    for message in evidence.unsettled:
        if message["status"] == "unknown" and message["id"] in evidence.in_doubt:
            unknown[message["campaign_id"], by_profile.get(_root(message, evidence), "")] += 1
        else:
            findings.missing(f"sms: {message['id']} is {message['status']}: {message['reason']}")
    sent = Counter((message["campaign_id"], message["to"]) for message in evidence.sms)
    for key in entries.keys() | sent.keys():
        wanted = entries.get(key, 0)
        least = wanted - unknown[key]
        findings.compare(f"sms: {key[0]} to {key[1]}", max(least, min(wanted, sent[key])), sent[key])
    for message_id, number in Counter(message["id"] for message in evidence.sms).items():
        findings.compare(f"sms: {message_id}", 1, number)


def _root(message: Document, evidence: Evidence) -> str:
    """Whose message it is now."""
    profile = str(message["profile_id"])
    return evidence.roots.get(profile, profile)
