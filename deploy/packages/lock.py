"""Reading a lock as `make lock` writes it: what is pinned, by which hashes, and who wanted it."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

_ENTRY = re.compile(r"\n(?=[a-z0-9])")
_PIN = re.compile(r"([a-z0-9][a-z0-9._-]*)(\[[^\]]*\])?==([^\s;\\]+)(?:\s*;\s*([^\\\n]*[^\\\s]))?")
_HASH = re.compile(r"--hash=(sha\d+):([0-9a-f]+)")
_WANTED_BY = re.compile(r"^    # (?:via )?(?: +)?(?!via$|-c )(\S.*)$", re.MULTILINE)
_PROJECT = re.compile(r"^headrace \(pyproject\.toml(?::([a-z-]+))?\)$")


class LockError(Exception):
    """A lock that cannot be read, or that does not say what is needed."""


@dataclass(frozen=True, slots=True)
class Pin:
    """A package of the lock. `marker` is empty where it is for every machine. `wanted_by` are the packages that
    need it; `groups` are the parts of pyproject.toml that name it: "" for the dependencies, else the group."""

    name: str
    version: str
    marker: str
    hashes: tuple[tuple[str, str], ...]
    wanted_by: tuple[str, ...]
    groups: tuple[str, ...]
    text: str


def read_lock(text: str) -> tuple[Pin, ...]:
    """Every pin, in the lock's order. Raises LockError at what is no pin with a hash."""
    return tuple(_pin(entry) for entry in _ENTRY.split(text.strip()))


def needed(pins: Iterable[Pin], *, group: str = "", without: Collection[str] = ()) -> tuple[Pin, ...]:
    """The pins that `group` needs, itself or through others, when it gives up `without`. Raises LockError when the
    lock does not have one of those, so that a renamed package does not come back unseen."""
    known = {pin.name: pin for pin in pins}
    if unknown := set(without) - known.keys():
        raise LockError(f"the lock has no {min(unknown)}, which is to be left out: correct the name")
    wants = _wants(known)
    found: set[str] = set()
    open_names = [pin.name for pin in known.values() if group in pin.groups]
    while open_names:
        name = open_names.pop()
        if name not in found and name not in without:
            found.add(name)
            open_names.extend(wants.get(name, ()))
    return tuple(pin for pin in known.values() if pin.name in found)


def _wants(known: Mapping[str, Pin]) -> dict[str, list[str]]:
    wants: dict[str, list[str]] = {}
    for pin in known.values():
        for parent in pin.wanted_by:
            wants.setdefault(parent, []).append(pin.name)
    return wants


def _pin(entry: str) -> Pin:
    match = _PIN.match(entry)
    hashes = tuple(_HASH.findall(entry))
    if match is None or not hashes:
        raise LockError(f"{entry.splitlines()[0]!r} is no pin with a hash: run `make lock` and commit the result")
    wanted_by, groups = [], []
    for reason in _WANTED_BY.findall(entry):
        if project := _PROJECT.match(reason):
            groups.append(project[1] or "")
        else:
            wanted_by.append(reason)
    name, _, version, marker = match.groups()
    return Pin(name, version, marker or "", hashes, tuple(wanted_by), tuple(groups), entry.rstrip() + "\n")
