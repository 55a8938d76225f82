"""Who sends a request: the client's address, as a text and as what limits count by (pure)."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

RawHeaders = Sequence[tuple[bytes, bytes]]

UNKNOWN = "unknown"
_LONGEST = 64


def client_address(headers: RawHeaders, peer: Sequence[Any] | None, trusted_hops: int) -> str | None:
    """The peer, or behind `trusted_hops` proxies of ours the entry of X-Forwarded-For that the outermost of them
    wrote. What stands left of it is the client's own claim."""
    if trusted_hops:
        entries = [
            entry.strip()
            for name, value in headers
            if name == b"x-forwarded-for"
            for entry in value.decode("latin-1").split(",")
        ]
        if len(entries) >= trusted_hops:
            return entries[-trusted_hops] or None
    return str(peer[0]) if peer else None


def counted_address(address: str | None) -> str:
    """What limits count an address by: IPv6 by its first 64 bits, which one customer of a provider has; without
    port; the same for all that is no address."""
    return _counted(address) if address and len(address) <= _LONGEST else UNKNOWN


def written_address(address: str | None) -> str:
    """What the audit log has of an address: without port; `unknown` for all that is no address."""
    found = _parsed(address) if address and len(address) <= _LONGEST else None
    return UNKNOWN if found is None else str(found)


def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    text = address.strip()
    if text.count(":") == 1:
        text = text.partition(":")[0]
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    try:
        return ip_address(text)
    except ValueError:
        return None


@lru_cache(maxsize=8_192)
def _counted(address: str) -> str:
    found = _parsed(address)
    if found is None:
        return UNKNOWN
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return f"{IPv6Address(int(found) >> 64 << 64)}/64"
    return str(found)
