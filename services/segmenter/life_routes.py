"""HTTP of a definition's life: delete, pause, resume, its versions and the way back to one."""

from typing import Annotated, Any

from fastapi import APIRouter, Path
from fastapi.responses import Response

from headrace.contracts.errors import ApiError
from services.segmenter.bodies import Limit, answer
from services.segmenter.cut_points import CutPointKeeper
from services.segmenter.definition_routes import Send
from services.segmenter.definitions import Definitions
from services.segmenter.versions import StoredVersion, Versions

Number = Annotated[int, Path(ge=1, le=2**31 - 1)]


def add_life_routes(
    router: APIRouter, cut_points: CutPointKeeper, definitions: Definitions, versions: Versions, send: Send
) -> None:
    @router.delete("/segments/{segment_id}")
    async def delete(segment_id: str) -> Response:
        """Delete the segment; its members exit. Refused while another one asks for it."""
        version = await definitions.change(segment_id, "delete")
        await send()
        return answer({"id": segment_id, "version": version, "status": "deleted"})

    @router.post("/segments/{segment_id}/pause")
    async def pause(segment_id: str) -> Response:
        """Membership stays as it is until the segment is resumed."""
        version = await definitions.change(segment_id, "pause")
        await send()
        return answer({"id": segment_id, "version": version, "status": "paused"})

    @router.post("/segments/{segment_id}/resume")
    async def resume(segment_id: str) -> Response:
        """Bring membership up to date and go on."""
        version = await definitions.change(segment_id, "resume")
        await send()
        return answer({"id": segment_id, "version": version, "status": (await definitions.get(segment_id)).status})

    @router.get("/segments/{segment_id}/versions")
    async def history(segment_id: str, cursor: str | None = None, limit: Limit = 100) -> Response:
        """Every version, the newest first, also of a segment that was deleted."""
        found = await versions.page(segment_id, _position(cursor), limit)
        following = str(found[-1].number) if len(found) == limit and found[-1].number > 1 else None
        return answer({"items": [_shown(one) for one in found], "next": following})

    @router.get("/segments/{segment_id}/versions/{number}")
    async def version(segment_id: str, number: Number) -> Response:
        return answer(_shown(await versions.get(segment_id, number)))

    @router.post("/segments/{segment_id}/versions/{number}/restore")
    async def restore(segment_id: str, number: Number) -> Response:
        """Put what that version said, as a new version; nothing changes when it is what is in force."""
        definition = await versions.definition(segment_id, number)
        await cut_points.prepare(definition)
        version = await definitions.put(definition)
        await send()
        status = (await definitions.get(segment_id)).status
        return answer({"id": segment_id, "version": version, "status": status, "restored": number})


def _position(cursor: str | None) -> int | None:
    """Raises ApiError 400 for what is no cursor of ours."""
    if cursor is None:
        return None
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 10):
        raise ApiError(400, "invalid_cursor", "Send `next` of the page before, unchanged.")
    return int(cursor)


def _shown(version: StoredVersion) -> dict[str, Any]:
    return {
        "number": version.number,
        "state": version.state,
        "kind": version.kind,
        "name": version.name,
        "created_at": version.created_at,
        "definition": version.definition,
    }
