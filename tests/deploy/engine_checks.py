"""Each service is let through to the engines that its settings name, and told where they are. One sentence for
each finding; none means that all is well."""

from collections.abc import Iterator, Mapping
from typing import Any

from headrace.local.postgres import DISCREET
from headrace.local.services import installed_services, migrating
from tests.deploy.known import READERS, needed_engines
from tests.deploy.manifests import Objects, get
from tests.deploy.network import conversations
from tests.deploy.pod_checks import files_of_secrets

PORTS: Mapping[str, int] = {"kafka": 9093, "postgres": 5432, "valkey": 6379}
MIGRATIONS = tuple(service.name for service in migrating(installed_services()))
"""Whose schema `headrace migrate` makes."""


def needed() -> set[tuple[str, str, int]]:
    """(caller, engine, port) of all services, and of the migration."""
    services = {(name, engine, PORTS[engine]) for name in READERS for engine in needed_engines(name).values()}
    return services | ({("migrate", "postgres", PORTS["postgres"])} if MIGRATIONS else set())


def engines(objects: Objects) -> Iterator[str]:
    """Policies on both sides, the variable, and the Secret that it is read from."""
    for direction in ("Egress", "Ingress"):
        allowed = conversations(objects, direction, list(PORTS.values()))
        for caller, engine, port in sorted(needed() - allowed):
            yield f"{direction}: {caller} does not come to {engine} at {port}"
    for name in READERS:
        yield from _told(get(objects, "Deployment", name), needed_engines(name))
    if MIGRATIONS:
        yield from _told(get(objects, "Job", "migrate"), {"HEADRACE_DATABASE_URL": "postgres"})


def discreet(objects: Objects) -> Iterator[str]:
    """Postgres logs as little of what customers said as the embedded one."""
    given = get(objects, "Cluster", "headrace-postgres")["spec"]["postgresql"]["parameters"]
    for name, value in DISCREET.items():
        if given.get(name) != value:
            yield f"Postgres quotes people in its log: {name} is {given.get(name)}"
    for name in ("log_parameter_max_length", "log_parameter_max_length_on_error"):
        if given.get(name) != "0":
            yield f"Postgres logs bound values: {name} is {given.get(name)}"


def _told(owner: Mapping[str, Any], variables: Mapping[str, str]) -> Iterator[str]:
    name, spec = owner["metadata"]["name"], owner["spec"]["template"]["spec"]
    container = spec["containers"][0]
    given = {one["name"]: one.get("value", "") for one in container.get("env", ())}
    there = files_of_secrets(container, {volume["name"]: volume for volume in spec.get("volumes", ())})
    for variable, engine in variables.items():
        path = given.get(f"{variable}_FILE")
        if not given.get(variable) and not path:
            yield f"{name} is not told where {engine} is: {variable}"
        elif path and path not in there:
            yield f"{name}: no Secret puts {path} there"
