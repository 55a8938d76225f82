"""How the variants of a split do: people who took each, and those of them for whom it worked.

People count, not entries: who enters twice has the same variant twice. Someone counts under the id that the
variant was drawn for; everybody who was given a variant counts, whether a message reached them or not, since only
the draw makes the groups comparable.
"""

from collections.abc import Iterable, Iterator, Mapping

from headrace.contracts.campaign_steps import BranchStep, SendStep, Split, SplitStep, Step, walk
from services.messenger.stats import Share
from services.messenger.store import Connection

Place = tuple[str, ...]
"""Where a split stands in a campaign's body, as Postgres' `#>` takes it."""


def split_places(
    steps: "tuple[Step, ...]", prefix: str = "", place: Place = ("steps",)
) -> Iterator[tuple[str, Place]]:
    """Path and place of every split."""
    for number, step in enumerate(steps):
        path, here = f"{prefix}{number}", (*place, str(number))
        if isinstance(step, BranchStep):
            yield from split_places(step.branch.then, f"{path}.then.", (*here, "branch", "then"))
            yield from split_places(step.branch.else_, f"{path}.else.", (*here, "branch", "else"))
        elif isinstance(step, SplitStep):
            yield path, (*here, "split")
            for name, variant in step.split.variants.items():
                inner = (*here, "split", "variants", name, "steps")
                yield from split_places(variant.steps, f"{path}.{name}.", inner)


async def shares_of(
    connection: Connection, campaign_id: str, versions: Iterable[int], path: str, split: Split, metric: str
) -> Mapping[str, Share]:
    """Of every variant, by `metric`: conversion, opens (by people) or clicks. `versions`: those of the campaign
    that hold this very split."""
    query = _SHARES[metric]
    arguments = [] if metric == "conversion" else [_prefix(path, split)]
    rows = await connection.fetch(query, campaign_id, list(versions), path, *arguments)
    found = {row["variant"]: Share(row["hits"], row["people"]) for row in rows}
    return {name: found.get(name, Share(0, 0)) for name in split.variants}


def _prefix(path: str, split: Split) -> str:
    """What the steps of the messages that count begin with: the split's own, or any if it sends none itself."""
    inside = (step for variant in split.variants.values() for _, step in walk(variant.steps))
    return f"{path}." if any(isinstance(step, SendStep) for step in inside) else ""


_BY_PERSON = """
    SELECT variant, count(*)::int AS people, count(*) FILTER (WHERE hit)::int AS hits
    FROM (
        SELECT e.profile_id, e.variants ->> $3 AS variant, bool_or({hit}) AS hit
        FROM entry e
        WHERE e.campaign_id = $1 AND e.campaign_version = ANY($2::int[])
            AND e.variants <> '{{}}' AND e.variants ? $3
        GROUP BY 1, 2
    ) person
    GROUP BY 1
"""
_MESSAGE = """EXISTS (SELECT FROM message m
    WHERE m.campaign_id = e.campaign_id AND m.entry_id = e.entry_id AND starts_with(m.step, $4)
        AND m.{at} IS NOT NULL)"""
_SHARES = {
    "conversion": _BY_PERSON.format(hit="e.converted_at IS NOT NULL"),
    "opens": _BY_PERSON.format(hit=_MESSAGE.format(at="opened_at")),
    "clicks": _BY_PERSON.format(hit=_MESSAGE.format(at="clicked_at")),
}
