"""Where the Kafka cluster is and how we prove who we are, from HEADRACE_LOG_URL.

    kafka://[user:password@]host:port[,host:port…][?name=value&…]

`tls=true` encrypts; `ca`, `cert` and `key` are paths of PEM files (`ca` default: the system's), `sasl` the
mechanism (default SCRAM-SHA-512 when there is a user), `password_file` a path to read the password from,
`replication` the copies of the topics we create (default: 3, or as many as there are brokers).
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from headrace.contracts.errors import SettingsError

MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_PARAMETERS = frozenset({"tls", "ca", "cert", "key", "sasl", "password_file", "replication"})
_EXAMPLE = "e.g. HEADRACE_LOG_URL=kafka://broker-1:9092,broker-2:9092"


@dataclass(frozen=True, slots=True)
class Address:
    """`servers` are host:port; `security` are keyword arguments of aiokafka's clients; `replication` None: chosen
    by the number of brokers."""

    servers: tuple[str, ...]
    security: Mapping[str, Any]
    replication: int | None = None

    def __str__(self) -> str:
        return ",".join(self.servers)


def parse_address(url: str) -> Address:
    """Raises SettingsError, which never quotes a password."""
    parts = urlsplit(url)
    credentials, _, hosts = parts.netloc.rpartition("@")
    servers = tuple(_server(host) for host in hosts.split(","))
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := given.keys() - _PARAMETERS:
        raise SettingsError(
            f"HEADRACE_LOG_URL has the unknown parameter {min(unknown)!r}; "
            f"there are {', '.join(sorted(_PARAMETERS))}"
        )
    security = {**_encryption(given), **_login(credentials, given)}
    security["security_protocol"] = _protocol("ssl_context" in security, "sasl_mechanism" in security)
    return Address(servers, security, _replication(given))


def _server(host: str) -> str:
    name, _, port = host.rpartition(":")
    if not name:
        name, port = host, "9092"
    if not name or not port.isdigit() or not 0 < int(port) < 65_536:
        raise SettingsError(f"HEADRACE_LOG_URL names {host!r} as a Kafka broker; write host:port, {_EXAMPLE}")
    return f"{name}:{port}"


def _encryption(given: Mapping[str, str]) -> dict[str, Any]:
    wanted = given.get("tls", "true" if given.keys() & {"ca", "cert", "key"} else "false")
    if wanted not in {"true", "false"}:
        raise SettingsError(f"HEADRACE_LOG_URL has tls={wanted}; write tls=true or tls=false")
    if wanted == "false":
        return {}
    if ("cert" in given) != ("key" in given):
        raise SettingsError("HEADRACE_LOG_URL needs both cert= and key=, or neither")
    try:
        context = ssl.create_default_context(cafile=given.get("ca"))
        if "cert" in given:
            context.load_cert_chain(given["cert"], given["key"])
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(
            f"HEADRACE_LOG_URL: the certificate files (ca, cert, key) cannot be used: {error}"
        ) from error
    return {"ssl_context": context}


def _login(credentials: str, given: Mapping[str, str]) -> dict[str, Any]:
    user, _, password = credentials.partition(":")
    if "password_file" in given:
        try:
            password = Path(given["password_file"]).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise SettingsError(
                f"HEADRACE_LOG_URL: password_file={given['password_file']} cannot be read: {error.strerror}"
            ) from error
    else:
        password = unquote(password)
    if not user:
        if given.keys() & {"sasl", "password_file"}:
            raise SettingsError(
                "HEADRACE_LOG_URL has sasl or password_file but no user; write kafka://user@host:9093"
            )
        return {}
    mechanism = given.get("sasl", "SCRAM-SHA-512").upper()
    if mechanism not in MECHANISMS:
        raise SettingsError(f"HEADRACE_LOG_URL has sasl={mechanism}; there are {', '.join(MECHANISMS)}")
    if not password:
        raise SettingsError("HEADRACE_LOG_URL has a user but no password; add password_file=PATH")
    return {
        "sasl_mechanism": mechanism,
        "sasl_plain_username": unquote(user),
        "sasl_plain_password": password,
    }


def _protocol(encrypted: bool, login: bool) -> str:
    if login:
        return "SASL_SSL" if encrypted else "SASL_PLAINTEXT"
    return "SSL" if encrypted else "PLAINTEXT"


def _replication(given: Mapping[str, str]) -> int | None:
    raw = given.get("replication")
    if raw is None:
        return None
    if not raw.isascii() or not raw.isdigit() or not 1 <= int(raw) <= 15:
        raise SettingsError(f"HEADRACE_LOG_URL has replication={raw!r}; write a number from 1 to 15, e.g. 3")
    return int(raw)
