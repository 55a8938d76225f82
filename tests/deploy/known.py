"""What the code knows: its settings, which of them a service reads, and the users of Redis."""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

from headrace.runtime.settings import Environment
from services.ingest.settings import load_settings
from services.messenger.settings import read_settings as messenger_settings
from services.profiles.settings import read_settings as profiles_settings
from services.segmenter.settings import read_settings as segmenter_settings
from tests.deploy.kustomize import ROOT

# Read by asyncpg, as libpq does.
OF_LIBRARIES = frozenset({"PGSSLMODE", "PGSSLROOTCERT"})
SETTING = re.compile(r"`(HEADRACE_[A-Z][A-Z_]*[A-Z])`")
READERS: Mapping[str, Callable[[Environment], Any]] = {
    "ingest": load_settings,
    "profiles": profiles_settings,
    "segmenter": segmenter_settings,
    "messenger": messenger_settings,
}
ENGINES = {"HEADRACE_LOG_URL": "kafka", "HEADRACE_DATABASE_URL": "postgres", "HEADRACE_REDIS_URL": "valkey"}
_ENOUGH = {
    "HEADRACE_LOG_URL": "kafka://kafka:9093",
    "HEADRACE_DATABASE_URL": "postgresql://postgres/headrace",
    "HEADRACE_REDIS_URL": "redis://valkey",
    "HEADRACE_ADMIN_TOKEN": "token",
    "HEADRACE_WRITE_KEY": "key",
}
_USER = re.compile(r"^\s*user headrace-(\w+) on [>#](?:<[^>]*>|\S+) (.*)$", re.MULTILINE)


@cache
def known_settings() -> set[str]:
    """Every documented setting; tests/unit/repository holds the document to the code."""
    text = (ROOT / "docs/settings.md").read_text("utf-8")
    return {*SETTING.findall(text), *OF_LIBRARIES}


class _Asked(Mapping[str, str]):
    """An environment that remembers what it was asked for."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.names.add(name)
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


@cache
def needed_engines(service: str) -> Mapping[str, str]:
    """Of ENGINES those whose setting the service reads, needed at its start or later."""
    asked = _Asked(_ENOUGH)
    READERS[service](Environment(asked))
    return {variable: engine for variable, engine in ENGINES.items() if variable in asked.names}


def redis_users(text: str) -> dict[str, str]:
    """The rights of each `user headrace-…` of an ACL file, without its password."""
    return {name: rights.strip() for name, rights in _USER.findall(text)}


def documented_redis_users() -> dict[str, str]:
    """Those that tests/e2e/test_redis_users.py proves to be enough and not too much; without the log's, which
    is for Redis Streams alone."""
    users = redis_users((ROOT / "docs/settings.md").read_text("utf-8"))
    assert users.keys() == {"state", "rates", "log"}
    return {name: users[name] for name in ("state", "rates")}
