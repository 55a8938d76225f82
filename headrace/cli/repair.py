"""`headrace republish` and `headrace rebuild`: mending a partition that stands still or has lost its state."""

import time
from collections.abc import Callable, Iterable

from rich.console import Console

from headrace.cli.client import Service
from headrace.cli.definitions import say
from headrace.cli.deployment import Deployment
from headrace.contracts.errors import HeadraceError

PUBLISHERS = ("profiles", "segmenter", "messenger")
_LOOK_EVERY = 0.2


class NotAPublisher(HeadraceError):
    """The service has no numbered outputs that could be published again."""


class NotRebuilt(HeadraceError):
    """The rebuild goes on in the segmenter; its log and `GET /v1/rebuild` say how far it is."""


def republish(deployment: Deployment, console: Console, *, service: str, partition: int, from_seq: int) -> None:
    """Have a service's outputs published again from a number on; returns once that is done."""
    if service not in PUBLISHERS:
        raise NotAPublisher(f"{service!r} publishes no numbered outputs; one of {', '.join(PUBLISHERS)} does")
    wanted = {"partition": partition, "from_seq": from_seq}
    answer = Service(deployment, service).post("/v1/republish", wanted, timeout=None)
    say(console, f"{service} partition {partition}: {answer['records']} records published again from {from_seq}")


def rebuild(
    deployment: Deployment,
    console: Console,
    *,
    partition: int | None,
    patience: float | None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Have the segmenter rebuild a partition, or all of the process that answers; wait for it, at most
    `patience` seconds (None: do not wait). Raises NotRebuilt."""
    segmenter = Service(deployment, "segmenter")
    answer = segmenter.post("/v1/rebuild", {"partition": partition})
    asked = answer["partitions"]
    say(console, f"rebuilding partitions {_names(asked)}")
    if answer["elsewhere"]:
        say(console, f"{answer['elsewhere']} partitions belong to other processes; ask those as well")
    if patience is None:
        return
    deadline = clock() + patience
    while waiting := _waiting(segmenter, asked):
        if clock() > deadline:
            raise NotRebuilt(f"partitions {_names(waiting)} are not rebuilt after {patience:g} s, and go on")
        sleep(_LOOK_EVERY)
    say(console, f"{len(asked)} partitions rebuilt")


def _waiting(segmenter: Service, asked: Iterable[int]) -> list[int]:
    live = {item["partition"] for item in segmenter.get("/v1/rebuild")["items"] if item["state"] == "live"}
    return [partition for partition in asked if partition not in live]


def _names(partitions: Iterable[int]) -> str:
    return ", ".join(map(str, partitions))
