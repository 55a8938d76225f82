"""A process whose clock is wrong: libfaketime, which Debian packages."""

from pathlib import Path

from tests.servers.packages import Missing

_PLACES = ("/usr/lib/*/faketime/libfaketime.so.1", "/usr/lib*/faketime/libfaketime.so.1")


def library() -> Path:
    """The library to preload. Raises Missing."""
    for place in _PLACES:
        for found in sorted(Path("/").glob(place.removeprefix("/"))):
            return found
    raise Missing("processes with another clock need libfaketime", "libfaketime")


def ahead(library: Path, hours: int) -> dict[str, str]:
    """The environment of a process whose wall clock is so far ahead; its monotonic clock stays as it is."""
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME": f"{hours:+d}h",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
