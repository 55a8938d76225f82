"""Random histories as the profile service would write them: rows per partition, and logs with ticks between."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from hypothesis import strategies as st

from headrace.contracts.cut_points import CutPoints
from headrace.contracts.profile_event import (
    ControlRow,
    ErasureRow,
    EventRow,
    MergeRow,
    ProfileEvent,
    ProfileRow,
    SplitRow,
    Tick,
    TombstoneRow,
    UnmergeRow,
)
from headrace.contracts.segment_conditions import RfmTest

Stating = EventRow | MergeRow | UnmergeRow | SplitRow
PARTITIONS = 2
CUSTOMERS = 5
START = 1_700_000_000_000


def segment(key: str, when: Any) -> dict[str, Any]:
    return {"kind": "segment", "id": key, "name": key.upper(), "when": when}


BIG = {"path": "properties.total", "gte": 5}
POOL: Sequence[dict[str, Any]] = (
    segment("two", {"event": {"name": "A", "count": {"gte": 2}}}),
    segment("two-recent", {"event": {"name": "A", "count": {"gte": 2}, "within": "10s"}}),
    segment("three-recent", {"event": {"name": ["A", "B"], "count": {"gte": 3}, "within": "25s"}}),
    segment("quiet", {"not": {"event": {"name": "A", "within": "7s"}}}),
    segment("few", {"event": {"name": "B", "count": {"between": [1, 2]}, "within": "12s"}}),
    segment("spent", {"event": {"name": "B", "sum": {"of": "properties.total", "gte": 10.5}}}),
    segment("spent-recent", {"event": {"name": "B", "sum": {"of": "properties.total", "gt": 3}, "within": "10s"}}),
    segment("owes", {"event": {"name": "B", "sum": {"of": "properties.total", "lt": 0}, "within": "20s"}}),
    segment(
        "big", {"all": [{"event": {"name": "B", "where": [BIG]}}, {"not": {"trait": {"name": "vip", "eq": True}}}]}
    ),
    segment("brno", {"trait": {"name": "city", "in": ["Brno", "Praha"]}}),
    segment(
        "mix",
        {
            "any": [
                {"all": [{"trait": {"name": "city", "ne": "Brno"}}, {"event": {"name": "A", "within": "8s"}}]},
                {
                    "all": [
                        {"event": {"name": "B", "count": {"eq": 1}, "within": "9s"}},
                        {"trait": {"name": "vip", "exists": False}},
                    ]
                },
            ]
        },
    ),
)
EDITS: Sequence[dict[str, Any]] = (
    segment("two", {"event": {"name": "A", "count": {"gte": 3}}}),
    segment("quiet", {"not": {"event": {"name": ["A", "B"], "within": "15s"}}}),
    segment(
        "spent-recent", {"event": {"name": "B", "sum": {"of": "properties.total", "gte": 2}, "within": "30s"}}
    ),
)

CHANGES: Sequence[dict[str, Any]] = (
    {},
    {},
    {},
    {"traits": {"city": "Brno"}},
    {"traits": {"city": "Praha"}},
    {"traits": {"city": 7}},
    {"traits": {"vip": True}},
    {"traits": {"vip": None}},
    {"traits": {"email": "a@b.cz"}},
    {"traits": {"born": "2023-11-14T22:13:25Z"}},
    {"traits": {"born": "1980-11-14T23:13:40", "timezone": "Europe/Prague"}},
    {"traits": {"born": "1980-11-15", "timezone": "Europe/London"}},
    {"traits": {"timezone": None}},
    {"tags": {"vip": True}},
    {"tags": {"vip": False}},
    {"consents": {"sms": "granted"}},
    {"consents": {"sms": "withdrawn"}, "traits": {"vip": True}},
    {"context": {"timezone": "Europe/Prague", "location": {"latitude": 50.08, "longitude": 14.43}}},
    {"context": {"timezone": "America/New_York", "location": {"latitude": 40.7, "longitude": -74}}},
    {"context": {"location": {"latitude": 49.2, "longitude": 16.6}, "timezone": "Mars/Base"}},
)
"""What an event changes besides, and what it says about where it happened."""

MORE: Sequence[dict[str, Any]] = (
    {},
    {"cart": "x"},
    {"cart": "y", "currency": "CZK"},
    {"cart": 1, "currency": "EUR"},
    {"cart": ["x", "y"], "items": [{"sku": "s1", "price": 3}, {"sku": "s2", "price": 0.5}]},
    {"items": [{"sku": "s1", "price": 9}, {"sku": 1}], "currency": "czk"},
    {"cart": 1.0},
)
"""Properties besides the total."""

event_op = st.tuples(
    st.just("event"),
    st.integers(0, CUSTOMERS - 1),
    st.sampled_from(["A", "A", "B", "B", "B", "Page Viewed", "Email Link Clicked"]),
    st.sampled_from([0, 0, 1, 700, 3000]),  # time since the row before
    st.sampled_from([0, 0, 0, 1, 4000, 15_000]),  # lateness
    st.sampled_from(["1", "2.5", "0.1", "9", "-4", '"9"', "null", "12.25"]),
    st.sampled_from(CHANGES),
    st.sampled_from(MORE),
)
tick_op = st.tuples(st.just("tick"), st.sampled_from([1, 500, 2500, 9000, 30_000]))
erase_op = st.tuples(st.just("erase"), st.integers(0, CUSTOMERS - 1))
merge_op = st.tuples(st.just("merge"), st.integers(0, CUSTOMERS - 1), st.integers(0, CUSTOMERS - 1))
unmerge_op = st.tuples(
    st.just("unmerge"),
    st.integers(0, CUSTOMERS - 1),
    st.lists(st.sampled_from([0, 0, 0, 1, 1, 2, 3]), min_size=7, max_size=7),
)
control_op = st.tuples(
    st.sampled_from(["define", "activate", "activate", "pause", "resume", "delete"]),
    st.integers(0, len(POOL) + len(EDITS) - 1),
)
cut_op = st.tuples(st.just("cut"), st.integers(0, 2), st.lists(st.integers(0, 12), min_size=4, max_size=4))
history = st.lists(
    st.one_of(event_op, event_op, event_op, tick_op, merge_op, unmerge_op, erase_op, control_op),
    min_size=1,
    max_size=40,
)
whole_history = st.lists(
    st.one_of(event_op, event_op, event_op, event_op, tick_op, merge_op, unmerge_op, erase_op, control_op, cut_op),
    min_size=1,
    max_size=40,
)
dense_event = st.tuples(
    st.just("event"),
    st.sampled_from([0, 0, 0, 0, 1, 1, 2]),
    st.sampled_from(["A", "A", "A", "B", "B", "B", "B", "Page Viewed", "Email Link Clicked"]),
    st.sampled_from([0, 1, 400, 700, 1_500, 3_000]),
    st.sampled_from([0, 0, 0, 0, 1, 1_200, 4_000, 15_000]),
    st.sampled_from(["1", "2.5", "0.1", "9", "-4", "12.25", '"9"', "null"]),
    st.sampled_from(CHANGES),
    st.sampled_from(MORE),
)
dense_history = st.lists(
    st.one_of(
        *[dense_event] * 14,
        tick_op,
        tick_op,
        merge_op,
        unmerge_op,
        control_op,
        cut_op,
        st.tuples(st.just("erase"), st.integers(2, CUSTOMERS - 1)),
    ),
    min_size=15,
    max_size=50,
)
"""Few customers to whom much happens."""


@dataclass
class World:
    """What the operations have written. `live` are the definitions that publish, `paused` those on hold; `pool`
    has one for each segment, `edits` what may become of them."""

    rows: list[list[ProfileRow]] = field(default_factory=lambda: [[] for _ in range(PARTITIONS)])
    logs: list[list[ProfileEvent]] = field(default_factory=lambda: [[] for _ in range(PARTITIONS)])
    roots: dict[str, str] = field(default_factory=dict)
    live: dict[str, dict[str, Any]] = field(default_factory=dict)
    time: int = START
    lag: int = 0
    pool: Sequence[dict[str, Any]] = POOL
    edits: Sequence[dict[str, Any]] = EDITS
    cuts: dict[str, CutPoints] = field(default_factory=dict)
    _numbers: dict[str, int] = field(default_factory=dict)
    _pending: dict[str, int] = field(default_factory=dict)
    _definitions: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)
    _paused: set[str] = field(default_factory=set)
    _held: set[str] = field(default_factory=set)
    _reborn: dict[str, str] = field(default_factory=dict)
    _events: int = 0
    moved: dict[str, list[tuple[int, EventRow]]] = field(default_factory=dict)
    """By unmerge: the event rows that it moved, with their partition."""
    _owners: dict[int, str] = field(default_factory=dict)

    @property
    def low(self) -> int:
        return max(START - 1, self.time - self.lag)

    def run(self, operations: Sequence[tuple[Any, ...]]) -> "World":
        for operation in operations:
            if operation[0] in {"event", "tick", "merge", "unmerge", "erase", "cut"}:
                getattr(self, f"_{operation[0]}")(*operation[1:])
            else:
                self._control(*operation)
        return self

    def everything_live(self) -> "World":
        """Define and activate the whole pool."""
        for index in range(len(self.pool)):
            self._control("define", index)
            self._control("activate", index)
        return self

    def finish(self) -> "World":
        """Time passes until the last window is empty."""
        self.time += 120_000
        self.lag = 0
        return self.tick()

    def tick(self) -> "World":
        self._tick(0)
        return self

    def customers(self) -> list[str]:
        """Profiles that have rows and were not merged away."""
        seen = {row.profile_id for rows in self.rows for row in rows if isinstance(row, Stating)}
        return sorted(seen - self.roots.keys() - self._reborn.keys())

    def _header(self, partition: int) -> dict[str, Any]:
        return {"seq": len(self.rows[partition]) + 1, "epoch": 1, "time": self.time, "low": self.low}

    def _append(self, partition: int, row: ProfileRow) -> None:
        self.rows[partition].append(row)
        self.logs[partition].append(row)

    def _event(
        self,
        who: int,
        name: str,
        pause: int,
        late: int,
        total: str,
        changes: dict[str, Any],
        more: dict[str, Any],
    ) -> None:
        self.time += pause
        self._events += 1
        profile = self._person(who)
        partition = int(profile[1:]) % PARTITIONS
        page = name == "Page Viewed"
        properties = {"total": msgspec.Raw(total.encode()), "campaign_id": "c1", **more}
        self._append(
            partition,
            EventRow(
                **self._header(partition),
                profile_id=profile,
                source="web",
                message_id=f"m{self._events}",
                type="page" if page else "track",
                ts=self.time - late,
                event=None if page else name,
                properties=msgspec.Raw(msgspec.json.encode(properties)),
                context=msgspec.Raw(msgspec.json.encode(changes.get("context", {}))),
                traits=changes.get("traits", {}),
                consents=changes.get("consents", {}),
                tags=changes.get("tags", {}),
                user_id=f"u{who}",
                imported=total == "9",
            ),
        )

    def _erase(self, who: int) -> None:
        profile = self._person(who)
        if profile not in self.customers():
            return
        partition = int(profile[1:]) % PARTITIONS
        self._append(partition, ErasureRow(**self._header(partition), profile_id=profile))
        self._reborn[profile] = f"p{int(profile[1:]) + 100}"

    def _person(self, who: int) -> str:
        """The profile of this person now: after an erasure another one."""
        profile = self._root(f"p{who}")
        while profile in self._reborn:
            profile = self._root(self._reborn[profile])
        return profile

    def _tick(self, pause: int) -> None:
        self.time += pause
        for partition, rows in enumerate(self.rows):
            self.logs[partition].append(Tick(seq=len(rows), epoch=1, low=self.low))

    def _merge(self, a: int, b: int) -> None:
        loser, winner = self._person(a), self._person(b)
        if loser == winner or not {loser, winner} <= set(self.customers()):
            return
        source, target = int(loser[1:]) % PARTITIONS, int(winner[1:]) % PARTITIONS
        self._events += 1
        cause: dict[str, Any] = {"source": "web", "message_id": f"m{self._events}"}
        self._append(source, TombstoneRow(**self._header(source), profile_id=loser, into=winner, **cause))
        seq = self.rows[source][-1].seq
        self._append(
            target,
            MergeRow(
                **self._header(target),
                profile_id=winner,
                loser=loser,
                loser_partition=source,
                loser_seq=seq,
                traits={"city": "Brno"} if a % 2 else {},
                tags={"vip": True} if b % 2 else {},
                **cause,
            ),
        )
        self.roots[loser] = winner

    def _unmerge(self, who: int, choices: Sequence[int]) -> None:
        """A customer's events, and those of all who became it, are those of one to four customers again: by their
        place, the first (0) stays."""
        old = self._person(who)
        events = self.events_of(old) if old in self.customers() else []
        found: dict[int, list[EventRow]] = {}
        for place, row in enumerate(events):
            found.setdefault(choices[place % len(choices)], []).append(row)
        parts = [leaving for number, leaving in sorted(found.items()) if number]
        for number, leaving in enumerate(parts):
            self._part(old, who, leaving, [*choices[number:], *choices[:number]], more=number < len(parts) - 1)
        if parts and choices[6]:
            new = f"p{999 + len(self.moved)}"
            # what stays of those who are another's from here on
            self._owners.update((id(row), old) for row in found.get(0, ()))
            for loser in [loser for loser, winner in self.roots.items() if winner == old]:
                self.roots[loser] = new

    def _part(
        self, old: str, who: int, leaving: Sequence[EventRow], choices: Sequence[int], *, more: bool
    ) -> None:
        self._events += 1
        new = f"p{1_000 + len(self.moved)}"
        source, target = int(old[1:]) % PARTITIONS, int(new[1:]) % PARTITIONS
        cause: dict[str, Any] = {"id": f"x{len(self.moved)}", "source": "api", "message_id": f"m{self._events}"}
        traits = {"city": "Praha", "vip": None} if choices[0] else {}
        self._append(
            source,
            UnmergeRow(
                **self._header(source),
                profile_id=old,
                into=new,
                traits=traits,
                consents={"sms": None} if choices[1] else {},
                tags={"vip": False} if choices[2] else {},
                user_id=f"u{who}",
                more=more,
                **cause,
            ),
        )
        self._append(
            target,
            SplitRow(
                **self._header(target),
                profile_id=new,
                origin=old,
                traits={"city": "Brno", "vip": True} if choices[3] else {},
                consents={"sms": "granted"} if choices[4] else {},
                tags={"vip": True} if choices[5] else {},
                **cause,
            ),
        )
        self._owners.update((id(row), new) for row in leaving)
        partitions = {id(row): q for q, rows in enumerate(self.rows) for row in rows}
        self.moved[cause["id"]] = [(partitions[id(row)], row) for row in leaving]

    def _root(self, profile: str) -> str:
        while profile in self.roots:
            profile = self.roots[profile]
        return profile

    def _cut(self, which: int, points: Sequence[int]) -> None:
        """Publish cut points of one of the populations that definitions ask for."""
        tests = (RfmTest(event=("B",), within="30s", frequency=(1,)), RfmTest(event=("B",), frequency=(1,)))
        population = tests[which % 2].population
        ascending = sorted(points)
        self.cuts[population] = CutPoints(
            population=population,
            version=self.cuts[population].version + 1 if population in self.cuts else 1,
            at=self.time,
            recency=tuple(START + 5_000 * point for point in ascending),
            frequency=tuple(ascending),
            monetary=tuple(f"{point}.5" for point in ascending),
        )
        self._write_control("cut_points", msgspec.json.encode(self.cuts[population]))

    def _control(self, control: str, index: int) -> None:
        known = [*self.pool, *self.edits]
        definition = known[index % len(known)]
        key = _slot(definition)
        if control == "define":
            self._numbers[key] = self._numbers.get(key, 0) + 1
            self._pending[key] = self._numbers[key]
            self._definitions[key, self._numbers[key]] = definition
        version = self._numbers.get(key, 0)
        payload = {"segment_id": key, "version": version}
        if control == "define":
            payload["definition"] = definition
        self._follow(control, key)
        self._write_control(control, msgspec.json.encode(payload))

    def _write_control(self, control: str, payload: bytes) -> None:
        for partition in range(PARTITIONS):
            self._events += 1
            self._append(
                partition,
                ControlRow(
                    **self._header(partition),
                    id=f"c{self._events}",
                    control=control,
                    payload=msgspec.Raw(payload),
                ),
            )

    def _follow(self, control: str, key: str) -> None:
        """What the record means, in a few lines."""
        if control == "define":
            self._held.discard(key)
        elif control == "activate" and key in self._pending:
            self.live[key] = self._definitions[key, self._pending.pop(key)]
            (self._paused.add if key in self._held else self._paused.discard)(key)
            self._held.discard(key)
        elif key.startswith("trait:") and control in {"pause", "resume"}:
            return
        elif control == "pause":
            self._paused |= {key} & self.live.keys()
            self._held |= {key} & self._pending.keys()
        elif control == "resume":
            self._paused.discard(key)
            self._held.discard(key)
        elif control == "delete":
            self.live.pop(key, None)
            self._pending.pop(key, None)
            self._paused.discard(key)
            self._held.discard(key)

    def evaluated(self) -> dict[str, dict[str, Any]]:
        return {key: definition for key, definition in self.live.items() if key not in self._paused}

    def events_of(self, profile: str) -> list[EventRow]:
        """The events of the customer and of all who became it."""
        return [
            row
            for rows in self.rows
            for row in rows
            if isinstance(row, EventRow) and self._root(self._owners.get(id(row), row.profile_id)) == profile
        ]

    def own_rows(self, profile: str) -> list[EventRow | MergeRow | UnmergeRow | SplitRow]:
        """What sets the customer's traits, in order."""
        return [
            row for rows in self.rows for row in rows if isinstance(row, Stating) and row.profile_id == profile
        ]

    @property
    def paused(self) -> set[str]:
        return self._paused

    def traits_of(self, profile: str) -> dict[str, Any]:
        traits: dict[str, Any] = {}
        for row in (row for rows in self.rows for row in rows):
            if isinstance(row, Stating) and row.profile_id == profile:
                traits.update(row.traits)
        return traits


def _slot(definition: dict[str, Any]) -> str:
    """Under which key control records speak of a definition."""
    return f"trait:{definition['id']}" if definition["kind"] == "trait" else str(definition["id"])
