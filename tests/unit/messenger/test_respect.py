"""Nobody without consent, in quiet hours, above a cap, in the control group, suppressed or erased gets a message:
tried with ten thousand random customers and clocks, against an oracle that was written apart."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from headrace.contracts.campaign import CampaignDefinition, parse_campaign
from headrace.contracts.policy import parse_policy
from services.messenger.advance import held_out
from services.messenger.assembly import Messenger
from services.messenger.claims import Settlement
from services.messenger.entering import Start
from services.messenger.providers.port import Accepted, Outgoing
from services.messenger.store import open_store
from tests.unit.messenger.rig import MAIL, PARTITIONS, SMS, START, Rig, campaign

CUSTOMERS = 10_000
HOUR = 3_600_000
DAY = 24 * HOUR
NUMBERS = {
    "Europe/Prague": "+42060{:07d}",
    "Europe/Warsaw": "+4850{:07d}",
    "Europe/Budapest": "+3620{:07d}",
    "Asia/Tokyo": "+8190{:08d}",
}
POLICY = {
    "kind": "policy",
    "caps": [{"at_most": 2, "within": "1d"}, {"at_most": 1, "within": "12h", "channel": "sms"}],
    "quiet_hours": {"from": "20:00", "to": "08:00"},
    "time_zone": "Europe/Prague",
    "sms": {
        "currency": "CZK",
        "prices": {"CZ": "1.00", "JP": "2.50"},
        "spend": [{"per_day": "60", "country": "JP"}],
    },
}
SMS_STEP = [{"send": {"channel": "sms", "template": "hello"}}]
MAIL_STEP = [{"send": {"channel": "email", "template": "hello-mail"}}]
CAMPAIGNS = [
    campaign(id="offers", topic="offers", steps=SMS_STEP),
    campaign(id="news", topic="news", steps=MAIL_STEP, caps=[{"at_most": 1, "within": "7d"}]),
    campaign(id="measured", holdout="30%", steps=SMS_STEP, priority=5),
    campaign(id="night-owls", steps=MAIL_STEP, quiet_hours={"from": "08:00", "to": "20:00"}),
    campaign(id="receipts", purpose="transactional", steps=MAIL_STEP),
]


@dataclass(frozen=True)
class Person:
    """What the world knows of a customer, apart from how the messenger reads it."""

    id: str
    number: int
    zone: str
    known_zone: bool
    consents: Mapping[str, tuple[str, int]]
    suppressed: Mapping[str, tuple[str, int]]
    channels: list[str] | None
    topics: list[str] | None
    maximum: int | None
    quiet: bool
    erased: bool
    email: bool

    @property
    def phone(self) -> str:
        return NUMBERS[self.zone].format(self.number)

    @property
    def traits(self) -> dict[str, Any]:
        wishes = {"channels": self.channels, "topics": self.topics, "monthly_maximum": self.maximum}
        said = {name: value for name, value in wishes.items() if value is not None}
        mail = {"email": f"c{self.number}@shop.test"} if self.email else {}
        return {"first_name": "Jana", "phone": self.phone, **mail, **({"communication": said} if said else {})}


def person(number: int, random: Random) -> Person:
    def consents() -> dict[str, tuple[str, int]]:
        stated = {}
        for channel in ("sms", "email", "transactional/email"):
            word = random.choices(["granted", "withdrawn", None], [8, 1, 1])[0]
            if word is not None:
                stated[channel] = (word, START - random.randrange(1, 30) * DAY)
        return stated

    suppressed = {
        channel: (random.choice(["unsubscribed", "bounced", "complained", "opted_out"]), START - 15 * DAY)
        for channel in ("sms", "email")
        if random.random() < 0.1
    }
    return Person(
        id=f"p{number}",
        number=number,
        zone=random.choice(list(NUMBERS)),
        known_zone=random.random() < 0.5,
        consents=consents(),
        suppressed=suppressed,
        channels=random.choice([None, None, None, ["sms"], ["email"]]),
        topics=random.choice([None, None, ["offers"], []]),
        maximum=random.choice([None, None, None, 0, 1, 2]),
        quiet=random.random() < 0.05,
        erased=random.random() < 0.05,
        email=random.random() < 0.9,
    )


def may(one: Person, definition: CampaignDefinition, channel: str) -> bool:
    """Whether the customer may get this campaign's messages at all, whatever the hour and the number."""
    if one.erased or one.quiet or (channel == "email" and not one.email) or held_out(definition, one.id):
        return False
    word, since = one.consents.get(channel, (None, 0))
    reason, at = one.suppressed.get(channel, (None, 0))
    if reason == "bounced" or (reason == "opted_out" and not (word == "granted" and since > at)):
        return False
    if definition.purpose == "transactional":
        return one.consents.get("transactional/email", one.consents.get("email", ("none", 0)))[0] != "withdrawn"
    if word != "granted" or (reason is not None and since <= at):
        return False
    if one.channels is not None and channel not in one.channels:
        return False
    if definition.topic is not None and one.topics is not None and definition.topic not in one.topics:
        return False
    return one.maximum != 0


def asleep(one: Person, definition: CampaignDefinition, at: int) -> bool:
    if definition.purpose == "transactional":
        return False
    hour = datetime.fromtimestamp(at / 1000, ZoneInfo(one.zone)).hour
    night = hour >= 20 or hour < 8
    return not night if definition.id == "night-owls" else night


async def settle_down(rig: Rig, people: list[Person]) -> None:
    """The customers, their suppressions and the definitions, in the stores."""
    store = await open_store(rig.pool, PARTITIONS)
    alive = [one for one in people if not one.erased]
    await rig.pool.executemany(
        "INSERT INTO profiles.profile_v1 VALUES ($1, NULL, $2, $3, '{}', '[]', '[]', $4, 0, 0)",
        [
            (
                one.id,
                msgspec.json.encode(one.traits).decode(),
                msgspec.json.encode(
                    {c: {"status": w, "time": at} for c, (w, at) in one.consents.items()}
                ).decode(),
                one.zone if one.known_zone else None,
            )
            for one in alive
        ],
    )
    await rig.pool.executemany(
        "INSERT INTO suppression VALUES ($1, $2, $3, $4, 0)",
        [
            (channel, store.keyring.address_hash(channel, address), reason, at)
            for one in people
            for channel, (reason, at) in one.suppressed.items()
            if (address := one.phone if channel == "sms" else one.traits.get("email")) is not None
        ],
    )
    await rig.pool.executemany(
        "INSERT INTO profiles.suppressed_v1 VALUES ($1)", [(one.id,) for one in people if one.quiet]
    )
    await rig.define(SMS, MAIL, *CAMPAIGNS)


async def everybody_enters(rig: Rig, messenger: Messenger, people: list[Person], random: Random) -> None:
    definitions = {document["id"]: parse_campaign(dict(document)) for document in CAMPAIGNS}
    for first in range(0, len(people), 500):
        starts = []
        for one in people[first : first + 500]:
            for definition in random.sample(list(definitions.values()), random.randint(1, 3)):
                held = held_out(definition, one.id)
                start = Start(
                    definition.id, 1, f"e-{one.id}", "segment", one.id, START, "vip", "VIP", holdout=held
                )
                starts.append((start, definition))
        async with rig.pool.acquire() as connection, connection.transaction():
            await messenger.intake.enter(connection, starts, START)


async def claimed_by_the_hour(rig: Rig, messenger: Messenger, random: Random) -> list[tuple[int, Outgoing]]:
    """Everything that is handed over in two days, with the instants; several claims at a time."""
    sent = []
    for hour in range(0, 48, 3):
        rig.clock.now = now = START + hour * HOUR + random.randrange(HOUR)
        while await messenger.claims.any_due(now):
            done = await messenger.claims.claim(random.choice([50, 300, 700]), now)
            sent += [(now, claim.outgoing) for claim in done.claims]
            if done.claims:
                await messenger.claims.settle([Settlement(claim, Accepted()) for claim in done.claims], now)
    return sent


async def test_nobody_gets_what_they_must_not_get(rig: Rig) -> None:
    random = Random(2026)
    people = [person(number, random) for number in range(CUSTOMERS)]
    await settle_down(rig, people)
    await messenger_policy(rig)
    messenger = await rig.assemble()
    await everybody_enters(rig, messenger, people, random)
    sent = await claimed_by_the_hour(rig, messenger, random)

    by_id = {one.id: one for one in people}
    definitions = {document["id"]: parse_campaign(dict(document)) for document in CAMPAIGNS}
    rows = {row["id"]: row for row in await rig.pool.fetch("SELECT * FROM message")}
    got: dict[str, list[tuple[int, str, str]]] = defaultdict(list)
    assert len({outgoing.id for _, outgoing in sent}) == len(sent) > CUSTOMERS // 4, "no message twice, and many"
    for at, outgoing in sent:
        one, definition = by_id[rows[outgoing.id]["profile_id"]], definitions[outgoing.campaign_id]
        assert may(one, definition, outgoing.channel), (one, outgoing)
        assert not asleep(one, definition, at), (one, outgoing, at)
        if definition.purpose == "marketing":
            got[one.id].append((at, definition.id, outgoing.channel))
    for profile_id, messages in got.items():
        one = by_id[profile_id]
        assert one.maximum is None or len(messages) <= one.maximum
        for at, _, _ in messages:
            lately = [(campaign_id, channel) for t, campaign_id, channel in messages if at - DAY < t <= at]
            assert len(lately) <= 2
            half = [channel for t, _, channel in messages if at - 12 * HOUR < t <= at]
            assert half.count("sms") <= 1
    assert all([m for _, m, _ in messages].count("news") <= 1 for messages in got.values())
    await nothing_is_missing(rig, rows, by_id, definitions)
    spent = await rig.pool.fetch("SELECT cost FROM sms_spend WHERE country = 'JP'")
    assert spent
    assert all(row["cost"] <= 60 for row in spent)


async def messenger_policy(rig: Rig) -> None:
    await rig.define_policy(parse_policy(POLICY))


async def nothing_is_missing(
    rig: Rig,
    rows: Mapping[str, Any],
    people: Mapping[str, Person],
    definitions: Mapping[str, CampaignDefinition],
) -> None:
    """What was not sent has a reason, and who may get a message, and is not over a number, got it."""
    capped = {"frequency_cap", "monthly_maximum", "spend_cap"}
    for row in rows.values():
        allowed = may(people[row["profile_id"]], definitions[row["campaign_id"]], row["channel"])
        if row["status"] == "accepted":
            assert allowed
        else:
            assert row["status"] == "skipped", (row["status"], row["reason"])
            assert not allowed or row["reason"] in capped, (row["reason"], people[row["profile_id"]])
    reasons = {row["reason"] for row in rows.values()}
    assert {"no_consent", "suppressed", "preference", "no_address", "no_profile", *capped} <= reasons
    held = await rig.pool.fetchval("SELECT count(*) FROM entry WHERE status = 'holdout'")
    assert held > 100
