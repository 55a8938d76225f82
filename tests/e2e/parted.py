"""Merges and unmerges as the profile service writes them, for tests that write the timeline themselves."""

from collections.abc import Mapping, Sequence
from typing import Any

from headrace.contracts.profile_event import EventRow, MergeRow, SplitRow, TombstoneRow, UnmergeRow
from tests.e2e.segmenter_rig import Rig

_NOTE = """
    INSERT INTO profiles.unmerge (id, profile_id, into_id, request, at) VALUES ($1, $2, $1, $1, $3)
"""
_MOVE = "INSERT INTO profiles.moved SELECT $1, * FROM unnest($2::int[], $3::bigint[])"
_LEAD = """
    INSERT INTO profiles.alias VALUES ($1, $2) ON CONFLICT (profile_id) DO UPDATE SET root = excluded.root
"""


async def part(
    rig: Rig,
    old: str,
    new: str,
    leaving: Sequence[EventRow],
    *,
    stays: Mapping[str, Any] | None = None,
    goes: Mapping[str, Any] | None = None,
) -> None:
    """These events of `old` are `new`'s, whom nobody has known yet. `stays`, `goes`: fields of the two rows."""
    at = [rig.q(row.profile_id) for row in leaving]
    await rig.pool.execute(_NOTE, new, old, rig.time)
    await rig.pool.execute(_MOVE, new, at, [row.seq for row in leaving])
    cause: dict[str, Any] = {"id": new, "source": "api", "message_id": f"part-{new}"}
    header = await rig.header(rig.q(old))
    await rig.write(rig.q(old), UnmergeRow(**header, profile_id=old, into=new, **cause, **(stays or {})))
    header = await rig.header(rig.q(new))
    await rig.write(rig.q(new), SplitRow(**header, profile_id=new, origin=old, **cause, **(goes or {})))


async def join(rig: Rig, loser: str, winner: str, **changes: Any) -> None:
    """`loser` goes into `winner`."""
    cause: dict[str, Any] = {"source": "shop", "message_id": f"join-{loser}-{winner}"}
    gone = TombstoneRow(**await rig.header(rig.q(loser)), profile_id=loser, into=winner, **cause)
    await rig.write(rig.q(loser), gone)
    of_loser: dict[str, Any] = {"loser": loser, "loser_partition": rig.q(loser), "loser_seq": gone.seq}
    header = await rig.header(rig.q(winner))
    await rig.write(rig.q(winner), MergeRow(**header, profile_id=winner, **of_loser, **cause, **changes))
    await lead(rig, loser, winner)


async def lead(rig: Rig, loser: str, winner: str) -> None:
    """The id `loser` stands for `winner` from now on."""
    await rig.pool.execute(_LEAD, loser, winner)
