"""Whatever is sent: a definition that is stored as it parses, or problems that help. Nothing else."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from headrace.contracts.errors import InvalidDefinition
from headrace.contracts.schemas import schemas
from headrace.contracts.segment import parse_segment
from headrace.contracts.segment_lint import CONDITIONS, LEAVES
from headrace.contracts.segment_shapes import shape_of
from tests.unit.segmenter.definitions import definition, problems
from tests.unit.segmenter.whole_language import conditions

SCHEMA = Draft202012Validator(schemas()["segment"])
FUZZ = settings(deadline=None, suppress_health_check=list(HealthCheck))
WORDS = st.sampled_from(
    sorted({*CONDITIONS, *(key for model in LEAVES.values() for key in shape_of(model).known)})
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["7d", "2026-11-27", "A", "properties.x", "sms", "(a+)+", "list:x", "sat", "\ud800", "P1M"]),
)
anything: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.one_of(WORDS, WORDS, scalars), inner, max_size=4)
    ),
    max_leaves=12,
)
names = st.fixed_dictionaries({"kind": st.sampled_from(["segment", "list", "stages"]), "id": st.just("s")})


def judge(document: Any) -> bool:
    """Whether the document is a definition."""
    try:
        parsed = parse_segment(document)
    except InvalidDefinition as error:
        found = error.problems
    else:
        assert parse_segment(parsed.canonical()) == parsed
        assert SCHEMA.is_valid(parsed.canonical())
        return True
    assert found
    assert all(problem.reason and problem.suggestion for problem in found)
    assert all(len(f"{problem.reason}{problem.suggestion}") < 700 for problem in found)
    return False


@FUZZ
@given(anything)
def test_anything_at_all(document: Any) -> None:
    judge(document)


@FUZZ
@given(anything)
def test_any_condition(when: Any) -> None:
    judge(definition(when))


@FUZZ
@given(
    names, st.one_of(anything, st.lists(st.fixed_dictionaries({"id": st.just("a"), "when": conditions}))), anything
)
def test_any_kind(head: dict[str, Any], stages: Any, when: Any) -> None:
    judge({**head, "name": "S", "stages": stages})
    judge({**head, "name": "S", "when": when})


@FUZZ
@given(conditions)
def test_every_condition_of_the_language_is_right(when: Any) -> None:
    assert judge(definition(when))
    assert SCHEMA.is_valid(definition(when))


@st.composite
def spoilt(draw: st.DrawFn) -> tuple[Any, tuple[Any, ...]]:
    """A right condition with one part exchanged for anything, and where."""
    root = {"when": draw(conditions)}
    places = list(_places(root["when"], ("when",)))
    place = draw(st.sampled_from(places))
    return _exchanged(root, place, draw(anything))["when"], place


def _places(node: Any, path: tuple[Any, ...]) -> Any:
    yield path
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield from _places(child, (*path, key))


def _exchanged(node: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    if isinstance(node, dict):
        return {
            key: _exchanged(child, path[1:], value) if key == path[0] else child for key, child in node.items()
        }
    return [_exchanged(child, path[1:], value) if place == path[0] else child for place, child in enumerate(node)]


@FUZZ
@given(spoilt())
def test_one_wrong_part_is_told_where_it_is(case: tuple[Any, tuple[Any, ...]]) -> None:
    when, place = case
    document = definition(when)
    if judge(document):
        return
    spoilt_at = ".".join(map(str, place))
    for problem in problems(document):
        # above it, where a part of the whole no longer fits; at it; or inside of it
        assert spoilt_at.startswith(problem.path) or problem.path.startswith(spoilt_at), problem.path
