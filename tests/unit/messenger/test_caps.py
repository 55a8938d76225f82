"""How many messages a customer may get: whatever comes in whatever order, no window holds more than it may."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.campaign import Cap
from headrace.contracts.definition import SendChannel
from services.messenger.caps import MONTH_MS, Sent, Tally, Waiting

HOUR = 3_600_000
CAMPAIGNS = ["a", "b"]
CHANNELS = ["sms", "email"]
caps = st.lists(
    st.builds(
        lambda at_most, hours, channel: Cap(at_most=at_most, within=f"{hours}h", channel=channel),
        st.integers(1, 3),
        st.sampled_from([1, 6, 24]),
        st.sampled_from([None, *CHANNELS]),
    ),
    max_size=3,
)


@dataclass(frozen=True)
class Wish:
    """A message that somebody would like to send, `later` hours after the one before."""

    campaign: str
    channel: str
    later: int
    marketing: bool


wishes = st.lists(
    st.builds(Wish, st.sampled_from(CAMPAIGNS), st.sampled_from(CHANNELS), st.integers(0, 5), st.booleans()),
    max_size=25,
)


@given(wishes, caps, caps, st.none() | st.integers(0, 6))
def test_no_window_holds_more_than_it_may_and_nothing_is_refused_in_vain(
    wished: list[Wish], own: list[Cap], common: list[Cap], maximum: int | None
) -> None:
    tally, now = Tally(), 10 * MONTH_MS
    got: list[tuple[int, Wish]] = []
    for number, wish in enumerate(wished):
        now += wish.later * HOUR
        verdict = tally.judge(
            f"m{number}",
            wish.campaign,
            wish.channel,
            0,
            own=own,
            common=common if wish.marketing else (),
            maximum=maximum if wish.marketing else None,
            now=now,
        )
        full = _full(got, wish, own, common, maximum, now)
        assert (verdict is None) == (not full), (verdict, full)
        assert verdict is None or verdict in full
        if verdict is None:
            got.append((now, wish))
            tally.sent[f"m{number}"] = Sent(wish.campaign, wish.channel, now, wish.marketing)


def _full(
    got: list[tuple[int, Wish]], wish: Wish, own: list[Cap], common: list[Cap], maximum: int | None, now: int
) -> set[str]:
    """What is used up, counted one by one."""
    found = set()
    for cap in own:
        if cap.channel in (None, wish.channel):
            mine = [w for at, w in got if now - cap.within_ms < at <= now and w.campaign == wish.campaign]
            if len([w for w in mine if cap.channel in (None, w.channel)]) >= cap.at_most:
                found.add("frequency_cap")
    if wish.marketing:
        marketing = [(at, w) for at, w in got if w.marketing]
        for cap in common:
            if cap.channel in (None, wish.channel):
                lately = [w for at, w in marketing if now - cap.within_ms < at <= now]
                if len([w for w in lately if cap.channel in (None, w.channel)]) >= cap.at_most:
                    found.add("frequency_cap")
        if maximum is not None and len([1 for at, _ in marketing if now - MONTH_MS < at <= now]) >= maximum:
            found.add("monthly_maximum")
    return found


def judged(
    tally: Tally, priority: int, *, at_most: int = 1, channel: SendChannel | None = None, own: bool = False
) -> str | None:
    limit = [Cap(at_most=at_most, within="1d", channel=channel)]
    common, mine = ([], limit) if own else (limit, [])
    return tally.judge("m", "a", "sms", priority, own=mine, common=common, maximum=None, now=MONTH_MS)


def test_who_comes_first_counts_as_sent_where_both_would_be_too_many() -> None:
    tally = Tally(waiting=[Waiting("w", "b", "email", 5)])
    assert judged(tally, 0) == "priority"
    assert judged(tally, 5) is None, "the same priority: whoever comes first"
    assert judged(tally, 9) is None
    assert judged(tally, 0, at_most=2) is None, "there is room for both"
    assert judged(tally, 0, channel="sms") is None, "that one goes by another channel"
    assert judged(tally, 0, own=True) is None, "that one is of another campaign"


def test_a_message_waits_for_others_and_not_for_itself() -> None:
    assert judged(Tally(waiting=[Waiting("m", "a", "sms", 5)]), 0) is None
    assert judged(Tally({"m": Sent("a", "sms", MONTH_MS)}), 0) is None, "in doubt, looked at again"
    assert judged(Tally({"x": Sent("a", "sms", MONTH_MS)}), 0) == "frequency_cap"


def test_the_window_slides() -> None:
    day = 24 * HOUR
    assert judged(Tally({"x": Sent("a", "sms", MONTH_MS - day)}), 0) is None
    assert judged(Tally({"x": Sent("a", "sms", MONTH_MS - day + 1)}), 0) == "frequency_cap"
