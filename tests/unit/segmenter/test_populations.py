"""Which populations a definition's conditions are scored by."""

from typing import Any

from headrace.contracts.segment import parse_segment
from headrace.contracts.segment_conditions import RfmTest
from services.segmenter.populations import Population, population_of, populations

CHAMPIONS = {"rfm": {"class": "champions"}}
RECENT = {"rfm": {"recency": [5], "within": "365d"}}
OTHER = {"rfm": {"frequency": [1], "event": ["B", "A", "B"], "of": "properties.value"}}


def found(**document: Any) -> set[str]:
    definition = parse_segment({"kind": "segment", "id": "x", "name": "X", **document})
    return {population.text for population in populations(definition)}


def text(node: dict[str, Any]) -> str:
    return RfmTest.model_validate(node["rfm"]).population


def test_a_population_says_whose_events_which_amounts_which_window() -> None:
    population = population_of(RfmTest.model_validate(OTHER["rfm"] | {"within": "1d"}))
    assert population == Population(population.text, ("A", "B"), "properties.value", 86_400_000)
    assert population_of(RfmTest.model_validate(CHAMPIONS["rfm"])).within_ms is None


def test_scores_and_classes_of_the_same_events_are_one_population() -> None:
    both = {"all": [CHAMPIONS, {"rfm": {"recency": [1], "monetary": [2]}}]}
    assert found(when=both) == {text(CHAMPIONS)}


def test_conditions_are_found_at_any_depth() -> None:
    held = {"held": {"for": "3d", "condition": {"any": [RECENT, {"tag": {"name": "a"}}]}}}
    assert found(when={"all": [{"not": {"any": [CHAMPIONS, held]}}, OTHER]}) == {
        text(CHAMPIONS),
        text(RECENT),
        text(OTHER),
    }


def test_conditions_are_found_in_every_stage() -> None:
    stages = [{"id": "a", "when": {"tag": {"name": "a"}}}, {"id": "b", "when": {"not": RECENT}}]
    assert found(kind="stages", stages=stages) == {text(RECENT)}


def test_a_definition_without_scores_has_none() -> None:
    assert found(when={"event": {"name": "rfm"}}) == set()
    assert found(kind="list") == set()


def test_ids_are_short_and_tell_populations_apart() -> None:
    many = RfmTest.model_validate({"recency": [5], "event": [f"{number:>200}" for number in range(100)]})
    ids = {population_of(RfmTest.model_validate(node["rfm"])).id for node in (CHAMPIONS, RECENT, OTHER)}
    assert len(ids | {population_of(many).id}) == 4
    assert len(population_of(many).id) < 40
