"""What is new about a message, by hits in any order."""

from hypothesis import given
from hypothesis import strategies as st

from services.messenger.engagement import First, Hit, Seen, news

HITS = st.lists(
    st.builds(
        Hit,
        message_id=st.just("s1"),
        at=st.integers(0, 20),
        machine=st.booleans(),
        link=st.none() | st.integers(1, 3),
    ),
    max_size=12,
)
SEEN = st.builds(Seen, st.booleans(), st.booleans(), st.frozensets(st.integers(1, 3)))


@given(SEEN, HITS)
def test_everything_is_told_once_and_every_fetch_is_counted(seen: Seen, hits: list[Hit]) -> None:
    found = news(seen, hits)
    told = [(one.outcome, one.machine, one.link) for one in found.firsts]
    assert len(told) == len(set(told))
    pixels = [hit.machine for hit in hits if hit.link is None]
    assert (found.opens, found.machine_opens) == (pixels.count(False), pixels.count(True))
    followed = [hit.link for hit in hits if hit.link is not None and not hit.machine]
    assert found.clicks == {link: followed.count(link) for link in set(followed)}
    assert {link for _, _, link in told if link is not None} == set(followed) - set(seen.clicked)
    assert (("opened", False, None) in told) == (not seen.opened and bool(followed or False in pixels))
    assert (("opened", True, None) in told) == (not seen.machine_opened and True in pixels)


@given(SEEN, HITS)
def test_hits_in_parts_tell_the_same_as_together(seen: Seen, hits: list[Hit]) -> None:
    hits = sorted(hits, key=lambda hit: hit.at)
    one = news(seen, hits[:5])
    between = Seen(
        seen.opened or one.first_at("opened") is not None,
        seen.machine_opened or one.first_at("opened", machine=True) is not None,
        {*seen.clicked, *one.click_times()},
    )
    assert one.firsts + news(between, hits[5:]).firsts == news(seen, hits).firsts


def test_who_follows_a_link_has_opened_the_message() -> None:
    found = news(Seen(), [Hit("s1", 7, link=2), Hit("s1", 9)])
    assert found.firsts == [First("opened", 7), First("clicked", 7, link=2)]
    assert (found.opens, found.first_at("opened"), found.click_times()) == (1, 7, {2: 7})


def test_a_machine_that_follows_links_has_opened_nothing() -> None:
    assert news(Seen(), [Hit("s1", 7, True, 1)]).firsts == []
