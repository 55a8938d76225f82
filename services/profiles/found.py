"""A search's pages: customers by what they are called, or by a trait, with what is known of them."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from services.profiles.cursors import decode_cursor, encode_cursor, unknown_cursor
from services.profiles.reads import Document, Profiles
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
        async for found in self._all(query, ranges, stage, (place[0], place[1]), limit + 1, spelling):
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
        found = await self._profiles.some(ids, spelling)
        items = [found[one] for one in ids if one in found]
        return Page(items, ids[-1] if len(ids) == limit else None)

    async def _all(
        self, query: str, ranges: Sequence[Range], stage: str, after: Name, room: int, spelling: Spelling
    ) -> AsyncIterator[_Found]:
        if stage == _IDENTIFIERS:
            async for found in self._by_identifier(ranges, after, room, spelling):
                yield found
            after = ("", "")
        if ranges:
            async for found in self._by_name(query, ranges, Named(*after), room, spelling):
                yield found

    async def _by_identifier(
        self, ranges: Sequence[Range], after: Name, room: int, spelling: Spelling
    ) -> AsyncIterator[_Found]:
        while ranges:
            async with self._profiles.engine.connect() as connection:
                names = await by_identifier(connection, ranges, after, room)
            documents = await self._profiles.some([one for _, one in names], spelling)
            for after, profile_id in names:
                document = documents.get(profile_id)
                listed = document is not None and _listed_under(document, ranges) == after
                yield _Found(document if listed else None, (_IDENTIFIERS, *after))
            if len(names) < room:
                return

    async def _by_name(
        self, query: str, ranges: Sequence[Range], after: Named, room: int, spelling: Spelling
    ) -> AsyncIterator[_Found]:
        while True:
            async with self._profiles.engine.connect() as connection:
                found = await by_name(connection, query, after, room)
            documents = await self._profiles.some([one.id for one in found if one.first], spelling)
            previous = None
            for after in found:
                document = documents.get(after.id) if after.first and after.id != previous else None
                listed = document is not None and _listed_under(document, ranges) is None
                previous = after.id
                yield _Found(document if listed else None, (_NAMES, after.key, after.id))
            if len(found) < room:
                return


def _listed_under(document: Document, ranges: Sequence[Range]) -> Name | None:
    return first_match(((one["value"], one["type"]) for one in document["identifiers"]), ranges)


def _place(cursor: str) -> tuple[str, str, str]:
    """Raises ApiError 400."""
    if not cursor:
        return _IDENTIFIERS, "", ""
    parts = decode_cursor(cursor)
    if len(parts) != 3 or parts[0] not in {_IDENTIFIERS, _NAMES}:
        raise unknown_cursor()
    return parts[0], parts[1], parts[2]
