"""`headrace demo`: a year of a real shop's orders in half a minute, on a platform of its own."""

import time
from collections.abc import Sequence

import httpx
from rich.console import Console

from headrace.cli.definitions import apply, say
from headrace.cli.demo.orders import Message, Replay, read_replay
from headrace.cli.demo.platform import DemoFailed, running_platform
from headrace.cli.demo.watch import Watch
from headrace.cli.deployment import Deployment
from headrace.cli.shipped import example
from headrace.contracts.errors import HeadraceError
from headrace.contracts.instant import format_instant

SEGMENTS = ("two-orders", "big-spenders", "active-30d")
_DEFINITIONS = (
    *(f"segments/{segment}.yaml" for segment in SEGMENTS),
    "templates/thanks.yaml",
    "campaigns/thanks-for-coming-back.yaml",
)
_APPLY_SECONDS = 15.0
_REPLAY_SECONDS = 12.0
_SETTLE_SECONDS = 15.0
_LOOK_EVERY = 0.25
_BATCH = 20


class SendFailed(HeadraceError):
    """The platform did not take the demo's events."""


def run_demo(console: Console) -> None:
    """Show it. Raises HeadraceError when something did not happen as it should."""
    say(console, "Real orders: Online Retail by Daqing Chen, UCI Machine Learning Repository, CC BY 4.0.")
    say(console, "Starting a platform of its own, on free ports and temporary data ...")
    began = time.monotonic()
    with running_platform() as deployment:
        say(console, f"Ready after {time.monotonic() - began:.1f} s. Three segments and a campaign:")
        apply([example(name) for name in _DEFINITIONS], deployment, console, wait=_APPLY_SECONDS)
        sample, mapping = example("retail/online_retail_sample.csv.gz"), example("retail/mapping.yaml")
        replay = read_replay(sample, mapping, int(time.time() * 1000))
        watch = Watch(deployment, SEGMENTS, console)
        _replay(replay, deployment, watch, console)
        _settle(replay, watch)
        _summarise(replay, watch, console, time.monotonic() - began)
    say(console, "Everything was stopped and removed. `headrace up` starts a platform that stays.")


def _replay(replay: Replay, deployment: Deployment, watch: Watch, console: Console) -> None:
    """Customers first, then their orders, spread over `_REPLAY_SECONDS`."""
    say(console, f"{len(replay.customers) // 2} customers agree to messages; {len(replay.orders)} orders follow:")
    auth = (deployment.write_key(), "")
    with httpx.Client(base_url=deployment.url("ingest"), auth=auth, timeout=10.0, trust_env=False) as client:
        for start in range(0, len(replay.customers), _BATCH):
            _send(client, replay.customers[start : start + _BATCH])
        began = looked = time.monotonic()
        for start in range(0, len(replay.orders), _BATCH):
            _send(client, replay.orders[start : start + _BATCH])
            due = began + _REPLAY_SECONDS * (start + _BATCH) / len(replay.orders)
            if time.monotonic() - looked >= _LOOK_EVERY:
                watch.look()
                looked = time.monotonic()
            time.sleep(max(0.0, due - time.monotonic()))


def _send(client: httpx.Client, messages: Sequence[Message]) -> None:
    body = {"batch": messages, "sentAt": format_instant(int(time.time() * 1000))}
    try:
        response = client.post("/v1/batch", json=body)
    except httpx.HTTPError as error:
        raise SendFailed(f"ingest did not take the orders: {type(error).__name__}") from error
    rejected = response.json().get("rejected") if response.is_success else response.text
    if rejected:
        raise SendFailed(f"ingest refused orders: {rejected}")


def _settle(replay: Replay, watch: Watch) -> None:
    """Look on until everybody who came back is a member and has the message, or it takes too long."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    watch.look()
    while not _complete(replay, watch) and time.monotonic() < deadline:
        time.sleep(_LOOK_EVERY)
        watch.look()


def _complete(replay: Replay, watch: Watch) -> bool:
    return watch.members("two-orders") == replay.returning and len(watch.sent) == len(replay.returning)


def _summarise(replay: Replay, watch: Watch, console: Console, seconds: float) -> None:
    sizes = ", ".join(f"{segment} {size}" for segment, size in watch.sizes().items())
    say(console, f"After {seconds:.0f} s: {len(replay.orders)} orders; members: {sizes}.")
    members = watch.members("two-orders")
    if members != replay.returning:
        differing = ", ".join(sorted(members ^ replay.returning)[:5])
        raise DemoFailed(f"two-orders has {len(members)} members of {len(replay.returning)}; see {differing}")
    if len(watch.sent) != len(members) or watch.sent.total() != len(members):
        raise DemoFailed(f"{watch.sent.total()} SMS to {len(watch.sent)} numbers, expected one for each member")
    say(console, f"{len(members)} customers came back, and each of them got exactly one SMS.")
