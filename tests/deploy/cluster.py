"""The services as pods would run them: each logs in to Kafka as itself, with the rights of its KafkaUser."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
from confluent_kafka.admin._acl import AclBinding, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType
from confluent_kafka.admin._scram import ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion

from headrace.local.ports import free_port
from tests.deploy.manifests import SERVICES, Object, get, name_of, of_kind, rendered
from tests.e2e.stack import Stack
from tests.e2e.wait import wait_until
from tests.kafka import admin
from tests.kafka.archive import fast_jvm
from tests.kafka.broker import Broker

PASSWORD = "of-the-user-operator"
_START_SECONDS = 100.0
TLS = "tls=true&ca=/run/secrets/engines/kafka-ca.crt&"
_OPERATIONS = {
    "Read": AclOperation.READ,
    "Write": AclOperation.WRITE,
    "Describe": AclOperation.DESCRIBE,
    "DescribeConfigs": AclOperation.DESCRIBE_CONFIGS,
}


@dataclass(frozen=True)
class Guarded:
    """A broker with the users and rights of the manifests at `address`; at `broker.address` all is allowed."""

    broker: Broker
    address: str

    def login(self, service: str) -> dict[str, str]:
        """Settings of librdkafka for who logs in as the service."""
        return {
            "bootstrap.servers": self.address,
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": f"headrace-{service}",
            "sasl.password": PASSWORD,
        }

    def log_url(self, service: str, folder: Path) -> str:
        """HEADRACE_LOG_URL of the service's pod, but for the place and, since the broker is here, TLS."""
        container = get(rendered("production"), "Deployment", service)["spec"]["template"]["spec"]["containers"][0]
        url = next(one["value"] for one in container["env"] if one["name"] == "HEADRACE_LOG_URL")
        (password := folder / "kafka-password").write_text(PASSWORD, encoding="utf-8")
        for there, here in (
            ("headrace-kafka-bootstrap:9093", self.address),
            (TLS, ""),
            ("/run/secrets/headrace/kafka-password", str(password)),
        ):
            assert there in url
            url = url.replace(there, here)
        return str(url)


@contextlib.contextmanager
def guarded(folder: Path) -> Iterator[Guarded]:
    """Runs while the context lasts."""
    port = free_port()
    with Broker(folder, fast_jvm(), listeners={"CLIENT": port}, settings=_SETTINGS) as broker:
        for user in of_kind(rendered("production"), "KafkaUser"):
            _let_in(broker, user)
        yield Guarded(broker, f"127.0.0.1:{port}")


_SETTINGS = {
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,CLIENT:SASL_PLAINTEXT",
    "inter.broker.listener.name": "PLAINTEXT",
    "listener.name.client.sasl.enabled.mechanisms": "SCRAM-SHA-512",
    "listener.name.client.scram-sha-512.sasl.jaas.config": (
        "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    ),
    # what Strimzi's `authorization: simple` is
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:ANONYMOUS",
}


def _let_in(broker: Broker, user: Object) -> None:
    """What Strimzi's user operator does."""
    client, name = admin.client(broker.address), name_of(user)
    kind = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
    login = client.alter_user_scram_credentials([UserScramCredentialUpsertion(name, kind, PASSWORD.encode())])
    rights = client.create_acls(
        [
            AclBinding(
                ResourceType[acl["resource"]["type"].upper()],
                acl["resource"]["name"],
                ResourcePatternType[{"literal": "LITERAL", "prefix": "PREFIXED"}[acl["resource"]["patternType"]]],
                f"User:{name}",
                "*",
                _OPERATIONS[operation],
                AclPermissionType.ALLOW,
            )
            for acl in user["spec"]["authorization"]["acls"]
            for operation in acl["operations"]
        ]
    )
    for done in (*login.values(), *rights.values()):
        done.result(10)


@contextlib.contextmanager
def services(stack: Stack, own: Mapping[str, Mapping[str, str]]) -> Iterator[None]:
    """The four of them, ready, with the settings of `stack` and each with its own. Raises AssertionError with
    what a service said."""
    stack.data_dir.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as running, httpx.Client(timeout=5, trust_env=False) as client:
        started = {name: _started(running, stack, name, own[name]) for name in SERVICES}
        for name, process in started.items():
            ready = partial(_ready_or_gone, client, stack.url(name), process)
            with contextlib.suppress(AssertionError):
                wait_until(ready, _START_SECONDS)
            if process.poll() is not None or not _ready_or_gone(client, stack.url(name), process):
                said = _output(stack, name).read_text("utf-8")
                raise AssertionError(f"{name} is not ready: {said}")
        yield


def _started(
    running: contextlib.ExitStack, stack: Stack, name: str, own: Mapping[str, str]
) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen(
        (sys.executable, "-m", "headrace.cli.main", "serve", name),
        env={**stack.env, **own},
        stdin=subprocess.DEVNULL,
        stdout=running.enter_context(_output(stack, name).open("ab")),
        stderr=subprocess.STDOUT,
    )
    running.callback(process.wait, 60)
    running.callback(process.terminate)
    return process


def _output(stack: Stack, name: str) -> Path:
    return stack.data_dir / f"{name}.output"


def _ready_or_gone(client: httpx.Client, url: str, process: "subprocess.Popen[bytes]") -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return client.get(f"{url}/readyz").status_code == 200
    return process.poll() is not None
