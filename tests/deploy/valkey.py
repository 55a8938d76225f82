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
from headrace.runtime.rate.bucket import Rate
from headrace.runtime.rate.buckets import SCRIPT, Lease, RedisBuckets
from tests import engines
from tests.deploy.manifests import get, rendered


async def leased(url: str, whose: str) -> int:
    """Tokens that are got at this URL from the bucket of `whose`, of 4 that are wanted. It waits longer
    than services do."""
    buckets = RedisBuckets(url)
    try:
        with redis.Redis.from_url(url) as client:
            name = buckets.name_of(Lease("address", whose, Rate(1.0, 10), 4))
            answer = client.eval(SCRIPT, 1, name, "1.0", "10", "4")
    finally:
        await buckets.close()
    assert isinstance(answer, list)
    return int(answer[1])


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

    def url_of(self, service: str) -> str:
        """HEADRACE_REDIS_URL of the service's pod, but for the place."""
        volumes = get(rendered("local"), "Deployment", service)["spec"]["template"]["spec"]["volumes"]
        sources = [one["secret"] for volume in volumes for one in volume.get("projected", {}).get("sources", ())]
        [key] = [item["key"] for source in sources for item in source["items"] if item["path"] == "redis-url"]
        return self.url(key.removesuffix("-url"))

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
