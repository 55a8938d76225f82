"""How much must speak against an identifier until it says no more who somebody is."""

from hypothesis import given
from hypothesis import strategies as st

from services.profiles.identity_rules import HOUR, Quarantine
from services.profiles.suspicion import Note, is_shared

LIMITS = Quarantine(links=3, within=HOUR)


def brought(*times: int, kind: str = "card") -> list[Note]:
    return [Note(kind, at, refused=False) for at in times]


def test_more_than_the_links_of_one_type_in_one_period_are_too_many() -> None:
    assert not is_shared(brought(0, 1, 2), LIMITS)
    assert is_shared(brought(0, 1, 2, HOUR - 1), LIMITS)
    assert not is_shared(brought(0, 1, 2, HOUR), LIMITS)
    assert not is_shared(brought(0, 1) + brought(2, 3, kind="phone"), LIMITS)


def test_a_burst_in_the_past_counts() -> None:
    late = 100 * HOUR
    assert is_shared(brought(0, 1, 2, 3, late), LIMITS)


def test_refusals_count_for_ever_and_whatever_their_type() -> None:
    refused = [Note(f"type{n}", n * 1_000 * HOUR, refused=True) for n in range(4)]
    assert not is_shared(refused[:3], LIMITS)
    assert is_shared(refused, LIMITS)


@given(
    st.lists(st.builds(Note, st.sampled_from(["card", "phone"]), st.integers(0, 3 * HOUR), st.booleans())),
    st.randoms(use_true_random=False),
)
def test_the_order_of_the_notes_does_not_matter(notes: list[Note], random: object) -> None:
    shuffled = random.sample(notes, len(notes))  # type: ignore[attr-defined]
    assert is_shared(shuffled, LIMITS) == is_shared(notes, LIMITS)
