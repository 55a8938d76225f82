"""Asks a service's /readyz, by hand: importing an HTTP client would delay the start by a quarter of a second."""

import asyncio
import contextlib

_PATIENCE_SECONDS = 2.0
_ANY_HOST = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (nothing is bound here)


def reachable_host(host: str) -> str:
    """Where a server bound to `host` is reached from this machine."""
    return _ANY_HOST.get(host, host)


def base_url(host: str, port: int) -> str:
    host = reachable_host(host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def is_ready(host: str, port: int) -> bool:
    """Whether /readyz answers 200 now."""
    with contextlib.suppress(OSError, TimeoutError):
        return await asyncio.wait_for(_ask(reachable_host(host), port), _PATIENCE_SECONDS)
    return False


async def _ask(host: str, port: int) -> bool:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        status = await reader.readline()
        return status.split(b" ")[1:2] == [b"200"]
    finally:
        writer.close()
