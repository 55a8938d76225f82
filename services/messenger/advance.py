"""What a journey does next: step by step until something has to be waited for, or asked. Pure.

The same journey with the same facts always goes the same way: a step repeated after a crash does nothing new.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any
from zoneinfo import ZoneInfo

from headrace.contracts.campaign import CampaignDefinition
from headrace.contracts.campaign_steps import (
    AwardPointsStep,
    BranchStep,
    Send,
    SendStep,
    SetTraitStep,
    Split,
    SplitStep,
    TagStep,
    VoucherStep,
    WaitStep,
    WaitUntil,
    WaitUntilStep,
    WebhookStep,
)
from headrace.contracts.definition import minutes
from headrace.contracts.instant import Millis
from services.messenger.program import Place, Program, branch_segment, inside, program

BUCKETS = 10_000


@dataclass(frozen=True, slots=True)
class Journey:
    """Where a customer stands in a campaign. `step` is the path of the step to do next and `at` the instant at
    which it was due. `variants` are the ways taken at splits and branches, by their path."""

    campaign_id: str
    entry_id: str
    profile_id: str
    step: str | None
    at: Millis
    variants: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What of the customer a step may need to know."""

    time_zone: str
    preferred: str | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known. None, or a name that is not there: not yet, ask. `members`: by segment; `winners`: variants
    by the path of their split; `vouchers`: by path whether a code was there."""

    wishes: Wishes | None = None
    members: Mapping[str, bool] = field(default_factory=dict)
    winners: Mapping[str, str] | None = None
    vouchers: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SendNow:
    """A message to decide on at once. `channels` in the order in which they are tried; `continues`: the journey
    goes on when it is settled."""

    step: str
    channels: Sequence[str]
    send: Send | None
    ready_at: Millis
    continues: bool


@dataclass(frozen=True, slots=True)
class Tell:
    """What the customer's record is told: an event (None: an identify call), traits and tags."""

    step: str
    at: Millis
    event: str | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)
    traits: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, bool] = field(default_factory=dict)


Effect = SendNow | Tell


@dataclass(frozen=True, slots=True)
class Ask:
    """Something that must be known before the journey goes on: `what` is wishes, member, winners or voucher;
    `name` a segment or a pool; `step` where."""

    what: str
    step: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Advanced:
    """What happened, and where the journey stands now. `step` None: it has ended, for `reason` if that is no plain
    end. `due_at` None: it goes on when its message is settled. `asks`: it goes on when this is known."""

    effects: Sequence[Effect]
    step: str | None
    due_at: Millis | None
    variants: Mapping[str, str]
    reason: str | None = None
    asks: Ask | None = None


def begin(campaign: CampaignDefinition) -> str | None:
    """The step that a journey begins with."""
    return program(campaign).first


def advance(campaign: CampaignDefinition, journey: Journey, facts: Facts, now: Millis) -> Advanced:
    """Do what is due until `now`. A step that comes late keeps the instant at which it was due."""
    return _Walk(campaign, journey, facts, now).run()


class _Walk:
    """One call of `advance`."""

    def __init__(self, campaign: CampaignDefinition, journey: Journey, facts: Facts, now: Millis) -> None:
        self._program: Program = program(campaign)
        self._journey = journey
        self._facts = facts
        self._now = now
        self._effects: list[Effect] = []
        self._variants = dict(journey.variants)
        self._at = journey.at

    def run(self) -> Advanced:
        step = self._journey.step
        while step is not None:
            # an edited campaign may have lost the place; whoever moved the journey has seen to that
            place = self._program.places.get(step)
            if place is None:
                return self._ended("step_removed")
            found = self._do(place)
            if isinstance(found, Advanced):
                return found
            step = found
        return self._ended(None)

    def _do(self, place: Place) -> "str | Advanced | None":
        """The next step's path, None at the end, or where it stops."""
        step = place.step
        if isinstance(step, SendStep):
            return self._send(place, step.send)
        if isinstance(step, WaitStep):
            return self._wait(place, self._at + step.wait_ms)
        if isinstance(step, WaitUntilStep):
            return self._wait_until(place, step.wait_until)
        if isinstance(step, BranchStep):
            return self._branch(place, step)
        if isinstance(step, SplitStep):
            return self._split(place, step.split)
        if isinstance(step, VoucherStep):
            return self._voucher(place, step)
        if isinstance(step, WebhookStep):
            self._effects.append(SendNow(place.path, ("webhook",), None, self._at, continues=False))
        else:
            self._effects.append(_told(place, self._at, step))
        return place.following

    def _send(self, place: Place, send: Send) -> "str | Advanced | None":
        channels: Sequence[str] = send.channels
        if "preferred" in channels:
            if self._facts.wishes is None:
                return self._asking(place, "wishes")
            channels = _in_order(channels, self._facts.wishes.preferred)
        continues = place.following is not None
        self._effects.append(SendNow(place.path, channels, send, self._at, continues))
        return self._stopped(place.following, None) if continues else None

    def _wait(self, place: Place, until: Millis) -> "str | Advanced | None":
        if place.following is None:
            return None  # nothing comes after it
        if until > self._now:
            return self._stopped(place.following, until)
        self._at = until
        return place.following

    def _wait_until(self, place: Place, wanted: WaitUntil) -> "str | Advanced | None":
        zone = wanted.timezone
        if zone == "profile":
            if self._facts.wishes is None:
                return self._asking(place, "wishes")
            zone = self._facts.wishes.time_zone
        return self._wait(place, next_local(self._at, wanted, zone))

    def _branch(self, place: Place, step: BranchStep) -> "str | Advanced | None":
        segment = branch_segment(step.branch)
        if segment not in self._facts.members:
            return self._asking(place, "member", segment)
        way = "then" if self._facts.members[segment] else "else"
        self._variants[place.path] = way
        return inside(place, way, self._program.places)

    def _split(self, place: Place, split: Split) -> "str | Advanced | None":
        way = self._variants.get(place.path)
        if way is None or way not in split.variants:
            if split.winner is not None and self._facts.winners is None:
                return self._asking(place, "winners")
            won = (self._facts.winners or {}).get(place.path)
            way = won if won in split.variants else _drawn(self._journey, place.path, split)
            self._variants[place.path] = way
        return inside(place, way, self._program.places)

    def _voucher(self, place: Place, step: VoucherStep) -> "str | Advanced | None":
        found = self._facts.vouchers.get(place.path)
        if found is None:
            return self._asking(place, "voucher", step.voucher.pool)
        if not found and not step.voucher.optional:
            return self._ended("no_voucher_left")
        return place.following

    def _asking(self, place: Place, what: str, name: str = "") -> Advanced:
        stopped = self._stopped(place.path, self._at)
        return replace(stopped, asks=Ask(what, place.path, name))

    def _stopped(self, step: str | None, due_at: Millis | None) -> Advanced:
        return Advanced(tuple(self._effects), step, due_at, self._variants)

    def _ended(self, reason: str | None) -> Advanced:
        return Advanced(tuple(self._effects), None, None, self._variants, reason)


def _told(place: Place, at: Millis, step: object) -> Tell:
    if isinstance(step, SetTraitStep):
        return Tell(place.path, at, traits=step.set_trait)
    if isinstance(step, TagStep):
        event = "Tag Removed" if step.tag.remove else "Tag Added"
        return Tell(place.path, at, event, {"tag": step.tag.name}, tags={step.tag.name: not step.tag.remove})
    assert isinstance(step, AwardPointsStep)
    properties: dict[str, Any] = {"points": step.award_points.points}
    if step.award_points.reason is not None:
        properties["reason"] = step.award_points.reason
    return Tell(place.path, at, "Points Awarded", properties)


def _in_order(channels: Sequence[str], preferred: str | None) -> Sequence[str]:
    """`preferred` becomes the customer's choice, or nothing; no channel stands twice."""
    wanted = (preferred if channel == "preferred" else channel for channel in channels)
    return tuple(dict.fromkeys(channel for channel in wanted if channel is not None))


def share_of(*parts: str) -> int:
    """A stable number from 0 to 9,999 for these parts, evenly spread."""
    digest = blake2b("\x1f".join(parts).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % BUCKETS


def held_out(campaign: CampaignDefinition, profile_id: str) -> bool:
    """Whether this customer belongs to the campaign's control group: the same answer at every entry."""
    return share_of("holdout", campaign.id, profile_id) < campaign.holdout_share * 100


def _drawn(journey: Journey, path: str, split: Split) -> str:
    """The customer's variant by the weights: the same one at every entry, and independent of other splits."""
    total = sum(variant.weight for variant in split.variants.values())
    place = share_of("split", journey.campaign_id, path, journey.profile_id) * total / BUCKETS
    passed = 0
    for name, variant in split.variants.items():
        passed += variant.weight
        if place < passed:
            return name
    return next(reversed(split.variants))


def next_local(at: Millis, wanted: WaitUntil, zone: str) -> Millis:
    """The first instant, `at` or later, at which the clocks of `zone` show the wanted time on a wanted day. A time
    that the clocks skip in spring comes when they have gone on."""
    tz = ZoneInfo(zone)
    clock = minutes(wanted.local_time)
    day = datetime.fromtimestamp(at / 1000, tz).date()
    for _ in range(9):
        if not wanted.days or day.weekday() in wanted.days:
            naive = datetime(day.year, day.month, day.day, clock // 60, clock % 60)
            found = int(naive.replace(tzinfo=tz).astimezone(UTC).timestamp() * 1000)
            if found >= at:
                return found
        day += timedelta(days=1)
    raise AssertionError("a week has every weekday")
