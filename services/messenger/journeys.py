"""Takes journeys on that are due: any number of processes may. A waiting journey is a row and an index entry.

What has to be asked elsewhere is asked before the rows are locked; if a journey has moved meanwhile, what was
asked for it is not used.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import msgspec
import structlog

from headrace.contracts.campaign import CampaignDefinition
from headrace.contracts.campaign_steps import BranchStep
from headrace.contracts.communication import read_communication
from headrace.contracts.customer_update import CustomerUpdate
from headrace.contracts.ids import content_id
from headrace.contracts.instant import Millis
from services.messenger import endings, messages
from services.messenger.advance import Advanced, Ask, Facts, Journey, Wishes, advance
from services.messenger.customer import Customer
from services.messenger.customers import load_customers, roots_of
from services.messenger.definitions import Definitions
from services.messenger.entries import messages_of, updates_of
from services.messenger.ledger import outcome_of
from services.messenger.messages import NewMessage
from services.messenger.outbox import NewOutcome, NewUpdate, OutcomeOutbox
from services.messenger.program import branch_segment, program
from services.messenger.reasons import SkipReason
from services.messenger.store import Connection, Pool

log = structlog.get_logger()

_FIRST_RETRY_MS = 250
_LAST_RETRY_MS = 60_000


@dataclass(frozen=True, slots=True)
class Question:
    """Is this customer a member? Not answered from before the event with number `seq` of its partition."""

    profile_id: str
    segment_id: str
    seq: int | None = None


class Unanswered(Exception):
    """Who knows about membership does not answer."""


@dataclass(frozen=True, slots=True)
class VoucherWish:
    """A code of this pool for the customer, at this step of the entry. The same wish always gets the same code."""

    pool_id: str
    campaign_id: str
    entry_id: str
    step: str
    profile_id: str


Place = tuple[str, str, str]
"""(campaign id, entry id, step)"""
Assign = Callable[[Connection, Sequence[VoucherWish], Millis], Awaitable[Mapping[Place, Mapping[str, Any] | None]]]
"""Gives codes in the caller's transaction; None where the pool has none left."""
Winners = Callable[[Connection, Iterable[str]], Awaitable[Mapping[tuple[str, str], str]]]
"""Of these campaigns' splits that are decided: (campaign id, path) to variant."""


class Memberships(Protocol):
    async def ask(self, questions: Sequence[Question]) -> Mapping[Question, bool]:
        """Answers, without the questions that cannot be answered yet. Raises Unanswered."""
        ...


@dataclass(frozen=True, slots=True)
class Due:
    """A journey that is due, with the definition that it follows."""

    journey: Journey
    campaign: CampaignDefinition
    version: int
    state: str
    attempt: int
    row_seq: int | None
    traceparent: str | None
    segment_id: str | None


@dataclass(frozen=True, slots=True)
class Stepped:
    """How many journeys were due, and whether messages or outcomes came of it."""

    due: int
    messages: int = 0
    outcomes: int = 0


class Journeys:
    """Steps of journeys, a transaction for many."""

    def __init__(
        self,
        pool: Pool,
        definitions: Definitions,
        outbox: OutcomeOutbox,
        memberships: Memberships,
        *,
        assign: Assign,
        winners: Winners,
    ) -> None:
        self._pool = pool
        self._definitions = definitions
        self._outbox = outbox
        self._memberships = memberships
        self.assign = assign
        self.winners = winners

    async def any_due(self, now: Millis) -> bool:
        return bool(await self._pool.fetchval(_ANY_DUE, now))

    async def step(self, limit: int, now: Millis) -> Stepped:
        """Take up to `limit` due journeys on."""
        answers = await self._asked(limit, now)
        async with self._pool.acquire() as connection, connection.transaction():
            dues = await self._take(connection, limit, now)
            if not dues:
                return Stepped(0)
            policy = await self._definitions.policy(connection)
            done = await _Round(self, connection, dues, answers, now, policy.time_zone).run()
            doubted = await messages.insert(connection, done.messages, now)
            outcomes = [one for one in done.outcomes if one.outcome.id not in doubted]
            await self._outbox.append(connection, [*outcomes, *done.updates], now)
        return Stepped(len(dues), len(done.messages), len(done.outcomes) + len(done.updates))

    async def _asked(self, limit: int, now: Millis) -> Mapping[Question, bool]:
        """Answers for the branches that the due journeys stand at."""
        async with self._pool.acquire() as connection:
            dues = await self._read(connection, _DUE, limit, now)
            roots = await roots_of(connection, (due.journey.profile_id for due in dues))
        questions = [question for due in dues if (question := _question(due, roots)) is not None]
        if not questions:
            return {}
        try:
            return await self._memberships.ask(questions)
        except Unanswered as error:
            log.warning("memberships_unanswered", error=str(error))
            return {}

    async def _take(self, connection: Connection, limit: int, now: Millis) -> list[Due]:
        return await self._read(connection, f"{_DUE} FOR UPDATE OF e SKIP LOCKED", limit, now)

    async def _read(self, connection: Connection, query: str, limit: int, now: Millis) -> list[Due]:
        rows = await connection.fetch(query, limit, now)
        versions = await self._definitions.campaign_versions(
            connection, ((row["campaign_id"], row["campaign_version"]) for row in rows)
        )
        return [_due(row, versions[row["campaign_id"], row["campaign_version"]]) for row in rows]


class _Round:
    """One transaction of `Journeys.step`: the journeys together, each until it has to wait."""

    def __init__(
        self,
        journeys: Journeys,
        connection: Connection,
        dues: Sequence[Due],
        answers: Mapping[Question, bool],
        now: Millis,
        time_zone: str,
    ) -> None:
        self._journeys = journeys
        self._time_zone = time_zone
        self._connection = connection
        self._dues = dues
        self._answers = answers
        self._now = now
        self._facts: dict[tuple[str, str], Facts] = {}
        self.messages: list[NewMessage] = []
        self.updates: list[NewUpdate] = []
        self.outcomes: list[NewOutcome] = []

    async def run(self) -> "_Round":
        roots = await roots_of(self._connection, (due.journey.profile_id for due in self._dues))
        customers = await load_customers(self._connection, roots.values())
        waiting: list[Due] = []
        for due in self._dues:
            root = roots[due.journey.profile_id]
            if root not in customers:
                await self._end(due, "cancelled", "no_profile")
            elif due.state == "deleted":
                await self._end(due, "cancelled", "campaign_deleted")
            else:
                self._facts[_key(due)] = Facts(wishes=self._wishes(customers[root]))
                waiting.append(replace(due, journey=replace(due.journey, profile_id=root)))
        while waiting:
            waiting = await self._once(waiting)
        return self

    async def _once(self, dues: Sequence[Due]) -> list[Due]:
        """Advance each; what can be answered here is, and those go on."""
        asking: list[tuple[Due, Ask]] = []
        for due in dues:
            advanced = advance(due.campaign, due.journey, self._facts[_key(due)], self._now)
            self._collect(due, advanced)
            if advanced.asks is None:
                await self._store(due, advanced)
            else:
                at = due.journey.at if advanced.due_at is None else advanced.due_at
                journey = replace(due.journey, step=advanced.step, at=at, variants=advanced.variants)
                asking.append((replace(due, journey=journey), advanced.asks))
        await self._vouchers([(due, ask) for due, ask in asking if ask.what == "voucher"])
        await self._winners([due for due, ask in asking if ask.what == "winners"])
        going_on = []
        for due, ask in asking:
            if ask.what != "member" or self._member(due, ask):
                going_on.append(due)
            else:
                await self._later(due)
        return going_on

    def _collect(self, due: Due, advanced: Advanced) -> None:
        made = messages_of(advanced, due.journey, due.campaign, due.version, self._now)
        self.messages += made
        self.outcomes += [skipped(message, due, self._now) for message in made if message.skip is not None]
        self.updates += [NewUpdate(update, due.traceparent) for update in updates_of(advanced, due.journey)]

    def _wishes(self, customer: Customer) -> Wishes:
        zone = customer.time_zone or self._time_zone
        return Wishes(zone, read_communication(customer.traits).preferred)

    def _member(self, due: Due, ask: Ask) -> bool:
        """True when the branch's question has an answer."""
        answer = self._answers.get(Question(due.journey.profile_id, ask.name, due.row_seq))
        if answer is None:
            return False
        facts = self._facts[_key(due)]
        self._facts[_key(due)] = replace(facts, members={**facts.members, ask.name: answer})
        return True

    async def _vouchers(self, asking: Sequence[tuple[Due, Ask]]) -> None:
        if not asking:
            return
        wishes = [
            VoucherWish(ask.name, due.journey.campaign_id, due.journey.entry_id, ask.step, due.journey.profile_id)
            for due, ask in asking
        ]
        given = await self._journeys.assign(self._connection, wishes, self._now)
        for due, ask in asking:
            code = given[due.journey.campaign_id, due.journey.entry_id, ask.step]
            facts = self._facts[_key(due)]
            self._facts[_key(due)] = replace(facts, vouchers={**facts.vouchers, ask.step: code is not None})
            if code is not None:
                self.updates.append(NewUpdate(_given(due, ask, code, self._now), due.traceparent))
                await self._connection.execute(_VOUCHER, *_key(due), msgspec.json.encode(dict(code)).decode())

    async def _winners(self, asking: Iterable[Due]) -> None:
        dues = list(asking)
        if not dues:
            return
        found = await self._journeys.winners(self._connection, sorted({due.campaign.id for due in dues}))
        for due in dues:
            won = {
                path: variant for (campaign_id, path), variant in found.items() if campaign_id == due.campaign.id
            }
            self._facts[_key(due)] = replace(self._facts[_key(due)], winners=won)

    async def _store(self, due: Due, advanced: Advanced) -> None:
        over = advanced.step is None
        await self._connection.execute(
            _STORE,
            *(*_key(due), "done" if over else "active", advanced.reason, advanced.step, advanced.due_at),
            *(msgspec.json.encode(dict(advanced.variants)).decode(), self._now if over else None),
        )

    async def _later(self, due: Due) -> None:
        """It stands before a question that is not answered yet: soon again, and less and less soon."""
        wait = min(_FIRST_RETRY_MS << min(due.attempt, 20), _LAST_RETRY_MS)
        await self._connection.execute(
            _LATER,
            *(*_key(due), due.journey.step, self._now + wait, due.journey.at),
            msgspec.json.encode(dict(due.journey.variants)).decode(),
        )

    async def _end(self, due: Due, status: str, reason: SkipReason) -> None:
        self.outcomes += await endings.end(self._connection, [_key(due)], status, reason, self._now)


def skipped(message: NewMessage, due: Due, at: Millis) -> NewOutcome:
    """The outcome of a message that was settled as it was made."""
    row = {
        "id": message.id,
        "channel": message.channel,
        "profile_id": message.profile_id,
        "campaign_id": message.campaign_id,
        "campaign_version": message.campaign_version,
        "entry_id": message.entry_id,
        "step": message.step,
        "segment_id": due.segment_id,
        "traceparent": due.traceparent,
        "provider": None,
        "provider_message_id": None,
    }
    return outcome_of(row, "skipped", at, reason=message.skip)


def _given(due: Due, ask: Ask, code: Mapping[str, Any], now: Millis) -> CustomerUpdate:
    """The customer's record learns of the code."""
    place = {"campaign_id": due.journey.campaign_id, "entry_id": due.journey.entry_id, "step": ask.step}
    return CustomerUpdate(
        message_id=content_id("v", *place.values()),
        profile_id=due.journey.profile_id,
        at=now,
        event="Voucher Assigned",
        properties={**place, **{name: value for name, value in code.items() if value is not None}},
        campaign_id=due.journey.campaign_id,
        entry_id=due.journey.entry_id,
        step=ask.step,
    )


def _key(due: Due) -> tuple[str, str]:
    return due.journey.campaign_id, due.journey.entry_id


def _question(due: Due, roots: Mapping[str, str]) -> Question | None:
    """What has to be asked before this journey can be taken on, if it stands at a branch."""
    place = program(due.campaign).places.get(due.journey.step or "")
    if place is None or not isinstance(place.step, BranchStep):
        return None
    return Question(roots[due.journey.profile_id], branch_segment(place.step.branch), due.row_seq)


def _due(row: Any, campaign: CampaignDefinition) -> Due:
    journey = Journey(
        row["campaign_id"],
        row["entry_id"],
        row["profile_id"],
        row["step"],
        row["due_at"],
        msgspec.json.decode(row["variants"]),
    )
    return Due(
        journey,
        campaign,
        row["campaign_version"],
        row["state"],
        row["attempt"],
        row["row_seq"],
        row["traceparent"],
        row["segment_id"],
    )


_ANY_DUE = """
    SELECT EXISTS (SELECT FROM entry e JOIN definition d ON d.kind = 'campaign' AND d.id = e.campaign_id
        WHERE e.due_at <= $1 AND d.state IN ('live', 'deleted'))
"""
# Those of paused campaigns wait.
_DUE = """
    SELECT e.campaign_id, e.entry_id, e.campaign_version, e.profile_id, e.step,
        coalesce(e.since, e.due_at) AS due_at, e.variants::text AS variants,
        e.attempt, e.row_seq, e.traceparent, e.segment_id, d.state
    FROM entry e JOIN definition d ON d.kind = 'campaign' AND d.id = e.campaign_id
    WHERE e.due_at <= $2 AND d.state IN ('live', 'deleted')
    ORDER BY e.due_at LIMIT $1
"""
_STORE = """
    UPDATE entry SET status = $3, reason = $4, step = $5, due_at = $6, variants = $7, ended_at = $8, attempt = 0,
        since = NULL
    WHERE campaign_id = $1 AND entry_id = $2
"""
_LATER = """
    UPDATE entry SET step = $3, due_at = $4, since = $5, variants = $6, attempt = attempt + 1
    WHERE campaign_id = $1 AND entry_id = $2
"""
_VOUCHER = "UPDATE entry SET voucher = $3 WHERE campaign_id = $1 AND entry_id = $2"
