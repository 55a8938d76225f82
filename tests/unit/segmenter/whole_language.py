"""Random definitions of the whole language, with short windows and few names, so that everything meets
everything."""

from typing import Any

from hypothesis import strategies as st

from tests.unit.segmenter.random_definitions import TOTALS
from tests.unit.segmenter.random_definitions import conditions as plain_conditions

NAMES = st.sampled_from(["A", "B", ["A", "B"], "Page Viewed"])
WINDOWS = st.sampled_from(["3s", "5s", "8s", "20s", "PT1M"])
HELD = st.sampled_from(["2s", "4s", "9s", "30s"])
ORDER = st.sampled_from(["eq", "gt", "gte", "lt", "lte"])
SEGMENTS = 6


def _fixed(**keys: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(keys)


def _some(required: dict[str, Any], **optional: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(required, optional=optional)


_where: st.SearchStrategy[Any] = st.one_of(
    st.just([]),
    st.just([]),
    st.lists(
        st.sampled_from(
            [
                {"path": "properties.total", "gte": 2.5},
                {"path": "properties.total", "exists": True},
                {"path": "properties.cart", "in": ["x", 1]},
                {"path": "properties.items[].sku", "eq": "s1"},
                {"path": "properties.items[].sku", "matches": "^s[12]$"},
                {"path": "properties.cart", "contains": "x"},
                {"local": {"hours": [0, 12]}},
                {"local": {"weekday": ["tue", "wed"], "timezone": "Asia/Tokyo"}},
            ]
        ),
        max_size=2,
    ),
)
_span = st.sampled_from(
    [
        {},
        {},
        {"between": {"from": "2023-11-14T22:13:00Z", "to": "2023-11-14T22:13:30Z"}},
        {"between": {"from": "2023-11-14", "to": "2023-11-15"}},
    ]
)


def _compared(operands: st.SearchStrategy[Any], **fixed: Any) -> st.SearchStrategy[dict[str, Any]]:
    single = st.builds(lambda operator, operand: {operator: operand, **fixed}, ORDER, operands)
    pair = st.builds(lambda low, high: {"between": [low, high], **fixed}, operands, operands)
    return st.one_of(single, single, pair)


_of = st.sampled_from(["properties.total", "properties.items[].price"])
_numeric = st.builds(
    lambda kind, of, test, money: {kind: {"of": of, **test, **money}},
    st.sampled_from(["sum", "avg", "min", "max"]),
    _of,
    _compared(TOTALS),
    st.sampled_from([{}, {}, {"currency": "CZK"}]),
)
_distinct = st.builds(
    lambda of, test: {"distinct": {"of": of, **test}},
    st.sampled_from(["properties.total", "properties.items[].sku", "properties.cart"]),
    _compared(st.integers(0, 3)),
)
_edge = st.builds(
    lambda kind, of, test: {kind: {"of": of, **test}},
    st.sampled_from(["first", "last"]),
    st.sampled_from(["properties.total", "properties.cart", "properties.items[].sku"]),
    st.sampled_from([{"eq": "x"}, {"in": [1, "s1", 9]}, {"gte": 2.5}, {"ne": "y"}, {"not_in": [1, "x"]}]),
)
_event = st.builds(
    lambda name, where, aggregate, window, span: {
        "event": {"name": name, "where": where, **aggregate, **(span or window)}
    },
    NAMES,
    _where,
    st.one_of(
        _numeric, _numeric, _distinct, _edge, st.builds(lambda t: {"count": t}, _compared(st.integers(0, 4)))
    ),
    st.one_of(st.just({}), st.builds(lambda window: {"within": window}, WINDOWS)),
    _span,
)
_step = _some({"event": NAMES}, where=_where)
_later_step = _some({"event": NAMES}, where=_where, within=WINDOWS)
_following = _some({"event": NAMES, "within": st.sampled_from(["2s", "5s"])}, where=_where)
_sequence = st.builds(
    lambda first, more, end, by, expires: {"sequence": {"steps": [first, *more], **end, **by, **expires}},
    _step,
    st.lists(_later_step, max_size=2),
    st.one_of(
        st.just({}),
        st.builds(lambda step: {"then": step}, _following),
        st.builds(lambda step: {"then_not": step}, _following),
        st.builds(lambda step: {"then_not": step}, _following),
    ),
    st.sampled_from([{}, {"by": "properties.cart"}, {"by": "properties.items[].sku"}]),
    st.sampled_from([{}, {"expires": "7s"}, {"expires": "40s"}]),
)
_dates = st.sampled_from(
    [
        {"trait": {"name": "born", "within_last": "10s"}},
        {"trait": {"name": "born", "older_than": "20s"}},
        {"trait": {"name": "born", "within_next": "15s"}},
        {"trait": {"name": "born", "anniversary": {"within": "20s"}}},
        {"trait": {"name": "city", "matches": "^B|a$"}},
        {"trait": {"name": "city", "starts_with": "B"}},
    ]
)
_others = st.sampled_from(
    [
        {"tag": {"name": "vip"}},
        {"consent": {"channel": "sms"}},
        {"consent": {"channel": "sms", "is": "withdrawn"}},
        {"percent": {"from": 0, "to": 50, "salt": "a"}},
        {"percent": {"from": 20, "to": 60.5, "salt": "b"}},
        {"geo": {"within_km": 200, "of": [49.19, 16.61]}},
        {"message": {"campaign": "c1", "did": "clicked", "within": "20s"}},
        {"rfm": {"event": "B", "recency": [4, 5], "within": "30s"}},
        {"rfm": {"event": "B", "frequency": [2, 3, 4, 5], "monetary": [1, 2, 3]}},
        {"rfm": {"event": "B", "class": "champions"}},
    ]
)
_references = st.builds(
    lambda number, more: {"segment": {"id": f"s{number}", **more}},
    st.integers(0, SEGMENTS - 1),
    st.sampled_from([{}, {}, {"member": False}, {"for": "4s"}, {"member": False, "for": "9s"}]),
)


def _held(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(lambda span, condition: {"held": {"for": span, "condition": condition}}, HELD, inner)


leaves = st.one_of(_event, _event, _sequence, _sequence, _dates, _others, plain_conditions)
conditions: st.SearchStrategy[Any] = st.recursive(
    st.one_of(leaves, _references),
    lambda inner: st.one_of(
        st.builds(lambda parts: {"all": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda parts: {"any": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda part: {"not": part}, inner),
        _held(inner),
        _held(inner),
    ),
    max_leaves=4,
)


@st.composite
def definition_sets(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Segments and stages that refer only to segments before them, and other versions of some of them, whose
    stages may be more or fewer."""
    count = draw(st.integers(2, SEGMENTS))
    pool = [draw(_definitions(n)) for n in range(count)]
    edits = [draw(_definitions(n)) for n in draw(st.lists(st.integers(0, count - 1), max_size=4))]
    return pool, edits


def _definitions(number: int) -> st.SearchStrategy[dict[str, Any]]:
    if _is_stages(number):
        return st.builds(lambda whens: _stages(number, whens), st.lists(conditions, min_size=2, max_size=4))
    return st.builds(lambda when: _definition(number, when), conditions)


def _is_stages(number: int) -> bool:
    return number % 3 == 1


def _definition(number: int, when: Any) -> dict[str, Any]:
    return {"kind": "segment", "id": f"s{number}", "name": f"S{number}", "when": _downward(when, number)}


def _stages(number: int, whens: list[Any]) -> dict[str, Any]:
    stages = [{"id": f"t{place}", "when": _downward(when, number)} for place, when in enumerate(whens)]
    return {"kind": "stages", "id": f"s{number}", "name": f"S{number}", "stages": stages}


def _downward(node: Any, number: int) -> Any:
    """The condition with every reference turned to a segment of a lower number."""
    if isinstance(node, list):
        return [_downward(one, number) for one in node]
    if not isinstance(node, dict):
        return node
    if isinstance(node.get("segment"), dict):
        asked = int(node["segment"]["id"][1:])
        if number == 0:
            return {"tag": {"name": "vip"}}
        key = f"s{asked % number}"
        if _is_stages(asked % number):
            key += f"-t{asked % 2}"  # of stages the first two stay
        return {"segment": {**node["segment"], "id": key}}
    return {key: _downward(value, number) for key, value in node.items()}
