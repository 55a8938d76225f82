"""Ten thousand customers and what happens to them: what the world knows, apart from how the messenger reads it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, Literal

import msgspec

from services.messenger import ledger
from services.messenger.tokens import Keyring
from tests.unit.messenger.rig import START, Rig

DAY = 86_400_000
# Numbers by country, and the clocks that a customer with such a number may live by.
NUMBERS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "CZ": ("+42060{:07d}", ("Europe/Prague",)),
    "PL": ("+4850{:07d}", ("Europe/Warsaw",)),
    "JP": ("+8190{:08d}", ("Asia/Tokyo",)),
    "IN": ("+9198{:08d}", ("Asia/Kolkata",)),
    "BR": ("+55119{:08d}", ("America/Sao_Paulo",)),
    "US": ("+1212{:07d}", ("America/New_York",)),
    "NZ": ("+6421{:07d}", ("Pacific/Auckland", "Pacific/Chatham")),
    "ES": ("+3467{:07d}", ("Europe/Madrid", "Atlantic/Canary")),
    "PT": ("+35191{:07d}", ("Europe/Lisbon", "Atlantic/Azores")),
    "ID": ("+62811{:07d}", ("Asia/Jakarta", "Asia/Makassar")),
    "AU": ("+614{:08d}", ("Australia/Lord_Howe", "Australia/Sydney", "Australia/Perth", "Indian/Cocos")),
}
ELSEWHERE = ("Asia/Kathmandu", "America/St_Johns", "Pacific/Kiritimati", "Africa/Nairobi")
PROMISES = ("sms", "email", "transactional/sms", "transactional/email")
REASONS = ("unsubscribed", "bounced", "complained", "opted_out")


@dataclass(frozen=True)
class Person:
    """`zone`: the trait, where it is known. `where`: in which place the number and the address stand."""

    id: str
    number: int
    country: str
    zone: str | None
    where: Literal["trait", "identifier", "nowhere"]
    mail: bool
    consents: Mapping[str, tuple[str, int]]
    suppressions: Mapping[tuple[str, str], int]
    channels: list[str] | None
    topics: list[str] | None
    maximum: int | None
    quiet: bool
    gone: Literal["no_profile", "erased"] | None = None
    root: str | None = None

    @property
    def phone(self) -> str | None:
        return None if self.where == "nowhere" else NUMBERS[self.country][0].format(self.number)

    @property
    def email(self) -> str | None:
        return f"c{self.number}@shop.test" if self.mail else None

    def address(self, channel: str) -> str | None:
        return self.phone if channel == "sms" else self.email

    @property
    def row(self) -> tuple[object, ...]:
        """As the profile service shows it."""
        wishes = {"channels": self.channels, "topics": self.topics, "monthly_maximum": self.maximum}
        said = {name: value for name, value in wishes.items() if value is not None}
        contact = {name: value for name, value in (("phone", self.phone), ("email", self.email)) if value}
        traits: dict[str, Any] = {"first_name": "Jana"} | ({"communication": said} if said else {})
        traits |= contact if self.where == "trait" else {}
        identifiers = [{"type": t, "value": v} for t, v in contact.items()] if self.where != "trait" else []
        consents = {name: {"status": word, "time": at} for name, (word, at) in self.consents.items()}
        return (
            self.id,
            *(msgspec.json.encode(each).decode() for each in (traits, consents, identifiers)),
            self.zone,
        )


def person(number: int, random: Random) -> Person:
    return Person(
        id=f"p{number}",
        number=number,
        country=random.choice(list(NUMBERS)),
        zone=random.choice([None, None, None, *ELSEWHERE, "Nowhere/Land"]),
        where=random.choices(["trait", "identifier", "nowhere"], [8, 2, 1])[0],  # type: ignore[arg-type]
        mail=random.random() < 0.9,
        consents={
            name: (word, START - random.randrange(1, 30) * DAY)
            for name in PROMISES
            if (word := random.choices(["granted", "withdrawn", ""], [8, 1, 1])[0])
        },
        suppressions={
            (channel, random.choice(REASONS)): START - 15 * DAY
            for channel in ("sms", "email")
            if random.random() < 0.08
        },
        channels=random.choice([None, None, None, None, ["sms"], ["email"]]),
        topics=random.choice([None, None, ["offers"], ["offers", "news"], []]),
        maximum=random.choice([None, None, None, 0, 1, 2]),
        quiet=random.random() < 0.03,
        gone="no_profile" if random.random() < 0.03 else None,
    )


@dataclass
class World:
    """Customers as they are, and as they were at each step of the story."""

    people: dict[str, Person]
    steps: list[tuple[int, Mapping[str, Person]]] = field(default_factory=list)

    def at(self, step: int, profile_id: str) -> Person:
        """The customer that this id meant at a step."""
        then = self.steps[step][1]
        one = then[profile_id]
        return one if one.root is None else then[one.root]

    def remember(self, now: int) -> None:
        self.steps.append((now, dict(self.people)))

    async def settle(self, rig: Rig, keyring: Keyring) -> None:
        """Everybody as they are in the beginning, in the stores."""
        ones = list(self.people.values())
        await rig.pool.executemany(_PROFILE, [one.row for one in ones if one.gone is None])
        await rig.pool.executemany(
            "INSERT INTO profiles.suppressed_v1 VALUES ($1)", [(one.id,) for one in ones if one.quiet]
        )
        found = [(one, *what, at) for one in ones for what, at in one.suppressions.items()]
        await self._suppress(rig, keyring, found)

    async def happen(self, rig: Rig, keyring: Keyring, random: Random, now: int) -> None:
        """Some say no, some are suppressed, some are erased, some turn out to be others."""
        living = [one for one in self.people.values() if one.gone is None and one.root is None]
        some = random.sample(living, len(living) // 20)
        fifth = len(some) // 5
        refusing = [self._change(one, consents=_withdrawn(one, random, now)) for one in some[:fifth]]
        found = []
        for one in some[fifth : 2 * fifth]:
            what = (random.choice(["sms", "email"]), random.choice(REASONS))
            self._change(one, suppressions={what: now, **one.suppressions})
            found.append((one, *what, now))
        gone = [self._change(one, gone="no_profile") for one in some[2 * fifth : 3 * fifth]]
        erased = [self._change(one, gone="erased") for one in some[3 * fifth : 4 * fifth]]
        merged = some[4 * fifth : 4 * fifth + fifth // 2 * 2]
        pairs = [
            (self._change(lost, root=kept.id), kept) for lost, kept in zip(merged[::2], merged[1::2], strict=True)
        ]
        await self._suppress(rig, keyring, found)
        await self._leave(rig, [one.id for one in [*refusing, *gone, *erased, *(lost for lost, _ in pairs)]])
        await rig.pool.executemany(_PROFILE, [one.row for one in refusing])
        await self._merge(rig, pairs)
        async with rig.pool.acquire() as connection, connection.transaction():
            family = [key for one in erased for key in self.family(one.id)]
            await ledger.redact(connection, family, now)

    def family(self, root: str) -> list[str]:
        return [root, *(one.id for one in self.people.values() if one.root == root)]

    def _change(self, one: Person, **changes: Any) -> Person:
        self.people[one.id] = replace(one, **changes)
        return self.people[one.id]

    async def _merge(self, rig: Rig, pairs: Sequence[tuple[Person, Person]]) -> None:
        for lost, kept in pairs:
            for earlier in self.family(lost.id)[1:]:
                self._change(self.people[earlier], root=kept.id)
                await rig.pool.execute(
                    "UPDATE profiles.alias_v1 SET root = $2 WHERE profile_id = $1", earlier, kept.id
                )
        await rig.pool.executemany(
            "INSERT INTO profiles.alias_v1 VALUES ($1, $2)", [(lost.id, kept.id) for lost, kept in pairs]
        )

    async def _leave(self, rig: Rig, ids: Sequence[str]) -> None:
        await rig.pool.execute("DELETE FROM profiles.profile_v1 WHERE id = ANY($1::text[])", list(ids))

    async def _suppress(self, rig: Rig, keyring: Keyring, found: Sequence[tuple[Person, str, str, int]]) -> None:
        rows = [
            (channel, keyring.address_hash(channel, address), reason, at)
            for one, channel, reason, at in found
            if (address := one.address(channel)) is not None
        ]
        await rig.pool.executemany(
            "INSERT INTO suppression VALUES ($1, $2, $3, $4, 0) ON CONFLICT DO NOTHING", rows
        )


def _withdrawn(one: Person, random: Random, now: int) -> Mapping[str, tuple[str, int]]:
    return {**one.consents, random.choice(PROMISES): ("withdrawn", now)}


_PROFILE = "INSERT INTO profiles.profile_v1 VALUES ($1, NULL, $2, $3, '{}', '[]', $4, $5, 0, 0)"
