"""HTTP of what campaigns and templates share: blocks and the policy."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request

from headrace.contracts.errors import ApiError
from headrace.contracts.instant import Millis
from headrace.contracts.policy import parse_policy
from headrace.contracts.template import parse_block
from services.messenger.blocks import users_of
from services.messenger.bodies import definition_document
from services.messenger.definition_http import accepted, add_reading, delete, found, refuse
from services.messenger.definitions import Definitions
from services.messenger.template_check import check_block, check_users


def shared_routes(definitions: Definitions, *, clock: Callable[[], Millis]) -> APIRouter:
    """`/v1/blocks` and `/v1/policies`. What is put holds from the next message on."""
    router = APIRouter()
    _add_blocks(router, definitions, clock)
    _add_policy(router, definitions, clock)
    return router


def _add_blocks(router: APIRouter, definitions: Definitions, clock: Callable[[], Millis]) -> None:
    @router.put("/blocks/{block_id}")
    async def put_block(block_id: str, request: Request) -> dict[str, Any]:
        """Every template that renders the block must be right with it as well."""
        block = parse_block(await definition_document(request, block_id))
        blocks = await definitions.all_blocks()
        refuse(check_block(block, blocks))
        refuse(check_users(block, blocks, await definitions.all_templates()))
        return accepted(await definitions.put("block", block, clock()))

    @router.delete("/blocks/{block_id}")
    async def delete_block(block_id: str) -> dict[str, Any]:
        await found(definitions, "block", block_id)
        blocks = await definitions.all_blocks()
        users = users_of(block_id, await definitions.all_templates(), blocks.values())
        if users:
            raise ApiError(409, "in_use", f"Change first what renders this block: {', '.join(users)}.")
        return await delete(definitions, "block", block_id, clock())

    add_reading(router, definitions, "block")


def _add_policy(router: APIRouter, definitions: Definitions, clock: Callable[[], Millis]) -> None:
    @router.put("/policies/{policy_id}")
    async def put_policy(policy_id: str, request: Request) -> dict[str, Any]:
        """There is one: `default`."""
        policy = parse_policy(await definition_document(request, policy_id))
        return accepted(await definitions.put("policy", policy, clock()))

    @router.delete("/policies/{policy_id}")
    async def delete_policy(policy_id: str) -> dict[str, Any]:
        """Without a policy nothing holds for all campaigns."""
        return await delete(definitions, "policy", policy_id, clock())

    add_reading(router, definitions, "policy")
