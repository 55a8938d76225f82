"""What is behind a step on every way to it, against walking every way."""

from collections.abc import Iterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.campaign_places import Place, places
from headrace.contracts.campaign_steps import Step, VoucherStep, WaitStep, walk
from tests.unit.contracts.campaigns import campaign

LEAVES = st.sampled_from(
    [
        {"wait": "1h"},
        {"wait": "2d"},
        {"voucher": {"pool": "codes"}},
        {"voucher": {"pool": "codes", "optional": True}},
        {"tag": {"name": "seen"}},
        {"send": {"channel": "sms", "template": "hello"}},
    ]
)


def inner(steps: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    some = st.lists(steps, max_size=3)
    branch = st.builds(lambda a, b: {"branch": {"if": {"tag": {"name": "x"}}, "then": a, "else": b}}, some, some)
    split = st.builds(lambda a, b: {"split": {"variants": {"a": {"steps": a}, "b": {"steps": b}}}}, some, some)
    return branch | split


STEPS = st.lists(st.recursive(LEAVES, inner, max_leaves=6), min_size=1, max_size=3)


def ways(steps: tuple[Step, ...]) -> list[list[Step]]:
    """Every way from the first step to the end."""
    found: list[list[Step]] = [[]]
    for step in steps:
        found = [[*way, step, *rest] for way in found for rest in arms(step)]
    return found


def arms(step: Step) -> list[list[Step]]:
    branch, split = getattr(step, "branch", None), getattr(step, "split", None)
    if branch is not None:
        return ways(branch.then) + ways(branch.else_)
    return [way for one in split.variants.values() for way in ways(one.steps)] if split is not None else [[]]


def before(place: Place, all_ways: list[list[Step]]) -> Iterator[list[Step]]:
    """What comes before the step on each way that leads to it."""
    for way in all_ways:
        for number, step in enumerate(way):
            if step is place.step:
                yield way[:number]


@given(STEPS)
def test_a_place_knows_what_is_behind_it(steps: list[Any]) -> None:
    parsed = campaign(steps=steps).steps
    all_ways = ways(parsed)
    found = list(places(parsed))
    assert [place.step for place in found] == [step for _, step in walk(parsed)]
    assert len({place.path for place in found}) == len(found)
    for place in found:
        behind = list(before(place, all_ways))
        vouchers = [[one.voucher for one in way if isinstance(one, VoucherStep)] for way in behind]
        assert place.waited == min(sum(one.wait_ms for one in way if isinstance(one, WaitStep)) for way in behind)
        assert place.voucher == all(vouchers)
        assert place.certain == all(any(not one.optional for one in way) for way in vouchers)


@given(STEPS)
def test_the_last_step_of_a_way_is_last(steps: list[Any]) -> None:
    parsed = campaign(steps=steps).steps
    all_ways = ways(parsed)
    for place in places(parsed):
        if arms(place.step) == [[]]:  # a branch is last with all that is in it
            assert place.last == all(way[-1] is place.step for way in all_ways if passes(way, place.step))


def passes(way: list[Step], step: Step) -> bool:
    return any(one is step for one in way)


@given(STEPS)
def test_a_path_leads_to_its_step_in_the_document(steps: list[Any]) -> None:
    parsed = campaign(steps=steps)
    document = parsed.model_dump(mode="json", by_alias=True)
    for place in places(parsed.steps):
        node: Any = document
        for part in place.path.split("."):
            node = node[int(part)] if isinstance(node, list) else node[part]
        assert node == place.step.model_dump(mode="json", by_alias=True)
