"""What campaigns mean together with everything they name: templates, blocks, segments, voucher pools, each other.

Pure. A problem is wrong wherever it is applied. A note may be right: what is named and not among the known may be
there already, and a step that does nothing harms nobody.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Literal

from headrace.contracts.campaign import CampaignDefinition, EventTrigger, ScheduleTrigger, SegmentTrigger
from headrace.contracts.campaign_circles import circles
from headrace.contracts.campaign_places import Place, places
from headrace.contracts.campaign_steps import (
    BranchStep,
    Send,
    SendStep,
    Split,
    SplitStep,
    VoucherStep,
    WaitStep,
    WaitUntilStep,
    walk,
)
from headrace.contracts.errors import Problem
from headrace.contracts.segment import Definition, SegmentDefinition, StagesDefinition, parse_segment
from headrace.contracts.segment_references import references
from headrace.contracts.template import BlockDefinition, Template
from headrace.contracts.template_words import template_words
from headrace.contracts.trait import TraitDefinition
from headrace.contracts.trait_references import computed_asked
from headrace.contracts.voucher import VoucherPool

_BEFORE = "it must be there before these are applied"


@dataclass(frozen=True, slots=True)
class Known:
    """Definitions by id, of each kind that a campaign or a template may name."""

    campaigns: Mapping[str, CampaignDefinition] = field(default_factory=dict)
    segments: Mapping[str, Definition] = field(default_factory=dict)
    templates: Mapping[str, Template] = field(default_factory=dict)
    blocks: Mapping[str, BlockDefinition] = field(default_factory=dict)
    pools: Mapping[str, VoucherPool] = field(default_factory=dict)
    traits: Mapping[str, TraitDefinition] = field(default_factory=dict)
    surveys: Collection[str] = ()

    def segment_ids(self) -> dict[str, SegmentDefinition]:
        """The segments that there are: those of stages too."""
        return {one.id: one for definition in self.segments.values() for one in definition.segments()}


@dataclass(frozen=True, slots=True)
class Found:
    """A problem or a note, in which definition."""

    kind: Literal["campaign", "template"]
    id: str
    problem: Problem
    note: bool = False


def lint_campaigns(known: Known) -> list[Found]:
    """Everything about the known campaigns and templates, problems and notes."""
    segments = known.segment_ids()
    found = [
        Found("campaign", campaign.id, problem, note)
        for campaign in known.campaigns.values()
        for problem, note in (*_names(campaign, known, segments), *_course(campaign, known))
    ]
    for circle in circles(known.campaigns, segments, known.traits):
        reason = f"the campaigns start each other in a circle: {circle.told}"
        if len(circle.campaigns) == 1:
            reason = f"the campaign starts itself again: {circle.told}"
        problem = Problem("trigger", reason, "give one of them re_entry: never, or {after: 1d} or longer")
        found += [Found("campaign", id, problem) for id in circle.campaigns]
    for template in known.templates.values():
        asked = template_words(template, known.blocks)
        missing = [*_unknown("", sorted(asked.blocks), known.blocks), *_unknown("", asked.surveys, known.surveys)]
        found += [Found("template", template.id, problem, note=True) for problem in missing]
    return found


Judged = Iterator[tuple[Problem, bool]]
"""Problems, each with whether it is only a note."""


def _names(campaign: CampaignDefinition, known: Known, segments: Mapping[str, SegmentDefinition]) -> Judged:
    """What the campaign names and is not there."""
    asked = list(_segments_asked(campaign, known))
    for path, id in asked:
        if isinstance(whole := known.segments.get(id), StagesDefinition):
            names = ", ".join(one.id for one in whole.segments())
            yield Problem(path, f"{id} is of kind stages", f"name one of its stages: {names}"), False
        else:
            yield from ((problem, True) for problem in _unknown(path, [id], segments))
    for place in places(campaign.steps):
        if isinstance(place.step, BranchStep):
            lacking = sorted(computed_asked(_hidden(place.step)) - {*known.traits})
            for key in lacking:
                yield (
                    Problem(f"{place.path}.branch.if", f"computed.{key} is in none of these files", _BEFORE),
                    True,
                )
        elif isinstance(place.step, VoucherStep):
            path, id = f"{place.path}.voucher.pool", place.step.voucher.pool
            yield from ((problem, True) for problem in _unknown(path, [id], known.pools))
        elif isinstance(place.step, SendStep):
            path, ids = f"{place.path}.send", place.step.send.template_ids
            yield from ((problem, True) for problem in _unknown(path, ids, known.templates))


def _segments_asked(campaign: CampaignDefinition, known: Known) -> Iterator[tuple[str, str]]:
    if isinstance(campaign.trigger, SegmentTrigger):
        yield "trigger.segment", campaign.trigger.segment
    elif isinstance(campaign.trigger, ScheduleTrigger):
        yield "trigger.audience.segment", campaign.trigger.audience.segment
    for place in places(campaign.steps):
        if isinstance(place.step, BranchStep):
            for path, id in references(_hidden(place.step)):
                yield f"{place.path}.branch.if{path.removeprefix('when')}", id


def _hidden(step: BranchStep) -> Definition:
    """The segment that the branch's condition becomes."""
    return parse_segment({"kind": "segment", "id": "branch", "name": "branch", "when": step.branch.if_})


def _unknown(path: str, asked: Iterable[str], there: Collection[str]) -> Iterator[Problem]:
    for id in dict.fromkeys(asked):
        if id not in there:
            near = get_close_matches(id, sorted(there), n=1)
            yield Problem(path, f"{id} is in none of these files", f"did you mean {near[0]}?" if near else _BEFORE)


def _course(campaign: CampaignDefinition, known: Known) -> Judged:
    """What is wrong on the way through the steps."""
    for place in places(campaign.steps):
        if isinstance(place.step, SendStep):
            yield from _send(campaign, place, place.step.send, known)
        elif isinstance(place.step, SplitStep):
            yield from _split(place.path, place.step.split)
        elif isinstance(place.step, WaitStep | WaitUntilStep):
            yield from _wait(campaign, place)
        elif isinstance(place.step, BranchStep) and not (place.step.branch.then or place.step.branch.else_):
            yield Problem(f"{place.path}.branch", "has no step on either side", "leave it out, or add then:"), True


def _send(campaign: CampaignDefinition, place: Place, send: Send, known: Known) -> Judged:
    path = f"{place.path}.send"
    for channel in send.channels:
        template = known.templates.get(send.template_for(channel) or "")
        if template is not None and channel not in ("preferred", template.channel):
            reason = f"template {template.id} is for {template.channel}, not for {channel}"
            yield Problem(path, reason, f"name one for each channel: templates: {{{channel}: …}}"), False
    for id in send.template_ids:
        if (template := known.templates.get(id)) is None:
            continue
        asked = template_words(template, known.blocks).asked
        if "event" in asked and not isinstance(campaign.trigger, EventTrigger):
            reason = f"template {id} uses event, and the campaign is not started by one"
            yield (
                Problem(path, reason, 'write {{ event.… | default: "" }}, or start it with trigger: {event: …}'),
                False,
            )
        if "voucher" in asked and not place.voucher:
            reason = f"template {id} uses voucher, and no voucher step comes before it on every path"
            yield Problem(path, reason, 'add one, or write {{ voucher.code | default: "" }}'), False
        elif "voucher" in asked and not place.certain:
            reason = f"template {id} uses voucher, and the voucher step before it is optional"
            yield Problem(path, reason, "say in the template what stands there when the pool is empty"), True


def _split(path: str, split: Split) -> Judged:
    weighted = [name for name, variant in split.variants.items() if "weight" in variant.model_fields_set]
    bare = [name for name in split.variants if name not in weighted]
    if weighted and bare and any(split.variants[name].weight > 1 for name in weighted):
        total = sum(variant.weight for variant in split.variants.values())
        reason = f"has no weight, which makes it 1 of {total}"
        yield Problem(f"{path}.split.variants.{bare[0]}", reason, "write its weight"), True
    bodies = [variant.steps for variant in split.variants.values()]
    if all(body == bodies[0] for body in bodies):
        yield (
            Problem(f"{path}.split.variants", "are all the same", "let them differ, or leave the split out"),
            True,
        )
    if split.winner is None:
        return
    winner = f"{path}.split.winner"
    if split.winner.metric != "conversion" and not _tracked(split):
        reason = (
            f"is by {split.winner.metric}, and no variant sends an e-mail, whose {split.winner.metric} are seen"
        )
        yield Problem(winner, reason, "write metric: conversion"), True


def _tracked(split: Split) -> bool:
    found = (step for variant in split.variants.values() for _, step in walk(variant.steps))
    sends = [step.send.channels for step in found if isinstance(step, SendStep)]
    return any(channel in ("email", "preferred") for channels in sends for channel in channels)


def _wait(campaign: CampaignDefinition, place: Place) -> Judged:
    if place.last:
        yield Problem(place.path, "waits for nothing: no step comes after it", "leave it out"), True
        return
    goal = campaign.goal
    waited = place.waited + (place.step.wait_ms if isinstance(place.step, WaitStep) else 0)
    if goal is not None and place.waited < goal.within_ms <= waited:
        reason = f"ends when the goal's {goal.within} are over: what is sent after it cannot reach the goal"
        yield Problem(place.path, reason, "wait shorter, or give the goal longer"), True
