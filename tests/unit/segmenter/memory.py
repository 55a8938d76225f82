"""The segmenter's ports in memory: a store that keeps every commit it ever had, and a timeline of lists."""

from collections.abc import Collection, Mapping, Sequence

from headrace.contracts.profile_event import ControlRow, EventRow, MergeRow, ProfileRow
from headrace.runtime.publisher import Published
from services.segmenter.catalog import Catalog
from services.segmenter.change import Transition, encode_change
from services.segmenter.commit import Commit, Fenced, Range, Redacted, Watermark
from services.segmenter.computation import encode_computation
from services.segmenter.customer import Customer
from services.segmenter.fold import Due
from services.segmenter.history import History, Scripts, StoredRow
from services.segmenter.paths import event_name
from tests.unit.segmenter.recorder import Recorder

__all__ = ["MemoryPublished", "MemoryStore", "MemoryTimeline", "Recorder"]

State = tuple[Watermark, Catalog, dict[str, bytes], dict[str, int]]


class MemoryStore:
    """`published[q]` is what was ever committed as output, by number, `computed[q]` likewise of computed traits;
    `states[q]` every state there was."""

    def __init__(self) -> None:
        self.states: dict[int, list[State]] = {}
        self.published: dict[int, dict[int, bytes]] = {}
        self.positions: dict[int, dict[int, str]] = {}
        self.computed: dict[int, dict[int, bytes]] = {}
        self.computed_positions: dict[int, dict[int, str]] = {}
        self.transitions: list[Transition] = []

    def roll_back(self, partition: int, commits: int) -> None:
        """Lose the last commits, as a Redis that did not sync them."""
        states = self.states[partition]
        del states[max(1, len(states) - commits) :]

    async def load(self, partition: int) -> tuple[Watermark, Catalog] | None:
        states = self.states.get(partition)
        return None if not states else (states[-1][0], states[-1][1])

    async def customers(self, partition: int, profile_ids: Sequence[str]) -> dict[str, Customer]:
        packed = self.states[partition][-1][2]
        return {key: Customer.unpack(packed[key], key) for key in profile_ids if key in packed}

    async def due(self, partition: int, until: int, limit: int) -> list[Due]:
        armed = self.states[partition][-1][3]
        return sorted((due, key) for key, due in armed.items() if due <= until)[:limit]

    async def profile_ids(self, partition: int) -> list[str]:
        return sorted(self.states[partition][-1][2])

    async def scored(self, partition: int, population: str, ranges: Sequence[Range]) -> list[str]:
        kept = await self.customers(partition, await self.profile_ids(partition))
        figures = {key: customer.scores.get(population) for key, customer in kept.items()}
        return [
            key
            for key, found in sorted(figures.items())
            if found is not None and any(low <= float(found[figure]) <= high for figure, low, high in ranges)
        ]

    async def commit(self, partition: int, expected: Watermark, commit: Commit) -> None:
        mark, catalog, packed, armed = self.states[partition][-1]
        if mark != expected:
            if mark == commit.mark:
                return
            raise Fenced("somebody else committed")
        packed, armed = dict(packed), dict(armed)
        for key, customer in commit.customers.items():
            packed.pop(key, None)
            armed.pop(key, None)
            if customer is not None:
                packed[key] = customer.pack()
                if customer.due:
                    armed[key] = customer.due
        self.states[partition].append((commit.mark, commit.catalog or catalog, packed, armed))
        self.transitions += commit.transitions
        for output in commit.outputs:
            value = encode_change(output.transition)
            known = self.published.setdefault(partition, {}).setdefault(output.seq, value)
            assert known == value, "a replay gave another output under the same number"
            self.positions.setdefault(partition, {})[output.seq] = str(output.transition.position)
        for made in commit.computed:
            value = encode_computation(made.computation)
            known = self.computed.setdefault(partition, {}).setdefault(made.seq, value)
            assert known == value, "a replay gave another computed trait under the same number"
            self.computed_positions.setdefault(partition, {})[made.seq] = str(made.computation.position)

    async def reset(self, partition: int, mark: Watermark) -> None:
        self.states[partition] = [(mark, Catalog(), {}, {})]


class MemoryTimeline:
    """Rows per partition, as Postgres has them."""

    def __init__(
        self,
        rows: Sequence[Sequence[ProfileRow]],
        moved: Mapping[str, Sequence[tuple[int, EventRow]]] | None = None,
    ) -> None:
        self._rows = rows
        self._moved = moved or {}
        self._scripts = Scripts()
        self.redactions: dict[int, Redacted] = {}

    async def history(
        self, profile_ids: Sequence[str], *, replayed: bool = False, names: Collection[str] | None = None
    ) -> History:
        own: dict[str, list[StoredRow]] = {}
        for number, rows in enumerate(self._rows):
            for row in rows:
                if isinstance(row, EventRow) and names is not None and event_name(row) not in names:
                    continue
                if not isinstance(row, ControlRow):
                    own.setdefault(row.profile_id, []).append(StoredRow(number, row))
        wanted, queue = set(profile_ids), list(profile_ids)
        while queue:
            for stored in own.get(queue.pop(), ()):
                if isinstance(stored.row, MergeRow) and stored.row.loser not in wanted:
                    wanted.add(stored.row.loser)
                    queue.append(stored.row.loser)
        controls = {q: await self.controls(q) for q in range(len(self._rows)) if replayed}
        moved = {
            unmerge: [StoredRow(q, row) for q, row in rows if names is None or event_name(row) in names]
            for unmerge, rows in self._moved.items()
        }
        return History({key: own[key] for key in wanted if key in own}, controls, self._scripts, moved)

    async def controls(self, partition: int) -> list[ControlRow]:
        return [row for row in self._rows[partition] if isinstance(row, ControlRow)]

    async def rows(self, partition: int, after: int, limit: int) -> Sequence[ProfileRow]:
        return [row for row in self._rows[partition] if row.seq > after][:limit]

    async def redacted(self, partition: int) -> Redacted:
        return self.redactions.get(partition, Redacted())

    async def epochs(self, partition: int) -> dict[int, tuple[int, int]]:
        rows = self._rows[partition]
        last = {row.epoch: row.seq for row in rows}
        return {row.epoch: (row.seq, last[row.epoch]) for row in reversed(rows)}


class MemoryPublished:
    """What is published, as told."""

    def __init__(self, published: Published, before: str = "") -> None:
        self._published = published
        self._before = before

    async def found(self, partition: int, epoch: int) -> Published:
        return self._published if self._published.epoch == epoch else Published(epoch, 0, "", 0)

    async def before(self, partition: int, epoch: int) -> str:
        return self._before
