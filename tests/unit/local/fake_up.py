"""`headrace up` with stand-ins for the services; everything else is the real thing."""

import os
import sys
from pathlib import Path

from headrace.contracts.errors import HeadraceError
from headrace.local.services import Service
from headrace.local.settings import up_settings
from headrace.local.up import run_up

_SCRIPT = str(Path(__file__).with_name("fake_service.py"))
_MIGRATIONS = Path(__file__).with_name("fake_migrations")


def _fake(name: str, port: int, migrations: Path | None = None) -> Service:
    return Service(name, port, (sys.executable, _SCRIPT, name), migrations)


SERVICES = (_fake("profiles", 8081, _MIGRATIONS), _fake("segmenter", 8082, _MIGRATIONS), _fake("ingest", 8080))


def main() -> int:
    try:
        run_up(up_settings(os.environ), SERVICES)
    except HeadraceError as error:
        sys.stderr.write(f"headrace: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
