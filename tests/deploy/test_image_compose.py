"""deploy/compose.yaml: its shape, its safety, and that the services understand what it tells them."""

import copy
import stat
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import redis
import yaml

from headrace.local.binaries import valkey_server
from headrace.local.ports import free_port
from headrace.log.kafka.address import parse_address
from headrace.runtime.settings import Environment, common_settings
from tests.deploy.image_compose import ROOT, Document, check_all
from tests.deploy.known import READERS, documented_redis_users, redis_users
from tests.deploy.valkey import leased
from tests.e2e.wait import wait_until

COMPOSE = ROOT / "deploy/compose.yaml"


@pytest.fixture
def document() -> Document:
    parsed: Document = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    return parsed


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("compose") / "secrets"
    make_secrets(folder)
    return folder


def make_secrets(folder: Path) -> None:
    subprocess.run(["sh", str(ROOT / "deploy/secrets.sh"), str(folder)], check=True)


def test_everything_that_must_hold_holds(document: Document) -> None:
    assert check_all(document) == []


def untold(document: Document, service: str, variable: str, secret: str) -> None:
    """Neither the variable nor the secret that it names, so that these two fit each other still."""
    document["services"][service]["environment"].pop(variable)
    document["services"][service]["secrets"].remove(secret)


BROKEN: Mapping[str, Callable[[Document], object]] = {
    "a misspelt key": lambda d: d["services"]["ingest"].update(enviroment={}),
    "a number where text is asked": lambda d: d["services"]["kafka"]["environment"].update(KAFKA_NODE_ID=1),
    "an image without tag": lambda d: d["services"]["kafka"].update(image="apache/kafka"),
    "a moving tag": lambda d: d["services"]["kafka"].update(image="apache/kafka:latest"),
    "an old version of ours": lambda d: d["services"]["ingest"].update(image="headrace:0.0.1"),
    "capabilities": lambda d: d["services"]["valkey"].pop("cap_drop"),
    "privileges": lambda d: d["services"]["valkey"].update(security_opt=[]),
    "a writable root": lambda d: d["services"]["messenger"].update(read_only=False),
    "the host's network": lambda d: d["services"]["messenger"].update(network_mode="host"),
    "a port for everybody": lambda d: d["services"]["ingest"].update(ports=["8080:8080"]),
    "an engine with a port": lambda d: d["services"]["postgres"].update(ports=["127.0.0.1:5432:5432"]),
    "an engine among the services": lambda d: d["services"]["valkey"]["networks"].append("services"),
    "engines that reach out": lambda d: d["networks"].update(engines={}),
    "an unknown setting": lambda d: d["services"]["ingest"]["environment"].update(HEADRACE_SPEED="9"),
    "a secret that is not given": lambda d: d["services"]["ingest"]["secrets"].remove("write-key"),
    "a secret too many": lambda d: d["services"]["ingest"]["secrets"].append("state-url"),
    "a secret that does not exist": lambda d: d["secrets"].pop("state-url"),
    "a missing folder": lambda d: d["services"]["grafana"]["volumes"].append("./nowhere:/nowhere:ro"),
    "a folder that may be written": lambda d: d["services"]["prometheus"].update(volumes=["./prometheus:/etc"]),
    "a volume that does not exist": lambda d: d["volumes"].pop("kafka"),
    "waiting for nobody": lambda d: d["services"].pop("mailpit"),
    "waiting for no health": lambda d: d["services"]["valkey"].pop("healthcheck"),
    "waiting for what never ends": lambda d: d["services"]["migrate"].update(restart="unless-stopped"),
    "an early kill": lambda d: d["services"]["ingest"].update(stop_grace_period="10s"),
    "a service that is not watched": lambda d: d["services"].update(ingestion=d["services"].pop("ingest")),
    "dashboards elsewhere": lambda d: d["services"]["grafana"]["volumes"].pop(1),
    "rates that are not shared": lambda d: untold(d, "ingest", "HEADRACE_REDIS_URL_FILE", "rates-url"),
    "a service without its tokens": lambda d: untold(d, "ingest", "HEADRACE_DATABASE_URL_FILE", "database-url"),
    "a service without the log": lambda d: d["services"]["profiles"]["environment"].pop("HEADRACE_LOG_URL"),
    "a service apart from its engines": lambda d: d["services"]["messenger"].update(networks=["services"]),
    "a start before an engine's": lambda d: d["services"]["ingest"]["depends_on"].pop("valkey"),
    "a start before the schemas": lambda d: d["services"]["ingest"]["depends_on"].pop("migrate"),
    "an engine that logs what customers said": lambda d: d["services"]["postgres"]["command"].remove(
        "log_error_verbosity=terse"
    ),
    "a service twice": lambda d: d["services"]["ingest"].update(command=["serve", "profiles"]),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_wrong_is_found(document: Document, what: str) -> None:
    broken = copy.deepcopy(document)  # YAML's anchors are one object
    BROKEN[what](broken)
    assert set(check_all(broken)) - set(check_all(document))


@pytest.mark.parametrize("name", READERS)
def test_a_service_understands_its_environment(document: Document, secrets: Path, name: str) -> None:
    settings = READERS[name](Environment(environment(document, secrets, name)))
    assert settings.common.partitions == 12
    assert settings.common.admin_token == (secrets / "admin-token").read_text().strip()
    assert parse_address(settings.common.log_url).servers == ("kafka:9092",)


def environment(document: Document, secrets: Path, name: str) -> dict[str, str]:
    """The service's, with its secrets where they are on this machine."""
    given = document["services"][name]["environment"]
    return {key: value.replace("/run/secrets", str(secrets)) for key, value in given.items()}


def test_messages_are_caught(document: Document, secrets: Path) -> None:
    url = environment(document, secrets, "messenger")["HEADRACE_EMAIL_URL"]
    assert url.startswith("smtp://mailpit:1025?")
    assert document["services"]["messenger"]["networks"] == ["engines", "services"]
    assert "services" in document["services"]["mailpit"]["networks"]


def test_a_process_per_setting_knows_the_same_token_and_partitions(document: Document, secrets: Path) -> None:
    seen = {
        (common.log_url, common.partitions, common.admin_token)
        for name in READERS
        if (common := common_settings(Environment(environment(document, secrets, name))))
    }
    assert len(seen) == 1


def test_secrets_are_made_once(document: Document, tmp_path: Path) -> None:
    folder = tmp_path / "of their own"
    make_secrets(folder)
    first = {path.name: path.read_text() for path in folder.iterdir()}
    assert {Path(secret["file"]).name for secret in document["secrets"].values()} <= first.keys()
    assert len(set(first.values())) == len(first)
    (folder / "write-key").unlink()
    make_secrets(folder)
    second = {path.name: path.read_text() for path in folder.iterdir()}
    assert {name for name in first if first[name] != second[name]} == {"write-key"}


def test_secrets_are_closed_to_others_and_open_to_the_containers(secrets: Path) -> None:
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in secrets.iterdir()} == {0o444}


@pytest.fixture
def valkey(document: Document, secrets: Path, tmp_path: Path) -> Iterator[int]:
    """The port of a real Valkey, started with the command of the file."""
    port = free_port()
    places = {"/run/secrets/valkey-acl": str(secrets / "valkey-acl"), "/data": str(tmp_path)}
    _, *arguments = [places.get(word, word) for word in document["services"]["valkey"]["command"]]
    program = [str(valkey_server("HEADRACE_REDIS_URL")), *arguments, "--port", str(port), "--bind", "127.0.0.1"]
    process = subprocess.Popen(program, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: answers(port), 30)
        yield port
    finally:
        process.terminate()
        process.wait(30)


def answers(port: int) -> bool:
    """What the health check asks: the default user may do only that."""
    with redis.Redis(port=port) as client:
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False


def test_valkeys_users_are_the_documented_ones(secrets: Path) -> None:
    assert redis_users((secrets / "valkey-acl").read_text()) == documented_redis_users()


async def test_valkey_takes_its_command_and_knows_the_users_of_the_urls(valkey: int, secrets: Path) -> None:
    urls = {
        name: (secrets / f"{name}-url").read_text().strip().replace("@valkey:6379", f"@127.0.0.1:{valkey}")
        for name in ("state", "rates")
    }
    for name, url in urls.items():
        assert await leased(url, name) == 4
    with redis.Redis.from_url(urls["rates"]) as client, pytest.raises(redis.exceptions.NoPermissionError):
        client.get("headrace:segmenter:{0}:w")
    with redis.Redis.from_url(urls["state"]) as client:
        assert client.eval("return redis.call('set', KEYS[1], 'v')", 1, "headrace:segmenter:{0}:w") is not None
        info = client.info()
        assert (info["maxmemory_policy"], info["aof_enabled"]) == ("noeviction", 1)
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.flushall()
    with redis.Redis(port=valkey) as stranger, pytest.raises(redis.exceptions.NoPermissionError):
        stranger.get("k")
