"""The adapter on a broker that wants TLS and a password: in with the right ones, out with the wrong ones."""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from confluent_kafka.admin._scram import ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion

from headrace.local.ports import free_port
from headrace.log.kafka import KafkaLog
from headrace.log.port import LogUnavailable
from tests import engines
from tests.conformance.log_engine import PARTITIONS, closing, eventually, new_topic, numbered, values
from tests.kafka import admin
from tests.kafka.archive import fast_jvm
from tests.kafka.broker import Broker

pytestmark = pytest.mark.kafka

PASSWORD = "of-the-store"


@dataclass(frozen=True)
class Secured:
    """A broker with a second listener, SASL over TLS, at `address`; `ca` proves its certificate."""

    address: str
    ca: Path
    folder: Path

    def url(self, credentials: str, **parameters: str) -> str:
        query = "&".join(f"{name}={value}" for name, value in parameters.items())
        return f"kafka://{credentials}@{self.address}?{query}"


@pytest.fixture(scope="module")
def secured() -> Iterator[Secured]:
    with engines.data_folder() as folder:
        port = free_port()
        with Broker(
            folder, fast_jvm(), listeners={"CLIENT": port}, settings=_settings(_keystore(folder))
        ) as broker:
            _let_in(broker, "shop", "s3cret:@/")
            yield Secured(f"127.0.0.1:{port}", folder / "ca.pem", folder)


async def test_scram_over_tls_appends_reads_and_joins(secured: Secured) -> None:
    url = secured.url("shop:s3cret%3A%40%2F", ca=str(secured.ca))
    async with closing(await KafkaLog.connect(url, rollback_horizon_ms=0)) as log:
        topic = await new_topic(log)
        assert await log.append(topic, 0, numbered(0, 3)) == 0
        assert values(await log.read(topic, 0, 0, wait_ms=5000)) == [b"0", b"1", b"2"]
        member = await log.join(f"group-of-{topic}", [topic], PARTITIONS)
        await eventually(lambda: member.assigned() == frozenset(range(PARTITIONS)))


async def test_the_password_may_come_from_a_file(secured: Secured) -> None:
    secret = secured.folder / "password"
    secret.write_text("plain-s3cret\n", encoding="utf-8")
    url = secured.url("till", ca=str(secured.ca), sasl="plain", password_file=str(secret))
    async with closing(await KafkaLog.connect(url, rollback_horizon_ms=0)) as log:
        await new_topic(log)


@pytest.mark.parametrize("mechanism", ["plain", "scram-sha-512"])
async def test_a_wrong_password_is_refused_in_time_and_not_repeated_in_words(
    secured: Secured, mechanism: str
) -> None:
    url = secured.url("shop:wr0ng", ca=str(secured.ca), sasl=mechanism)
    with pytest.raises(LogUnavailable) as caught:
        await KafkaLog.connect(url, rollback_horizon_ms=0, timeout=3.0)
    assert "wr0ng" not in str(caught.value)


async def test_a_broker_that_cannot_prove_itself_is_refused(secured: Secured) -> None:
    url = secured.url("shop:s3cret%3A%40%2F", tls="true")  # trusts the system's authorities only
    with pytest.raises(LogUnavailable):
        await KafkaLog.connect(url, rollback_horizon_ms=0, timeout=3.0)


def _settings(keystore: Path) -> dict[str, str]:
    modules = "org.apache.kafka.common.security"
    return {
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,CLIENT:SASL_SSL",
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.name.client.sasl.enabled.mechanisms": "SCRAM-SHA-512,PLAIN",
        "listener.name.client.scram-sha-512.sasl.jaas.config": f"{modules}.scram.ScramLoginModule required;",
        "listener.name.client.plain.sasl.jaas.config": (
            f'{modules}.plain.PlainLoginModule required user_till="plain-s3cret" user_shop="other-s3cret";'
        ),
        "listener.name.client.ssl.keystore.location": str(keystore),
        "listener.name.client.ssl.keystore.type": "PKCS12",
        "listener.name.client.ssl.keystore.password": PASSWORD,
        "listener.name.client.ssl.key.password": PASSWORD,
    }


def _keystore(folder: Path) -> Path:
    """A key of the broker's own with a certificate for 127.0.0.1, and that certificate as ca.pem."""
    keytool = shutil.which("keytool") or str(fast_jvm().java.with_name("keytool"))
    store = folder / "broker.p12"
    common = ("-alias", "broker", "-keystore", str(store), "-storetype", "PKCS12", "-storepass", PASSWORD)
    for command in (
        ("-genkeypair", *common, "-keyalg", "RSA", "-dname", "CN=broker", "-ext", "san=ip:127.0.0.1"),
        ("-exportcert", *common, "-rfc", "-file", str(folder / "ca.pem")),
    ):
        subprocess.run((keytool, *command), check=True, capture_output=True)
    return store


def _let_in(broker: Broker, user: str, password: str) -> None:
    kind = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
    change = UserScramCredentialUpsertion(user, kind, password.encode())
    client = admin.client(broker.address)
    for done in client.alter_user_scram_credentials([change]).values():
        done.result(10)
