"""How definitions may ask for each other."""

from typing import Any

import pytest

from headrace.contracts.segment import Definition, parse_segment
from headrace.contracts.segment_references import reference_problems

ONE = {"trait": {"name": "plan", "eq": "gold"}}


def ask(*ids: str) -> dict[str, Any]:
    return {"all": [ONE, *({"not": {"segment": {"id": key}}} for key in ids)]}


def segment(key: str, *asked: str) -> Definition:
    return parse_segment({"kind": "segment", "id": key, "name": key, "when": ask(*asked)})


def stages(key: str, **whens: Any) -> Definition:
    parts = [{"id": name, "when": when} for name, when in whens.items()]
    return parse_segment({"kind": "stages", "id": key, "name": key, "stages": parts})


def told(definition: Definition, *others: Definition) -> list[tuple[str, str]]:
    found = reference_problems(definition, {other.id: other for other in others})
    assert all(problem.suggestion for problem in found)
    return [(problem.path, problem.reason) for problem in found]


def test_what_is_there_may_be_asked_for() -> None:
    fans = parse_segment({"kind": "list", "id": "fans", "name": "Fans"})
    life = stages("life", new=ONE, old=ask("fans"))
    assert told(segment("vip", "gold", "fans", "life-old"), segment("gold"), fans, life) == []


def test_what_is_not_there_is_told_with_its_path_and_what_is_meant() -> None:
    [problem] = reference_problems(segment("vip", "gold", "silvr"), {k: segment(k) for k in ("gold", "silver")})
    assert (problem.path, problem.reason) == ("when.all.2.not.segment.id", "there is no segment silvr")
    assert problem.suggestion == "did you mean silver?"


def test_stages_are_asked_for_one_by_one() -> None:
    [problem] = reference_problems(segment("vip", "life"), {"life": stages("life", new=ONE, old=ONE)})
    assert problem.reason == "life is of kind stages"
    assert "life-new, life-old" in problem.suggestion


def test_a_segment_does_not_ask_for_itself() -> None:
    assert told(segment("vip", "vip"), segment("vip")) == [("when.all.1.not.segment.id", "vip asks for itself")]


def test_a_circle_is_spelt_out() -> None:
    found = told(segment("a", "b"), segment("a"), segment("b", "c"), segment("c", "a"))
    assert found == [("when.all.1.not.segment.id", "the segments ask for each other in a circle: a → b → c → a")]


def test_of_its_own_id_the_new_definition_counts() -> None:
    assert told(segment("a"), segment("a", "b"), segment("b", "a")) == []


def test_a_stage_may_ask_for_an_earlier_one_but_not_for_a_later_one() -> None:
    assert told(stages("life", new=ONE, old=ask("life-new"))) == []
    assert told(stages("life", new=ask("life-old"), old=ONE)) == [
        ("stages.0.when.all.1.not.segment.id", "life-old asks for itself")
    ]


@pytest.mark.parametrize("taken", [segment("life-new"), stages("life-new", x=ONE)])
def test_a_stages_segment_has_an_id_of_its_own(taken: Definition) -> None:
    assert told(stages("life", old=ONE, new=ONE), taken) == [
        ("stages.1.id", "its segment would be life-new, which is there already")
    ]


def test_an_id_is_not_that_of_a_stage() -> None:
    assert told(segment("life-new"), stages("life", new=ONE)) == [("id", "life-new is a stage of life")]


def test_chains_have_an_end_also_when_the_new_link_is_in_the_middle() -> None:
    chain = [segment(f"s{n}", *([f"s{n + 1}"] if n != 5 else [])) for n in range(11)] + [segment("s11")]
    assert told(segment("s5"), *chain) == []
    assert told(segment("s5", "s7"), *chain) == []
    assert told(segment("s5", "s6"), *chain) == [
        ("when.all.1.not.segment.id", "makes a chain of 11 segments that ask for one another")
    ]


def test_references_that_multiply_are_refused_whoever_brings_them_together() -> None:
    levels = [[segment(f"l0-{n}") for n in range(4)]]
    for level in range(1, 6):
        below = [one.id for one in levels[-1]]
        levels.append([segment(f"l{level}-{n}", *below) for n in range(4)])
    known = [one for level in levels for one in level]
    assert told(segment("fine", "l5-0"), *known) == []
    [(path, reason)] = told(segment("top", "l5-0", "l5-1"), *known)
    assert path == "when.all.1.not.segment.id"
    assert reason.startswith("makes 2730 references")
    top = segment("top", "l5-0", "bridge")
    [(path, _)] = told(segment("bridge", "l5-1"), *known, top)
    assert path == "when.all.1.not.segment.id"
