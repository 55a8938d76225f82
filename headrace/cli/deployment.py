"""Where the services are and the keys to them: environment first, else what `headrace up` left in its folder."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.contracts.errors import SettingsError
from headrace.local.readiness import base_url
from headrace.local.services import SERVICES
from headrace.runtime.settings import Environment

PORTS = {service.name: service.port for service in SERVICES}
DEFAULT_DATA_DIR = ".headrace"


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployment as seen from the command line. Read once per command."""

    env: Environment
    data_dir: Path

    @classmethod
    def of(cls, values: Mapping[str, str]) -> "Deployment":
        env = Environment(values)
        return cls(env, Path(env.text("HEADRACE_DATA_DIR", DEFAULT_DATA_DIR)))

    def url(self, service: str) -> str:
        """HEADRACE_<SERVICE>_URL, else the port on this machine that `headrace up` uses in this environment."""
        given = self.env.optional(f"HEADRACE_{service.upper()}_URL")
        if given:
            return given.rstrip("/")
        port = self.env.integer(f"HEADRACE_{service.upper()}_PORT", PORTS[service], low=1, high=65_535)
        return base_url(self.env.text("HEADRACE_HOST", "127.0.0.1"), port)

    def admin_token(self) -> str:
        return self._key("HEADRACE_ADMIN_TOKEN", "admin_token")

    def write_key(self) -> str:
        return self._key("HEADRACE_WRITE_KEY", "write_key")

    def _key(self, variable: str, name: str) -> str:
        found = self.env.optional(variable) or self._kept().get(name)
        if not found:
            raise SettingsError(
                f"no {name.replace('_', ' ')}: set {variable}, or HEADRACE_DATA_DIR to the folder of the running "
                f"`headrace up` (now {self.data_dir})"
            )
        return str(found)

    def _kept(self) -> dict[str, Any]:
        """What `headrace up` keeps in its folder; empty when it never ran there."""
        try:
            content = json.loads((self.data_dir / "deployment.json").read_bytes())
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}
