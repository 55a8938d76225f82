"""What is new about a message when its pixel is fetched and its links are followed. Pure.

What happens first is an outcome; what happens again is counted.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from headrace.contracts.instant import Millis


@dataclass(frozen=True, slots=True)
class Hit:
    """A fetch of the pixel (`link` is None), or of a link by its number. `machine`: no person did it."""

    message_id: str
    at: Millis
    machine: bool = False
    link: int | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """What the ledger knows of a message: when it was first opened by a person and by a machine, and which links
    were followed."""

    opened: bool = False
    machine_opened: bool = False
    clicked: Collection[int] = ()


@dataclass(frozen=True, slots=True)
class First:
    """Something that had not happened to this message before."""

    outcome: Literal["opened", "clicked"]
    at: Millis
    machine: bool = False
    link: int | None = None


@dataclass(slots=True)
class News:
    """What is to be written: how often the pixel was fetched, how often each link was followed, and what is new,
    in the order in which it happened."""

    opens: int = 0
    machine_opens: int = 0
    clicks: dict[int, int] = field(default_factory=dict)
    firsts: list[First] = field(default_factory=list)

    def first_at(self, outcome: str, *, machine: bool = False) -> Millis | None:
        found = (one.at for one in self.firsts if one.outcome == outcome and one.machine == machine)
        return min(found, default=None)

    def click_times(self) -> Mapping[int, Millis]:
        """When the links were followed that had not been before."""
        return {one.link: one.at for one in self.firsts if one.link is not None}


def news(seen: Seen, hits: Iterable[Hit]) -> News:
    """Who follows a link has the message open, pictures or not; that is no fetch of the pixel. A machine that
    follows one has opened nothing."""
    found = News()
    opened = {False: seen.opened, True: seen.machine_opened}
    clicked = set(seen.clicked)
    for hit in sorted(hits, key=lambda one: one.at):
        if hit.link is not None and hit.machine:
            continue
        if not opened[hit.machine]:
            opened[hit.machine] = True
            found.firsts.append(First("opened", hit.at, hit.machine))
        if hit.link is None:
            found.opens += not hit.machine
            found.machine_opens += hit.machine
            continue
        found.clicks[hit.link] = found.clicks.get(hit.link, 0) + 1
        if hit.link not in clicked:
            clicked.add(hit.link)
            found.firsts.append(First("clicked", hit.at, link=hit.link))
    return found
