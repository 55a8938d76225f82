"""The rules of DESIGN §4.5 for merges: who keeps which entry, who is said to enter or leave, and why."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from headrace.contracts.profile_event import ControlRow, EventRow, ProfileRow
from services.segmenter.change import Transition
from services.segmenter.commit import Incoming, Watermark
from services.segmenter.partition import Partition
from tests.unit.segmenter.memory import MemoryStore, MemoryTimeline
from tests.unit.segmenter.recorder import Recorder
from tests.unit.segmenter.rows import control, event, merge, plan, tombstone

TWO = {"event": {"name": "A", "count": {"gte": 2}}}
NONE_OF_B = {"not": {"event": {"name": "B"}}}
ONE = {"event": {"name": "A", "count": {"between": [1, 2]}}}


async def merged(when: Any, loser: Sequence[str], winner: Sequence[str]) -> list[Transition]:
    """`lose` on partition 0 is merged into `win` on partition 1 after these events; the loser's come first."""
    rows: list[list[ProfileRow]] = [_history("lose", loser, 1_000), _history("win", winner, 2_000)]
    for own in rows:
        own.insert(0, control(1, "define", "s", at=1, when=when))
        own.insert(1, control(2, "activate", "s", at=1))
    rows[0].append(tombstone(len(rows[0]) + 1, "lose", "win", at=9_000))
    rows[1].append(merge(len(rows[1]) + 1, "win", "lose", loser_partition=0, loser_seq=rows[0][-1].seq, at=9_000))
    return await folded(rows)


def _history(profile: str, names: Sequence[str], at: int) -> list[EventRow | ControlRow | Any]:
    return [
        event(3 + n, profile, name, at=at + n, message_id=f"{profile}{n}", user_id=profile)
        for n, name in enumerate(names)
    ]


def of(transitions: Sequence[Transition], profile: str) -> list[tuple[str, str]]:
    return [(t.action, t.reason) for t in transitions if t.profile_id == profile]


async def test_only_the_loser_was_a_member() -> None:
    found = await merged(TWO, ["A", "A"], ["B"])
    assert of(found, "lose") == [("entered", "event"), ("exited", "merge")]
    assert of(found, "win") == [("entered", "merge")]
    assert found[-1].entry_id == found[0].entry_id
    assert found[-1].message_id != found[0].message_id


async def test_both_were_members_and_the_earlier_entry_is_kept() -> None:
    found = await merged({"event": {"name": "A"}}, ["A"], ["A"])
    assert of(found, "lose") == [("entered", "event"), ("exited", "merge")]
    assert of(found, "win") == [("entered", "event")]


async def test_neither_was_but_together_they_are() -> None:
    found = await merged(TWO, ["A"], ["A"])
    assert of(found, "lose") == []
    assert of(found, "win") == [("entered", "event")]
    assert found[-1].cause_message_id == "win0"


async def test_the_combined_history_is_no_member_and_every_entry_ends() -> None:
    found = await merged(ONE, ["A", "A"], ["A"])
    assert of(found, "lose") == [("entered", "event"), ("exited", "merge")]
    assert of(found, "win") == [("entered", "event"), ("exited", "merge"), ("exited", "merge")]
    assert len({t.message_id for t in found}) == len(found)
    entries = {t.entry_id for t in found if t.action == "entered"}
    assert {t.entry_id for t in found if t.profile_id == "win" and t.action == "exited"} == entries


async def test_a_negation_is_not_evaluated_on_half_a_history() -> None:
    found = await merged(NONE_OF_B, ["B"], ["A"])
    assert of(found, "lose") == []
    assert of(found, "win") == [("entered", "event"), ("exited", "merge")]


async def test_a_customer_who_left_and_is_a_member_again_by_a_merge_has_an_entry_of_its_own() -> None:
    """The combined history never left; what is published did, and the first entry's messageId is used up."""
    when = {"event": {"name": "A", "count": {"gte": 2}, "within": "5s"}}
    rows: list[list[ProfileRow]] = [[], []]
    for own in rows:
        own += [control(1, "define", "s", at=1, when=when), control(2, "activate", "s", at=1)]
    rows[0] += [event(3, "lose", at=5_000), tombstone(4, "lose", "win", at=7_000)]
    rows[1] += [event(3, "win", at=1_000), event(4, "win", at=3_000, message_id="second")]
    rows[1].append(merge(5, "win", "lose", loser_partition=0, loser_seq=4, at=7_000))
    found = of(transitions := await folded(rows), "win")
    assert found == [("entered", "event"), ("exited", "time"), ("entered", "event")]
    assert len({change.message_id for change in transitions}) == len(transitions)


async def test_segments_entered_by_one_merge_keep_each_their_own_cause() -> None:
    brno = {"trait": {"name": "city", "eq": "Brno"}}
    rows: list[list[ProfileRow]] = [[], []]
    for own in rows:
        own += [control(1, "define", "s", at=1, when=TWO), control(2, "activate", "s", at=1)]
        own += [control(3, "define", "t", at=1, when=brno), control(4, "activate", "t", at=1)]
    rows[0] += [event(5, "lose", at=1_000, message_id="first"), tombstone(6, "lose", "win", at=9_000)]
    joined = merge(6, "win", "lose", loser_partition=0, loser_seq=6, at=9_000)
    rows[1] += [event(5, "win", at=2_000, message_id="second"), replace(joined, traits={"city": "Brno"})]
    causes = {change.segment_id: change.cause_message_id for change in await folded(rows)}
    assert causes == {"s": "second", "t": "link"}


async def folded(rows: Sequence[Sequence[ProfileRow]]) -> list[Transition]:
    store, timeline = MemoryStore(), MemoryTimeline(rows)
    for q, own in enumerate(rows):
        await store.reset(q, Watermark(epoch=1))
        partition = await Partition.opened(q, store, timeline, Recorder())
        assert partition is not None
        await partition.process([Incoming(row, row.seq) for row in own])
    return store.transitions


async def test_a_chain_of_merges_is_as_long_as_it_likes() -> None:
    length = 200
    rows: list[list[ProfileRow]] = [[], []]
    for own in rows:
        own += [control(1, "define", "s", at=1, when=TWO), control(2, "activate", "s", at=1)]
    for n in range(length + 1):
        rows[n % 2].append(event(len(rows[n % 2]) + 1, f"p{n}", at=1_000, message_id=f"m{n}"))
    for n in range(length):
        own, other = rows[n % 2], rows[(n + 1) % 2]
        own.append(tombstone(len(own) + 1, f"p{n}", f"p{n + 1}", at=2_000))
        last = merge(len(other) + 1, f"p{n + 1}", f"p{n}", loser_partition=n % 2, loser_seq=own[-1].seq, at=2_000)
        other.append(last)
    history = await MemoryTimeline(rows).history([last.profile_id, last.loser], replayed=True)
    merged = history.merged(last, length % 2, plan(s=TWO), 2_000)
    assert list(merged.loser.members) == ["s"]
    (journal,) = (merged.combined.opened(key) for key in merged.combined.journal_keys())
    assert [journal.opened(atom).seen for atom in journal.atom_ids()] == [length + 1]
