"""The health check of the image: it knows no service's name, only what listens."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from headrace.contracts.errors import SettingsError
from headrace.local.health import HEALTHY, health, ports
from headrace.local.ports import free_port
from headrace.local.services import SERVICES
from headrace.runtime.settings import Environment

HOST = "127.0.0.1"


@asynccontextmanager
async def listening(answer: bytes) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that answers every request with these bytes; its port, and the requests' first lines."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, HOST, 0) as server:
        yield server.sockets[0].getsockname()[1], asked


async def test_one_service_that_answers_is_enough() -> None:
    async with listening(b"HTTP/1.1 200 OK\r\n\r\n") as (port, asked):
        assert await health(HOST, [("ingest", port), ("profiles", free_port())]) == HEALTHY
        assert asked == [b"GET /healthz HTTP/1.1\r\n"]


@pytest.mark.parametrize("answer", [b"HTTP/1.1 503 Service Unavailable\r\n\r\n", b"", b"nonsense\r\n"])
async def test_what_listens_must_answer(answer: bytes) -> None:
    async with listening(answer) as (port, _), listening(b"HTTP/1.1 200 OK\r\n\r\n") as (other, _):
        outcome = await health(HOST, [("profiles", port), ("ingest", other)])
        assert outcome == f"listens but does not answer /healthz with 200: profiles on port {port}"


async def test_somebody_must_listen() -> None:
    port = free_port()
    outcome = await health(HOST, [("ingest", port)])
    assert outcome == f"nothing listens on the ports of the services ({port})"


async def test_a_server_bound_to_every_address_is_asked_on_this_machine() -> None:
    async with listening(b"HTTP/1.1 200 OK\r\n\r\n") as (port, _):
        assert await health("0.0.0.0", [("ingest", port)]) == HEALTHY


def test_the_ports_are_those_of_the_settings() -> None:
    found = dict(ports(Environment({"HEADRACE_INGEST_PORT": "9000"})))
    assert found == {service.name: service.port for service in SERVICES} | {"ingest": 9000}
    with pytest.raises(SettingsError, match="HEADRACE_INGEST_PORT"):
        ports(Environment({"HEADRACE_INGEST_PORT": "http"}))
