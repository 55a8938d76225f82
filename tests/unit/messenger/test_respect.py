"""Nobody without consent, in quiet hours, above a cap, in the control group, suppressed or erased gets a message,
and everybody else does: tried with ten thousand random customers, random campaigns and clocks, against an oracle
that was written apart."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from decimal import Decimal
from random import Random
from typing import Any

from headrace.contracts.campaign import CampaignDefinition, parse_campaign
from headrace.contracts.policy import parse_policy
from services.messenger.assembly import Messenger
from services.messenger.claims import Claim, Settlement
from services.messenger.entering import by_membership
from services.messenger.providers.choose import CHANNELS
from services.messenger.providers.port import Accepted, Outgoing, Refused, SendResult, Unsure
from services.messenger.store import open_store
from tests.unit.messenger.respect_oracle import BEYOND, Decision, Oracle
from tests.unit.messenger.respect_world import World, person
from tests.unit.messenger.rig import MAIL, PARTITIONS, SMS, START, Rig, campaign

CUSTOMERS = 10_000
CAMPAIGNS = 24
STEPS = 12
HOUR = 3_600_000
POLICY = parse_policy(
    {
        "caps": [{"at_most": 2, "within": "1d"}, {"at_most": 1, "within": "12h", "channel": "sms"}],
        "quiet_hours": {"from": "20:00", "to": "08:00"},
        "time_zone": "Europe/Prague",
        "sms": {
            "prices": {"CZ": "1.00", "JP": "2.50", "AU": "0.30"},
            "default_price": "0.10",
            "spend": [{"per_day": "80", "country": "JP"}, {"per_day": "250"}],
        },
    }
)


def random_campaigns(random: Random) -> dict[str, CampaignDefinition]:
    priorities = random.sample(range(-100, 101), CAMPAIGNS)
    found = {}
    for number, priority in enumerate(priorities):
        channel, template = random.choice([("sms", "hello"), ("email", "hello-mail")])
        quiet = {"from": f"{random.randint(15, 23)}:30", "to": f"{random.randint(0, 5):02d}:15"}
        quiet |= random.choice([{}, {}, {"timezone": "America/New_York"}])
        cap = {"at_most": random.randint(1, 2), "within": random.choice(["6h", "3d"])}
        changes: dict[str, Any] = {
            "purpose": "transactional" if random.random() < 0.2 else "marketing",
            "steps": [{"send": {"channel": channel, "template": template}}],
            "max_entry_age": "30d",
            **random.choice([{}, {"topic": "offers"}, {"topic": "news"}]),
            **random.choice([{}, {}, {"quiet_hours": quiet}]),
            **random.choice([{}, {}, {"caps": [cap]}]),
            **random.choice([{}, {}, {"holdout": "30%"}]),
        }
        found[f"c{number}"] = parse_campaign(campaign(id=f"c{number}", priority=priority, **changes))
    return found


class Story:
    """Two days in which customers enter, change their minds, and are written to."""

    def __init__(self, rig: Rig, messenger: Messenger, random: Random) -> None:
        self.rig, self.messenger, self.random = rig, messenger, random
        self.world = World({one.id: one for one in (person(n, random) for n in range(CUSTOMERS))})
        self.campaigns = random_campaigns(random)
        self.handed: list[Outgoing] = []
        self.last: list[int] = []

    async def run(self) -> None:
        keyring = (await open_store(self.rig.pool, PARTITIONS)).keyring
        await self.world.settle(self.rig, keyring)
        for step in range(STEPS):
            self.rig.clock.now = now = START + step * 4 * HOUR + self.random.randrange(3 * HOUR)
            if step:
                await self.world.happen(self.rig, keyring, self.random, now)
            self.world.remember(now)
            if step < STEPS - 3:
                await self._enter(step, now)
            await self._drain()
            self.last.append(self.rig.clock.now)

    async def _enter(self, step: int, now: int) -> None:
        ids = self.random.sample(list(self.world.people), CUSTOMERS // 5)
        starts = [
            (by_membership(definition, 1, key, f"e-{step}-{key}", now), definition)
            for key in ids
            for definition in self.random.sample(list(self.campaigns.values()), self.random.choice([1, 1, 2]))
        ]
        async with self.rig.pool.acquire() as connection, connection.transaction():
            await self.messenger.intake.enter(connection, starts, now)

    async def _drain(self) -> None:
        """Claims of many sizes, a millisecond apart, until nothing is due."""
        claims = self.messenger.claims
        while due := [channel for channel in CHANNELS if await claims.any_due(channel, self.rig.clock())]:
            self.rig.clock.now += 1
            channel = self.random.choice(due)
            done = await claims.claim(channel, self.random.choice([40, 300, 700]), self.rig.clock())
            self.handed += [claim.outgoing for claim in done.claims]
            if done.claims:
                await claims.settle([self._answer(claim) for claim in done.claims], self.rig.clock())

    def _answer(self, claim: Claim) -> Settlement:
        answers: list[SendResult] = [Accepted(), Refused("invalid"), Unsure("timeout")]
        return Settlement(claim, self.random.choices(answers, [94, 3, 3])[0])

    async def decisions(self) -> list[Decision]:
        rows = await self.rig.pool.fetch(_DECISIONS)
        return [
            Decision(
                *(row["id"], row["profile_id"], row["campaign_id"], row["channel"], row["created_at"]),
                *(row["at"] or BEYOND, row["status"], row["reason"], row["cost"] or Decimal(0), row["country"]),
            )
            for row in rows
        ]


_DECISIONS = """
    SELECT m.id, e.profile_id, m.campaign_id, m.channel, m.created_at, m.status, m.reason, m.cost, m.country,
        CASE m.status WHEN 'pending' THEN NULL WHEN 'skipped' THEN m.settled_at ELSE m.claimed_at END AS at
    FROM message m JOIN entry e USING (campaign_id, entry_id)
"""


async def test_who_must_not_get_a_message_gets_none_and_who_may_gets_it(rig: Rig) -> None:
    await rig.define_policy(POLICY)
    await rig.define(SMS, MAIL)
    story = Story(rig, await rig.assemble(), Random(2026))
    for definition in story.campaigns.values():
        await rig.define(definition.model_dump(mode="json", by_alias=True, exclude_none=True))
    await story.run()

    decisions = await story.decisions()
    objections = list(Oracle(story.world, story.campaigns, POLICY).objections(decisions, story.last))
    assert objections[:5] == []
    sent = {one.message for one in decisions if one.word == "sent"}
    assert Counter(outgoing.id for outgoing in story.handed) == Counter(sent), "handed over once, and nothing else"
    right_addresses(story, {one.message: one for one in decisions})
    await nobody_of_the_control_group(story)
    await the_books_are_right(story, decisions)
    words = Counter(one.word for one in decisions)
    wanted = {"no_consent", "suppressed", "preference", "monthly_maximum", "frequency_cap", "spend_cap"}
    assert min(words[word] for word in wanted | {"no_address", "no_profile", "erased"}) > 10, words
    assert words["sent"] > CUSTOMERS // 4


def right_addresses(story: Story, decisions: Mapping[str, Decision]) -> None:
    for outgoing in story.handed:
        one = decisions[outgoing.id]
        step = max(n for n, (now, _) in enumerate(story.world.steps) if now <= outgoing.at)
        assert outgoing.to == story.world.at(step, one.id).address(one.channel)


async def nobody_of_the_control_group(story: Story) -> None:
    """About as many as the campaign says, the same ones at every entry, and no message to any of them."""
    rows = await story.rig.pool.fetch(
        """SELECT e.campaign_id, e.profile_id, e.status = 'holdout' AS held,
               EXISTS (SELECT FROM message m WHERE m.campaign_id = e.campaign_id AND m.entry_id = e.entry_id)
               AS got
           FROM entry e"""
    )
    groups: dict[str, dict[str, set[bool]]] = defaultdict(lambda: defaultdict(set))
    for row in rows:
        assert row["held"] != row["got"]
        groups[row["campaign_id"]][row["profile_id"]].add(row["held"])
    for campaign_id, members in groups.items():
        assert all(len(held) == 1 for held in members.values())
        share = sum(True in held for held in members.values()) / len(members)
        assert abs(share - float(story.campaigns[campaign_id].holdout_share) / 100) < 0.06


async def the_books_are_right(story: Story, decisions: list[Decision]) -> None:
    """What was spent by country is what the messages cost."""
    booked = await story.rig.pool.fetch("SELECT country, sum(cost) AS cost FROM sms_spend GROUP BY country")
    spent: dict[str, Decimal] = defaultdict(Decimal)
    for one in decisions:
        if one.word == "sent" and one.channel == "sms":
            spent[one.country or "ZZ"] += one.cost
            spent[""] += one.cost
    assert {row["country"]: row["cost"] for row in booked if row["cost"]} == spent
