"""HTTP of computed traits: their definitions, what they would be, and a customer's values."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from headrace.contracts.instant import format_instant
from headrace.contracts.trait import parse_trait
from headrace.runtime.access.guard import GUARD
from services.segmenter.bodies import Limit, answer, document, identified
from services.segmenter.definition_routes import Send
from services.segmenter.inspection import Inspection
from services.segmenter.members import Members
from services.segmenter.paths import decode_json
from services.segmenter.trait_definitions import TraitDefinitions
from services.segmenter.trait_preview import TraitPreview
from services.segmenter.trait_verification import TraitVerification

_DRAFT = {"kind": "trait", "id": "preview", "name": "Preview"}


def trait_router(
    traits: TraitDefinitions,
    preview: TraitPreview,
    verification: TraitVerification,
    members: Members,
    inspection: Inspection,
    send: Send,
) -> APIRouter:
    router = APIRouter(prefix="/v1", dependencies=[GUARD])

    @router.post("/traits/preview")
    async def previewed(request: Request) -> Response:
        """What the trait would be: how many customers have a value, some of them, and how the values lie."""
        given = await document(request)
        definition = parse_trait({**_DRAFT, **given} if isinstance(given, dict) else given)
        return answer(await preview.of(definition))

    @router.put("/traits/{trait_id}")
    async def put(trait_id: str, request: Request) -> Response:
        """Create or change a computed trait (YAML or JSON). An unchanged definition keeps its version."""
        definition = parse_trait(identified(await document(request), trait_id))
        version = await traits.put(definition)
        await send()
        status = (await traits.get(trait_id))["status"]
        return answer({"id": trait_id, "version": version, "status": status})

    @router.get("/traits")
    async def page(cursor: str | None = None, limit: Limit = 100) -> Response:
        """Every computed trait, by id."""
        found = await traits.page(cursor or "", limit)
        return answer({"items": found, "next": found[-1]["id"] if len(found) == limit else None})

    @router.get("/traits/{trait_id}")
    async def get(trait_id: str) -> Response:
        return answer(await traits.get(trait_id))

    @router.delete("/traits/{trait_id}")
    async def delete(trait_id: str) -> Response:
        """Delete the trait; nobody has a value of it any more. Refused while a segment asks for it."""
        version = await traits.delete(trait_id)
        await send()
        return answer({"id": trait_id, "version": version, "status": "deleted"})

    @router.post("/traits/{trait_id}/verify")
    async def verify(trait_id: str) -> Response:
        """Compare what is published with the second evaluator, for everybody."""
        return answer(await verification.run(trait_id))

    @router.get("/profiles/{profile_id}/traits")
    async def values(profile_id: str) -> Response:
        """The customer's computed traits; a merged profile answers for what it became."""
        _, customer = await members.customer(await inspection.root(profile_id))
        items = [
            {"id": key, "value": decode_json(text), "version": version, "since": format_instant(at)}
            for key, (version, at, text) in sorted(customer.computed.items())
        ]
        return answer({"items": items, "next": None})

    return router
