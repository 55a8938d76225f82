"""Writes opens and clicks to the ledger and publishes what is new: many at a time, one transaction for all."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from services.messenger import ledger
from services.messenger.batcher import Batcher
from services.messenger.customers import roots_of
from services.messenger.engagement import Hit, News, Seen, news
from services.messenger.outbox import NewOutcome, OutcomeOutbox
from services.messenger.store import Connection, Pool


class Hits:
    """What tracking links do. `shown` is how a link's target may stand on the timeline; `on_outcome` is called
    when there is something to publish."""

    def __init__(
        self,
        pool: Pool,
        outbox: OutcomeOutbox,
        *,
        shown: Callable[[str], str],
        on_outcome: Callable[[], None],
    ) -> None:
        self._pool = pool
        self._outbox = outbox
        self._shown = shown
        self._on_outcome = on_outcome
        self._batcher: Batcher[Hit, None] = Batcher(self._write)

    async def target(self, message_id: str, number: int) -> str | None:
        """Where link `number` of the message leads; None when it has no such link, or was erased."""
        found: str | None = await self._pool.fetchval(_TARGET, message_id, number)
        return found

    async def record(self, hit: Hit) -> None:
        """Returns when it is committed. A message that is erased, or never was, writes nothing."""
        await self._batcher.submit(hit)

    async def _write(self, hits: Sequence[Hit]) -> Sequence[None]:
        """A message that is being written to (its sender settles it: scanners fetch pixels at once) comes by
        itself afterwards: who waits for a row while holding others could wait for ever."""
        by_message = defaultdict(list)
        for hit in hits:
            by_message[hit.message_id].append(hit)
        done = await self._write_some(by_message, f"{_LOCK} SKIP LOCKED")
        for message_id in sorted(by_message.keys() - done):
            await self._write_some({message_id: by_message[message_id]}, _LOCK)
        return [None] * len(hits)

    async def _write_some(self, hits: Mapping[str, Sequence[Hit]], lock: str) -> set[str]:
        """Ids of the messages that were found and free."""
        async with self._pool.acquire() as connection, connection.transaction():
            rows = await connection.fetch(lock, sorted(hits))
            live = {row["id"]: row for row in rows if row["erased_at"] is None}
            found = await _news(connection, live, hits)
            told = await self._outcomes(connection, live, found)
            await _store(connection, found)
            await self._outbox.append(connection, told, max(hit.at for some in hits.values() for hit in some))
        if told:
            self._on_outcome()
        return {row["id"] for row in rows}

    async def _outcomes(
        self, connection: Connection, rows: Mapping[str, Any], found: Mapping[str, News]
    ) -> list[NewOutcome]:
        firsts = [(rows[message_id], first) for message_id, new in found.items() for first in new.firsts]
        roots = await roots_of(connection, {row["profile_id"] for row, _ in firsts}) if firsts else {}
        return [
            ledger.outcome_of(
                {**dict(row), "profile_id": roots[row["profile_id"]]},
                first.outcome,
                first.at,
                link=self._shown(row["links"][first.link - 1]) if first.link is not None else None,
                machine=first.machine,
            )
            for row, first in firsts
        ]


async def _news(
    connection: Connection, rows: Mapping[str, Any], hits: Mapping[str, Sequence[Hit]]
) -> dict[str, News]:
    """By message, what is new. Clicks are read now that the messages are locked: nobody adds to them."""
    if not rows:
        return {}
    clicked = defaultdict(set)
    for row in await connection.fetch(_CLICKED, list(rows)):
        clicked[row["message_id"]].add(row["link"])
    return {
        message_id: news(
            Seen(row["opened_at"] is not None, row["machine_opened_at"] is not None, clicked[message_id]),
            _of_known_links(hits[message_id], len(row["links"])),
        )
        for message_id, row in rows.items()
    }


def _of_known_links(hits: Iterable[Hit], count: int) -> Collection[Hit]:
    return [hit for hit in hits if hit.link is None or 1 <= hit.link <= count]


async def _store(connection: Connection, found: Mapping[str, News]) -> None:
    clicks = [
        (message_id, link, new.click_times().get(link), count)
        for message_id, new in found.items()
        for link, count in new.clicks.items()
    ]
    await connection.executemany(_OPENED, [(message_id, *_opened_row(new)) for message_id, new in found.items()])
    await connection.executemany(_CLICK, clicks)


def _opened_row(new: News) -> tuple[object, ...]:
    by_person, by_machine = new.first_at("opened"), new.first_at("opened", machine=True)
    return (by_person, by_machine, new.first_at("clicked"), new.opens, new.machine_opens)


_TARGET = "SELECT links[$2::int] FROM message WHERE id = $1 AND erased_at IS NULL"
_LOCK = f"""
    SELECT {ledger.OUTCOME_COLUMNS}, m.links, m.opened_at, m.machine_opened_at
    FROM message m JOIN entry e USING (campaign_id, entry_id)
    WHERE m.id = ANY($1::text[]) ORDER BY m.id FOR UPDATE OF m
"""  # noqa: S608
_CLICKED = "SELECT message_id, link FROM click WHERE message_id = ANY($1::text[])"
_OPENED = """
    UPDATE message SET opened_at = coalesce(opened_at, $2), machine_opened_at = coalesce(machine_opened_at, $3),
        clicked_at = coalesce(clicked_at, $4), opens = opens + $5, machine_opens = machine_opens + $6
    WHERE id = $1
"""
_CLICK = """
    INSERT INTO click AS c (message_id, link, first_at, count) VALUES ($1, $2, coalesce($3::bigint, 0), $4)
    ON CONFLICT (message_id, link) DO UPDATE SET count = c.count + excluded.count
"""
