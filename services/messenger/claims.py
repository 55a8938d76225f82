"""Claiming due messages, settling them, and recovering claims whose process is gone: a transaction each."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial

from headrace.contracts.campaign import CampaignDefinition
from headrace.contracts.instant import Millis
from headrace.contracts.message import Outcome
from headrace.contracts.policy import PolicyDefinition
from headrace.contracts.survey_link import SurveyLinks
from headrace.runtime.metrics import Metrics
from services.messenger import ledger
from services.messenger.address import address_for
from services.messenger.caps import Sent, Tally, Waiting
from services.messenger.cascade import follow
from services.messenger.consent import Suppression
from services.messenger.customer import Customer
from services.messenger.customers import load_customers, roots_of
from services.messenger.definitions import Definitions
from services.messenger.ledger import Prepared
from services.messenger.links import PublicLinks
from services.messenger.outbox import OutcomeOutbox
from services.messenger.prepare import Deferred, Due, Fate, Ready, Recipient, Settled, capped, prepare
from services.messenger.providers.forgetting import forget
from services.messenger.providers.guard import Channel
from services.messenger.providers.port import Accepted, Fallback, NotSent, Outgoing, Provider, Refused, SendResult
from services.messenger.spend import Budget, open_budget
from services.messenger.store import Connection, Pool
from services.messenger.tallies import tallies
from services.messenger.tokens import Keyring

GONE_MS = 60_000
GONE_IDEMPOTENT_MS = 10_000
_FIRST_BACKOFF_MS = 500
_LAST_BACKOFF_MS = 300_000


@dataclass(frozen=True, slots=True)
class Claim:
    """A message that this process alone may send now, by `provider`; `attempt` tells its claim from an earlier
    one. `received_at`: of the event that caused the entry, where nothing has put the message off; else 0."""

    outgoing: Outgoing
    campaign_id: str
    channel: str
    attempt: int
    entered_at: Millis
    provider: Provider
    received_at: Millis = 0
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Claimed:
    """What one claim found: how many messages were due, and those that are to be sent."""

    due: int
    claims: Sequence[Claim]


@dataclass(frozen=True, slots=True)
class Settlement:
    """What the provider said about a claim."""

    claim: Claim
    result: SendResult


@dataclass(frozen=True, slots=True)
class Recovered:
    """How many messages of gone processes wait again, and of how many nobody knows whether they were sent."""

    pending: int
    unknown: int


class Claims:
    """The ledger as the sender uses it."""

    def __init__(
        self,
        pool: Pool,
        definitions: Definitions,
        outbox: OutcomeOutbox,
        channels: Mapping[str, Channel],
        keyring: Keyring,
        metrics: Metrics,
        *,
        links: PublicLinks,
        phone_region: str | None,
        survey_links: SurveyLinks | None = None,
        on_followed: Callable[[], None] = lambda: None,
    ) -> None:
        self._pool = pool
        self._definitions = definitions
        self._outbox = outbox
        self._channels = channels
        self._keyring = keyring
        self._metrics = metrics
        self._links = links
        self._phone_region = phone_region
        self._survey_links = survey_links
        self._on_followed = on_followed

    async def claim(self, channel: str, limit: int, now: Millis) -> Claimed:
        """Take up to `limit` due messages of a channel: consent, address, suppression and text are settled in the
        same transaction that claims them. Messages that must not be sent become skipped or failed."""
        provider = self._channels[channel].provider()
        async with self._pool.acquire() as connection, connection.transaction():
            dues = await ledger.take_due(connection, channel, limit, now)
            if not dues:
                return Claimed(0, ())
            policy = await self._definitions.policy(connection)
            prepared = await self._prepare(connection, dues, provider, policy, now)
            await ledger.write_claims(connection, prepared, now)
            settled = [(p, p.fate) for p in prepared if isinstance(p.fate, Settled)]
            gone = [
                (p.due.channel, p.due.id) for p, fate in settled if fate.reason == "no_profile" and p.due.attempt
            ]
            await forget(self._channels, gone)  # a process that is gone may have sent it after the erasure
            outcomes = [ledger.settled_outcome(p, fate, now) for p, fate in settled if fate.reason != "no_profile"]
            skipped = [(p.due.id, fate.status, fate.reason) for p, fate in settled if p.due.followed]
            followed = await follow(connection, self._definitions, skipped, now)
            await self._outbox.append(connection, outcomes, now)
        if followed:
            self._on_followed()
        claims = [_claim(p, p.fate, provider) for p in prepared if isinstance(p.fate, Ready)]
        for p, fate in settled:
            self._count(p.due.campaign_id, p.due.channel, fate.status)
        for claim in claims:
            self._count(claim.campaign_id, claim.channel, "claimed")
        return Claimed(len(dues), claims)

    async def any_due(self, channel: str, now: Millis) -> bool:
        """Whether a claim may find something: one look, where a claim is a transaction."""
        return bool(await self._pool.fetchval(_ANY_DUE, channel, now))

    async def settle(self, settlements: Sequence[Settlement], now: Millis) -> Sequence[bool]:
        """Write what providers said, and publish what is final. False for a claim that was taken away meanwhile
        (its process was believed gone): another attempt answers for that message."""
        rows = [_settlement_row(s, now) for s in sorted(settlements, key=lambda s: s.claim.outgoing.id)]
        async with self._pool.acquire() as connection, connection.transaction():
            written = await connection.fetch(_SETTLE, *zip(*rows, strict=True), now)
            outcomes = [
                ledger.outcome_of(row, _outcome(row["status"]), now, reason=row["reason"])
                for row in written
                if row["status"] != "pending" and row["erased_at"] is None
            ]
            erased = [(row["channel"], row["id"]) for row in written if row["erased_at"] is not None]
            await forget(self._channels, erased)
            final = [
                (r["id"], r["status"], r["reason"]) for r in written if r["status"] != "pending" and r["followed"]
            ]
            followed = await follow(connection, self._definitions, final, now)
            await self._outbox.append(connection, outcomes, now)
        if followed:
            self._on_followed()
        done = {row["id"]: row["status"] for row in written}
        for s in settlements:
            self._observe(s, done.get(s.claim.outgoing.id), now)
        return [s.claim.outgoing.id in done for s in settlements]

    async def recover(self, now: Millis) -> Recovered:
        """Claims whose process is gone: unknown, since the provider may have the message; pending again where
        the provider knows a repeated id."""
        idempotent = [(c.name, p.name) for c in self._channels.values() for p in c.providers if p.idempotent]
        channels, names = [c for c, _ in idempotent], [n for _, n in idempotent]
        async with self._pool.acquire() as connection, connection.transaction():
            again = await connection.fetch(_RECOVER_IDEMPOTENT, now - GONE_IDEMPOTENT_MS, channels, names, now)
            lost = await connection.fetch(_RECOVER_LOST, now - GONE_MS, channels, names, now)
            outcomes = [
                ledger.outcome_of(row, "unknown", now, reason=row["reason"])
                for row in lost
                if row["erased_at"] is None
            ]
            unknown = [(row["id"], "unknown", row["reason"]) for row in lost if row["followed"]]
            followed = await follow(connection, self._definitions, unknown, now)
            await self._outbox.append(connection, outcomes, now)
        if followed:
            self._on_followed()
        for row in lost:
            self._count(row["campaign_id"], row["channel"], "unknown")
        return Recovered(len(again), len(lost))

    async def _prepare(
        self,
        connection: Connection,
        dues: Sequence[Due],
        provider: Provider,
        policy: PolicyDefinition,
        now: Millis,
    ) -> list[Prepared]:
        """In the order of the campaigns' priority: what is decided first counts for what comes after it."""
        roots = await roots_of(connection, (due.profile_id for due in dues))
        campaigns = await self._definitions.campaign_versions(
            connection, ((due.campaign_id, due.campaign_version) for due in dues)
        )
        twins = _twins(dues, campaigns, provider)
        templates = await self._definitions.current_templates(
            connection, (due.template_id for due in (*dues, *twins.values()) if due.template_id)
        )
        blocks = await self._definitions.blocks_for(connection, (template for template, _ in templates.values()))
        everybody = await self._recipients(connection, [*dues, *twins.values()], roots)
        recipients, others = everybody[: len(dues)], everybody[len(dues) :]
        fallbacks = {twin.id: (twin, recipient) for twin, recipient, _ in others}
        wanted = _windows(recipients, campaigns, policy)
        found = await tallies(
            connection, wanted.keys(), max(wanted.values(), default=0), {due.id for due in dues}, now
        )
        numbers = [r.address for due, r, _ in everybody if due.channel == "sms" and r.address is not None]
        budget = await open_budget(connection, numbers, policy.sms, now)
        prepared = []
        for due, recipient, address_hash in sorted(
            recipients, key=lambda one: -campaigns[one[0].campaign_id, one[0].campaign_version].priority
        ):
            campaign, root = campaigns[due.campaign_id, due.campaign_version], roots[due.profile_id]
            tally = found.get(root)
            decide = partial(
                prepare,
                links=self._links,
                now=now,
                survey_links=self._survey_links,
                policy=policy,
                phone_region=self._phone_region,
                blocks=blocks,
            )
            template = templates.get(due.template_id or "")
            fate = decide(due, campaign, template, replace(recipient, tally=tally))
            if isinstance(fate, Ready) and due.id in fallbacks:
                twin, other = fallbacks[due.id]
                template = templates.get(twin.template_id or "")
                fate = _with_fallback(fate, decide(twin, campaign, template, replace(other, tally=tally)))
            if due.in_doubt and due.provider != provider.name:
                fate = Settled("unknown", "provider_changed")  # this one would not recognise it
            fate = _affordable(due, fate, budget)
            prepared.append(Prepared(due, root, fate, provider.name, address_hash))
            if tally is not None and due.channel != "webhook":
                _count_in(tally, due, campaign, fate, now)
        if budget is not None:
            await budget.book(connection)
        return prepared

    async def _recipients(
        self, connection: Connection, dues: Sequence[Due], roots: Mapping[str, str]
    ) -> list[tuple[Due, Recipient, str | None]]:
        """Each message with its customer, address and suppressions, and the address' hash."""
        customers = await load_customers(connection, roots.values())
        found = []
        for due in dues:
            customer = customers.get(roots[due.profile_id])
            address = self._address(due.channel, customer)
            address_hash = self._keyring.address_hash(due.channel, address) if address else None
            found.append((due, customer, address, address_hash))
        suppressed = await _suppressions(connection, (key for *_, key in found if key is not None))
        return [
            (
                due,
                Recipient(customer, address, suppressed.get((due.channel, key or ""), ())),
                key,
            )
            for due, customer, address, key in found
        ]

    def _address(self, channel: str, customer: Customer | None) -> str | None:
        if customer is None:
            return None
        return address_for(channel, customer.traits, customer.identifiers, phone_region=self._phone_region)

    def _observe(self, settlement: Settlement, status: str | None, now: Millis) -> None:
        claim = settlement.claim
        if status is None:
            self._metrics.fenced.labels("claims").inc()
            return
        self._count(claim.campaign_id, claim.channel, status)
        if status == "accepted":
            seconds = max(0, now - claim.entered_at) / 1000
            self._metrics.entry_to_provider.labels(claim.channel).observe(seconds)
            if claim.received_at:
                seconds = max(0, now - claim.received_at) / 1000
                self._metrics.event_to_provider.labels(claim.channel).observe(seconds)

    def _count(self, campaign_id: str, channel: str, status: str) -> None:
        self._metrics.messages.labels(campaign_id, channel, status).inc()


async def _suppressions(connection: Connection, hashes: Iterable[str]) -> dict[tuple[str, str], list[Suppression]]:
    rows = await connection.fetch(
        "SELECT channel, address_hash, reason, at FROM suppression WHERE address_hash = ANY($1::text[])",
        sorted(set(hashes)),
    )
    found: dict[tuple[str, str], list[Suppression]] = {}
    for row in rows:
        found.setdefault((row["channel"], row["address_hash"]), []).append(Suppression(row["reason"], row["at"]))
    return found


def _twins(
    dues: Sequence[Due], campaigns: Mapping[tuple[str, int], CampaignDefinition], provider: Provider
) -> dict[str, Due]:
    """By message, the same one on its next channel, where the provider goes on to that by itself."""
    twins: dict[str, Due] = {}
    for due in dues:
        following = due.channels[due.alternative + 1] if due.alternative + 1 < len(due.channels) else ""
        if (due.channel, following) not in provider.cascades:
            continue
        sends = dict(campaigns[due.campaign_id, due.campaign_version].sends)
        if due.step in sends:
            template_id = sends[due.step].template_for(following)
            twins[due.id] = replace(
                due, channel=following, template_id=template_id, alternative=due.alternative + 1
            )
    return twins


def _with_fallback(ready: Ready, other: Fate) -> Ready:
    """With what the provider sends on the next channel if it cannot deliver on this one; its price is booked,
    since nobody knows before which of the two it will be."""
    if not isinstance(other, Ready):
        return ready
    fallback = Fallback(other.outgoing.channel, other.outgoing.to, other.outgoing.text)
    outgoing = replace(ready.outgoing, fallback=fallback)
    return replace(ready, outgoing=outgoing, parts=other.parts, country=other.country, cost=other.cost)


def _windows(
    recipients: Sequence[tuple[Due, Recipient, str | None]],
    campaigns: Mapping[tuple[str, int], CampaignDefinition],
    policy: PolicyDefinition,
) -> dict[str, Millis]:
    """By customer whom a cap concerns, how far back one must look."""
    found: dict[str, Millis] = {}
    for due, recipient, _ in recipients:
        if recipient.customer is not None and due.channel != "webhook":
            window = capped(campaigns[due.campaign_id, due.campaign_version], policy, recipient.customer)
            if window:
                found[recipient.customer.id] = max(window, found.get(recipient.customer.id, 0))
    return found


def _affordable(due: Due, fate: Fate, budget: Budget | None) -> Fate:
    """What is beyond a spend cap is skipped. A repeated attempt costs nothing more than the first."""
    if budget is None or not isinstance(fate, Ready) or fate.cost is None:
        return fate
    more = fate.cost - (due.booked or Decimal(0))
    parts = (fate.parts or 0) if due.booked is None else 0
    if more <= 0 or budget.take(fate.country, more, parts):
        return fate
    return Settled("unknown" if due.in_doubt else "skipped", "spend_cap")


def _count_in(tally: Tally, due: Due, campaign: CampaignDefinition, fate: Fate, now: Millis) -> None:
    """What is about to be sent counts for what is decided after it, and so does what keeps its place."""
    if isinstance(fate, Ready):
        tally.sent[due.id] = Sent(campaign.id, due.channel, now, campaign.purpose == "marketing")
    elif isinstance(fate, Deferred) and fate.reason == "priority":
        tally.waiting.append(Waiting(due.id, campaign.id, due.channel, campaign.priority))


def _claim(prepared: Prepared, ready: Ready, provider: Provider) -> Claim:
    due = prepared.due
    at_once = due.ready_at <= due.entered_at and due.alternative == 0
    return Claim(
        ready.outgoing,
        due.campaign_id,
        due.channel,
        due.attempt + 1,
        due.entered_at,
        provider,
        due.received_at if at_once else 0,
        due.traceparent,
    )


def _settlement_row(settlement: Settlement, now: Millis) -> tuple[object, ...]:
    """(id, attempt, status, reason, provider's id, due)."""
    claim, result = settlement.claim, settlement.result
    key = (claim.outgoing.id, claim.attempt)
    if isinstance(result, Accepted):
        return (*key, "accepted", None, _printable(result.provider_message_id), now)
    if isinstance(result, Refused):
        return (*key, "failed", result.reason, None, now)
    if isinstance(result, NotSent):
        wait = result.retry_after_ms if result.retry_after_ms is not None else backoff_ms(claim.attempt)
        return (*key, "pending", result.reason, None, now + wait)
    if claim.provider.idempotent:
        # in doubt as if the process were gone: it may be repeated, and is never called unsent
        return (*key, "pending", "process_gone", None, now + backoff_ms(claim.attempt))
    return (*key, "unknown", result.reason, None, now)


def _printable(text: str | None) -> str | None:
    """What a provider calls the message, fit to be stored."""
    return None if text is None else "".join(c for c in text if c.isprintable())[:200]


def backoff_ms(attempt: int) -> int:
    """The pause before the attempt after `attempt`: doubling from half a second to five minutes."""
    return min(_FIRST_BACKOFF_MS << min(attempt - 1, 20), _LAST_BACKOFF_MS)


def _outcome(status: str) -> Outcome:
    outcomes: dict[str, Outcome] = {"accepted": "accepted", "failed": "failed", "unknown": "unknown"}
    return outcomes[status]


_ANY_DUE = "SELECT EXISTS (SELECT FROM message WHERE status = 'pending' AND channel = $1 AND due_at <= $2)"
# An attempt that is not taken on says nothing about the one before it, whose process is gone: the doubt stays.
# A late word of the provider still settles a message that was declared unknown, but sends nothing again.
_SETTLE = f"""
    UPDATE message m SET status = r.status,
        reason = CASE WHEN r.status = 'pending' AND m.reason = 'process_gone' THEN m.reason ELSE r.reason END,
        due_at = CASE r.status WHEN 'pending' THEN r.due_at ELSE m.due_at END,
        provider_message_id = r.provider_message_id,
        settled_at = CASE r.status WHEN 'pending' THEN NULL ELSE $7::bigint END
    FROM unnest($1::text[], $2::int[], $3::text[], $4::text[], $5::text[], $6::bigint[])
         AS r (id, attempt, status, reason, provider_message_id, due_at),
         entry e
    WHERE m.id = r.id AND m.attempt = r.attempt
        AND (m.status = 'claimed' OR m.status = 'unknown' AND r.status IN ('accepted', 'failed'))
        AND e.campaign_id = m.campaign_id AND e.entry_id = m.entry_id
    RETURNING {ledger.OUTCOME_COLUMNS}
"""  # noqa: S608
_RECOVER_IDEMPOTENT = """
    UPDATE message SET status = 'pending', reason = 'process_gone', due_at = $4
    WHERE id IN (
        SELECT id FROM message WHERE status = 'claimed' AND claimed_at < $1
            AND reason IS DISTINCT FROM 'restored'
            AND (channel, provider) IN (SELECT * FROM unnest($2::text[], $3::text[]))
        FOR UPDATE SKIP LOCKED)
    RETURNING id
"""
_RECOVER_LOST = f"""
    UPDATE message m SET status = 'unknown', reason = 'process_gone', settled_at = $4
    FROM entry e
    WHERE m.id IN (
        SELECT id FROM message WHERE status = 'claimed' AND claimed_at < $1
            AND reason IS DISTINCT FROM 'restored'
            AND (channel, provider) NOT IN (SELECT * FROM unnest($2::text[], $3::text[]))
        FOR UPDATE SKIP LOCKED)
    AND e.campaign_id = m.campaign_id AND e.entry_id = m.entry_id
    RETURNING {ledger.OUTCOME_COLUMNS}
"""  # noqa: S608
