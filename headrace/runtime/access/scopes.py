"""What a token may do: the scopes that are granted, and what each of them lets one do (pure)."""

from collections.abc import Iterable

SCOPES = ("read", "segments", "segments:read", "campaigns", "privacy", "admin")
"""What a token is given."""

_IMPLIED: dict[str, frozenset[str]] = {
    "read": frozenset({"read", "segments:read", "campaigns:read", "privacy:read"}),
    "segments": frozenset({"segments", "segments:read"}),
    "segments:read": frozenset({"segments:read"}),
    "campaigns": frozenset({"campaigns", "campaigns:read"}),
    "privacy": frozenset({"privacy", "privacy:read"}),
}
PERMISSIONS = frozenset().union(*_IMPLIED.values()) | {"admin"}
"""What a route may ask for: reading what belongs to a scope is a permission of its own."""


def permissions(scopes: Iterable[str]) -> frozenset[str]:
    """All that these scopes permit; unknown ones permit nothing."""
    held = frozenset(scopes)
    if "admin" in held:
        return PERMISSIONS
    return frozenset().union(*(_IMPLIED.get(scope, frozenset()) for scope in held))


def allows(scopes: Iterable[str], wanted: str) -> bool:
    return wanted in permissions(scopes)


def granting(wanted: str) -> list[str]:
    """The scopes each of which permits `wanted`, without admin, which permits all."""
    return [scope for scope in SCOPES if wanted in _IMPLIED.get(scope, ())] or ["admin"]


def is_reading(wanted: str) -> bool:
    """Whether what asks for this permission only looks."""
    return wanted == "read" or wanted.endswith(":read")
