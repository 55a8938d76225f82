"""Whether the service in this container lives: the health check of the image, which runs any of them.

    python -m headrace.local.health

Asks /healthz on every service's port: all that listen must answer 200, and one must listen. Exit code 0 or 1, with
a line that Docker keeps. By hand and with few imports, since it runs every few seconds."""

import asyncio
import os
import sys
from collections.abc import Sequence

from headrace.contracts.errors import SettingsError
from headrace.local.readiness import answers
from headrace.local.services import SERVICES
from headrace.runtime.settings import Environment

HEALTHY = "healthy"


async def health(host: str, ports: Sequence[tuple[str, int]]) -> str:
    """HEALTHY, or what is wrong. `ports` are those of the services, by name."""
    found = await asyncio.gather(*(answers(host, port, "/healthz") for _, port in ports))
    silent = [
        f"{name} on port {port}" for (name, port), answer in zip(ports, found, strict=True) if answer is False
    ]
    if silent:
        return f"listens but does not answer /healthz with 200: {', '.join(silent)}"
    if not any(found):
        return f"nothing listens on the ports of the services ({', '.join(str(port) for _, port in ports)})"
    return HEALTHY


def ports(env: Environment) -> list[tuple[str, int]]:
    """Where each service listens in this environment. Raises SettingsError."""
    return [
        (service.name, env.integer(f"HEADRACE_{service.name.upper()}_PORT", service.port, low=1, high=65_535))
        for service in SERVICES
    ]


def main() -> int:
    env = Environment(os.environ)
    try:
        outcome = asyncio.run(health(env.text("HEADRACE_HOST", "127.0.0.1"), ports(env)))
    except SettingsError as error:
        outcome = str(error)
    sys.stdout.write(f"{outcome}\n")
    return 0 if outcome == HEALTHY else 1


if __name__ == "__main__":
    sys.exit(main())
