"""A search's pages: customers by what they are called, or by a trait, with what is known of them."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from services.profiles.cursors import decode_cursor, encode_cursor, unknown_cursor
from services.profiles.reads import Document, Profiles, some
from services.profiles.search import Name, Range, beginnings, containing, first_match
from services.profiles.search_sql import Named, by_identifier, by_name, by_trait
from services.profiles.spelling import Spelling

_IDENTIFIERS, _NAMES = "i", "n"


@dataclass(frozen=True, slots=True)
class Page:
    """`following`: the cursor of the next page, None at the end."""

    items: list[Document]
    following: str | None


@dataclass(frozen=True, slots=True)
class _Found:
    """A customer, or None where what was found is to be passed over, and the place behind it."""

    document: Document | None
    place: tuple[str, str, str]


class Search:
    """Searches live profiles."""

    def __init__(self, profiles: Profiles, region: str | None) -> None:
        self._profiles = profiles
        self._region = region

    async def named(self, query: str, cursor: str, limit: int, spelling: Spelling) -> Page:
        """Customers with an identifier that begins with `query`, by identifier; then those whose name does, by
        name. Each once."""
        stage, *place = _place(cursor)
        ranges = beginnings(query, self._region)
        items: list[Document] = []
        following = None
        async with self._profiles.engine.connect() as connection:
            pages = _Pages(connection, ranges, limit + 1, spelling)
            async for found in pages.all(query, stage, (place[0], place[1])):
                if found.document is not None:
                    if len(items) == limit:
                        return Page(items, following)
                    items.append(found.document)
                following = encode_cursor(found.place)
        return Page(items, None)

    async def with_trait(self, path: str, value: str, cursor: str, limit: int, spelling: Spelling) -> Page:
        """Customers whose trait equals the value, by id."""
        wanted = containing(path, value)
        async with self._profiles.engine.connect() as connection:
            ids = await by_trait(connection, wanted, cursor, limit)
            found = await some(connection, ids, spelling)
        items = [found[one] for one in ids if one in found]
        return Page(items, ids[-1] if len(ids) == limit else None)


class _Pages:
    """What is found, page by page of `room`, with the documents."""

    def __init__(
        self, connection: AsyncConnection, ranges: Sequence[Range], room: int, spelling: Spelling
    ) -> None:
        self._connection = connection
        self._ranges = ranges
        self._room = room
        self._spelling = spelling

    async def all(self, query: str, stage: str, after: Name) -> AsyncIterator[_Found]:
        """Behind `after` in `stage`, and what follows it."""
        if not self._ranges:
            return
        if stage == _IDENTIFIERS:
            async for found in self._by_identifier(after):
                yield found
            after = ("", "")
        async for found in self._by_name(query, Named(*after)):
            yield found

    async def _by_identifier(self, after: Name) -> AsyncIterator[_Found]:
        more = True
        while more:
            names = await by_identifier(self._connection, self._ranges, after, self._room)
            documents = await some(self._connection, [one for _, one in names], self._spelling)
            for after, profile_id in names:
                document = documents.get(profile_id)
                listed = document is not None and self._listed_under(document) == after
                yield _Found(document if listed else None, (_IDENTIFIERS, *after))
            more = len(names) == self._room

    async def _by_name(self, query: str, after: Named) -> AsyncIterator[_Found]:
        more = True
        while more:
            found = await by_name(self._connection, query, after, self._room)
            documents = await some(self._connection, [one.id for one in found if one.first], self._spelling)
            previous = None
            for after in found:
                document = documents.get(after.id) if after.first and after.id != previous else None
                listed = document is not None and self._listed_under(document) is None
                previous = after.id
                yield _Found(document if listed else None, (_NAMES, after.key, after.id))
            more = len(found) == self._room

    def _listed_under(self, document: Document) -> Name | None:
        return first_match(((one["value"], one["type"]) for one in document["identifiers"]), self._ranges)


def _place(cursor: str) -> tuple[str, str, str]:
    """Raises ApiError 400."""
    if not cursor:
        return _IDENTIFIERS, "", ""
    parts = decode_cursor(cursor)
    if len(parts) != 3 or parts[0] not in {_IDENTIFIERS, _NAMES}:
        raise unknown_cursor()
    return parts[0], parts[1], parts[2]
