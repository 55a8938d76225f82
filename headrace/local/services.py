"""The services `headrace up` runs, in the order they start; started as processes, never imported."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Service:
    """A service: its command, its default port, and whether the command takes `migrate`. Migrations wait for
    those of the service named by `after`, whose views they read."""

    name: str
    port: int
    command: tuple[str, ...]
    migrates: bool = False
    after: str | None = None


def _packaged(name: str, port: int, *, migrates: bool = False, after: str | None = None) -> Service:
    return Service(name, port, (sys.executable, "-m", f"services.{name}"), migrates, after)


SERVICES: Sequence[Service] = (
    _packaged("profiles", 8081, migrates=True),
    _packaged("segmenter", 8082, migrates=True, after="profiles"),
    _packaged("messenger", 8083, migrates=True, after="profiles"),
    _packaged("ingest", 8080),
    _packaged("console", 8090),
)


def installed_services() -> tuple[Service, ...]:
    """Those whose package is part of this installation."""
    spec = find_spec("services")
    folders = [Path(folder) for folder in (spec.submodule_search_locations or ())] if spec else []
    return tuple(
        service
        for service in SERVICES
        if any((folder / service.name / "__main__.py").is_file() for folder in folders)
    )
