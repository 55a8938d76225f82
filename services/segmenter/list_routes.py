"""HTTP of static lists: put customers on one, take them off."""

from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Literal
from uuid import uuid4

from fastapi import APIRouter, Header, Request
from fastapi.responses import Response

from headrace.contracts.errors import ApiError
from services.segmenter.bodies import answer
from services.segmenter.definitions import Definitions
from services.segmenter.list_members import MAX_UPLOAD, Csv, Ndjson, lines, parse_request
from services.segmenter.lists import Lists, Wanted

Action = Literal["add", "remove"]
_FORMS: Mapping[str, type[Csv] | type[Ndjson]] = {
    "text/csv": Csv,
    "application/x-ndjson": Ndjson,
    "application/ndjson": Ndjson,
}


def add_list_routes(router: APIRouter, definitions: Definitions, lists: Lists) -> None:
    @router.post("/segments/{segment_id}/members")
    async def change(
        segment_id: str,
        request: Request,
        action: Action = "add",
        idempotency_key: Annotated[str | None, Header(min_length=1, max_length=256)] = None,
    ) -> Response:
        """Change who is on a static list: JSON `{"add": [...], "remove": [...]}`, or an upload of CSV or NDJSON,
        all of it to be added or (`action=remove`) removed. A repetition with the same Idempotency-Key changes
        nothing."""
        segment = await definitions.get(segment_id)
        if segment.kind != "list":
            message = f"{segment_id} is of kind {segment.kind}: only the members of a list are put by hand."
            raise ApiError(409, "not_a_list", message)
        kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
        form = _FORMS.get(kind)
        wanted = _stated(request) if form is None else _uploaded(request, form(), on=action == "add")
        outcome = await lists.change(segment_id, wanted, idempotency_key or uuid4().hex)
        return answer({"applied": outcome.applied, "unchanged": outcome.unchanged, "unknown": outcome.unknown})


async def _stated(request: Request) -> AsyncIterator[Wanted]:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_UPLOAD:
            raise ApiError(413, "too_large", f"At most {MAX_UPLOAD} bytes at once: send it in parts.")
    stated = parse_request(bytes(body))
    for person in stated.add:
        yield person, True
    for person in stated.remove:
        yield person, False


async def _uploaded(request: Request, form: Csv | Ndjson, *, on: bool) -> AsyncIterator[Wanted]:
    number = 0
    async for line in lines(request.stream()):
        number += 1
        person = form.person(line, number)
        if person is not None:
            yield person, on
