"""The services `headrace up` runs, in the order they start; started as processes, never imported."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Service:
    """A service: its command and default port. `migrations` is the folder with those of its schema, which has
    its name unless `owned_schema` says otherwise."""

    name: str
    port: int
    command: tuple[str, ...]
    migrations: Path | None = None
    owned_schema: str = ""

    @property
    def schema(self) -> str:
        return self.owned_schema or self.name

    @property
    def migrates(self) -> bool:
        """Whether the command takes `migrate`."""
        return self.migrations is not None

    @property
    def restoration(self) -> Path | None:
        """What to run in its schema after a backup was restored; None where that changes nothing."""
        path = self.migrations.with_name("restored.sql") if self.migrations is not None else None
        return path if path is not None and path.is_file() else None


def _packaged(name: str, port: int, schema: str | None = None) -> Service:
    return Service(name, port, (sys.executable, "-m", f"services.{name}"), owned_schema=schema or "")


SERVICES: Sequence[Service] = (
    _packaged("profiles", 8081),
    _packaged("segmenter", 8082),
    _packaged("messenger", 8083),
    _packaged("ingest", 8080, "access"),
    _packaged("console", 8090),
)


def installed_services() -> tuple[Service, ...]:
    """Those whose package is part of this installation."""
    spec = find_spec("services")
    packages = [Path(folder) for folder in (spec.submodule_search_locations or ())] if spec else []
    found = []
    for service in SERVICES:
        for package in (folder / service.name for folder in packages):
            if (package / "__main__.py").is_file():
                migrations = package / "migrations"
                found.append(replace(service, migrations=migrations if migrations.is_dir() else None))
                break
    return tuple(found)


def migrating(services: Iterable[Service]) -> list[Service]:
    """Those that have migrations, in the order these run: access comes first, since every service asks it; then
    each after those whose views it reads."""
    return sorted((service for service in services if service.migrates), key=lambda one: one.schema != "access")
