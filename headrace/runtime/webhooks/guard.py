"""Connections that lead only where they may: to public addresses, unless the operator allows others.

The name is resolved here, at every connection, and aiohttp connects to what was checked: a name that changes its
address between the check and the connection (DNS rebinding) gains nothing. Each socket is checked again as it is
made, so that a host which needs no resolving is no way around.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aiohttp import TCPConnector
from aiohttp.abc import AbstractResolver, ResolveResult

from headrace.contracts.errors import HeadraceError

AddressInfo = tuple[int, int, int, str, tuple[Any, ...]]
Lookup = Callable[[str, int, int], Awaitable[Sequence[AddressInfo]]]
"""Of a host, a port and an address family, what `socket.getaddrinfo` gives. Raises OSError."""

Allowed = Callable[[str], bool]
"""Whether a request may go to a numeric address."""

_LOOKUPS = 8


class ForbiddenAddress(HeadraceError, OSError):
    """The receiver's host leads to an address that is not allowed, and no request was made."""


class SystemLookup:
    """Asks the system, in threads of its own: a name server that does not answer must not hold up what else this
    process does in threads."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_LOOKUPS, thread_name_prefix="webhook-dns")

    async def __call__(self, host: str, port: int, family: int) -> Sequence[AddressInfo]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, _getaddrinfo, host, port, family)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


class GuardedResolver(AbstractResolver):
    """Of a name's addresses those that are allowed; ForbiddenAddress when none is."""

    def __init__(self, lookup: Lookup, allowed: Allowed) -> None:
        self._lookup = lookup
        self._allowed = allowed

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._lookup(host, port, family)
        allowed = [info for info in found if self._allowed(info[4][0])]
        if found and not allowed:
            raise ForbiddenAddress(f"{host} has no address that is allowed")
        return [
            ResolveResult(
                hostname=host,
                host=address[0],
                port=port,
                family=kind,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, protocol, _, address in allowed
        ]

    async def close(self) -> None:
        """Nothing is held here."""


def guarded_connector(lookup: Lookup, allowed: Allowed, *, limit: int) -> TCPConnector:
    """A connector whose every request makes its own connection, to an address checked just then."""

    def checked_socket(info: AddressInfo) -> socket.socket:
        family, kind, protocol, _, address = info
        if not allowed(address[0]):
            raise ForbiddenAddress(f"{address[0]} is not allowed")
        return socket.socket(family, kind, protocol)

    return TCPConnector(
        limit=limit,
        force_close=True,
        use_dns_cache=False,
        resolver=GuardedResolver(lookup, allowed),
        socket_factory=checked_socket,
    )


def _getaddrinfo(host: str, port: int, family: int) -> Sequence[AddressInfo]:
    return socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
