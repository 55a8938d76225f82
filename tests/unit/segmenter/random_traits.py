"""Random computed traits, and segments that ask for them, with short windows and few names."""

from typing import Any

from hypothesis import strategies as st

from tests.unit.segmenter.whole_language import HELD, NAMES, WINDOWS
from tests.unit.segmenter.whole_language import leaves as other_conditions

TRAITS = 4

_where: st.SearchStrategy[Any] = st.sampled_from(
    [
        [],
        [],
        [],
        [{"path": "properties.total", "gte": 2.5}],
        [{"path": "properties.items[].sku", "eq": "s1"}],
        [{"local": {"hours": [0, 12]}}],
    ]
)
_window: st.SearchStrategy[Any] = st.one_of(
    st.just({}),
    st.builds(lambda window: {"within": window}, WINDOWS),
    st.builds(lambda window: {"within": window}, WINDOWS),
    st.just({"between": {"from": "2023-11-14T22:13:00Z", "to": "2023-11-14T22:13:30Z"}}),
)
_numbers = st.sampled_from(["properties.total", "properties.items[].price", "local.hour"])
_scalars = st.sampled_from(
    ["properties.total", "properties.cart", "properties.items[].sku", "local.weekday", "local.hour"]
)
_figure: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from([{"count": {}}, {"days_since": {}}, {"first_at": {}}, {"last_at": {}}, {"last_at": {}}]),
    st.builds(
        lambda name, of, money: {name: {"of": of, **money}},
        st.sampled_from(["sum", "avg", "min", "max"]),
        _numbers,
        st.sampled_from([{}, {}, {"currency": "czk"}]),
    ),
    st.builds(
        lambda name, of: {name: {"of": of}},
        st.sampled_from(["first", "last", "most_frequent", "distinct", "usual_range"]),
        _scalars,
    ),
    st.builds(
        lambda of, limit: {"unique_list": {"of": of, "limit": limit}}, _scalars, st.sampled_from([1, 2, 100])
    ),
)
_event = st.builds(
    lambda name, where, figure, window: {"event": {"name": name, "where": where, **figure, **window}},
    NAMES,
    _where,
    _figure,
    _window,
)
_sessions = st.builds(
    lambda gap, of, window: {"sessions": {"gap": gap, "of": of, **window}},
    st.sampled_from(["1s", "2s", "5s"]),
    st.sampled_from(["count", "average_length", "pages"]),
    st.one_of(st.just({}), st.builds(lambda window: {"within": window}, WINDOWS)),
)
values = st.one_of(_event, _event, _event, _sessions)
_test: st.SearchStrategy[Any] = st.sampled_from(
    [
        {"exists": True},
        {"exists": False},
        {"gte": 1},
        {"gt": 2.5},
        {"lt": 3},
        {"between": [1, 4]},
        {"eq": 1},
        {"ne": 0},
        {"eq": "x"},
        {"in": ["tue", "s1", 9]},
        {"not_in": [1, "y"]},
        {"contains": "s1"},
        {"starts_with": "2023-11"},
        {"within_last": "5s"},
        {"older_than": "8s"},
        {"anniversary": {"within": "20s"}},
    ]
)
_computed = st.builds(
    lambda number, items, test: {"trait": {"name": f"computed.c{number}{items}", **test}},
    st.integers(0, TRAITS - 1),
    st.sampled_from(["", "", "", "[]"]),
    _test,
)
conditions: st.SearchStrategy[Any] = st.recursive(
    st.one_of(_computed, _computed, _computed, other_conditions),
    lambda inner: st.one_of(
        st.builds(lambda parts: {"all": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda parts: {"any": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda part: {"not": part}, inner),
        st.builds(lambda span, condition: {"held": {"for": span, "condition": condition}}, HELD, inner),
        st.builds(lambda span, condition: {"held": {"for": span, "condition": condition}}, HELD, inner),
    ),
    max_leaves=4,
)


def trait(number: int, value: Any) -> dict[str, Any]:
    return {"kind": "trait", "id": f"c{number}", "name": f"C{number}", "value": value}


@st.composite
def trait_sets(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Computed traits and segments that ask for them or for a segment before, and other versions of some."""
    count = draw(st.integers(1, TRAITS))
    pool = [trait(number, draw(values)) for number in range(count)]
    edits = [trait(number, draw(values)) for number in draw(st.lists(st.integers(0, count - 1), max_size=2))]
    asks = st.sampled_from([None, None, {}, {"for": "4s"}])
    pool += [_segment(number, draw(conditions), draw(asks)) for number in range(draw(st.integers(1, 3)))]
    return draw(st.permutations(pool)) if draw(st.booleans()) else pool, edits


def _segment(number: int, when: Any, asks: dict[str, Any] | None) -> dict[str, Any]:
    if number and asks is not None:
        when = {"any": [when, {"segment": {"id": f"s{number - 1}", **asks}}]}
    return {"kind": "segment", "id": f"s{number}", "name": f"S{number}", "when": when}
