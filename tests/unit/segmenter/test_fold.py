"""What the fold says in cases small enough to check by hand."""

import msgspec
import pytest

from headrace.contracts import ids
from headrace.contracts.profile_event import ErasureRow
from services.segmenter.change import encode_change
from services.segmenter.journal import FEWEST
from tests.unit.segmenter.rows import apply, event, fold, plan, story

WITHIN = {"event": {"name": "A", "within": "10s"}}
TWICE = {"event": {"name": "A", "count": {"gte": 2}, "within": "10s"}}


def test_timers_fire_in_the_order_of_instant_and_profile() -> None:
    target = fold(plan(recent=WITHIN))
    apply(target, event(1, "pb", at=1_000), event(2, "pa", at=1_000), event(3, "pc", at=500, low=1_000))
    target.transitions.clear()
    assert target.advance(60_000)
    assert [(t.at, t.profile_id) for t in target.transitions] == [(10_500, "pc"), (11_000, "pa"), (11_000, "pb")]


def test_a_timer_fires_before_the_row_that_is_due_at_its_instant() -> None:
    target = fold(plan(recent=WITHIN))
    apply(target, event(1, "p", at=1_000), event(2, "p", at=11_000))
    assert [(action, reason, at) for _, _, action, reason, at in story(target)] == [
        ("entered", "event", 1_000),
        ("exited", "time", 11_000),
        ("entered", "event", 11_000),
    ]


def test_one_millisecond_before_its_instant_a_timer_does_not_fire() -> None:
    target = fold(plan(recent=WITHIN))
    apply(target, event(1, "p", at=1_000))
    target.advance(10_999)
    assert len(target.transitions) == 1


def test_an_event_later_than_now_counts_at_once() -> None:
    target = fold(plan(recent=WITHIN))
    apply(target, event(1, "p", at=5_000, low=2_000))
    assert story(target) == [("p", "recent", "entered", "event", 5_000)]


def test_a_late_event_enters_the_window_it_belongs_to() -> None:
    target = fold(plan(twice=TWICE))
    apply(target, event(1, "p", at=20_000), event(2, "p", at=20_100, ts=12_000))
    target.advance(60_000)
    assert [(action, at) for _, _, action, _, at in story(target)] == [("entered", 20_100), ("exited", 22_000)]


def test_an_event_that_is_too_late_for_the_window_changes_nothing() -> None:
    target = fold(plan(twice=TWICE))
    apply(target, event(1, "p", at=20_000), event(2, "p", at=20_100, ts=10_100))
    assert story(target) == []


def test_an_entry_s_id_comes_from_the_event_and_a_timer_s_from_the_event_that_left() -> None:
    target = fold(plan(recent=WITHIN, quiet={"not": WITHIN}))
    apply(target, event(1, "p", at=1_000))
    target.advance(11_000)
    entered, exited, quiet = (
        next(t for t in target.transitions if (t.segment_id, t.action) == wanted)
        for wanted in (("recent", "entered"), ("recent", "exited"), ("quiet", "entered"))
    )
    assert entered.entry_id == ids.entry_id("recent", 1, ids.event_cause("web", "m1"))
    assert entered.message_id == ids.entered_message_id(entered.entry_id, "p")
    timer = ids.timer_cause("web", "m1", 11_000)
    assert exited.message_id == ids.exited_message_id(entered.entry_id, timer)
    assert quiet.entry_id == ids.entry_id("quiet", 1, timer)
    assert quiet.cause_message_id == "m1"


def test_a_customer_first_seen_enters_what_is_true_of_everybody_without_events() -> None:
    target = fold(plan(quiet={"not": {"event": {"name": "Other"}}}))
    apply(target, event(1, "p", "A", at=1_000))
    assert story(target) == [("p", "quiet", "entered", "event", 1_000)]


@pytest.mark.parametrize(("imported", "reason"), [(False, "event"), (True, "import")])
def test_history_says_that_it_is_history(imported: bool, reason: str) -> None:
    target = fold(plan(recent=WITHIN))
    apply(target, event(1, "p", at=1_000, imported=imported))
    assert story(target)[0][3] == reason


def test_a_trait_decides_with_reason_trait() -> None:
    target = fold(plan(brno={"trait": {"name": "city", "eq": "Brno"}}))
    apply(target, event(1, "p", at=1_000, traits={"city": "Brno"}), event(2, "p", at=2_000, traits={"city": None}))
    assert [(action, reason) for _, _, action, reason, _ in story(target)] == [
        ("entered", "trait"),
        ("exited", "trait"),
    ]


def test_sums_are_exact() -> None:
    total = {"of": "properties.lines[].price", "eq": 0.3}
    target = fold(plan(exact={"event": {"name": "A", "sum": total}}))
    apply(target, event(1, "p", at=1, properties={"lines": [{"price": 0.1}, {"price": 0.2}, {"price": "9"}, {}]}))
    assert story(target) == [("p", "exact", "entered", "event", 1)]
    assert target.plan.mismatches.count == 1


def test_another_type_is_false_and_counted() -> None:
    target = fold(plan(vip={"trait": {"name": "vip", "ne": True}}))
    apply(target, event(1, "p", at=1, traits={"vip": "yes"}))
    assert story(target) == []
    assert target.plan.mismatches.count > 0


def test_identical_pieces_are_kept_once() -> None:
    compiled = plan(one=TWICE, two={"not": TWICE}, three={"event": {"name": ["A"], "count": {"gte": 5}}})
    assert len(compiled.atoms) == 1
    (atom,) = compiled.atoms.values()
    assert (atom.keep, atom.window) == (3, 10_000)


def test_what_no_window_can_see_is_forgotten() -> None:
    target = fold(plan(twice=TWICE))
    apply(target, *(event(n, "p", at=n * 100) for n in range(1, 200)))
    (journal,) = (target.customers["p"].opened(key) for key in target.customers["p"].journal_keys())
    (state,) = (journal.opened(atom) for atom in journal.atom_ids())
    assert (state.seen, len(state.held)) == (199, 3)
    assert len(journal.times) < 2 * FEWEST


def test_an_erased_customer_leaves_without_a_name() -> None:
    target = fold(plan(recent=WITHIN))
    apply(target, event(1, "p", at=1_000, user_id="u1", traits={"email": "a@b.cz"}))
    target.apply(ErasureRow(seq=2, epoch=1, time=2_000, low=1_000, profile_id="p"))
    assert story(target)[-1] == ("p", "recent", "exited", "erasure", 2_000)
    value = encode_change(target.transitions[-1])
    assert b"u1" not in value
    assert b"a@b.cz" not in value
    assert target.dropped == {"p"}


def test_a_change_says_what_destinations_read() -> None:
    target = fold(plan(recent=WITHIN))
    apply(
        target, event(1, "p", at=1_700_000_000_000, user_id="u1", anonymous_id="a1", traits={"phone": "+420601"})
    )
    change = msgspec.json.decode(encode_change(target.transitions[0]))
    assert (change["type"], change["event"], change["userId"], change["anonymousId"]) == (
        "track",
        "Audience Entered",
        "u1",
        "a1",
    )
    assert change["timestamp"] == "2023-11-14T22:13:20.000Z"
    assert change["properties"]["audience_key"] == "recent"
    assert change["properties"]["recent"] is True
    assert change["properties"]["sequence"] == 1
    assert change["context"]["personas"]["computation_class"] == "audience"
    assert change["context"]["traits"] == {"phone": "+420601"}


def test_a_page_is_an_event_by_segment_s_name_for_it() -> None:
    target = fold(plan(viewers={"event": {"name": "Page Viewed"}}))
    apply(target, event(1, "p", "x", at=1, type="page"))
    assert story(target)[0][:3] == ("p", "viewers", "entered")


def test_an_event_out_of_scope_is_not_counted_as_one_of_another_type() -> None:
    of = {"sum": {"of": "properties.total", "gte": 1, "currency": "CZK"}}
    target = fold(plan(spent={"event": {"name": "A", **of}}))
    apply(target, event(1, "p", at=1, properties={"total": "9", "currency": "EUR"}))
    mismatches = target.plan.mismatches
    assert (mismatches.count, mismatches.other_currency) == (0, 1)
    apply(target, event(2, "p", at=2, properties={"total": "9", "currency": "CZK"}))
    assert (mismatches.count, mismatches.other_currency) == (1, 1)
