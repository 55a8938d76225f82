"""Per trait the source of the highest priority wins, then the last writer: whatever the order in which writers are
applied."""

from itertools import pairwise, permutations
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from services.profiles import traits as module
from services.profiles.traits import Stamp, apply_traits, merge_traits, whole_stamp

NAMES = st.sampled_from(["plan", "city", "email"])
VALUES = st.one_of(st.none(), st.booleans(), st.integers(0, 2), st.just([1]), st.just("x"))
SOURCES = st.sampled_from(
    [(0, "web", "first"), (0, "crm", "first"), (10, "crm", "second"), (-1, "bought", "third")]
)
Write = tuple[int, tuple[int, str, str] | None, dict[str, Any]]
WRITES = st.lists(
    st.tuples(st.integers(0, 3), st.none() | SOURCES, st.dictionaries(NAMES, VALUES, min_size=1)), max_size=6
)
"""At a time, by a source (None: written before sources were kept)."""
State = tuple[dict[str, Any], dict[str, Stamp]]


def stamped(writes: list[Write]) -> list[tuple[Stamp, dict[str, Any]]]:
    """Every write is a record of its own: equal event times, different offsets."""
    return [(stamp(time, offset, source), changes) for offset, (time, source, changes) in enumerate(writes)]


def stamp(time: int, offset: int, source: tuple[int, str, str] | None) -> Stamp:
    if source is None:
        return [time, 0, 0, offset]
    priority, name, party = source
    return [priority, time, 0, 0, offset, name, party]


def state(writes: list[tuple[Stamp, dict[str, Any]]]) -> State:
    traits: dict[str, Any] = {}
    stamps: dict[str, Stamp] = {}
    for stamp, changes in writes:
        apply_traits(traits, stamps, changes, stamp)
    return traits, stamps


def merged(one: State, other: State) -> State:
    traits, stamps = dict(one[0]), dict(one[1])
    merge_traits(traits, stamps, *other)
    return traits, stamps


@given(WRITES, st.randoms())
def test_the_order_of_writers_does_not_matter(writes: list[Write], random: Any) -> None:
    records = stamped(writes)
    shuffled = random.sample(records, len(records))
    assert state(shuffled) == state(records)


@given(WRITES, st.integers(0, 6))
def test_merging_two_halves_is_the_same_as_writing_all(writes: list[Write], cut: int) -> None:
    records = stamped(writes)
    first, second = state(records[:cut]), state(records[cut:])
    assert merged(first, second) == merged(second, first) == state(records)


@given(st.lists(WRITES, min_size=3, max_size=3))
def test_merge_is_associative_and_idempotent(groups: list[list[Write]]) -> None:
    records = stamped([write for group in groups for write in group])
    cuts = [0, len(groups[0]), len(groups[0]) + len(groups[1]), len(records)]
    states = [state(records[a:b]) for a, b in pairwise(cuts)]
    results = [merged(merged(a, b), c) for a, b, c in permutations(states)]
    assert all(result == results[0] for result in results)
    assert merged(results[0], results[0]) == results[0]


@given(WRITES)
def test_reported_changes_lead_from_the_old_to_the_new_traits(writes: list[Write]) -> None:
    traits: dict[str, Any] = {}
    followed: dict[str, Any] = {}
    stamps: dict[str, Stamp] = {}
    for stamp, changes in stamped(writes):
        for name, value in apply_traits(traits, stamps, changes, stamp).items():
            assert repr(followed.get(name)) != repr(value)
            followed[name] = value
    assert {name: value for name, value in followed.items() if value is not None} == traits


def test_null_removes_and_an_older_event_does_not_bring_it_back() -> None:
    traits, stamps = state([([1, 0, 0, 0], {"plan": "gold"}), ([3, 0, 0, 1], {"plan": None})])
    assert apply_traits(traits, stamps, {"plan": "silver"}, [2, 0, 0, 2]) == {}
    assert traits == {}


@given(WRITES)
def test_the_latest_word_of_the_highest_priority_decides(writes: list[Write]) -> None:
    traits, _ = state(stamped(writes))
    for name in {name for _, _, changes in writes for name in changes}:
        said = [
            ((source[0] if source else 0, time, number), changes[name])
            for number, (time, source, changes) in enumerate(writes)
            if name in changes
        ]
        assert repr(traits.get(name)) == repr(max(said, key=lambda one: one[0])[1])


def test_a_priority_outranks_recency() -> None:
    traits, stamps = state([(stamp(1, 0, (10, "crm", "first")), {"plan": "gold"})])
    assert apply_traits(traits, stamps, {"plan": "silver", "city": "Brno"}, stamp(9, 1, (0, "web", "first"))) == {
        "city": "Brno"
    }
    assert apply_traits(traits, stamps, {"plan": None}, stamp(2, 2, (10, "crm", "first"))) == {"plan": None}
    assert apply_traits(traits, stamps, {"plan": "silver"}, stamp(9, 3, (0, "web", "first"))) == {}


def test_a_trait_may_have_a_priority_of_its_own() -> None:
    traits, stamps = state([(stamp(5, 0, (3, "web", "first")), {"plan": "gold", "city": "Brno"})])
    changes = {"plan": "silver", "city": "Praha"}
    crm = stamp(1, 1, (0, "crm", "first"))
    assert apply_traits(traits, stamps, changes, crm, {"plan": 4, "other": 9}) == {"plan": "silver"}
    assert stamps["plan"] == [4, 1, 0, 0, 1, "crm", "first"]


def test_what_was_written_before_sources_were_kept_ranks_as_everybody_without_a_priority() -> None:
    traits, stamps = {"plan": "gold"}, {"plan": whole_stamp([5, 5, 0, 0])}
    assert apply_traits(traits, stamps, {"plan": "old"}, stamp(4, 1, (0, "web", "first"))) == {}
    assert apply_traits(traits, stamps, {"plan": "new"}, stamp(6, 1, (0, "web", "first"))) == {"plan": "new"}


def test_true_is_not_one() -> None:
    traits, stamps = state([([1, 0, 0, 0], {"vip": 1})])
    assert apply_traits(traits, stamps, {"vip": True}, [2, 0, 0, 1]) == {"vip": True}


def test_names_are_bounded() -> None:
    traits, stamps = state([([1, 0, 0, 0], {f"t{n}": n for n in range(module.MAX_TRAITS + 5)})])
    assert len(traits) == module.MAX_TRAITS
    assert apply_traits(traits, stamps, {"t0": "new", "another": 1}, [2, 0, 0, 1]) == {"t0": "new"}


def test_values_are_bounded_also_in_a_merge() -> None:
    half = "x" * (module.MAX_BYTES // 2)
    traits, stamps = state([([1, 0, 0, 0], {"a": half})])
    assert apply_traits(traits, stamps, {"b": half, "c": 1}, [2, 0, 0, 0]) == {"c": 1}
    other, other_stamps = state([([3, 0, 0, 0], {"b": half, "d": 2})])
    assert merge_traits(traits, stamps, other, other_stamps) == {"d": 2}
    assert apply_traits(traits, stamps, {"a": None}, [4, 0, 0, 0]) == {"a": None}
    assert apply_traits(traits, stamps, {"b": half}, [5, 0, 0, 0]) == {"b": half}
    assert len(msgspec.json.encode(traits)) <= module.MAX_BYTES
