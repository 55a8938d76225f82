"""Random sets of definitions, small enough to share names, filters and windows all the time."""

from typing import Any

from hypothesis import strategies as st

WINDOWS = st.sampled_from(["5s", "8s", "20s"])
NAMES = st.sampled_from(["A", "B", ["A", "B"]])
TOTALS = st.sampled_from([-4, 0.1, 1, 2.5, 9, 12.25])
COUNTS = st.integers(0, 4)


def _one_of(
    operators: st.SearchStrategy[str], operands: st.SearchStrategy[Any]
) -> st.SearchStrategy[dict[str, Any]]:
    """One operator with its operand."""
    single = st.builds(lambda operator, operand: {operator: operand}, operators, operands)
    pair = st.builds(lambda low, high: {"between": [low, high]}, operands, operands)
    return st.one_of(single, single, single, pair)


_equals = st.sampled_from(["eq", "gt", "gte", "lt", "lte"])
_values = st.one_of(
    _one_of(st.sampled_from(["eq", "ne", "gt", "gte", "lt", "lte"]), TOTALS),
    st.builds(
        lambda values: {"in": values}, st.lists(st.sampled_from([1, 2.5, "9", True]), min_size=1, max_size=3)
    ),
    st.builds(lambda exists: {"exists": exists}, st.booleans()),
    st.just({"eq": "9"}),
)
_where = st.builds(lambda test: {"path": "properties.total", **test}, _values)
_counted = st.builds(lambda test: {"count": test}, _one_of(_equals, COUNTS))
_summed = st.builds(lambda test: {"sum": {"of": "properties.total", **test}}, _one_of(_equals, TOTALS))
_windowed = st.one_of(st.just({}), st.builds(lambda window: {"within": window}, WINDOWS))
_event = st.builds(
    lambda name, where, aggregate, window: {
        "event": {"name": name, **({"where": where} if where else {}), **aggregate, **window}
    },
    NAMES,
    st.lists(_where, max_size=2),
    st.one_of(st.just({}), _counted, _summed),
    _windowed,
)
_trait = st.one_of(
    st.builds(
        lambda values: {"trait": {"name": "city", "in": values}},
        st.lists(st.sampled_from(["Brno", 7, "Praha"]), min_size=1),
    ),
    st.builds(
        lambda test: {"trait": {"name": "city", **test}},
        _one_of(st.sampled_from(["eq", "ne", "gt", "lte"]), st.sampled_from(["Brno", "Praha", "C"])),
    ),
    st.builds(lambda exists: {"trait": {"name": "vip", "exists": exists}}, st.booleans()),
    st.just({"trait": {"name": "vip", "eq": True}}),
)
conditions: st.SearchStrategy[Any] = st.recursive(
    st.one_of(_event, _event, _trait),
    lambda inner: st.one_of(
        st.builds(lambda parts: {"all": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda parts: {"any": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda part: {"not": part}, inner),
    ),
    max_leaves=4,
)


@st.composite
def definition_sets(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Segments, and other versions of some of them."""
    pool = [_definition(n, when) for n, when in enumerate(draw(st.lists(conditions, min_size=1, max_size=8)))]
    edits = draw(st.lists(st.tuples(st.integers(0, len(pool) - 1), conditions), max_size=4))
    return pool, [_definition(n, when) for n, when in edits]


def _definition(number: int, when: Any) -> dict[str, Any]:
    return {"kind": "segment", "id": f"s{number}", "name": f"S{number}", "when": when}
