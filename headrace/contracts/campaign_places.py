"""Where the steps of a campaign stand in its document, and what is behind them on every path to a step. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from headrace.contracts.campaign_steps import BranchStep, SplitStep, Step, VoucherStep, WaitStep

Steps = tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """A step at a path of the document (`steps.1.branch.then.0`). On the way to it at least `waited` milliseconds
    pass. `voucher`: on every path there a code was taken, `certain` if the journey would have ended without one.
    `last`: nothing comes after it on any path."""

    path: str
    step: Step
    waited: int
    voucher: bool
    certain: bool
    last: bool


@dataclass(frozen=True, slots=True)
class _Way:
    waited: int = 0
    voucher: bool = False
    certain: bool = False


def places(steps: Steps) -> Iterator[Place]:
    """Every step in reading order."""
    found: list[Place] = []
    _along(steps, "steps", _Way(), True, found)
    return iter(found)


def _along(steps: Steps, prefix: str, way: _Way, last: bool, found: list[Place]) -> _Way:
    """How it is behind these steps."""
    for number, step in enumerate(steps):
        path = f"{prefix}.{number}"
        ends = last and number == len(steps) - 1
        found.append(Place(path, step, way.waited, way.voucher, way.certain, ends))
        arms = list(_arms(step, path))
        if arms:
            way = _joined([_along(arm, inside, way, ends, found) for inside, arm in arms])
        elif isinstance(step, WaitStep):
            way = _Way(way.waited + step.wait_ms, way.voucher, way.certain)
        elif isinstance(step, VoucherStep):
            way = _Way(way.waited, True, way.certain or not step.voucher.optional)
    return way


def _arms(step: Step, path: str) -> Iterator[tuple[str, Steps]]:
    if isinstance(step, BranchStep):
        yield f"{path}.branch.then", step.branch.then
        yield f"{path}.branch.else", step.branch.else_
    elif isinstance(step, SplitStep):
        for name, variant in step.split.variants.items():
            yield f"{path}.split.variants.{name}.steps", variant.steps


def _joined(ways: list[_Way]) -> _Way:
    return _Way(
        min(way.waited for way in ways),
        all(way.voucher for way in ways),
        all(way.certain for way in ways),
    )
