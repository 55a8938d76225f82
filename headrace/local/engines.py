"""Which engines are embedded and which come by URL."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from headrace.local.account import unprivileged_account
from headrace.local.binaries import postgres_server
from headrace.local.data_folder import DataFolder, Deployment, explained
from headrace.local.placement import place
from headrace.local.ports import free_port
from headrace.local.postgres import Postgres
from headrace.local.program import Program
from headrace.local.settings import UpSettings
from headrace.local.valkey import Valkey


class Engine(Protocol):
    """A server that `up` runs itself."""

    @property
    def name(self) -> str: ...

    def prepare(self, run: Path) -> Program:
        """Called before each start: make its files ready and say how to run it."""
        ...

    def answers(self) -> bool:
        """Whether it serves now. Takes at most a few seconds."""
        ...


@dataclass(frozen=True, slots=True)
class Engines:
    """The engines' addresses, and those of them that are ours to run."""

    log_url: str = field(repr=False)
    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    embedded: Sequence[Engine]


def choose_engines(settings: UpSettings, folder: DataFolder, deployment: Deployment) -> Engines:
    """A URL in the settings replaces the embedded engine. Embedded ones get ports that are free now."""
    embedded: list[Engine] = []
    log_url, database_url, redis_url = settings.log_url, settings.database_url, settings.redis_url
    password = deployment.engine_password
    if log_url is None:
        memory = settings.log_memory_mb
        log = Valkey("log", folder.path / "log", free_port(), password, "always", memory, "HEADRACE_LOG_URL")
        log_url = log.url
        embedded.append(log)
    if redis_url is None:
        state = Valkey("state", folder.path / "state", free_port(), password, "everysec")
        redis_url = state.url
        embedded.append(state)
    if database_url is None:
        postgres = _postgres(folder, deployment)
        database_url = postgres.url
        embedded.append(postgres)
    return Engines(log_url, database_url, redis_url, embedded)


def _postgres(folder: DataFolder, deployment: Deployment) -> Postgres:
    account = unprivileged_account()
    with explained(folder.path):
        placement = place(folder.path / "postgres", deployment.id, postgres_server(), account)
    return Postgres(placement, free_port(), deployment.engine_password, account)
