"""Identity resolution: who becomes one, and who never does."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.profiles.identity import Identifier, People, strongest_first
from services.profiles.profile import Profile

USERS = [("user_id", f"u{n}") for n in range(3)]
OTHERS = [("email", "e1"), ("email", "e2"), ("phone", "p1"), ("card", "c1"), ("anonymous_id", "a1")]
SOFT = st.lists(st.sampled_from([*OTHERS, ("anonymous_id", "a2")]), max_size=3, unique=True)
EVENT = st.builds(
    lambda user, soft: ([user] if user else []) + (soft or ([] if user else [("anonymous_id", "a3")])),
    st.none() | st.sampled_from(USERS),
    SOFT,
)
EVENTS = st.lists(EVENT, max_size=12)
Events = list[list[Identifier]]


class Town:
    """Applies events one after another and remembers who owns what."""

    def __init__(self, events: Events) -> None:
        self.people = People({found: None for event in events for found in event}, [])
        self.of: list[Profile] = []
        self._numbers = iter(range(10_000))
        for event in events:
            self.apply(event)

    def apply(self, event: list[Identifier]) -> None:
        number = next(self._numbers)
        resolution = self.people.resolve(strongest_first(event), lambda: f"p{number:04}", number)
        self.of.append(resolution.profile)

    def owner(self, found: Identifier) -> Profile:
        owner = self.people.owners[found]
        assert owner is not None
        profile = self.people.profile(owner)
        assert profile is not None
        return profile

    def groups(self) -> set[frozenset[Identifier]]:
        groups: dict[str, set[Identifier]] = {}
        for found in self.people.owners:
            groups.setdefault(self.owner(found).id, set()).add(found)
        return {frozenset(group) for group in groups.values()}


def users(group: frozenset[Identifier]) -> int:
    return sum(kind == "user_id" for kind, _ in group)


@given(EVENTS)
def test_no_profile_ever_has_two_user_ids(events: Events) -> None:
    assert all(users(group) <= 1 for group in Town(events).groups())


@given(EVENTS)
def test_every_identifier_has_exactly_one_owner_and_every_event_a_live_profile(events: Events) -> None:
    town = Town(events)
    assert all(town.owner(found).merged_into is None for event in events for found in event)
    assert all(town.people.profile(profile.id) is not None for profile in town.of)


@given(EVENTS)
def test_an_event_belongs_to_the_owner_of_its_strongest_identifier(events: Events) -> None:
    town = Town([])
    town.people = People({found: None for event in events for found in event}, [])
    for event in events:
        town.apply(event)
        user = next((found for found in event if found[0] == "user_id"), None)
        if user is not None:
            assert town.owner(user) is town.of[-1]


@given(EVENTS, st.randoms())
def test_without_two_users_in_a_group_the_order_does_not_matter(events: Events, random: Any) -> None:
    if any(users(frozenset(group)) > 1 for group in _connected(events)):
        return
    shuffled = random.sample(events, len(events))
    assert Town(shuffled).groups() == Town(events).groups() == _connected(events)


@given(EVENTS)
def test_merges_leave_no_cycle(events: Events) -> None:
    town = Town(events)
    losers = [loser for loser, _ in town.people.merged]
    assert len(losers) == len(set(losers))
    for loser in losers:
        live = town.people.profile(loser)
        assert live is not None
        assert live.merged_into is None


def _connected(events: Events) -> set[frozenset[Identifier]]:
    """Connected components, written apart from the code under test."""
    groups: list[set[Identifier]] = []
    for event in events:
        touching = [group for group in groups if group & set(event)]
        groups = [group for group in groups if group not in touching] + [set(event).union(*touching)]
    return {frozenset(group) for group in groups}


def test_an_anonymous_visitor_merges_into_the_known_customer() -> None:
    town = Town([[("anonymous_id", "a1")], [("user_id", "u1")], [("user_id", "u1"), ("anonymous_id", "a1")]])
    assert town.of[2].id == "p0001"
    assert town.people.merged == [("p0000", "p0001")]


def test_of_two_anonymous_profiles_the_older_stays() -> None:
    town = Town([[("anonymous_id", "a1")], [("email", "e1")], [("email", "e1"), ("anonymous_id", "a1")]])
    assert town.people.merged == [("p0001", "p0000")]


def test_a_shared_browser_stays_with_whom_it_met_first() -> None:
    town = Town(
        [
            [("user_id", "u1"), ("anonymous_id", "a1")],
            [("user_id", "u2"), ("anonymous_id", "a1")],
            [("anonymous_id", "a1")],
        ]
    )
    assert [profile.user_id for profile in town.of] == ["u1", "u2", "u1"]


def test_between_two_known_customers_the_stronger_identifier_decides() -> None:
    town = Town(
        [
            [("user_id", "u1"), ("email", "e1")],
            [("user_id", "u2"), ("anonymous_id", "a1")],
            [("anonymous_id", "a1"), ("email", "e1")],
        ]
    )
    assert town.of[2].user_id == "u1"
    assert town.owner(("anonymous_id", "a1")).user_id == "u2"


def test_a_user_id_makes_an_anonymous_profile_known() -> None:
    town = Town([[("anonymous_id", "a1")], [("anonymous_id", "a1"), ("user_id", "u1")]])
    assert town.of[1].id == "p0000"
    assert town.of[1].user_id == "u1"
    assert town.people.merged == []


def test_a_merged_id_from_the_store_leads_to_its_root() -> None:
    root = Profile(id="root", first_seen=1, last_seen=1)
    assert People({}, [root], {"gone": "root"}).profile("gone") is root
    assert People({}, [root]).profile("gone") is None
