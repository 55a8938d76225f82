"""Identifiers in Postgres: who has them, claiming new ones, when they were seen; inside `batch.py`'s transaction.

Those that have an owner are read without locking them: the owner's lock covers them. New ones are claimed: that is
to write them at once, so that whoever wants the same waits for us. They are written with the owner that they will
most likely get, so that they are seldom written twice.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from headrace.contracts.errors import HeadraceError
from headrace.contracts.ids import profile_id
from headrace.contracts.instant import Millis
from services.profiles.arrays import number_array, text_array
from services.profiles.identity import Identifier, own_profile
from services.profiles.intake import Incoming
from services.profiles.store import Connection, rows_written

# OFFSET 0 keeps the order of the joins: a plan made while the table was small would go through it for each of us.
_FIND = """
    SELECT wanted.n, owner.place, owner.profile_id, coalesce(alias.root, owner.profile_id), owner.quarantined_at
    FROM unnest($1::text::text[], $2::text::text[]) WITH ORDINALITY AS wanted (type, value, n)
    CROSS JOIN LATERAL (
        SELECT profile_id, ctid::text AS place, quarantined_at FROM identifier
        WHERE (type, value) = (wanted.type, wanted.value) OFFSET 0
    ) AS owner
    LEFT JOIN alias ON alias.profile_id = owner.profile_id
"""
_NEW = """
    INSERT INTO identifier (type, value, profile_id, first_seen, last_seen, source, trusted)
    SELECT * FROM unnest($1::text::text[], $2::text::text[], $3::text::text[], $4::text::bigint[],
                         $5::text::bigint[], $6::text::text[], $7::text::boolean[]) AS new (type, value)
    ORDER BY type, value
"""
_CLAIM = f"{_NEW} ON CONFLICT DO NOTHING RETURNING type, value"
_ASSIGN = f"{_NEW} ON CONFLICT (type, value) DO UPDATE SET profile_id = excluded.profile_id"
# An upsert of rows that exist: it goes by the index whatever the planner believes of the table's size.
_SEE = f"""
    {_NEW} ON CONFLICT (type, value) DO UPDATE SET
        first_seen = least(identifier.first_seen, excluded.first_seen),
        last_seen = greatest(identifier.last_seen, excluded.last_seen),
        trusted = identifier.trusted OR excluded.trusted
    WHERE identifier.profile_id = excluded.profile_id
"""
# The same at half the price, for rows that are still where they were found.
_SEE_IN_PLACE = """
    UPDATE identifier SET
        first_seen = least(identifier.first_seen, new.first_seen),
        last_seen = greatest(identifier.last_seen, new.last_seen),
        trusted = identifier.trusted OR new.trusted
    FROM unnest($1::text::text[], $2::text::text[], $3::text::text[], $4::text::bigint[], $5::text::bigint[],
                $6::text::boolean[], $7::text::tid[]) WITH ORDINALITY
        AS new (type, value, profile_id, first_seen, last_seen, trusted, place, n)
    WHERE identifier.ctid = new.place
        AND (identifier.type, identifier.value, identifier.profile_id) = (new.type, new.value, new.profile_id)
    RETURNING new.n
"""
_LEAVE = """
    DELETE FROM identifier WHERE (type, value) IN (SELECT * FROM unnest($1::text::text[], $2::text::text[]))
"""


class Overtaken(HeadraceError):
    """Another transaction moved an identifier or a profile between our reading and our writing. Nothing is
    written: apply again."""


class _Stored(NamedTuple):
    """An identifier's row: where it lies, whose it is, and which profile that one stands for."""

    place: str
    owner: str
    root: str


class _Sighting(NamedTuple):
    """When an identifier was first and last seen, by which source first, and whether a key that is not public
    named it."""

    first: Millis
    last: Millis
    source: str
    trusted: bool


class Names:
    """The identifiers of a batch, in the store."""

    def __init__(self, incoming: Sequence[Incoming]) -> None:
        self._incoming = incoming
        self._seen = _sightings(incoming)
        self._stored: dict[Identifier, _Stored] = {}
        self._silent: dict[Identifier, Millis] = {}
        self._claimed: dict[Identifier, str] = {}

    def owners(self) -> dict[Identifier, str | None]:
        """The ids of the profiles that have them; None for those that nobody had and we have claimed."""
        return {one: self._stored[one].owner if one in self._stored else None for one in self._seen}

    def roots(self) -> dict[str, str]:
        """Which profile each of the owners stands for. Who has one that is not followed does not matter."""
        return {stored.owner: stored.root for stored in self._followed().values()}

    def claimed(self) -> Collection[Identifier]:
        """Those that nobody had: whose they become is not decided yet."""
        return self._claimed.keys()

    def quarantined(self) -> Collection[Identifier]:
        return self._silent.keys()

    def quarantined_alone(self) -> dict[str, Millis]:
        """The own profiles of what is quarantined that events of this batch name alone, and when one did."""
        return {
            stored.root: at
            for one, at in self._alone().items()
            if (stored := self._stored[one]).root == own_profile(one, self._silent[one])
        }

    def changing(self) -> tuple[set[str], set[Identifier]]:
        """The profiles that may gain an identifier or merge, and the identifiers that may connect two profiles."""
        profiles, links = set[str](), set[Identifier]()
        roots: Mapping[str, str] = {}
        for one in self._incoming:
            named = one.identifiers
            if self._silent:
                named = tuple([name for name in named if name not in self._silent])
            owners = {stored.owner if (stored := self._stored.get(name)) else None for name in named}
            if len(owners) <= 1 and None not in owners:
                continue  # as nearly all
            # by owner: of two that one profile has, found at different times, only the later knows of its merge
            roots = roots or self.roots()
            found = {roots[owner] for owner in owners if owner is not None}
            if len(found) == 1 and None not in owners:
                continue
            profiles |= found
            if len(found) > 1:
                links.update(name for name in named if name in self._stored)
        return profiles, links

    async def claim(self, connection: Connection) -> None:
        """Find them, and claim those that nobody has. Raises Overtaken."""
        await self._find(connection, self._seen)
        guessed = self._likely_owners()
        if guessed:
            rows = await connection.fetch(_CLAIM, *self._columns(guessed))
            self._claimed = {one: guessed[one] for one in map(tuple, rows)}
            await self.find(connection, [one for one in guessed if one not in self._claimed])

    async def find(self, connection: Connection, wanted: Iterable[Identifier] | None = None) -> None:
        """Look again who has those that we have not claimed. Raises Overtaken when one is gone: erased."""
        names = [one for one in self._seen if one not in self._claimed] if wanted is None else list(wanted)
        if await self._find(connection, names) != len(names):
            raise Overtaken("an identifier's owner was erased")

    async def write(self, connection: Connection, owners: Mapping[Identifier, str | None]) -> None:
        """Write when they were seen, and the owners of those that we have claimed. Raises Overtaken when one that
        had an owner has another by now."""
        if known := self._followed():
            moved = await self._write_in_place(connection, known)
            if moved and rows_written(await connection.execute(_SEE, *self._columns(moved))) != len(moved):
                raise Overtaken("an identifier moved to another profile")
        other = {one: owner for one, guess in self._claimed.items() if (owner := owners[one]) and owner != guess}
        if other:
            await connection.execute(_ASSIGN, *self._columns(other))
        if left := [one for one in self._claimed if owners[one] is None]:
            types, values = zip(*left, strict=True)
            await connection.execute(_LEAVE, text_array(types), text_array(values))

    async def _write_in_place(
        self, connection: Connection, stored: Mapping[Identifier, _Stored]
    ) -> dict[Identifier, str]:
        """Write the known ones; return those that lie elsewhere by now, with their owners."""
        known = {one: found.owner for one, found in stored.items()}
        places = text_array([found.place for found in stored.values()])
        *columns, _, trusted = self._columns(known)
        written = {row[0] for row in await connection.fetch(_SEE_IN_PLACE, *columns, trusted, places)}
        if len(written) == len(known):
            return {}
        return {one: owner for n, (one, owner) in enumerate(known.items(), 1) if n not in written}

    def _followed(self) -> Mapping[Identifier, _Stored]:
        """Those that say who somebody is, and those of events that name nothing else."""
        if not self._silent:
            return self._stored
        alone = self._alone()
        return {one: stored for one, stored in self._stored.items() if one not in self._silent or one in alone}

    def _alone(self) -> dict[Identifier, Millis]:
        """The strongest identifier of each event whose identifiers are all quarantined, and when it was."""
        if not self._silent:
            return {}
        return {
            one.identifiers[0]: one.ts
            for one in self._incoming
            if one.identifiers and all(found in self._silent for found in one.identifiers)
        }

    async def _find(self, connection: Connection, wanted: Iterable[Identifier]) -> int:
        names = list(wanted)
        if not names:
            return 0
        types, values = zip(*names, strict=True)
        rows = await connection.fetch(_FIND, text_array(types), text_array(values))
        for n, *stored, quarantined_at in rows:
            one = names[n - 1]
            self._stored[one] = _Stored(*stored)
            if quarantined_at is not None:
                self._silent[one] = quarantined_at
            elif self._silent:
                self._silent.pop(one, None)
        return len(rows)

    def _likely_owners(self) -> dict[Identifier, str]:
        """Owners for those that have none, as if no event connected two profiles."""
        if len(self._stored) == len(self._seen):
            return {}
        guessed: dict[Identifier, str] = {}
        for one in self._incoming:
            owner = None
            missing = []
            for found in one.identifiers:
                known = self._stored[found].owner if found in self._stored else guessed.get(found)
                if known is None:
                    missing.append(found)
                elif owner is None:
                    owner = known
            if missing:
                guessed.update(dict.fromkeys(missing, owner or profile_id(*one.key)))
        return guessed

    def _columns(self, owners: Mapping[Identifier, str]) -> tuple[str, ...]:
        types, values = zip(*owners, strict=True)
        firsts, lasts, sources, trusted = zip(*(self._seen[one] for one in owners), strict=True)
        return (
            text_array(types),
            text_array(values),
            text_array(list(owners.values())),
            number_array(firsts),
            number_array(lasts),
            text_array(sources),
            number_array(trusted),
        )


def _sightings(incoming: Iterable[Incoming]) -> dict[Identifier, _Sighting]:
    seen: dict[Identifier, _Sighting] = {}
    for one in incoming:
        for found in one.identifiers:
            if (before := seen.get(found)) is None:
                seen[found] = _Sighting(one.ts, one.ts, one.key[0], one.trusted)
            elif not before.first <= one.ts <= before.last or one.trusted > before.trusted:
                first, last, source, trusted = before
                seen[found] = _Sighting(min(first, one.ts), max(last, one.ts), source, trusted or one.trusted)
    return seen
