"""HEADRACE_LOG_URL=kafka://…: what it may say, and that what is wrong is said."""

import ssl
from pathlib import Path

import pytest

from headrace.contracts.errors import SettingsError
from headrace.log.kafka.address import parse_address


def test_servers_with_and_without_a_port() -> None:
    address = parse_address("kafka://one:9092,two,three:19092")
    assert address.servers == ("one:9092", "two:9092", "three:19092")
    assert address.security == {"security_protocol": "PLAINTEXT"}
    assert address.replication is None
    assert str(address) == "one:9092,two:9092,three:19092"


def test_a_user_logs_in_over_tls() -> None:
    address = parse_address("kafka://shop:p%40ss%3A@broker:9093?tls=true&replication=2")
    context = address.security["ssl_context"]
    assert isinstance(context, ssl.SSLContext)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert address.security["security_protocol"] == "SASL_SSL"
    assert address.security["sasl_mechanism"] == "SCRAM-SHA-512"
    assert address.security["sasl_plain_username"] == "shop"
    assert address.security["sasl_plain_password"] == "p@ss:"
    assert address.replication == 2


def test_a_password_may_stand_in_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("of-the-file\n", encoding="utf-8")
    address = parse_address(f"kafka://shop@broker:9093?sasl=plain&password_file={secret}")
    assert address.security == {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": "shop",
        "sasl_plain_password": "of-the-file",
    }


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("kafka://", "names '' as a Kafka broker"),
        ("kafka://broker:port", "'broker:port' as a Kafka broker"),
        ("kafka://one:9092,,two:9092", "names '' as a Kafka broker"),
        ("kafka://broker:99999", "write host:port"),
        ("kafka://broker?retries=3", "unknown parameter 'retries'; there are ca, cert"),
        ("kafka://broker?tls=yes", "write tls=true or tls=false"),
        ("kafka://broker?ca=/no/such.pem", "certificate files"),
        ("kafka://broker?tls=true&cert=/a.pem", "both cert= and key="),
        ("kafka://broker?sasl=plain", "no user"),
        ("kafka://shop@broker", "add password_file=PATH"),
        ("kafka://shop@broker?password_file=/no/such", "password_file=/no/such cannot be read"),
        ("kafka://shop:secret@broker?sasl=magic", "sasl=MAGIC; there are PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"),
        ("kafka://broker?replication=many", "a number from 1 to 15"),
    ],
)
def test_what_is_wrong_is_said_without_the_password(url: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_address(url)
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)
