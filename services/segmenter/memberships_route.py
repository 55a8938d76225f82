"""HTTP of asking for many memberships at once: the messenger's branches."""

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import Response

from headrace.contracts.errors import ApiError
from headrace.contracts.topics import partition_of
from services.segmenter.bodies import answer
from services.segmenter.catalog import Catalog
from services.segmenter.members import Members

_MAX_ASKED = 1_000


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A customer, and the number in its partition of the last row that the answer must know of."""

    id: str
    seq: int | None = None


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    segments: list[str]
    profiles: list[Asked]


def add_memberships_route(router: APIRouter, members: Members) -> None:
    @router.post("/memberships")
    async def memberships(request: Request) -> Response:
        """`{segments, profiles: [{id, seq}]}` → `{members: {profile id: segments that it is in}, behind}`.
        `behind`: profiles whose row `seq` is not applied yet, and segments that are not live in every partition
        asked."""
        try:
            asked = msgspec.json.decode(await request.body(), type=Question)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise ApiError(400, "invalid_request", f"Send segments and profiles: {error}") from error
        if len(asked.profiles) > _MAX_ASKED or len(asked.segments) > _MAX_ASKED:
            raise ApiError(413, "too_large", f"Ask for at most {_MAX_ASKED} profiles and segments at a time.")
        return answer(await _answered(members, asked))


async def _answered(members: Members, asked: Question) -> dict[str, object]:
    found: dict[str, list[str]] = {}
    behind: set[str] = set()
    by_partition: dict[int, list[Asked]] = {}
    for one in asked.profiles:
        by_partition.setdefault(partition_of(one.id, members.partitions), []).append(one)
    for q, profiles in sorted(by_partition.items()):
        snapshot = await members.snapshot(q, [one.id for one in profiles])
        if snapshot is None:
            behind.update(one.id for one in profiles)
            continue
        behind.update(one.id for one in profiles if one.seq is not None and snapshot.mark.seq < one.seq)
        behind.update(key for key in asked.segments if not _is_live(snapshot.catalog, key))
        for key, customer in snapshot.customers.items():
            found[key] = [segment for segment in asked.segments if segment in customer.members]
    return {"members": found, "behind": sorted(behind)}


def _is_live(catalog: Catalog, segment_id: str) -> bool:
    slot = catalog.slot_of(segment_id)
    return slot is not None and slot.live is not None
