"""The readers of the timeline that rebuild from it: the segmenter, by its HTTP."""

from collections.abc import Sequence
from typing import Protocol

import httpx
import msgspec

from headrace.contracts.errors import HeadraceError
from services.profiles.redaction_sql import Passed


class _Answer(msgspec.Struct):
    items: list[Passed]


class _Definitions(msgspec.Struct):
    items: list[str]


class ReadersUnavailable(HeadraceError):
    """The segmenter did not answer: what is erased is redacted once it does. Check HEADRACE_SEGMENTER_URL."""


class Readers(Protocol):
    async def forget(self, profile_ids: Sequence[str]) -> dict[int, Passed]:
        """Have them forget these people, and tell up to which row of which partition that is all. Raises
        ReadersUnavailable."""
        ...

    async def lookback(self, kept_ms: int) -> list[str]:
        """Which definitions need what events said longer ago. Raises ReadersUnavailable."""
        ...


class Segmenter:
    """`client` has the segmenter's address and the admin token."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def forget(self, profile_ids: Sequence[str]) -> dict[int, Passed]:
        try:
            answer = await self._client.post("/v1/forget", json={"profile_ids": list(profile_ids)})
            answer.raise_for_status()
            items = msgspec.json.decode(answer.content, type=_Answer).items
        except (httpx.HTTPError, msgspec.DecodeError) as error:
            raise ReadersUnavailable(f"the segmenter did not answer: {type(error).__name__}") from error
        return {item.partition: item for item in items}

    async def lookback(self, kept_ms: int) -> list[str]:
        try:
            answer = (await self._client.get("/v1/lookback", params={"kept": kept_ms})).raise_for_status()
            return msgspec.json.decode(answer.content, type=_Definitions).items
        except (httpx.HTTPError, msgspec.DecodeError) as error:
            raise ReadersUnavailable(f"the segmenter did not answer: {type(error).__name__}") from error
