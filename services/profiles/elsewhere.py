"""What the messenger and the segmenter hold about a person, by their HTTP."""

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import httpx
import msgspec

from services.profiles.export import ElsewhereUnavailable, Items


class _Page(msgspec.Struct):
    items: list[Any]
    next: str | None = None


class OtherServices:
    """The clients have the services' addresses and the admin token."""

    def __init__(self, segmenter: httpx.AsyncClient, messenger: httpx.AsyncClient) -> None:
        self._segmenter = segmenter
        self._messenger = messenger

    @property
    def kinds(self) -> dict[str, Callable[[str], Items]]:
        return {
            "messages": lambda who: _pages(
                self._messenger, "/v1/messages", {"profile_id": who, "content": "true"}
            ),
            "segments": partial(self._of, "segments"),
            "segment_history": partial(self._of, "segment-history"),
        }

    def _of(self, path: str, profile_id: str) -> Items:
        return _pages(self._segmenter, f"/v1/profiles/{profile_id}/{path}", {})


async def _pages(client: httpx.AsyncClient, path: str, query: dict[str, str]) -> AsyncIterator[list[Any]]:
    cursor: str | None = None
    while True:
        wanted = query if cursor is None else {**query, "cursor": cursor}
        try:
            answer = (await client.get(path, params=wanted)).raise_for_status()
            page = msgspec.json.decode(answer.content, type=_Page)
        except (httpx.HTTPError, msgspec.DecodeError) as error:
            raise ElsewhereUnavailable(f"{path}: {type(error).__name__}") from error
        yield page.items
        cursor = page.next
        if cursor is None:
            return
