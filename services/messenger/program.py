"""A campaign's steps as places with a way from each to the next. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from headrace.contracts.campaign import CampaignDefinition
from headrace.contracts.campaign_steps import Branch, BranchStep, SplitStep, Step
from headrace.contracts.ids import content_id

_canonical = msgspec.json.Encoder(order="deterministic")


@dataclass(frozen=True, slots=True)
class Place:
    """A step and where it stands; `following` is the place after it, None at the end of the journey."""

    path: str
    step: Step
    following: str | None


@dataclass(frozen=True, slots=True)
class Program:
    """`first` is where journeys begin; places are found by their path (campaign_steps.walk)."""

    first: str | None
    places: Mapping[str, Place]


_KEPT = 4096
_programs: dict[int, tuple[CampaignDefinition, Program]] = {}


def program(campaign: CampaignDefinition) -> Program:
    """The program of a definition. Definitions never change, so that it is made once for each."""
    kept = _programs.get(id(campaign))
    if kept is not None and kept[0] is campaign:
        return kept[1]
    if len(_programs) >= _KEPT:
        _programs.clear()
    places: dict[str, Place] = {}
    made = Program(_lay(campaign.steps, "", None, places), places)
    _programs[id(campaign)] = (campaign, made)
    return made


def _lay(steps: "tuple[Step, ...]", prefix: str, after: str | None, places: dict[str, Place]) -> str | None:
    """Lay out these steps; the last of them leads to `after`. Returns where they begin."""
    following = after
    for number in reversed(range(len(steps))):
        step, path = steps[number], f"{prefix}{number}"
        places[path] = Place(path, step, following)
        if isinstance(step, BranchStep):
            _lay(step.branch.then, f"{path}.then.", following, places)
            _lay(step.branch.else_, f"{path}.else.", following, places)
        elif isinstance(step, SplitStep):
            for name, variant in step.split.variants.items():
                _lay(variant.steps, f"{path}.{name}.", following, places)
        following = path
    return following


def inside(place: Place, way: str, places: Mapping[str, Place]) -> str | None:
    """Where a branch's or a split's `way` begins; what is empty leads on at once."""
    begins = f"{place.path}.{way}.0"
    return begins if begins in places else place.following


def branch_segment(branch: Branch) -> str:
    """The segment whose membership answers the branch: the one that it names, else a hidden one of its own. Equal
    conditions have one hidden segment, whichever campaign they stand in."""
    return branch.segment or content_id("branch-", _canonical.encode(branch.if_).decode())[:40]


def hidden_segments(campaign: CampaignDefinition) -> dict[str, Mapping[str, object]]:
    """Id and condition of every hidden segment that the campaign's branches need."""
    branches = (
        place.step.branch for place in program(campaign).places.values() if isinstance(place.step, BranchStep)
    )
    return {branch_segment(branch): branch.if_ for branch in branches if branch.segment is None}
