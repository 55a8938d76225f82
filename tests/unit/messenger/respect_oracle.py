"""Who may get which message and when, counted naively and written apart from the messenger: it knows the world and
the definitions, and is asked about every decision in the order in which the messenger made them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import groupby
from zoneinfo import ZoneInfo

from headrace.contracts.campaign import CampaignDefinition
from headrace.contracts.policy import PolicyDefinition
from tests.unit.messenger.respect_world import ELSEWHERE, NUMBERS, Person, World

MONTH = 30 * 86_400_000
SENT = ("accepted", "unknown", "failed")
BEYOND = 10**15
Kept = tuple[int, str, str, bool]


@dataclass(frozen=True)
class Decision:
    """What the ledger says of a message. `at`: when it was handed over or given up, BEYOND while it waits; `id`
    whom it was meant for when its customer entered."""

    message: str
    id: str
    campaign: str
    channel: str
    entered: int
    at: int
    status: str
    reason: str | None
    cost: Decimal
    country: str | None

    @property
    def word(self) -> str:
        return "sent" if self.status in SENT else self.reason or self.status


class Oracle:
    """Says what should have become of each message."""

    def __init__(
        self, world: World, campaigns: Mapping[str, CampaignDefinition], policy: PolicyDefinition
    ) -> None:
        self._world = world
        self._campaigns = campaigns
        self._policy = policy
        self._sent: dict[str, list[Kept]] = defaultdict(list)
        self._spent: dict[tuple[str, str | None], Decimal] = defaultdict(Decimal)
        self._families: list[dict[str, list[str]]] = []
        for _, people in world.steps:
            families: dict[str, list[str]] = defaultdict(list)
            for one in people.values():
                families[one.root or one.id].append(one.id)
            self._families.append(families)

    def objections(self, decisions: Sequence[Decision], last: Sequence[int]) -> Iterator[str]:
        """Everything in which the messenger and the oracle differ. `last`: when each step's last claim was."""
        self._of: dict[str, list[Decision]] = defaultdict(list)
        for one in decisions:
            self._of[one.id].append(one)
        made = sorted((one for one in decisions if one.at < BEYOND), key=lambda d: (d.at, self._order(d)))
        for at, batch in groupby(made, key=lambda d: d.at):
            yield from self._batch(at, list(batch))
        for one in decisions:
            yield from self._in_vain(one, last)

    def _order(self, one: Decision) -> tuple[int, str, int]:
        """By priority; of one campaign to one customer those first that were sent."""
        rank = {"sent": 0, "spend_cap": 1}.get(one.word, 2)
        return (-self._campaigns[one.campaign].priority, one.campaign, rank)

    def _batch(self, at: int, batch: Sequence[Decision]) -> Iterator[str]:
        step = self._step(at)
        for one in batch:
            person = self._world.at(step, one.id)
            expected = self._expected(one, person, step, at)
            if one.word == "spend_cap":
                if expected != "sent" or one.channel != "sms":
                    yield f"{one}: {expected}, and not beyond a budget"
            elif one.word != expected:
                yield f"{one}: expected {expected} for {person}"
            if one.word == "sent":
                yield from self._unfair(one, person, step, at)
                marketing = self._campaigns[one.campaign].purpose == "marketing"
                self._sent[one.id].append((at, one.campaign, one.channel, marketing))
                self._spend(one, at)
        yield from self._budgets(batch, at)
        for one in batch:
            if one.status == "failed":  # the provider refused it: it counts no longer
                marketing = self._campaigns[one.campaign].purpose == "marketing"
                self._sent[one.id].remove((at, one.campaign, one.channel, marketing))

    def _step(self, at: int) -> int:
        return max(number for number, (now, _) in enumerate(self._world.steps) if now <= at)

    def _expected(self, one: Decision, person: Person, step: int, at: int) -> str:
        campaign = self._campaigns[one.campaign]
        if person.gone is not None:
            forgotten = one.entered < at == self._world.steps[step][0]
            return "erased" if person.gone == "erased" and forgotten else "no_profile"
        refused = self._refused(campaign, one.channel, person, step)
        if refused is not None:
            return refused
        if self._asleep(campaign, person, at):
            return "to wait for the morning"
        got = list(self._got(person, step))
        return self._full(campaign, one.channel, person, got, at) or "sent"

    def _refused(self, campaign: CampaignDefinition, channel: str, person: Person, step: int) -> str | None:
        family = [self._world.steps[step][1][key] for key in self._families[step][person.id]]
        if any(each.quiet for each in family):
            return "suppressed"
        address = person.address(channel)
        reasons = {why: at for (where, why), at in person.suppressions.items() if where == channel and address}
        if {"bounced", "opted_out"} & set(reasons):
            return "suppressed"
        word, since = person.consents.get(channel, ("", 0))
        if campaign.purpose == "transactional":
            said = person.consents.get(f"transactional/{channel}", (word, since))[0]
            return "no_consent" if said == "withdrawn" else None if address else "no_address"
        if word != "granted":
            return "no_consent"
        if "complained" in reasons or reasons.get("unsubscribed", -1) >= since:
            return "suppressed"
        if person.channels is not None and channel not in person.channels:
            return "preference"
        if campaign.topic is not None and person.topics is not None and campaign.topic not in person.topics:
            return "preference"
        return None if address else "no_address"

    def _asleep(self, campaign: CampaignDefinition, person: Person, at: int) -> bool:
        hours = campaign.quiet_hours
        if hours is None and campaign.purpose == "marketing":
            hours = self._policy.quiet_hours
        if hours is None:
            return False
        if hours.timezone != "profile":
            zones: Iterable[str] = [hours.timezone]
        elif person.zone in ELSEWHERE:
            zones = [person.zone]
        else:
            zones = NUMBERS[person.country][1] if person.phone else [self._policy.time_zone]
        return any(self._night(hours.from_, hours.to, at, zone) for zone in zones)

    def _night(self, begins: str, ends: str, at: int, zone: str) -> bool:
        clock = datetime.fromtimestamp(at / 1000, ZoneInfo(zone)).strftime("%H:%M")
        return begins <= clock < ends if begins < ends else not ends <= clock < begins

    def _got(self, person: Person, step: int) -> Iterator[Kept]:
        for key in self._families[step][person.id]:
            yield from self._sent[key]

    def _full(
        self, campaign: CampaignDefinition, channel: str, person: Person, got: Sequence[Kept], at: int
    ) -> str | None:
        marketing = campaign.purpose == "marketing"
        for caps, own in ((campaign.caps, True), (self._policy.caps if marketing else (), False)):
            for cap in caps:
                counted = [
                    then
                    for then, of, by, advertises in got
                    if then > at - cap.within_ms
                    and (of == campaign.id if own else advertises)
                    and cap.channel in (None, by)
                ]
                if cap.channel in (None, channel) and len(counted) >= cap.at_most:
                    return "frequency_cap"
        lately = [then for then, _, _, advertises in got if advertises and then > at - MONTH]
        over = marketing and person.maximum is not None and len(lately) >= person.maximum
        return "monthly_maximum" if over else None

    def _unfair(self, one: Decision, person: Person, step: int, at: int) -> Iterator[str]:
        """A message that others should have come before: they were due, and there is no room for all."""
        campaign = self._campaigns[one.campaign]
        first = [
            other
            for other in self._waiting(person, step, at)
            if self._campaigns[other.campaign].priority > campaign.priority and other.at > at
        ]
        ahead = [
            (at, other.campaign, other.channel, True)
            for other in first
            if not self._asleep(self._campaigns[other.campaign], person, at)
        ]
        if ahead and self._full(campaign, one.channel, person, [*self._got(person, step), *ahead], at):
            yield f"{one}: went before {first}"

    def _waiting(self, person: Person, step: int, at: int) -> Iterator[Decision]:
        """Marketing to this customer that has entered and is not decided before `at`."""
        for key in self._families[step][person.id]:
            for other in self._of[key]:
                if other.entered <= at <= other.at and self._campaigns[other.campaign].purpose == "marketing":
                    yield other

    def _in_vain(self, one: Decision, last: Sequence[int]) -> Iterator[str]:
        """A message that waited although it was day and nobody came first. Who has become another's since it
        entered may still wait for the morning of before."""
        campaign = self._campaigns[one.campaign]
        for step, (now, _) in enumerate(self._world.steps):
            if not (one.entered <= now and last[step] < one.at):
                continue
            person = self._world.at(step, one.id)
            if person.id != self._world.at(self._step(one.entered), one.id).id:
                continue
            awake = not any(self._asleep(campaign, person, instant) for instant in (now, last[step]))
            others = (o for o in self._waiting(person, step, now) if o.message != one.message)
            if awake and not any(self._campaigns[o.campaign].priority > campaign.priority for o in others):
                yield f"{one}: waited in vain at {now}"

    def _spend(self, one: Decision, at: int) -> None:
        for country in {one.country, None} if one.channel == "sms" else ():
            self._spent[_day(at), country] += one.cost

    def _budgets(self, batch: Sequence[Decision], at: int) -> Iterator[str]:
        for cap in self._policy.sms.spend:
            if self._spent[_day(at), cap.country] > cap.amount:
                yield f"more than {cap} was spent on {_day(at)}"
        for one in batch:
            if one.word == "spend_cap":
                country = self._world.at(self._step(at), one.id).country
                cost = self._policy.sms.price(country)
                caps = [cap for cap in self._policy.sms.spend if cap.country in (None, country)]
                if not any(self._spent[_day(at), cap.country] + cost > cap.amount for cap in caps):
                    yield f"{one}: there was money for it"


def _day(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).date().isoformat()
