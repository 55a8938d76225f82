"""The locks hold everything pyproject.toml names, with hashes, at one version, from no particular index."""

import re
import tomllib
from typing import Any

import pytest

from tests.unit.repository.tree import ROOT

RUN = "requirements.lock"
DEV = "requirements-dev.lock"
TRACING = "requirements-tracing.lock"
"""RUN and what the extra `tracing` needs: installed in its place where traces are wanted."""

PINNED = re.compile(r"^([a-z0-9][a-z0-9._-]*)(?:\[[^\]]*\])?==([^\s;\\]+)", re.MULTILINE)
NAME = re.compile(r"^[A-Za-z0-9._-]+")
AT_LEAST = re.compile(r">=\s*([0-9.]+)")


def lock(name: str) -> dict[str, list[str]]:
    """Versions by package (several where they differ by Python version)."""
    versions: dict[str, list[str]] = {}
    for package, version in PINNED.findall((ROOT / name).read_text(encoding="utf-8")):
        versions.setdefault(package, []).append(version)
    return versions


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def requirements(name: str) -> list[str]:
    document = project()
    groups = document["dependency-groups"]
    run = [*document["project"]["dependencies"], *document["build-system"]["requires"], *groups["build"]]
    further = {RUN: [], DEV: groups["dev"], TRACING: document["project"]["optional-dependencies"]["tracing"]}
    return [*run, *further[name]]


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


@pytest.mark.parametrize("name", [RUN, DEV, TRACING])
def test_every_requirement_is_locked_at_a_version_that_satisfies_it(name: str) -> None:
    locked = lock(name)
    for requirement in requirements(name):
        match = NAME.match(requirement)
        assert match is not None, requirement
        package = re.sub(r"[-_.]+", "-", match[0]).lower()
        assert package in locked, f"{requirement}: run `make lock` and commit the result"
        if least := AT_LEAST.search(requirement):
            assert all(numbers(version) >= numbers(least[1]) for version in locked[package]), requirement


def test_the_locks_agree() -> None:
    run, dev, tracing = lock(RUN), lock(DEV), lock(TRACING)
    assert {package: dev.get(package) for package in run} == run
    assert {package: tracing.get(package) for package in run} == run
    assert {package: dev.get(package) for package in tracing} == tracing


@pytest.mark.parametrize("name", [RUN, DEV, TRACING])
def test_every_pin_has_a_hash(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    entries = re.split(r"\n(?=[a-z0-9])", text.strip())
    assert len(entries) > 20
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []


@pytest.mark.parametrize("name", [RUN, DEV, TRACING])
def test_no_lock_names_an_index_or_an_address(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert re.search(r"https?:|--index|--find-links|--extra| @ ", text) is None


def test_time_zones_do_not_depend_on_the_machine() -> None:
    assert "tzdata" in lock(RUN)
