"""Asks a service how it is, by hand: importing an HTTP client would delay the start by a quarter of a second."""

import asyncio

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
    return await answers(host, port, "/readyz") is True


async def answers(host: str, port: int, path: str) -> bool | None:
    """Whether `path` answers 200 within two seconds; None when nothing listens there."""
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            return await _ask(reachable_host(host), port, path)
    except ConnectionRefusedError:
        return None
    except (OSError, TimeoutError):
        return False


async def _ask(host: str, port: int, path: str) -> bool:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        status = await reader.readline()
        return status.split(b" ")[1:2] == [b"200"]
    finally:
        writer.close()
