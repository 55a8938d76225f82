"""Run pytest on real servers: python -m tests.servers PYTEST-ARGUMENTS…

Servers that the environment names (see tests/servers) are used as they are. The others are started here, on free
ports with data in temporary folders, and stopped in the end; what is not installed is installed where that is
possible (Debian, as root), else the message says how.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager

from tests import engines
from tests.kafka import cluster
from tests.kafka.archive import fast_jvm
from tests.servers import DATABASE_URL, LOG_URL, REDIS_URL
from tests.servers.packages import Missing, provided
from tests.servers.programs import postgres_server, redis_server
from tests.servers.redis import redis


@contextlib.contextmanager
def _kafka() -> Iterator[str]:
    with cluster.single() as broker:
        yield broker.url


@contextlib.contextmanager
def _postgres() -> Iterator[str]:
    with engines.postgres(provided(postgres_server)) as server:
        yield server.url


@contextlib.contextmanager
def _redis() -> Iterator[str]:
    with redis(provided(redis_server)) as server:
        yield server.url


_OWN: dict[str, Callable[[], AbstractContextManager[str]]] = {
    LOG_URL: _kafka,
    DATABASE_URL: _postgres,
    REDIS_URL: _redis,
}


@contextlib.contextmanager
def servers() -> Iterator[dict[str, str]]:
    """The addresses of running servers, by the variable that tests read. Raises Missing."""
    provided(fast_jvm)  # some tests start brokers of their own, whoever runs the shared one
    with contextlib.ExitStack() as own:
        yield {name: os.environ.get(name) or own.enter_context(start()) for name, start in _OWN.items()}


def run(command: Sequence[str], environment: dict[str, str]) -> int:
    """Run a command to its end, also when we are asked to stop: it is asked then, and what it does awaited."""
    with subprocess.Popen(command, env=environment) as process:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches it by itself
        signal.signal(signal.SIGTERM, lambda *_: process.send_signal(signal.SIGINT))
        return process.wait()


def main(arguments: Sequence[str]) -> int:
    """The exit code: pytest's, or 2 when something is missing."""
    began = time.monotonic()
    try:
        with servers() as addresses:
            print(f"Kafka, PostgreSQL and Redis are ready after {time.monotonic() - began:.1f} s", flush=True)
            return run((sys.executable, "-m", "pytest", *arguments), {**os.environ, **addresses})
    except Missing as missing:
        print(missing, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
