"""Which log a benchmark runs on: `--log embedded`, `--log kafka` (a broker of its own), or the URL of one."""

import contextlib
import os
from argparse import ArgumentParser
from collections.abc import Iterator

from tests import engines
from tests.kafka.cluster import single

EMBEDDED, KAFKA = "embedded", "kafka"


def add_log(parser: ArgumentParser) -> None:
    """`--log`, which HEADRACE_LOG_URL stands in for."""
    parser.add_argument(
        "--log",
        default=os.environ.get("HEADRACE_LOG_URL", EMBEDDED),
        metavar="LOG",
        help=f"{EMBEDDED}, {KAFKA} (starts a broker), or a URL (now: %(default)s)",
    )


@contextlib.contextmanager
def running_log(choice: str) -> Iterator[str]:
    """The URL of a log that runs while the context lasts. The embedded one fsyncs, as in production."""
    with contextlib.ExitStack() as stack:
        if choice == EMBEDDED:
            yield stack.enter_context(engines.valkey("always")).url
        elif choice == KAFKA:
            yield stack.enter_context(single()).url
        else:
            yield choice


def kind(url: str) -> str:
    """What a log's URL leads to, for people."""
    names = {"kafka": "Kafka", "redis": "Redis Streams", "rediss": "Redis Streams"}
    return names.get(url.partition(":")[0], "log in memory")
