"""A Valkey that is told what the manifests tell it."""

import base64
import contextlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import redis

from headrace.local.binaries import valkey_server
from headrace.local.ports import free_port
from headrace.local.program import Program, engine_environment
from tests import engines
from tests.deploy.manifests import get, rendered


class ValkeyServer:
    """Valkey with the configuration and the users of the overlay `local`, its paths below `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        objects = rendered("local")
        self._secret = {
            key: base64.b64decode(value).decode()
            for key, value in get(objects, "Secret", "headrace-valkey")["data"].items()
        }
        configuration = get(objects, "ConfigMap", "valkey-config")["data"]["valkey.conf"]
        for mounted, here in (
            ("bind * -::*", "bind 127.0.0.1"),
            ("port 6379", f"port {self._port}"),
            ("dir /data", f"dir {folder}"),
            ("/run/secrets/valkey", str(folder)),
        ):
            assert mounted in configuration
            configuration = configuration.replace(mounted, here)
        (folder / "valkey.conf").write_text(configuration, encoding="utf-8")
        (folder / "users.acl").write_text(self._secret["users.acl"], encoding="utf-8")

    def url(self, whose: str) -> str:
        """HEADRACE_REDIS_URL of the segmenter ("state") or of the others ("rates"), but for the place."""
        url = self._secret[f"{whose}-url"]
        assert urlsplit(url).hostname == "valkey"
        return url.replace("valkey:6379", f"127.0.0.1:{self._port}")

    @property
    def without_login(self) -> str:
        return f"redis://127.0.0.1:{self._port}"

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        command = (str(valkey_server("HEADRACE_REDIS_URL")), "valkey.conf")
        pid = self._folder / "valkey.pid"
        with engines.running(Program("valkey", command, pid, engine_environment(), self._folder), self._answers):
            yield

    def _answers(self) -> bool:
        with contextlib.suppress(redis.RedisError), redis.Redis.from_url(self.without_login) as client:
            return bool(client.ping())
        return False
